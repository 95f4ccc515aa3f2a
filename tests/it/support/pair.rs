//! The same script twice, direct and through the proxy: everything the client sees must be the same.

use dazzle::lab::Server;

use crate::support::client::{At, Conn, Login};
use crate::support::proxy::{Proxy, proxy};
use crate::support::reply::{Excerpt, Reply};

/// Runs `script` in an empty schema, direct and through the shared proxy, as a modern client.
pub(crate) async fn compare(server: &'static Server, schema: &str, script: impl AsyncFn(&mut Conn)) {
    compare_with(server, schema, |login| login, script).await;
}

/// Runs `script` in an empty schema, direct and through the shared proxy, as the client that `client` makes of
/// a modern one.
pub(crate) async fn compare_with(
    server: &'static Server,
    schema: &str,
    client: impl Fn(Login) -> Login,
    script: impl AsyncFn(&mut Conn),
) {
    let proxy: &Proxy = proxy(server).await;
    let mut logs = Vec::new();
    for at in [At::Tcp(server.address().to_string()), proxy.at()] {
        let login = client(Login::new(at));
        let at = match login.at.clone() {
            // A story that asks for a unix socket gets that of the side it is on.
            At::Unix(_) if logs.is_empty() => At::Unix(server.socket().to_owned()),
            At::Unix(_) => proxy.unix(),
            tcp @ At::Tcp(_) => tcp,
        };
        server.create_schema(schema).await.unwrap();
        let mut conn = Login { at, ..login }.schema(schema).connect().await;
        script(&mut conn).await;
        logs.push(conn.log);
    }
    let (proxied, direct) = (logs.pop().unwrap(), logs.pop().unwrap());
    assert!(!direct.is_empty());
    let mut differences = Vec::new();
    for ((what, direct), (_, proxied)) in direct.iter().zip(&proxied) {
        if direct.packets != proxied.packets {
            differences.push(difference(what, direct, proxied));
        }
    }
    assert!(differences.is_empty(), "{} differences:\n{}", differences.len(), differences.join("\n"));
    assert_eq!(direct.len(), proxied.len());
}

fn difference(what: &str, direct: &Reply, proxied: &Reply) -> String {
    let first = direct.packets.iter().zip(&proxied.packets).position(|(one, other)| one != other);
    let packets = first.map_or_else(
        || format!("{} packets direct, {} proxied", direct.packets.len(), proxied.packets.len()),
        |n| {
            let (one, other) = (Excerpt(&direct.packets[n]), Excerpt(&proxied.packets[n]));
            format!("packet {n}:\n    direct  {one}\n    proxied {other}")
        },
    );
    format!("{what}\n  direct  {direct:?}\n  proxied {proxied:?}\n  {packets}")
}
