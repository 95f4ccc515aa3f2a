//! backend

pub mod tls;
