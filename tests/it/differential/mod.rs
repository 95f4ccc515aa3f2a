//! Nothing a client sees tells whether it talks to the server or to the proxy.

mod bulk;
mod bulk_execute;
mod charsets;
mod clients;
mod commands;
mod prepared;
mod text;
mod types;
