//! The command line of a private server: fast rather than durable, small, and open for every test.

use crate::lab::flavor::Flavor;
use crate::lab::server::Server;

/// Arguments of one start, after the program's own. `extra` comes last, so it wins.
pub(crate) fn arguments(server: &Server, extra: &[String]) -> Vec<String> {
    let mut arguments = shared(server);
    arguments.extend(match server.flavor() {
        Flavor::MariaDb => strings(&[
            "--innodb-log-file-size=32M",
            "--log-slave-updates=ON",
            "--gtid-strict-mode=ON",
            "--binlog-format=ROW",
            "--slave-net-timeout=5",
        ]),
        Flavor::MySql => strings(&[
            "--mysqlx=OFF",
            "--performance-schema=OFF",
            "--innodb-redo-log-capacity=32M",
            "--gtid-mode=ON",
            "--enforce-gtid-consistency=ON",
            "--secure-file-priv=",
            "--replica-net-timeout=5",
        ]),
    });
    if server.is_replica() {
        arguments.push("--read-only=ON".to_owned());
    }
    arguments.extend(extra.iter().cloned());
    arguments
}

/// What both flavors call the same.
fn shared(server: &Server) -> Vec<String> {
    let dir = server.dir().display();
    let port = server.port();
    let tls = server.tls();
    let mut arguments = vec![
        format!("--datadir={dir}/data"),
        format!("--tmpdir={dir}/tmp"),
        format!("--socket={}", server.socket().display()),
        format!("--pid-file={dir}/pid"),
        format!("--log-error={}", server.error_log().display()),
        format!("--port={port}"),
        format!("--report-port={port}"),
        format!("--server-id={}", server.id()),
        format!("--max-connections={}", server.connections_max()),
        format!("--ssl-ca={}", tls.ca.display()),
        format!("--ssl-cert={}", tls.certificate.display()),
        format!("--ssl-key={}", tls.key.display()),
    ];
    arguments.extend(strings(&[
        "--bind-address=127.0.0.1",
        "--report-host=127.0.0.1",
        "--skip-name-resolve",
        // Aborted handshakes are what tests do; they must not get the loopback address blocked.
        "--host-cache-size=0",
        "--max-connect-errors=1000000",
        "--max-allowed-packet=1G",
        "--character-set-server=utf8mb4",
        "--local-infile=ON",
        "--log-bin=bin",
        "--relay-log=relay",
        "--relay-log-recovery=ON",
        "--binlog-row-metadata=FULL",
        "--log-bin-trust-function-creators=ON",
        // A killed server keeps its commits (the system has them); a machine that loses power need not.
        "--sync-binlog=0",
        "--innodb-flush-log-at-trx-commit=2",
        "--innodb-buffer-pool-size=64M",
        // The kernel's limit of asynchronous requests is one for the whole machine.
        "--innodb-use-native-aio=OFF",
        "--event-scheduler=OFF",
        // A benchmark opens more connections at once than the default of a few dozen.
        "--back-log=1024",
    ]));
    arguments
}

fn strings(arguments: &[&str]) -> Vec<String> {
    arguments.iter().map(|argument| (*argument).to_owned()).collect()
}
