//! What a client answers to the greeting, and COM_CHANGE_USER: parsed, and what parses is written back in a form that
//! parses to the same.

use dazzle::wire::Capabilities;
use dazzle::wire::handshake::{ChangeUser, ClientHello};

pub fn check(payload: &[u8]) {
    if let Ok(ClientHello::Login(response)) = ClientHello::parse(payload) {
        let mut encoded = Vec::new();
        response.encode(&mut encoded);
        // Attributes and names may be counted in another way, but never grow beyond reason.
        assert!(encoded.len() <= 4 * payload.len() + 64);
        let Ok(ClientHello::Login(again)) = ClientHello::parse(&encoded) else { panic!("{response:?}") };
        let named = |login: &dazzle::wire::handshake::HandshakeResponse| {
            login.attributes.iter().map(|(name, value)| (name.to_vec(), value.to_vec())).collect::<Vec<_>>()
        };
        assert_eq!(named(&again), named(&response));
        assert_eq!((again.user, again.database), (response.user, response.database));
    }
    let Some((flags, body)) = payload.split_first_chunk::<4>() else { return };
    let capabilities = Capabilities(u64::from(u32::from_le_bytes(*flags)));
    let _ = ChangeUser::parse(body, capabilities);
}
