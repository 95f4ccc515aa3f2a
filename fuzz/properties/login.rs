//! A client that proves its password: whatever it sends, nobody gets in who has not shown the password, and the exchange
//! comes to its end.

use std::sync::LazyLock;

use dazzle::wire::Capabilities;
use dazzle::wire::auth::{
    Credential, Offer, Plugin, RsaKeys, ServerAuth, Services, Sha2Cache, Sha2Verifier, Step,
};
use dazzle::wire::handshake::Scramble;
use rand::SeedableRng;
use rand::rngs::StdRng;

use super::{take, take_part};

static KEYS: LazyLock<RsaKeys> = LazyLock::new(|| RsaKeys::generate().expect("keys can be made"));

const PASSWORD: &str = "correct horse";

/// Of a password that nobody knows, with the fewest rounds.
const STORED: &[u8] = b"$A$001$abcdefghijklmnopqrst0123456789012345678901234567890123456789012";

/// Packets that a client is asked for at most: a switch, the password, a key.
const ASKED_MAX: usize = 3;

/// How the user proves itself; whether it could be guessed, and whether it needs nothing to be shown.
fn credential(kind: u8) -> (Credential, bool, bool) {
    match kind % 4 {
        0 => (Credential::Empty, false, true),
        1 => (Credential::Plain(PASSWORD.to_owned().into()), true, false),
        2 => (Credential::Native(vec![[7; 20]]), false, false),
        _ => (Credential::Sha2(vec![Sha2Verifier::parse(STORED).expect("a verifier")]), false, false),
    }
}

pub fn check(mut bytes: &[u8]) {
    let flags = take(&mut bytes);
    let (credential, guessable, open) = credential(flags);
    let secure = flags & 4 != 0;
    let cache = Sha2Cache::new(4);
    let default_plugin = if flags & 8 == 0 { Plugin::CachingSha2Password } else { Plugin::NativePassword };
    let services = Services { keys: &KEYS, cache: &cache, default_plugin };
    let mut capabilities = Capabilities::PROTOCOL_41;
    if flags & 16 == 0 {
        capabilities |= Capabilities::PLUGIN_AUTH;
    }
    if flags & 32 == 0 {
        capabilities |= Capabilities::SECURE_CONNECTION;
    }
    let whole = bytes;
    let plugin = take_part(&mut bytes);
    let scramble = Scramble::from_bytes(*b"abcdefghijklmnopqrst");
    let offer = Offer {
        scramble: &scramble,
        plugin: str::from_utf8(plugin).ok().filter(|name| !name.is_empty()),
        response: take_part(&mut bytes),
        capabilities,
    };
    let mut auth = ServerAuth::new("app", credential, secure);
    let mut step = auth.begin(&offer, &services, &mut StdRng::seed_from_u64(1));
    let mut asked = 0;
    while let Step::Ask(question) = &step {
        asked += 1;
        assert!(asked <= ASKED_MAX && !question.is_empty(), "the exchange ends");
        step = auth.receive(take_part(&mut bytes), &services);
    }
    if let Step::Accepted(_) = step {
        let shown = whole.windows(PASSWORD.len()).any(|part| part == PASSWORD.as_bytes());
        assert!(open || guessable && secure && shown, "accepted without a proof");
    }
}
