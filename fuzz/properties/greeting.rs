//! A server's first packet, and the packets with which it authenticates us: our password is shown to no listener.

use dazzle::wire::auth::{ClientAuth, ClientStep};
use dazzle::wire::handshake::ServerHello;

use super::take_part;

const PASSWORD: &str = "correct horse";

pub fn check(payload: &[u8]) {
    let secure = payload.len().is_multiple_of(2);
    let auth = || ClientAuth::new(PASSWORD.to_owned().into(), secure);
    if let Ok(ServerHello::Greeting(greeting)) = ServerHello::parse(payload) {
        let _ = auth().first_response(&greeting.plugin, &greeting.scramble);
    }
    let mut auth = auth();
    // The packets of the exchange, each with a byte of length before it.
    let mut rest = payload;
    while !rest.is_empty() {
        match auth.receive(take_part(&mut rest)) {
            Ok(ClientStep::Send(sent)) => {
                let shown = sent.windows(PASSWORD.len()).any(|bytes| bytes == PASSWORD.as_bytes());
                assert!(secure || !shown, "the password is readable");
            }
            Ok(_) => {}
            Err(_) => break,
        }
    }
}
