//! frontend

pub mod credential;
pub mod tls;
