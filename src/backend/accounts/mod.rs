//! A server's own accounts, for clients that log in with them: what the server has stored of their passwords,
//! read when somebody wants to log in. Whether an account may really do something is never decided here: its
//! connections log in as the account, and the server decides.

mod account;
mod directory;
mod host;
mod read;

pub use account::{Account, Verifier};
pub use directory::{Directory, DirectoryError, Reader};
pub use host::Origin;
