//! COM_CHANGE_USER: a login on a connection that is logged in already.

use crate::wire::Capabilities;
use crate::wire::Malformed;
use crate::wire::Reader;
use crate::wire::Writer;
use crate::wire::handshake::ConnectAttributes;
use crate::wire::handshake::HandshakeError;
use crate::wire::handshake::response::lenient_text;
use crate::wire::handshake::response::put_auth_response;
use crate::wire::handshake::response::read_auth_response;

/// The command's first byte.
const COM_CHANGE_USER: u8 = 0x11;

/// `COM_CHANGE_USER`: new user, schema and collation, everything else of the session reset.
#[derive(Clone, PartialEq, Eq)]
pub struct ChangeUser {
    /// User name.
    pub user: String,
    /// The answer to the greeting's challenge by `plugin`.
    pub auth_response: Vec<u8>,
    /// Schema to start in; none leaves the session without one.
    pub database: Option<String>,
    /// Collation id of the session.
    pub collation: Option<u16>,
    /// The plugin that made `auth_response`.
    pub plugin: Option<String>,
    /// What the client tells about itself.
    pub attributes: ConnectAttributes,
}

impl std::fmt::Debug for ChangeUser {
    /// Leaves out `auth_response`.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ChangeUser")
            .field("user", &self.user)
            .field("database", &self.database)
            .field("collation", &self.collation)
            .field("plugin", &self.plugin)
            .field("attributes", &self.attributes)
            .finish_non_exhaustive()
    }
}

impl ChangeUser {
    /// Reads `body`, what follows the command byte, under the connection's `capabilities`.
    ///
    /// # Errors
    /// A body without user, authentication response or schema.
    pub fn parse(body: &[u8], capabilities: Capabilities) -> Result<Self, HandshakeError> {
        let mut reader = Reader::new(body);
        let user = String::from_utf8_lossy(reader.nul_bytes()?).into_owned();
        if reader.is_empty() {
            return Err(Malformed("unexpected end").into());
        }
        let auth_response = read_auth_response(&mut reader, capabilities)?.to_vec();
        let database = Some(lenient_text(&mut reader)).filter(|name| !name.is_empty());
        let collation = reader.u16().ok();
        let mut plugin = None;
        if capabilities.has(Capabilities::PLUGIN_AUTH) {
            plugin = Some(lenient_text(&mut reader)).filter(|name| !name.is_empty());
        }
        let mut attributes = ConnectAttributes::new();
        if capabilities.has(Capabilities::CONNECT_ATTRS) {
            attributes = ConnectAttributes::read(&mut reader)?;
        }
        Ok(Self { user, auth_response, database, collation, plugin, attributes })
    }

    /// Appends the whole payload, command byte first, to `out`.
    pub fn encode(&self, capabilities: Capabilities, out: &mut Vec<u8>) {
        out.push(COM_CHANGE_USER);
        out.put_nul_bytes(self.user.as_bytes());
        put_auth_response(&self.auth_response, capabilities, out);
        out.put_nul_bytes(self.database.as_deref().unwrap_or_default().as_bytes());
        // What follows can be left out only from the end, so an absent collation is sent as 0 only
        // where something comes after it.
        let plugin_auth = capabilities.has(Capabilities::PLUGIN_AUTH);
        let attributes = capabilities.has(Capabilities::CONNECT_ATTRS);
        if self.collation.is_some() || plugin_auth || attributes {
            out.put_u16(self.collation.unwrap_or(0));
        }
        if plugin_auth {
            out.put_nul_bytes(self.plugin.as_deref().unwrap_or_default().as_bytes());
        }
        if attributes {
            self.attributes.write(out);
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::{any, prop, prop_assert_eq, proptest};

    use super::*;

    const BASE: Capabilities = Capabilities::PROTOCOL_41.and_also(Capabilities::SECURE_CONNECTION);

    #[test]
    fn what_follows_the_schema_may_be_missing() {
        let all = BASE | Capabilities::PLUGIN_AUTH | Capabilities::CONNECT_ATTRS;
        for (body, collation, plugin) in [
            (&b"app\0\0shop\0"[..], None, None),
            (b"app\0\0shop", None, None),
            (b"app\0\0shop\0\x2D\0", Some(45), None),
            (b"app\0\0shop\0\x2D\0native", Some(45), Some("native")),
            (b"app\0\0shop\0\x2D\0native\0", Some(45), Some("native")),
        ] {
            let read = ChangeUser::parse(body, all).unwrap();
            assert_eq!((read.user.as_str(), read.database.as_deref()), ("app", Some("shop")));
            assert_eq!((read.collation, read.plugin.as_deref()), (collation, plugin));
        }
    }

    #[test]
    fn a_body_without_its_first_parts_is_malformed() {
        for body in [&b""[..], b"app", b"app\0", b"app\0\x05xy"] {
            assert!(ChangeUser::parse(body, BASE).is_err(), "{body:?}");
        }
    }

    proptest! {
        #[test]
        fn random_bytes_never_panic(body in prop::collection::vec(any::<u8>(), 0..200), flags: u32) {
            let _ = ChangeUser::parse(&body, Capabilities(u64::from(flags)));
        }

        #[test]
        fn a_change_of_user_survives_a_round_trip(
            user in "[a-z]{0,9}", auth_response in prop::collection::vec(any::<u8>(), 0..=255),
            database in prop::option::of("[a-z]{1,9}"), collation: u16, plugin in "[a-z]{1,9}",
        ) {
            let flags = BASE | Capabilities::PLUGIN_AUTH | Capabilities::CONNECT_ATTRS;
            let mut attributes = ConnectAttributes::new();
            attributes.push(b"_pid", b"1");
            let sent = ChangeUser {
                user, auth_response, database, collation: Some(collation), plugin: Some(plugin), attributes,
            };
            let mut payload = Vec::new();
            sent.encode(flags, &mut payload);
            prop_assert_eq!(payload[0], 0x11);
            prop_assert_eq!(ChangeUser::parse(&payload[1..], flags), Ok(sent));
        }
    }
}
