//! How addresses and networks are written.

use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;

use ipnet::IpNet;

use crate::config::document::{Kind, Node, Value};
use crate::config::frontend::ListenerAddress;
use crate::config::read::kind::word;

/// Bytes of a unix socket's path, without the closing NUL (`sun_path` in unix(7)).
const SOCKET_PATH_MAX: usize = 107;

/// An IP address and port.
pub(crate) const SOCKET_ADDRESS: Kind<SocketAddr> =
    Kind { read: |node| socket_address(address_text(node)?), show: SocketAddr::to_string };

/// An IP address and port, or the path of a unix socket.
pub(crate) const LISTENER_ADDRESS: Kind<ListenerAddress> = Kind {
    read: |node| {
        let text = address_text(node)?;
        match socket_path(text)? {
            Some(path) => Ok(ListenerAddress::Unix(path)),
            None => socket_address(text).map(ListenerAddress::Tcp),
        }
    },
    show: ListenerAddress::to_string,
};

/// `host:port`, or the path of a unix socket.
pub(crate) const SERVER_ADDRESS: Kind<String> = Kind { read: read_server_address, show: String::clone };

/// A network as `10.0.0.0/8`, or a single address.
pub(crate) const NETWORK: Kind<IpNet> = Kind { read: read_network, show: IpNet::to_string };

fn address_text(node: &Node) -> Result<&str, String> {
    match &node.value {
        Value::Whole(port) => Err(format!("must be an address and a port, as in `127.0.0.1:{port}`")),
        Value::List(_) => Err("must be text; write an IPv6 address in quotes: `\"[::1]:3306\"`".to_owned()),
        Value::Null | Value::Switch(_) | Value::OtherNumber(_) | Value::Text(_) | Value::Map(_) => word(node),
    }
}

fn socket_path(text: &str) -> Result<Option<PathBuf>, String> {
    if !text.starts_with('/') {
        return Ok(None);
    }
    if text.len() > SOCKET_PATH_MAX {
        return Err(format!("the path of a unix socket has at most {SOCKET_PATH_MAX} bytes"));
    }
    Ok(Some(PathBuf::from(text)))
}

fn socket_address(text: &str) -> Result<SocketAddr, String> {
    text.parse().map_err(|_| {
        let hint = match text.strip_prefix("localhost").or_else(|| text.strip_prefix('*')) {
            Some(port) if text.starts_with('l') => format!("; did you mean `127.0.0.1{port}`?"),
            Some(port) => format!("; did you mean `0.0.0.0{port}`?"),
            None => ", as in `127.0.0.1:6033`".to_owned(),
        };
        format!("must be an IP address and a port{hint}")
    })
}

fn read_server_address(node: &Node) -> Result<String, String> {
    let text = address_text(node)?;
    if socket_path(text)?.is_some() {
        return Ok(text.to_owned());
    }
    let Some((host, port)) = text.rsplit_once(':') else {
        return Err(format!("needs a port, as in `{text}:3306`"));
    };
    if host.contains(':') && !(host.starts_with('[') && host.ends_with(']')) {
        return Err("an IPv6 address stands in brackets, as in `\"[::1]:3306\"`".to_owned());
    }
    let bare = host.trim_start_matches('[').trim_end_matches(']');
    let named = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_' | ':' | '%');
    if bare.is_empty() || !bare.chars().all(named) {
        return Err("must be a host and a port, as in `db1:3306`".to_owned());
    }
    match port.parse::<u16>() {
        Ok(1..) => Ok(text.to_owned()),
        Ok(0) | Err(_) => Err("the port must be a number from 1 to 65535".to_owned()),
    }
}

fn read_network(node: &Node) -> Result<IpNet, String> {
    let text = word(node)?;
    text.parse::<IpNet>()
        .or_else(|_| text.parse::<IpAddr>().map(IpNet::from))
        .map_err(|_| "must be a network, as in `10.0.0.0/8` or `fd00::/8`".to_owned())
}
