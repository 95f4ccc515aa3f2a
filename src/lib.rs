//! Dazzle: a MySQL-protocol data-access layer. Many clients in front, few server connections behind.
//!
//! The floors, from the ground up (imports only go down; `tests/tidy.rs` keeps it so):
//! `wire`, `sql`, `config`, `error` · `telemetry` · `merge`, `sharding`, `cache`, `protection` ·
//! `backend` · `engine` · `frontend`, `admin`, `lab` · `server`, `cli`.

pub mod config;
pub mod error;
pub mod sql;
pub mod telemetry;
pub mod wire;

pub mod cache;
pub mod merge;
pub mod protection;
pub mod sharding;

pub mod backend;
pub mod engine;

pub mod admin;
pub mod frontend;
pub mod lab;

pub mod cli;
pub mod server;
