//! Integration tests: the proxy as a process, in front of real MariaDB and real MySQL.
//!
//! Every story runs against both servers. Most share one server and one proxy of each flavor; those that need
//! a configuration of their own start a proxy, and those that kill or freeze a server start that, too.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

#[macro_use]
mod support;

mod accounts;
mod across;
mod attributes;
mod binlog;
mod certificates;
mod combining;
mod compression;
mod connection_id;
mod ddl;
mod differential;
mod failures;
mod fleet;
mod grammar;
mod hot_logical;
mod hot_policies;
mod hot_reads;
mod hot_rows;
mod ids;
mod keys;
mod leaks;
mod life;
mod limits;
mod logins;
mod overload;
mod parameter_types;
mod process;
mod protection;
mod rules;
mod schema;
mod sessions;
mod sharded;
mod staleness;
