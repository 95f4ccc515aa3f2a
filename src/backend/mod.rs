//! Server connections: logging in, knowing what a session looks like there, pooling.

mod backoff;
pub mod pool;
pub mod tls;
