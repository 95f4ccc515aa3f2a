//! MySQL's client/server protocol as data: packets, commands, replies, handshakes. No socket and no
//! clock, except in `stream` and `socket`, where packets meet bytes.

pub mod auth;
pub mod binlog;
mod buffer;
mod capabilities;
mod codec;
mod column;
mod command;
pub mod compression;
mod deadline;
pub mod handshake;
mod ok;
mod packet;
pub mod proxy_protocol;
mod reply;
mod socket;
mod status;
mod stream;
pub mod tls;

pub use buffer::{BUFFER_BYTES, Buffer};
pub use capabilities::Capabilities;
pub use codec::{Malformed, Reader, Writer};
pub use column::{
    BINARY_CHARSET, ColumnDefinition, ENUM_FLAG, NOT_NULL_FLAG, SET_FLAG, UNSIGNED_FLAG, ZEROFILL_FLAG,
    column_type,
};
pub use command::{Command, code};
pub use deadline::{Deadline, Elapsed};
pub use ok::{
    ErrPacket, OkPacket, StateChange, StateChanges, encode_eof, encode_err, encode_state_change, parse_eof,
};
pub use packet::{HEADER_BYTES, Header, PAYLOAD_MAX, frame};
pub use reply::{END_BYTES_MAX, End, Event, ReplyKind, ReplyScanner};
pub use socket::{Socket, Transport};
pub use status::StatusFlags;
pub use stream::{PacketStream, StreamError};
