//! MySQL's client/server protocol as data: packets, commands, replies, handshakes. No socket and no
//! clock, except in `stream` and `socket`, where packets meet bytes.

pub mod auth;
mod capabilities;
mod codec;
pub mod handshake;
mod status;

pub use capabilities::Capabilities;
pub use codec::{Malformed, Reader, Writer};
pub use status::StatusFlags;
