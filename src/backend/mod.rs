//! backend

pub mod backoff;
pub mod pool;
