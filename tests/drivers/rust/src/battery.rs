//! What the batteries share: the login, sections, and printing.

use std::env;
use std::error::Error;
use std::fmt::Debug;
use std::fs::OpenOptions;
use std::io::{Read, Write};
use std::net::TcpStream;

pub type Fallible<T> = Result<T, Box<dyn Error>>;

/// Connections of the section `connect`.
pub const CONNECTS: usize = 10;

/// Requests of the section `request cycle`.
pub const CYCLES: usize = 40;

pub fn variable(name: &str) -> String {
    env::var(name).unwrap_or_else(|_| panic!("{name} is not set"))
}

pub fn port() -> u16 {
    variable("PORT").parse().expect("PORT is a number")
}

/// A URL of the server under test.
pub fn url(schema: &str) -> String {
    let password: String = variable("DB_PASSWORD").bytes().map(|byte| format!("%{byte:02X}")).collect();
    format!("mysql://{}:{password}@127.0.0.1:{}/{schema}", variable("DB_USER"), port())
}

/// Begins a feature. Through the proxy, the metrics of this moment are kept beside its name.
pub fn section(name: &str) -> Fallible<()> {
    println!("== {name}");
    let Ok(marks) = env::var("MARKS") else { return Ok(()) };
    let mut admin = TcpStream::connect(variable("ADMIN"))?;
    write!(admin, "GET /metrics HTTP/1.0\r\nhost: admin\r\n\r\n")?;
    let mut metrics = String::new();
    admin.read_to_string(&mut metrics)?;
    let mut file = OpenOptions::new().create(true).append(true).open(marks)?;
    write!(file, "== {name}\n{metrics}\n")?;
    Ok(())
}

pub fn show(name: &str, value: impl Debug) {
    println!("{name}: {value:?}");
}

pub const TABLE: &str = "CREATE TABLE t (id INT AUTO_INCREMENT PRIMARY KEY, name VARCHAR(50), price DECIMAL(20,6), \
    seen DATETIME(6), day DATE, span TIME(3), raw BLOB, big BIGINT UNSIGNED, ratio DOUBLE, small FLOAT, \
    kind ENUM('a','b'), doc JSON, year YEAR)";

pub const INSERT: &str = "INSERT INTO t (name, price, seen, day, span, raw, big, ratio, small, kind, doc, year) \
    VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)";
