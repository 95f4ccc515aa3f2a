//! Clients: listeners, the login, and the loop that reads commands.

mod accept;
mod candidate;
pub mod credential;
mod limits;
mod listener;
mod listeners;
mod login;
mod serve;
pub mod tls;

pub use accept::Frontend;
pub use limits::ClientCounts;
pub use listener::ListenerError;
pub use listeners::{Listeners, NextListeners, OpenListener};
pub use login::Security;
