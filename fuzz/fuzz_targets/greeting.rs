//! A server's first packet, and the packets with which it authenticates us.

#![no_main]

use dazzle::wire::auth::ClientAuth;
use dazzle::wire::handshake::ServerHello;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|payload: &[u8]| {
    if let Ok(ServerHello::Greeting(greeting)) = ServerHello::parse(payload) {
        let mut auth = ClientAuth::new("secret".to_owned().into(), payload.len() % 2 == 0);
        let _ = auth.first_response(&greeting.plugin, &greeting.scramble);
    }
    let mut auth = ClientAuth::new("secret".to_owned().into(), payload.len() % 2 == 0);
    // The packets of the exchange, each with a byte of length before it.
    let mut rest = payload;
    while let Some((&length, tail)) = rest.split_first() {
        let (packet, tail) = tail.split_at(usize::from(length).min(tail.len()));
        if auth.receive(packet).is_err() {
            break;
        }
        rest = tail;
    }
});
