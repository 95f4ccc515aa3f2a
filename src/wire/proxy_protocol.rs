//! The PROXY protocol, versions 1 and 2: a load balancer in front tells the client's real address.
//!
//! Source: haproxy.org, `doc/proxy-protocol.txt`. To be read only from networks that are trusted with it.

use std::net::{IpAddr, SocketAddr};

/// What the header says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ProxyHeader {
    /// A health check of the balancer itself, or an address that it does not know: the socket's own
    /// address counts.
    Local,
    /// The connection that the balancer accepted.
    Tcp {
        /// The client.
        source: SocketAddr,
        /// Where it connected to.
        destination: SocketAddr,
    },
    /// The balancer accepted the connection on a unix socket.
    Unix,
}

/// How far a header has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Progress {
    /// So many bytes more belong to the header for sure; reading no more than these never reads beyond.
    NeedMore(usize),
    /// The header is complete.
    Done {
        /// What it says.
        header: ProxyHeader,
        /// Its length; what follows is the client's.
        len: usize,
    },
}

/// Bytes that are no PROXY protocol header. The connection is closed without an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("proxy protocol: {0}")]
pub struct ProxyProtocolError(pub &'static str);

const V2_SIGNATURE: &[u8; 12] = b"\r\n\r\n\0\r\nQUIT\n";
/// Signature, version and command, family, length.
const V2_FIXED_LEN: usize = 16;
/// Length of a version 2 header at most: addresses take 216 bytes, TLVs (a certificate's name, an
/// endpoint's id) a few hundred.
const V2_LEN_MAX: usize = 4096;
/// Length of a version 1 header at most, by the specification.
const V1_LEN_MAX: usize = 107;
/// The shortest version 1 header is `PROXY UNKNOWN\r\n`.
const V1_LEN_MIN: usize = 15;

/// Reads the header at the front of `bytes`.
///
/// # Errors
/// Anything that is not, and cannot become, a header of either version within its bound.
pub fn parse(bytes: &[u8]) -> Result<Progress, ProxyProtocolError> {
    let starts_like = |prefix: &[u8]| {
        let n = bytes.len().min(prefix.len());
        bytes[..n] == prefix[..n]
    };
    if bytes.is_empty() {
        Ok(Progress::NeedMore(V1_LEN_MIN))
    } else if starts_like(V2_SIGNATURE) {
        parse_v2(bytes)
    } else if starts_like(b"PROXY ") {
        parse_v1(bytes)
    } else {
        Err(ProxyProtocolError("no header"))
    }
}

fn parse_v1(bytes: &[u8]) -> Result<Progress, ProxyProtocolError> {
    let window = &bytes[..bytes.len().min(V1_LEN_MAX)];
    let Some(end) = memchr::memchr(b'\n', window) else {
        // At least the end of the line is missing; byte by byte is slow, but a balancer sends the
        // header in one piece, and only the shortest length is sure.
        return match window.len() {
            V1_LEN_MAX => Err(ProxyProtocolError("the line is too long")),
            len => Ok(Progress::NeedMore(V1_LEN_MIN.saturating_sub(len).max(1))),
        };
    };
    let line = window[..end].strip_suffix(b"\r").ok_or(ProxyProtocolError("the line has no \\r\\n"))?;
    let line = str::from_utf8(line).map_err(|_| ProxyProtocolError("the line is not text"))?;
    let len = end + 1;
    let mut words = line.split(' ').skip(1);
    let v6 = match words.next() {
        Some("UNKNOWN") => return Ok(Progress::Done { header: ProxyHeader::Local, len }),
        Some("TCP4") => false,
        Some("TCP6") => true,
        _ => return Err(ProxyProtocolError("unknown family")),
    };
    let mut word = || words.next().ok_or(ProxyProtocolError("an address is missing"));
    let (source, destination) = (v1_address(word()?, v6)?, v1_address(word()?, v6)?);
    let (source_port, destination_port) = (v1_port(word()?)?, v1_port(word()?)?);
    if words.next().is_some() {
        return Err(ProxyProtocolError("the line goes on"));
    }
    let source = SocketAddr::new(source, source_port);
    let destination = SocketAddr::new(destination, destination_port);
    Ok(Progress::Done { header: ProxyHeader::Tcp { source, destination }, len })
}

fn v1_address(word: &str, v6: bool) -> Result<IpAddr, ProxyProtocolError> {
    match word.parse::<IpAddr>() {
        Ok(address) if address.is_ipv6() == v6 => Ok(address),
        _ => Err(ProxyProtocolError("not an address of the family")),
    }
}

fn v1_port(word: &str) -> Result<u16, ProxyProtocolError> {
    match word.parse::<u16>() {
        Ok(port) if !word.starts_with('+') => Ok(port),
        _ => Err(ProxyProtocolError("not a port")),
    }
}

fn parse_v2(bytes: &[u8]) -> Result<Progress, ProxyProtocolError> {
    let Some(&[.., version, family, len_high, len_low]) = bytes.first_chunk::<V2_FIXED_LEN>() else {
        return Ok(Progress::NeedMore(V2_FIXED_LEN - bytes.len()));
    };
    let len = V2_FIXED_LEN + usize::from(u16::from_be_bytes([len_high, len_low]));
    if version >> 4 != 2 {
        return Err(ProxyProtocolError("unknown version"));
    }
    if len > V2_LEN_MAX {
        return Err(ProxyProtocolError("the header is too long"));
    }
    let Some(whole) = bytes.get(..len) else {
        return Ok(Progress::NeedMore(len - bytes.len()));
    };
    let body = &whole[V2_FIXED_LEN..];
    let done = |header| Ok(Progress::Done { header, len });
    match version & 0x0F {
        0 => return done(ProxyHeader::Local),
        1 => {}
        _ => return Err(ProxyProtocolError("unknown command")),
    }
    // Address family in the high half, stream or datagram in the low one.
    let (header, addresses_len) = match family {
        0x11 => (v2_tcp::<4>(body)?, 12),
        0x21 => (v2_tcp::<16>(body)?, 36),
        0x31 => (ProxyHeader::Unix, 216),
        0x00 => return done(ProxyHeader::Local),
        _ => return Err(ProxyProtocolError("unknown family")),
    };
    if body.len() < addresses_len {
        return Err(ProxyProtocolError("an address is missing"));
    }
    check_tlvs(whole, V2_FIXED_LEN + addresses_len)?;
    done(header)
}

/// Two addresses of `N` bytes, two ports.
fn v2_tcp<const N: usize>(body: &[u8]) -> Result<ProxyHeader, ProxyProtocolError>
where
    IpAddr: From<[u8; N]>,
{
    const MISSING: ProxyProtocolError = ProxyProtocolError("an address is missing");
    let (source, rest) = body.split_first_chunk::<N>().ok_or(MISSING)?;
    let (destination, rest) = rest.split_first_chunk::<N>().ok_or(MISSING)?;
    let &[a, b, c, d] = rest.first_chunk::<4>().ok_or(MISSING)?;
    Ok(ProxyHeader::Tcp {
        source: SocketAddr::new(IpAddr::from(*source), u16::from_be_bytes([a, b])),
        destination: SocketAddr::new(IpAddr::from(*destination), u16::from_be_bytes([c, d])),
    })
}

/// Checks the shape of the TLVs and the checksum, where there is one; the others are skipped.
fn check_tlvs(whole: &[u8], start: usize) -> Result<(), ProxyProtocolError> {
    /// PP2_TYPE_CRC32C: over the whole header, with the value itself as zeros.
    const CRC32C: u8 = 0x03;
    let mut at = start;
    while at < whole.len() {
        let Some(&[kind, len_high, len_low]) = whole[at..].first_chunk::<3>() else {
            return Err(ProxyProtocolError("a tlv is cut short"));
        };
        let value_at = at + 3;
        at = value_at + usize::from(u16::from_be_bytes([len_high, len_low]));
        let value = whole.get(value_at..at).ok_or(ProxyProtocolError("a tlv is cut short"))?;
        if kind == CRC32C {
            let sent = <[u8; 4]>::try_from(value).map_err(|_| ProxyProtocolError("not a checksum"))?;
            let parts = [&whole[..value_at], &[0; 4], &whole[at..]];
            if crc32c(&parts) != u32::from_be_bytes(sent) {
                return Err(ProxyProtocolError("wrong checksum"));
            }
        }
    }
    Ok(())
}

/// CRC-32C (Castagnoli), bit by bit: headers are short and come once a connection.
fn crc32c(parts: &[&[u8]]) -> u32 {
    let mut crc = !0_u32;
    for &byte in parts.iter().copied().flatten() {
        crc ^= u32::from(byte);
        for _ in 0..8 {
            crc = if crc & 1 == 1 { crc >> 1 ^ 0x82F6_3B78 } else { crc >> 1 };
        }
    }
    !crc
}

#[cfg(test)]
mod tests {
    use proptest::prelude::{any, prop, prop_assert, proptest};

    use super::*;

    fn tcp(source: &str, destination: &str) -> ProxyHeader {
        ProxyHeader::Tcp { source: source.parse().unwrap(), destination: destination.parse().unwrap() }
    }

    fn v2(version: u8, family: u8, body: &[u8]) -> Vec<u8> {
        let mut out = V2_SIGNATURE.to_vec();
        out.extend_from_slice(&[version, family]);
        out.extend_from_slice(&(body.len() as u16).to_be_bytes());
        out.extend_from_slice(body);
        out
    }

    const V4: &[u8] = b"\x0A\0\0\x01\x0A\0\0\x02\x30\x39\x0C\xEA";

    fn with_checksum(flip: u8) -> Vec<u8> {
        let mut body = V4.to_vec();
        body.extend_from_slice(b"\x02\0\x03abc\x03\0\x04\0\0\0\0\x04\0\x01x");
        let mut out = v2(0x21, 0x11, &body);
        let crc = crc32c(&[&out]).to_be_bytes();
        let at = out.len() - 8;
        out[at..at + 4].copy_from_slice(&crc);
        out[at] ^= flip;
        out
    }

    #[test]
    fn a_checksum_has_its_check_value() {
        assert_eq!(crc32c(&[b"1234", b"56789"]), 0xE306_9283);
    }

    #[test]
    fn headers_are_understood() {
        let v4 = tcp("10.0.0.1:12345", "10.0.0.2:3306");
        let v6 = tcp("[::1]:1", "[2001:db8::2]:65535");
        let mut v6_body = [0; 36];
        v6_body[15] = 1;
        v6_body[16..20].copy_from_slice(b"\x20\x01\x0D\xB8");
        v6_body[31..].copy_from_slice(b"\x02\0\x01\xFF\xFF");
        for (bytes, expected) in [
            (b"PROXY TCP4 10.0.0.1 10.0.0.2 12345 3306\r\n".to_vec(), v4),
            (b"PROXY TCP6 ::1 2001:db8::2 1 65535\r\n".to_vec(), v6),
            (b"PROXY UNKNOWN\r\n".to_vec(), ProxyHeader::Local),
            (b"PROXY UNKNOWN ffff::1 anything\r\n".to_vec(), ProxyHeader::Local),
            (v2(0x21, 0x11, V4), v4),
            (v2(0x21, 0x21, &v6_body), v6),
            (v2(0x21, 0x31, &[0; 216]), ProxyHeader::Unix),
            (v2(0x21, 0x00, b"whatever"), ProxyHeader::Local),
            (v2(0x20, 0x00, b""), ProxyHeader::Local),
            (v2(0x20, 0x11, V4), ProxyHeader::Local),
            (v2(0x21, 0x11, &[V4, b"\x04\0\x02xx\xEE\0\0"].concat()), v4),
            (with_checksum(0), v4),
        ] {
            let len = bytes.len();
            let followed = [&bytes[..], b"\x10\0\0\x01"].concat();
            assert_eq!(parse(&followed), Ok(Progress::Done { header: expected, len }), "{bytes:?}");

            // Read as it asks for, no byte of what follows is touched.
            let mut have = 0;
            while let Ok(Progress::NeedMore(n)) = parse(&bytes[..have]) {
                have += n;
                assert!(n > 0 && have <= len, "{bytes:?} at {have}");
            }
            assert_eq!(have, len);
        }
    }

    #[test]
    fn what_is_no_header_is_an_error() {
        let long = [b"PROXY UNKNOWN ".as_slice(), &[b'x'; 100]].concat();
        for bytes in [
            b"GET / HTTP/1.1\r\n".to_vec(),
            b"PROXY\r\n".to_vec(),
            b"PROXY TCP5 1 2 3 4\r\n".to_vec(),
            b"PROXY TCP4 ::1 ::1 1 2\r\n".to_vec(),
            b"PROXY TCP6 10.0.0.1 10.0.0.1 1 2\r\n".to_vec(),
            b"PROXY TCP4 10.0.0.1 10.0.0.2 1\r\n".to_vec(),
            b"PROXY TCP4 10.0.0.1 10.0.0.2 1 65536\r\n".to_vec(),
            b"PROXY TCP4 10.0.0.1 10.0.0.2 1 +2\r\n".to_vec(),
            b"PROXY TCP4 10.0.0.1 10.0.0.2 1 2 3\r\n".to_vec(),
            b"PROXY TCP4 10.0.0.1 10.0.0.2 1 2\n".to_vec(),
            b"PROXY TCP4 \xFF 10.0.0.2 1 2\r\n".to_vec(),
            long,
            v2(0x31, 0x11, V4),
            v2(0x22, 0x11, V4),
            v2(0x21, 0x12, V4),
            v2(0x21, 0x11, &V4[..11]),
            v2(0x21, 0x21, V4),
            v2(0x21, 0x31, V4),
            v2(0x21, 0x11, &[V4, b"\x04\0"].concat()),
            v2(0x21, 0x11, &[V4, b"\x04\0\x05xx"].concat()),
            v2(0x21, 0x11, &[V4, b"\x03\0\x02xx"].concat()),
            v2(0x21, 0x11, &vec![0; V2_LEN_MAX]),
            with_checksum(1),
        ] {
            assert!(parse(&bytes).is_err(), "{bytes:?}");
        }
    }

    proptest! {
        #[test]
        fn random_bytes_never_panic(mut bytes in prop::collection::vec(any::<u8>(), 0..300), kind in 0..3) {
            let prefix: &[u8] = match kind {
                0 => b"PROXY TCP4 ",
                1 => b"\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x20",
                _ => b"",
            };
            bytes.splice(0..0, prefix.iter().copied());
            match parse(&bytes) {
                Ok(Progress::Done { len, .. }) => prop_assert!(len <= bytes.len()),
                Ok(Progress::NeedMore(n)) => prop_assert!(n > 0 && n <= V2_LEN_MAX),
                Err(_) => {}
            }
        }
    }
}
