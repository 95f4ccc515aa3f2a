//! A real MariaDB in the relay's place: what answers from memory give beside the database itself.

use std::io;
use std::net::SocketAddr;

use dazzle::lab::{Account, Flavor, Lab, LabOptions};

use crate::client::{PASSWORD, USER};

/// A private server with the one table that the load asks for.
pub(crate) struct Direct {
    pub(crate) address: SocketAddr,
    pub(crate) pid: u32,
    /// Ends the server when dropped, before the runtime that watches it.
    _lab: Lab,
    _runtime: tokio::runtime::Runtime,
}

impl Direct {
    /// Starts it, with orders from 100,000 on.
    pub(crate) fn start(orders: u64) -> io::Result<Self> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let lab = runtime.block_on(fill(orders))?;
        let server = lab.primary();
        let pid = server.pid().ok_or_else(|| io::Error::other("the server does not run"))?;
        Ok(Self { address: server.address(), pid, _lab: lab, _runtime: runtime })
    }
}

async fn fill(orders: u64) -> io::Result<Lab> {
    let mut options = LabOptions::new(Flavor::MariaDb);
    options.connections_max = 2_000;
    let lab = Lab::start(&options).await.map_err(io::Error::other)?;
    let server = lab.primary();
    let account = Account::new(server.flavor(), USER, PASSWORD);
    server.create_account(&account).await.map_err(io::Error::other)?;
    server.create_schema("bench").await.map_err(io::Error::other)?;
    let mut statements = vec![
        "CREATE TABLE bench.orders (id BIGINT PRIMARY KEY, user_id BIGINT NOT NULL, status VARCHAR(16) NOT NULL, \
         total_cents BIGINT NOT NULL, note VARCHAR(200) NOT NULL)"
            .to_owned(),
    ];
    let ids: Vec<u64> = (100_000..100_000 + orders).collect();
    for ids in ids.chunks(1_000) {
        let rows: Vec<String> =
            ids.iter().map(|id| format!("({id},{},'paid',{},REPEAT('n',100))", id % 977, id * 7)).collect();
        statements.push(format!("INSERT INTO bench.orders VALUES {}", rows.join(",")));
    }
    statements.push("ANALYZE TABLE bench.orders".to_owned());
    server.execute(&statements).await.map_err(io::Error::other)?;
    Ok(lab)
}
