//! The server's first packet: Handshake V10, or an ERR packet in its place.

use crate::wire::Capabilities;
use crate::wire::Malformed;
use crate::wire::Reader;
use crate::wire::StatusFlags;
use crate::wire::Writer;
use crate::wire::handshake::Scramble;

/// `Protocol::HandshakeV10`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Greeting {
    /// For example `8.4.0-dazzle`; MariaDB puts `5.5.5-` in front of its own.
    pub server_version: String,
    /// What `CONNECTION_ID()` returns and `KILL` takes.
    pub connection_id: u32,
    /// The challenge for the first authentication plugin.
    pub scramble: Scramble,
    /// What the server can do; MariaDB's extended flags count only without
    /// [`Capabilities::CLIENT_MYSQL`].
    pub capabilities: Capabilities,
    /// Low byte of the server's default collation id.
    pub collation: u8,
    /// Status of the session to come; drivers read `autocommit` from it.
    pub status: StatusFlags,
    /// The plugin that the scramble is meant for; empty without [`Capabilities::PLUGIN_AUTH`].
    pub plugin: String,
}

/// The first eight bytes of the scramble stand apart from the rest.
const SCRAMBLE_HEAD: usize = 8;

impl Greeting {
    /// Appends the payload to `out`.
    pub fn encode(&self, out: &mut Vec<u8>) {
        let flags = self.capabilities.0;
        let scramble = self.scramble.as_bytes();
        out.push(10);
        out.put_nul_bytes(self.server_version.as_bytes());
        out.put_u32(self.connection_id);
        out.put_nul_bytes(&scramble[..SCRAMBLE_HEAD]);
        out.put_u16(flags as u16);
        out.push(self.collation);
        out.put_u16(self.status.0);
        out.put_u16((flags >> 16) as u16);
        let plugin_auth = self.capabilities.has(Capabilities::PLUGIN_AUTH);
        out.push(if plugin_auth { Scramble::LEN as u8 + 1 } else { 0 });
        out.extend_from_slice(&[0; 6]);
        let mariadb = !self.capabilities.has(Capabilities::CLIENT_MYSQL);
        out.put_u32(if mariadb { (flags >> 32) as u32 } else { 0 });
        out.put_nul_bytes(&scramble[SCRAMBLE_HEAD..]);
        if plugin_auth {
            out.put_nul_bytes(self.plugin.as_bytes());
        }
    }

    fn read(reader: &mut Reader<'_>) -> Result<Self, Malformed> {
        let server_version = text(reader.nul_bytes()?);
        let connection_id = reader.u32()?;
        let mut scramble = [0; Scramble::LEN];
        let (head, tail) = scramble.split_at_mut(SCRAMBLE_HEAD);
        head.copy_from_slice(reader.bytes(SCRAMBLE_HEAD)?);
        reader.u8()?;
        let low = reader.u16()?;
        let collation = reader.u8()?;
        let status = StatusFlags(reader.u16()?);
        let high = reader.u16()?;
        let mut capabilities = Capabilities(u64::from(low) | u64::from(high) << 16);
        reader.u8()?;
        reader.bytes(6)?;
        let extended = reader.u32()?;
        if !capabilities.has(Capabilities::CLIENT_MYSQL) {
            capabilities |= Capabilities(u64::from(extended) << 32);
        }
        if !capabilities.has(Capabilities::SECURE_CONNECTION) {
            return Err(Malformed("the server speaks the authentication before 4.1"));
        }
        tail.copy_from_slice(reader.bytes(Scramble::LEN - SCRAMBLE_HEAD)?);
        let mut plugin = String::new();
        if capabilities.has(Capabilities::PLUGIN_AUTH) {
            reader.u8()?;
            // Servers before 5.5.10 and 5.6.2 forget the NUL at the end (MySQL bug #59453).
            let name = reader.take_rest();
            plugin = text(name.split(|&b| b == 0).next().unwrap_or_default());
        }
        let scramble = Scramble::from_bytes(scramble);
        Ok(Self { server_version, connection_id, scramble, capabilities, collation, status, plugin })
    }
}

/// An ERR packet instead of a greeting: 1040, 1129, 1130 …
///
/// No capabilities are agreed on yet, so servers leave the SQLSTATE out, or not.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// MySQL error number.
    pub code: u16,
    /// SQLSTATE, where the server sent one.
    pub state: Option<[u8; 5]>,
    /// The server's text.
    pub message: String,
}

/// The first packet of a server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ServerHello {
    /// It is ready to authenticate us.
    Greeting(Greeting),
    /// It does not want us.
    Refused(Refusal),
}

