//! The client's answer to the greeting: a request for TLS, or the login itself.

use crate::wire::Capabilities;
use crate::wire::Malformed;
use crate::wire::Reader;
use crate::wire::Writer;
use crate::wire::handshake::ConnectAttributes;
use crate::wire::handshake::HandshakeError;

/// `Protocol::SSLRequest`: the fixed part of a handshake response, sent alone before the TLS handshake.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SslRequest {
    /// The flags that the handshake response will repeat.
    pub capabilities: Capabilities,
    /// The largest packet that the client takes, in bytes.
    pub packet_max: u32,
    /// Collation id of the session, its low byte.
    pub collation: u8,
}

/// Capabilities, packet size, collation and 23 bytes of filler.
const FIXED_LEN: usize = 32;

impl SslRequest {
    /// Appends the payload to `out`.
    pub fn encode(&self, out: &mut Vec<u8>) {
        out.put_u32(self.capabilities.0 as u32);
        out.put_u32(self.packet_max);
        out.push(self.collation);
        out.extend_from_slice(&[0; 19]);
        let mariadb = !self.capabilities.has(Capabilities::CLIENT_MYSQL);
        out.put_u32(if mariadb { (self.capabilities.0 >> 32) as u32 } else { 0 });
    }

    fn read(reader: &mut Reader<'_>) -> Result<Self, HandshakeError> {
        // The old protocol has two bytes of flags, so the bit is looked for before the length is.
        let low = Reader::new(reader.rest()).u16()?;
        if !Capabilities(u64::from(low)).has(Capabilities::PROTOCOL_41) {
            return Err(HandshakeError::OldProtocol);
        }
        let mut capabilities = Capabilities(u64::from(reader.u32()?));
        let packet_max = reader.u32()?;
        let collation = reader.u8()?;
        reader.bytes(19)?;
        let extended = reader.u32()?;
        if !capabilities.has(Capabilities::CLIENT_MYSQL) {
            capabilities |= Capabilities(u64::from(extended) << 32);
        }
        Ok(Self { capabilities, packet_max, collation })
    }
}

/// `Protocol::HandshakeResponse41`.
#[derive(Clone, PartialEq, Eq)]
pub struct HandshakeResponse {
    /// What the client can do and wants; never more than that is in the packet.
    pub capabilities: Capabilities,
    /// The largest packet that the client takes, in bytes.
    pub packet_max: u32,
    /// Collation id of the session, its low byte.
    pub collation: u8,
    /// User name.
    pub user: String,
    /// The answer to the greeting's challenge by `plugin`; empty for an empty password.
    pub auth_response: Vec<u8>,
    /// Schema to start in.
    pub database: Option<String>,
    /// The plugin that made `auth_response`; the client's guess.
    pub plugin: Option<String>,
    /// What the client tells about itself.
    pub attributes: ConnectAttributes,
    /// Level for zstd compression of what the client is sent; 0 where the client names none.
    pub zstd_level: u8,
}

impl std::fmt::Debug for HandshakeResponse {
    /// Leaves out `auth_response`, which holds the password where a client guesses a clear-text plugin.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("HandshakeResponse")
            .field("capabilities", &self.capabilities)
            .field("packet_max", &self.packet_max)
            .field("collation", &self.collation)
            .field("user", &self.user)
            .field("database", &self.database)
            .field("plugin", &self.plugin)
            .field("attributes", &self.attributes)
            .field("zstd_level", &self.zstd_level)
            .finish_non_exhaustive()
    }
}

impl HandshakeResponse {
    /// Appends the payload to `out`: exactly the parts that `capabilities` announce.
    ///
    /// Without [`Capabilities::PLUGIN_AUTH_LENENC`] an `auth_response` is cut at 255 bytes, which no
    /// plugin's first answer reaches.
    pub fn encode(&self, out: &mut Vec<u8>) {
        let &Self { capabilities, packet_max, collation, .. } = self;
        SslRequest { capabilities, packet_max, collation }.encode(out);
        out.put_nul_bytes(self.user.as_bytes());
        if capabilities.has(Capabilities::PLUGIN_AUTH_LENENC) {
            out.put_lenenc_bytes(&self.auth_response);
        } else {
            put_auth_response(&self.auth_response, capabilities, out);
        }
        if capabilities.has(Capabilities::CONNECT_WITH_DB) {
            out.put_nul_bytes(self.database.as_deref().unwrap_or_default().as_bytes());
        }
        if capabilities.has(Capabilities::PLUGIN_AUTH) {
            out.put_nul_bytes(self.plugin.as_deref().unwrap_or_default().as_bytes());
        }
        if capabilities.has(Capabilities::CONNECT_ATTRS) {
            self.attributes.write(out);
        }
        if capabilities.has(Capabilities::ZSTD) {
            out.push(self.zstd_level);
        }
    }

