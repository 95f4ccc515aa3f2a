//! Host parts of accounts: which of several accounts of one name a server takes for a connection. The host is
//! that of the proxy, because the proxy is who connects. Source: MySQL "Specifying Account Names" and "Access
//! Control, Stage 1"; `acl_compare` and `compare_hostname` in `sql/auth/sql_auth_cache.cc`.

use std::cmp::Reverse;
use std::net::IpAddr;

/// Where the server sees this proxy's connections come from.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Origin {
    /// The host part of `USER()`: an address, or a name where the server resolves names.
    pub host: String,
    /// The address, where it is known.
    pub address: Option<IpAddr>,
}

impl Origin {
    /// From what `SELECT USER()` says. `own`: the address that our side of the connection has, for a server that
    /// says a name.
    #[must_use]
    pub fn of_user(user: &str, own: Option<IpAddr>) -> Self {
        let host = user.rsplit_once('@').map_or(user, |(_, host)| host).to_owned();
        let address = host.parse().ok().or(own);
        Self { host, address }
    }
}

/// Whether an account with this host part is meant for connections from `origin`.
#[must_use]
pub fn matches(pattern: &str, origin: &Origin) -> bool {
    if pattern.is_empty() || pattern == "%" {
        return true;
    }
    if let Some((network, mask)) = pattern.split_once('/') {
        return origin.address.is_some_and(|address| in_network(network, mask, address));
    }
    let address = origin.address.map(|address| address.to_string());
    is_like(pattern.as_bytes(), origin.host.as_bytes())
        || address.is_some_and(|address| is_like(pattern.as_bytes(), address.as_bytes()))
}

/// Sorts host parts as servers do: the most specific first. What has no wildcard comes before networks, networks
/// before patterns, patterns by how late their first wildcard stands; `%` and the empty host part come last.
#[must_use]
pub fn rank(pattern: &str) -> (u8, Reverse<usize>) {
    let wildcard = pattern.bytes().position(|byte| matches!(byte, b'%' | b'_'));
    match wildcard {
        None if pattern.is_empty() => (4, Reverse(0)),
        Some(0) if pattern == "%" => (3, Reverse(0)),
        None if pattern.contains('/') => (1, Reverse(0)),
        None => (0, Reverse(0)),
        Some(at) => (2, Reverse(at)),
    }
}

/// `198.51.100.0/255.255.255.0` or, on MySQL, `198.51.100.0/24`.
fn in_network(network: &str, mask: &str, address: IpAddr) -> bool {
    let (Ok(IpAddr::V4(network)), IpAddr::V4(address)) = (network.parse(), address) else { return false };
    let mask = match (mask.parse::<IpAddr>(), mask.parse::<u32>()) {
        (Ok(IpAddr::V4(mask)), _) => mask.to_bits(),
        (_, Ok(bits @ 1..=32)) => u32::MAX << (32 - bits),
        _ => return false,
    };
    network.to_bits() & mask == address.to_bits() & mask
}

/// LIKE without regard to case: `%` stands for anything, `_` for one character, `\` takes the meaning off.
fn is_like(pattern: &[u8], text: &[u8]) -> bool {
    let (mut p, mut t) = (0, 0);
    // Where to go on when what follows the last `%` does not fit.
    let mut again: Option<(usize, usize)> = None;
    while t < text.len() {
        let step = match pattern.get(p) {
            Some(b'%') => {
                again = Some((p + 1, t));
                p += 1;
                continue;
            }
            Some(b'_') => 1,
            Some(b'\\') if pattern.get(p + 1).is_some_and(|byte| byte.eq_ignore_ascii_case(&text[t])) => 2,
            Some(byte) if byte.eq_ignore_ascii_case(&text[t]) => 1,
            _ => match again {
                Some((after, from)) => {
                    again = Some((after, from + 1));
                    (p, t) = (after, from + 1);
                    continue;
                }
                None => return false,
            },
        };
        p += step;
        t += 1;
    }
    pattern[p..].iter().all(|byte| *byte == b'%')
}

#[cfg(test)]
mod tests {
    use proptest::prelude::{any, prop_assert, proptest};

    use super::{Origin, is_like, matches, rank};

    #[test]
    fn a_host_part_matches_the_name_or_the_address_that_the_server_sees() {
        let check = |pattern: &str, user: &str, own: Option<&str>, expected: bool| {
            let origin = Origin::of_user(user, own.map(|address| address.parse().expect("an address")));
            assert_eq!(matches(pattern, &origin), expected, "{pattern} for {user}");
        };
        check("%", "dazzle@10.1.2.3", None, true);
        check("", "dazzle@10.1.2.3", None, true);
        check("10.%", "dazzle@10.1.2.3", None, true);
        check("10.1.2._", "dazzle@10.1.2.3", None, true);
        check("10.2.%", "dazzle@10.1.2.3", None, false);
        check("localhost", "dazzle@10.1.2.3", None, false);
        check("localhost", "dazzle@localhost", None, true);
        check("127.0.0.1", "dazzle@localhost", Some("127.0.0.1"), true);
        check("%.example.com", "da@zzle@Db7.Example.com", Some("10.1.2.3"), true);
        check("10.1.2.3", "dazzle@db7.example.com", Some("10.1.2.3"), true);
        check("10.1.2.0/255.255.255.0", "dazzle@10.1.2.3", None, true);
        check("10.1.2.0/24", "dazzle@10.1.2.3", None, true);
        check("10.1.2.0/24", "dazzle@10.1.3.3", None, false);
        check("10.1.2.0/33", "dazzle@10.1.2.3", None, false);
        check("10.1.2.0/24", "dazzle@localhost", None, false);
        check("db\\_7", "dazzle@db_7", None, true);
        check("db\\_7", "dazzle@dbx7", None, false);
        check("::1", "dazzle@::1", None, true);
    }

    #[test]
    fn the_most_specific_host_part_comes_first() {
        let mut patterns = ["%", "", "10.%", "10.1.%", "10.1.2.0/24", "%.example.com", "10.1.2.3", "db_"];
        patterns.sort_by_key(|pattern| rank(pattern));
        let expected = ["10.1.2.3", "10.1.2.0/24", "10.1.%", "10.%", "db_", "%.example.com", "%", ""];
        assert_eq!(patterns, expected);
    }

    proptest! {
        #[test]
        fn a_text_is_like_itself_and_anything_is_like_percent(text in "[a-z0-9.]{0,12}", other in any::<Vec<u8>>()) {
            prop_assert!(is_like(text.as_bytes(), text.as_bytes()));
            prop_assert!(is_like(b"%", &other));
            let _ = is_like(&other, text.as_bytes());
        }
    }
}
