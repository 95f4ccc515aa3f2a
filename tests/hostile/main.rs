//! Bad input from either side: whatever a client or a server sends, its peer gets the error that MySQL
//! gives or a clean close, and the proxy goes on serving everybody else.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod before_login;
mod breaker;
mod client;
mod commands;
mod compressed;
mod crowds;
mod decoders;
mod flow;
mod fuzz;
mod leaving;
mod packets;
mod parting;
mod proxy;
mod rogue;
mod server;
mod startup;