    /// Reads what follows the fixed part. Clients leave out the end of the packet at any part, also
    /// where they announce it; MySQL takes that, so this does.
    fn read(fixed: SslRequest, reader: &mut Reader<'_>) -> Result<Self, Malformed> {
        let SslRequest { capabilities, packet_max, collation } = fixed;
        let user = lenient_text(reader);
        let auth_response = if reader.is_empty() {
            &[]
        } else if capabilities.has(Capabilities::PLUGIN_AUTH_LENENC) {
            reader.lenenc_bytes()?
        } else {
            read_auth_response(reader, capabilities)?
        };
        let mut database = None;
        if capabilities.has(Capabilities::CONNECT_WITH_DB) {
            database = Some(lenient_text(reader)).filter(|name| !name.is_empty());
        }
        let mut plugin = None;
        if capabilities.has(Capabilities::PLUGIN_AUTH) {
            plugin = Some(lenient_text(reader)).filter(|name| !name.is_empty());
        }
        let mut attributes = ConnectAttributes::new();
        if capabilities.has(Capabilities::CONNECT_ATTRS) {
            attributes = ConnectAttributes::read(reader)?;
        }
        let mut zstd_level = 0;
        if capabilities.has(Capabilities::ZSTD) {
            zstd_level = reader.u8().unwrap_or(0);
        }
        let auth_response = auth_response.to_vec();
        Ok(Self {
            capabilities,
            packet_max,
            collation,
            user,
            auth_response,
            database,
            plugin,
            attributes,
            zstd_level,
        })
    }
}

/// The first packet of a client, and the second after TLS.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ClientHello {
    /// It wants TLS first. What follows this packet is TLS: nothing may have been read beyond it.
    Ssl(SslRequest),
    /// The login.
    Login(HandshakeResponse),
}

impl ClientHello {
    /// Reads the payload of a client's answer to the greeting.
    ///
    /// # Errors
    /// The protocol before 4.1, or a packet that is no such answer.
    pub fn parse(payload: &[u8]) -> Result<Self, HandshakeError> {
        let mut reader = Reader::new(payload);
        let fixed = SslRequest::read(&mut reader)?;
        if payload.len() == FIXED_LEN && fixed.capabilities.has(Capabilities::SSL) {
            return Ok(Self::Ssl(fixed));
        }
        Ok(Self::Login(HandshakeResponse::read(fixed, &mut reader)?))
    }
}

/// A string up to its NUL, or up to the end where the NUL is missing.
pub(super) fn lenient_text(reader: &mut Reader<'_>) -> String {
    let bytes = reader.nul_bytes().unwrap_or_else(|_| reader.take_rest());
    String::from_utf8_lossy(bytes).into_owned()
}

/// An authentication response as COM_CHANGE_USER has it, and a handshake response without
/// CLIENT_PLUGIN_AUTH_LENENC_CLIENT_DATA.
pub(super) fn read_auth_response<'a>(
    reader: &mut Reader<'a>,
    capabilities: Capabilities,
) -> Result<&'a [u8], Malformed> {
    if capabilities.has(Capabilities::SECURE_CONNECTION) {
        let len = reader.u8()?;
        reader.bytes(usize::from(len))
    } else {
        Ok(reader.nul_bytes().unwrap_or_else(|_| reader.take_rest()))
    }
}

