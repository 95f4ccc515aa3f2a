//! The compressed protocol: frames of a seven-byte header and up to 16 MiB of the packet stream, cut
//! anywhere.
//!
//! `frame` and `codec` are the format as data; [`Compressed`] puts it over a socket. Source: MySQL
//! "Compressed Packet" and `sql-common/net_serv.cc`.

mod codec;
mod error;
mod frame;
mod stream;

pub use codec::Algorithm;
pub use error::CompressionError;
pub use frame::{FrameReader, write_frame};
pub use stream::Compressed;
