//! The same script twice, direct and through the proxy: everything the client sees must be the same.

use dazzle::lab::Server;
use dazzle::wire::{OkPacket, StateChanges, StatusFlags, encode_state_change};

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
        // Only a failing test shows it: which side it was, where the script itself panics.
        eprintln!("at {at:?}");
        server.create_schema(schema).await.unwrap();
        let mut conn = Login { at, ..login }.schema(schema).connect().await;
        script(&mut conn).await;
        logs.push(conn.log);
    }
    let (proxied, direct) = (logs.pop().unwrap(), logs.pop().unwrap());
    assert_same(&direct, &proxied);
}

/// Panics with every difference between two logs of the same script.
pub(crate) fn assert_same(direct: &[(String, Reply)], proxied: &[(String, Reply)]) {
    assert!(!direct.is_empty());
    let mut differences = Vec::new();
    for ((what, direct), (_, proxied)) in direct.iter().zip(proxied) {
        let (direct, proxied) = (normal(direct), normal(proxied));
        if direct.packets != proxied.packets {
            differences.push(difference(what, &direct, &proxied));
        }
    }
    assert!(differences.is_empty(), "{} differences:\n{}", differences.len(), differences.join("\n"));
    assert_eq!(direct.len(), proxied.len());
}

/// Without what may differ: flags of the EOF after the columns, which a server sends before it knows how the
/// statement goes and the proxy between two packets; SESSION_STATE_CHANGED where nothing is said to have
/// changed; whether a statement was slow; the order of the changes, which on MariaDB is that of a hash table.
fn normal(reply: &Reply) -> Reply {
    let packets = reply.packets.iter().map(|packet| match packet[..] {
        [0xFE, _, _, _, _] => [&packet[..3], &[0, 0]].concat(),
        // 1243 and 1421 name the statement's id, which is each side's own.
        [0xFF, 0xDB, 0x04, ..] | [0xFF, 0x8D, 0x05, ..] => {
            packet.iter().copied().filter(|byte| !byte.is_ascii_digit()).collect()
        }
        [0x00 | 0xFE, ..] if packet.len() >= 7 => normal_ok(packet),
        _ => packet.clone(),
    });
    Reply { packets: packets.collect(), parts: reply.parts.clone() }
}

fn normal_ok(packet: &[u8]) -> Vec<u8> {
    // Rows of binary results start with 0x00, too; they are left as they are.
    let Ok(ok) = OkPacket::parse(packet) else { return packet.to_vec() };
    let slow = ok.status.has(StatusFlags::QUERY_WAS_SLOW);
    if !slow && !ok.status.has(StatusFlags::SESSION_STATE_CHANGED) {
        return packet.to_vec();
    }
    let ok = OkPacket { status: ok.status.without(StatusFlags::QUERY_WAS_SLOW), ..ok };
    let changes: Result<Vec<_>, _> = StateChanges::new(ok.state).collect();
    let Ok(mut changes) = changes else { return packet.to_vec() };
    changes.sort_by_key(|change| format!("{change:?}"));
    let mut state = Vec::new();
    for change in changes {
        encode_state_change(change, &mut state);
    }
    let mut normal = Vec::new();
    OkPacket { state: &state, ..ok }.encode(packet[0], &mut normal);
    normal
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