/// Appends an authentication response as [`read_auth_response`] reads it.
pub(super) fn put_auth_response(response: &[u8], capabilities: Capabilities, out: &mut Vec<u8>) {
    if capabilities.has(Capabilities::SECURE_CONNECTION) {
        let response = &response[..response.len().min(255)];
        out.push(response.len() as u8);
        out.extend_from_slice(response);
    } else {
        out.put_nul_bytes(response);
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::{any, prop, prop_assert_eq, proptest};

    use super::*;

    const BASE: Capabilities = Capabilities::PROTOCOL_41.and_also(Capabilities::SECURE_CONNECTION);

    fn login(capabilities: Capabilities) -> HandshakeResponse {
        HandshakeResponse {
            capabilities,
            packet_max: 1 << 24,
            collation: 45,
            user: "app".into(),
            auth_response: vec![7; 20],
            database: None,
            plugin: None,
            attributes: ConnectAttributes::new(),
            zstd_level: 0,
        }
    }

    fn encoded(response: &HandshakeResponse) -> Vec<u8> {
        let mut payload = Vec::new();
        response.encode(&mut payload);
        payload
    }

    #[test]
    fn a_tls_request_is_told_from_a_login_by_its_length() {
        let request = SslRequest { capabilities: BASE | Capabilities::SSL, packet_max: 1, collation: 8 };
        let mut payload = Vec::new();
        request.encode(&mut payload);
        assert_eq!(ClientHello::parse(&payload), Ok(ClientHello::Ssl(request)));

        let response = login(BASE | Capabilities::SSL);
        assert_eq!(ClientHello::parse(&encoded(&response)), Ok(ClientHello::Login(response)));
    }

    #[test]
    fn the_protocol_before_4_1_is_told_from_garbage() {
        assert_eq!(ClientHello::parse(b"\x05\x00\x00\x00\x01root\0"), Err(HandshakeError::OldProtocol));
        assert!(matches!(ClientHello::parse(b""), Err(HandshakeError::Malformed(_))));
        assert!(matches!(ClientHello::parse(b"\x00\x82\0\0"), Err(HandshakeError::Malformed(_))));
    }

    #[test]
    fn parts_that_are_announced_but_missing_count_as_empty() {
        let all = BASE
            | Capabilities::CONNECT_WITH_DB
            | Capabilities::PLUGIN_AUTH
            | Capabilities::CONNECT_ATTRS
            | Capabilities::ZSTD;
        let mut fixed = Vec::new();
        SslRequest { capabilities: all, packet_max: 0, collation: 0 }.encode(&mut fixed);
        for (rest, user, auth_len, database) in [
            (&b""[..], "", 0, None),
            (b"app", "app", 0, None),
            (b"app\0", "app", 0, None),
            (b"app\0\x02xy", "app", 2, None),
            (b"app\0\0shop", "app", 0, Some("shop")),
            (b"app\0\0\0", "app", 0, None),
        ] {
            let payload = [&fixed, rest].concat();
            let Ok(ClientHello::Login(read)) = ClientHello::parse(&payload) else { panic!("{rest:?}") };
            assert_eq!(read.user, user);
            assert_eq!(read.auth_response.len(), auth_len);
            assert_eq!(read.database.as_deref(), database);
            assert_eq!(read.plugin, None);
        }
    }

    #[test]
    fn an_authentication_response_has_three_encodings() {
        for (flags, encoded_response) in [
            (Capabilities::PROTOCOL_41, &b"xyz\0"[..]),
            (BASE, b"\x03xyz"),
            (BASE | Capabilities::PLUGIN_AUTH_LENENC, b"\x03xyz"),
        ] {
            let mut response = login(flags);
            response.auth_response = b"xyz".to_vec();
            let payload = encoded(&response);
            assert!(payload.ends_with(encoded_response), "{flags:?}");
            assert_eq!(ClientHello::parse(&payload), Ok(ClientHello::Login(response)));
        }
    }

    #[test]
    fn debug_output_hides_the_authentication_response() {
        let mut response = login(BASE);
        response.auth_response = b"hunter2".to_vec();
        assert!(!format!("{response:?}").contains(&format!("{:?}", b"hunter2")));
    }

    proptest! {
        #[test]
        fn random_bytes_never_panic(payload in prop::collection::vec(any::<u8>(), 0..300), new in any::<bool>()) {
            let mut payload = payload;
            if new && payload.len() > 1 {
                payload[1] |= 0x02;
            }
            let _ = ClientHello::parse(&payload);
        }

        #[test]
        fn a_login_survives_a_round_trip(
            flags in 0u64..=0x1F_FFFF_FFFF, user in "\\PC{0,20}", auth_response in prop::collection::vec(1u8..=255, 0..=255),
            database in prop::option::of("\\PC{1,20}"), plugin in prop::option::of("[a-z_]{1,20}"),
            pairs in prop::collection::vec(("[a-z_]{0,8}", "\\PC{0,300}"), 0..5), zstd_level: u8,
        ) {
            let mut capabilities = Capabilities(flags) | Capabilities::PROTOCOL_41;
            if capabilities.has(Capabilities::CLIENT_MYSQL) {
                capabilities = Capabilities(capabilities.0 & 0xFFFF_FFFF);
            }
            let mut attributes = ConnectAttributes::new();
            if capabilities.has(Capabilities::CONNECT_ATTRS) {
                for (name, value) in &pairs {
                    attributes.push(name.as_bytes(), value.as_bytes());
                }
            }
            let sent = HandshakeResponse {
                auth_response,
                database: database.filter(|_| capabilities.has(Capabilities::CONNECT_WITH_DB)),
                plugin: plugin.filter(|_| capabilities.has(Capabilities::PLUGIN_AUTH)),
                attributes,
                zstd_level: if capabilities.has(Capabilities::ZSTD) { zstd_level } else { 0 },
                user,
                ..login(capabilities)
            };
            prop_assert_eq!(ClientHello::parse(&encoded(&sent)), Ok(ClientHello::Login(sent)));
        }
    }
}
