//! Two clients that take turns, direct and through a proxy with one server connection: each sees what it would
//! see alone, and neither keeps the connection from the other.

use dazzle::lab::Server;

use crate::support::client::{At, Conn, Login};
use crate::support::pair::assert_same;
use crate::support::proxy::{Proxy, Setup};
use crate::support::reply::Reply;

/// Plays `steps` in an empty schema and compares. A step begins with who does it: `a ` or `b ` runs a text,
/// `A ` or `B ` prepares and executes it; `a~` and the like are compared by column definitions alone; `a!` sends the
/// bytes of a command, in hexadecimal.
pub(crate) async fn duet(server: &'static Server, schema: &str, steps: &[&str]) -> Proxy {
    let proxy = Setup::new(server).pool("size_max: 1, queue_timeout: 3s").start().await;
    let mut logs = Vec::new();
    for at in [At::Tcp(server.address().to_string()), proxy.at()] {
        eprintln!("at {at:?}");
        server.create_schema(schema).await.unwrap();
        let login = Login::new(at).schema(schema);
        let mut clients = [login.connect().await, login.connect().await];
        let mut log = Vec::new();
        for step in steps {
            let (who, text) = step.split_at(2);
            let client = &mut clients[usize::from(who.as_bytes()[0].eq_ignore_ascii_case(&b'b'))];
            let from = client.log.len();
            if who.ends_with('!') {
                client.command(&bytes(text)).await;
            } else if who.as_bytes()[0].is_ascii_uppercase() {
                execute(client, text).await;
            } else {
                client.query(text).await;
            }
            let seen = client.log.split_off(from);
            let definitions_only = who.ends_with('~');
            log.extend(seen.into_iter().map(|(what, mut reply)| {
                if definitions_only {
                    reply.packets.retain(|packet| packet.starts_with(b"\x03def"));
                }
                (format!("{who}{what}"), reply)
            }));
        }
        for client in clients {
            client.quit().await;
        }
        logs.push(log);
    }
    let (proxied, direct): (Vec<(String, Reply)>, _) = (logs.pop().unwrap(), logs.pop().unwrap());
    assert_same(&direct, &proxied);
    proxy
}

fn bytes(hex: &str) -> Vec<u8> {
    let digits = hex.as_bytes().chunks(2).map(|two| str::from_utf8(two).unwrap());
    digits.map(|two| u8::from_str_radix(two, 16).unwrap()).collect()
}

async fn execute(client: &mut Conn, text: &str) {
    if let Ok(id) = client.prepare(text).await {
        client.execute(id, &[]).await;
        client.close_statement(id).await;
    }
}