impl ServerHello {
    /// Reads the payload of a server's first packet.
    ///
    /// # Errors
    /// Anything but Handshake V10 with 4.1 authentication, or an ERR packet.
    pub fn parse(payload: &[u8]) -> Result<Self, Malformed> {
        let mut reader = Reader::new(payload);
        match reader.u8()? {
            10 => Greeting::read(&mut reader).map(Self::Greeting),
            0xFF => {
                let code = reader.u16()?;
                let rest = reader.take_rest();
                let (state, message) = match rest.split_first_chunk::<6>() {
                    Some(([b'#', state @ ..], message)) => (Some(*state), message),
                    _ => (None, rest),
                };
                Ok(Self::Refused(Refusal { code, state, message: text(message) }))
            }
            _ => Err(Malformed("unknown protocol version")),
        }
    }
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::{any, prop, prop_assert_eq, proptest};

    use super::*;

    fn greeting() -> Greeting {
        Greeting {
            server_version: "9.7.0".into(),
            connection_id: 7,
            scramble: Scramble::from_bytes(*b"abcdefghijklmnopqrst"),
            capabilities: Capabilities::CLIENT_MYSQL
                | Capabilities::PROTOCOL_41
                | Capabilities::SECURE_CONNECTION
                | Capabilities::PLUGIN_AUTH,
            collation: 255,
            status: StatusFlags::AUTOCOMMIT,
            plugin: "caching_sha2_password".into(),
        }
    }

    #[test]
    fn a_greeting_is_laid_out_as_documented() {
        let mut payload = Vec::new();
        greeting().encode(&mut payload);
        let mut expected = b"\x0A9.7.0\0\x07\0\0\0abcdefgh\0".to_vec();
        expected.extend_from_slice(b"\x01\x82\xFF\x02\0\x08\0\x15");
        expected.extend_from_slice(&[0; 10]);
        expected.extend_from_slice(b"ijklmnopqrst\0caching_sha2_password\0");
        assert_eq!(payload, expected);
    }

    #[test]
    fn mariadb_extended_flags_travel_only_without_client_mysql() {
        for (extra, expected) in [(Capabilities::NONE, true), (Capabilities::CLIENT_MYSQL, false)] {
            let mut sent = greeting();
            sent.capabilities = sent.capabilities.without(Capabilities::CLIENT_MYSQL);
            sent.capabilities |= extra | Capabilities::MARIADB_BULK;
            let mut payload = Vec::new();
            sent.encode(&mut payload);
            let Ok(ServerHello::Greeting(read)) = ServerHello::parse(&payload) else { panic!("no greeting") };
            assert_eq!(read.capabilities.has(Capabilities::MARIADB_BULK), expected);
        }
    }

    #[test]
    fn a_refusal_is_recognised_with_and_without_sqlstate() {
        for (payload, state, message) in [
            (&b"\xFF\x10\x04Too many connections"[..], None, "Too many connections"),
            (b"\xFF\x10\x04#08004Too many connections", Some(*b"08004"), "Too many connections"),
            (b"\xFF\x10\x04", None, ""),
            (b"\xFF\x10\x04#0800", None, "#0800"),
        ] {
            let expected = Refusal { code: 1040, state, message: message.into() };
            assert_eq!(ServerHello::parse(payload), Ok(ServerHello::Refused(expected)));
        }
    }

    #[test]
    fn what_is_no_greeting_is_an_error() {
        for payload in [&b""[..], b"\x0A", b"\x09old", b"\xFF\x10", b"HTTP/1.1 400 Bad Request"] {
            assert!(ServerHello::parse(payload).is_err());
        }
    }

    proptest! {
        #[test]
        fn random_bytes_never_panic(payload in prop::collection::vec(any::<u8>(), 0..200), ten in any::<bool>()) {
            let mut payload = payload;
            if ten && !payload.is_empty() {
                payload[0] = 10;
            }
            let _ = ServerHello::parse(&payload);
        }

        #[test]
        fn a_greeting_survives_a_round_trip(
            server_version in "[ -~]{0,40}", connection_id: u32, scramble in prop::array::uniform20(1u8..=255),
            flags in 0u64..=0x1F_FFFF_FFFF, collation: u8, status: u16, plugin in "[a-z_0-9]{0,30}",
        ) {
            let mut capabilities =
                Capabilities(flags) | Capabilities::SECURE_CONNECTION | Capabilities::PLUGIN_AUTH;
            if capabilities.has(Capabilities::CLIENT_MYSQL) {
                capabilities = Capabilities(capabilities.0 & 0xFFFF_FFFF);
            }
            let sent = Greeting {
                server_version, connection_id, scramble: Scramble::from_bytes(scramble), capabilities,
                collation, status: StatusFlags(status), plugin,
            };
            let mut payload = Vec::new();
            sent.encode(&mut payload);
            prop_assert_eq!(ServerHello::parse(&payload), Ok(ServerHello::Greeting(sent)));
        }
    }
}
