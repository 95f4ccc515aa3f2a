//! The connection phase as data: greeting, TLS request, handshake response, COM_CHANGE_USER.
//!
//! Source: MySQL "Connection Phase Packets"; MariaDB "Connection: Initial Handshake Packet" for the
//! extended capabilities that travel in filler bytes.

mod attributes;
mod change_user;
mod error;
mod greeting;
mod response;
mod scramble;

pub use attributes::ConnectAttributes;
pub use change_user::ChangeUser;
pub use error::HandshakeError;
pub use greeting::{Greeting, Refusal, ServerHello};
pub use response::{ClientHello, HandshakeResponse, SslRequest};
pub use scramble::Scramble;
