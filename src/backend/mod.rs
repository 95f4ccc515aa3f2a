//! Server connections: logging in, knowing what a session looks like there, pooling.

pub mod accounts;
mod answer;
mod backoff;
mod conn;
mod connect;
mod error;
mod facts;
mod image;
mod login;
pub mod pool;
mod prepared;
mod restore;
mod role;
pub mod tls;
mod topology;
pub mod user_variable;

pub use answer::ResultSet;
pub use conn::{BackendConn, Condition};
pub use connect::{Connector, ServerTimeouts};
pub use error::BackendError;
pub use facts::{Collation, Flavor, LOGIN_VARIABLES, ServerFacts};
pub use image::{DESCRIBED, SessionImage, Transition};
pub use login::{Keyring, Login};
pub use prepared::{PrepareReply, PreparedAccount, PreparedKey, PreparedStatements, ServerStatement, Told};
pub use role::{CURRENT_ROLE, role_setting};
pub use topology::{Backend, Cluster, ServerLease, ServerPool, Topology};
