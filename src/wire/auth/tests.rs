//! Our two sides of authentication against each other, and each against a peer that misbehaves.

use std::sync::LazyLock;

use proptest::prelude::{any, prop, proptest};
use rand::SeedableRng;
use rand::rngs::StdRng;
use zeroize::Zeroizing;

use crate::wire::Capabilities;
use crate::wire::auth::AuthError;
use crate::wire::auth::ClientAuth;
use crate::wire::auth::ClientStep;
use crate::wire::auth::Credential;
use crate::wire::auth::Denial;
use crate::wire::auth::LoginSecret;
use crate::wire::auth::Offer;
use crate::wire::auth::Plugin;
use crate::wire::auth::Proof;
use crate::wire::auth::RsaKeys;
use crate::wire::auth::ServerAuth;
use crate::wire::auth::Services;
use crate::wire::auth::Sha2Cache;
use crate::wire::auth::Sha2Verifier;
use crate::wire::auth::Step;
use crate::wire::auth::native;
use crate::wire::handshake::Scramble;

static KEYS: LazyLock<RsaKeys> = LazyLock::new(|| RsaKeys::generate().unwrap());

const SCRAMBLE: Scramble = Scramble::from_bytes(*b"abcdefghijklmnopqrst");
const NATIVE: &str = "mysql_native_password";
const SHA2: &str = "caching_sha2_password";
const BASE: Capabilities = Capabilities::PROTOCOL_41.and_also(Capabilities::SECURE_CONNECTION);

/// `secret`, stored by a MySQL 9.7.4 with 5000 rounds.
fn stored() -> Sha2Verifier {
    let text = b"$A$005$t\x1F%<F\x12ueg|K\x13f\x17T` 7u>N9P8nq1tAUPvR66OLVMgDwWErfZ.hZ7Udy2UAjQ/XQ7";
    Sha2Verifier::parse(text).unwrap()
}

fn plain() -> Credential {
    Credential::Plain(Zeroizing::new("secret".into()))
}

/// One proxy's keys and cache, and a client's view of the proxy.
struct Pair {
    cache: Sha2Cache,
    secure: bool,
    default_plugin: Plugin,
}

impl Pair {
    fn new(secure: bool) -> Self {
        let default_plugin = Plugin::CachingSha2Password;
        Self { cache: Sha2Cache::new(10), secure, default_plugin }
    }

    fn services(&self) -> Services<'_> {
        Services { keys: &KEYS, cache: &self.cache, default_plugin: self.default_plugin }
    }

    /// Lets the two talk; returns the outcome and how many packets the client was asked for.
    fn login(&self, credential: Credential, guess: &str, password: &str) -> (Result<Proof, Denial>, usize) {
        let mut rng = StdRng::seed_from_u64(1);
        let mut client = ClientAuth::new(Zeroizing::new(password.into()), self.secure);
        let (plugin, response) = client.first_response(guess, &SCRAMBLE).unwrap();
        let mut server = ServerAuth::new("app", credential, self.secure);
        let offer = Offer {
            scramble: &SCRAMBLE,
            plugin: Some(plugin),
            response: &response,
            capabilities: BASE | Capabilities::PLUGIN_AUTH,
        };
        let mut step = server.begin(&offer, &self.services(), &mut rng);
        for asked in 0.. {
            match step {
                Step::Ask(payload) => {
                    let ClientStep::Send(answer) = client.receive(&payload).unwrap() else {
                        panic!("the client does not answer")
                    };
                    step = server.receive(&answer, &self.services());
                }
                Step::Accepted(proof) => {
                    if let Some(notice) = proof.notice {
                        assert_eq!(client.receive(notice), Ok(ClientStep::Wait));
                    }
                    return (Ok(proof), asked);
                }
                Step::Denied(denial) => return (Err(denial), asked),
            }
        }
        unreachable!()
    }
}

#[test]
fn every_credential_meets_every_guess() {
    let native = Credential::Native(vec![native::verifier(b"secret")]);
    // (credential, packets asked of a native guess, of a sha2 guess without and with TLS)
    for (credential, right, by_native, by_sha2, by_sha2_secure) in [
        (Credential::Empty, "", 0, 0, 0),
        (plain(), "secret", 0, 0, 0),
        (native, "secret", 0, 1, 1),
        (Credential::Sha2(vec![stored()]), "secret", 3, 2, 1),
    ] {
        for (guess, secure, asked) in
            [(NATIVE, false, by_native), (SHA2, false, by_sha2), (SHA2, true, by_sha2_secure)]
        {
            let pair = Pair::new(secure);
            let (outcome, packets) = pair.login(credential.clone(), guess, "wrong");
            assert_eq!(outcome.err(), Some(Denial::WrongPassword { using_password: true }));
            assert_eq!(packets, asked, "{credential:?} {guess} secure={secure}, wrong password");

            let (outcome, packets) = pair.login(credential.clone(), guess, right);
            let secret = outcome.unwrap().secret.unwrap();
            assert_eq!(packets, asked, "{credential:?} {guess} secure={secure}");
            match (&credential, secret) {
                (Credential::Native(_), LoginSecret::NativeKey(_)) => {}
                (_, LoginSecret::Password(password)) => assert_eq!(*password, right),
                (credential, secret) => panic!("{credential:?}: {secret:?}"),
            }
        }
    }
}

#[test]
fn both_passwords_of_an_account_prove_themselves_and_the_proof_says_which() {
    let old = Sha2Verifier::unknown([9; 52], 1000);
    for (credential, guess) in [
        (Credential::Native(vec![[3; 20], native::verifier(b"secret")]), NATIVE),
        (Credential::Sha2(vec![old, stored()]), SHA2),
    ] {
        let mut pair = Pair::new(true);
        pair.cache = Sha2Cache::keeping_passwords(10);
        // The second time from memory, where there is one.
        for _ in 0..2 {
            let proof = pair.login(credential.clone(), guess, "secret").0.unwrap();
            assert_eq!(proof.verifier, 1);
            assert!(proof.secret.is_some());
            assert!(pair.login(credential.clone(), guess, "Secret").0.is_err());
        }
    }
}

#[test]
fn what_a_native_login_shows_is_enough_for_another_one() {
    let credential = Credential::Native(vec![native::verifier(b"secret")]);
    let proof = Pair::new(false).login(credential.clone(), NATIVE, "secret").0.unwrap();
    let secret = proof.secret.unwrap();
    let pair = Pair::new(false);
    let mut client = ClientAuth::with_secret(secret.clone(), false);
    // Whatever the greeting's own plugin is.
    let (plugin, response) = client.first_response(SHA2, &SCRAMBLE).unwrap();
    let mut server = ServerAuth::new("app", credential, false);
    let offer = Offer { scramble: &SCRAMBLE, plugin: Some(plugin), response: &response, capabilities: BASE };
    let step = server.begin(&offer, &pair.services(), &mut StdRng::seed_from_u64(1));
    assert!(matches!(step, Step::Accepted(_)), "{step:?}");
    // A server that wants more than that gets nothing.
    let mut switch = vec![0xFE];
    switch.extend_from_slice(b"caching_sha2_password\0abcdefghijklmnopqrst\0");
    let refused = ClientAuth::with_secret(secret, true).receive(&switch);
    assert_eq!(refused, Err(AuthError::PasswordUnknown("caching_sha2_password")));
}

#[test]
fn an_empty_password_is_refused_where_there_is_one() {
    for credential in [plain(), Credential::Native(vec![[1; 20]]), Credential::Sha2(vec![stored()])] {
        for guess in [NATIVE, SHA2] {
            let (outcome, _) = Pair::new(true).login(credential.clone(), guess, "");
            assert_eq!(outcome.err(), Some(Denial::WrongPassword { using_password: false }));
        }
    }
}

#[test]
fn a_nul_is_an_empty_caching_sha2_password() {
    let pair = Pair::new(false);
    let mut rng = StdRng::seed_from_u64(1);
    let capabilities = BASE | Capabilities::PLUGIN_AUTH;
    let offer = Offer { scramble: &SCRAMBLE, plugin: Some(SHA2), response: &[0], capabilities };
    let mut server = ServerAuth::new("app", Credential::Empty, false);
    let step = server.begin(&offer, &pair.services(), &mut rng);
    assert!(matches!(step, Step::Accepted(Proof { notice: None, .. })), "{step:?}");
}

#[test]
fn the_second_login_takes_the_fast_path() {
    let pair = Pair::new(false);
    assert_eq!(pair.login(Credential::Sha2(vec![stored()]), SHA2, "secret").1, 2);
    let (outcome, asked) = pair.login(Credential::Sha2(vec![stored()]), SHA2, "secret");
    assert_eq!(outcome.unwrap().notice, Some(&[1, 3][..]));
    assert_eq!(asked, 0);

    // A wrong password and an unknown user look the same as before.
    let (outcome, asked) = pair.login(Credential::Sha2(vec![stored()]), SHA2, "wrong");
    assert!(outcome.is_err());
    assert_eq!(asked, 2);
}

#[test]
fn a_guess_that_is_never_asked_for_is_switched_to_the_default() {
    for (guess, default_plugin) in [
        (Some("mysql_clear_password"), Plugin::NativePassword),
        (Some("sha256_password"), Plugin::CachingSha2Password),
        (Some("dialog"), Plugin::NativePassword),
        (None, Plugin::CachingSha2Password),
    ] {
        let pair = Pair { default_plugin, ..Pair::new(true) };
        let mut rng = StdRng::seed_from_u64(1);
        let capabilities = BASE | Capabilities::PLUGIN_AUTH;
        let offer = Offer { scramble: &SCRAMBLE, plugin: guess, response: b"secret\0", capabilities };
        let mut server = ServerAuth::new("app", plain(), true);
        let Step::Ask(switch) = server.begin(&offer, &pair.services(), &mut rng) else { panic!("{guess:?}") };
        assert!(switch[1..].starts_with(default_plugin.name().as_bytes()));
        assert_eq!(switch.len(), 1 + default_plugin.name().len() + 1 + Scramble::LEN + 1);
        assert!(!switch.windows(Scramble::LEN).any(|w| w == SCRAMBLE.as_bytes()), "a fresh challenge");
    }
}

#[test]
fn a_client_without_plugins_can_only_use_the_native_one() {
    let pair = Pair::new(true);
    let response = native::response(b"secret", &SCRAMBLE);
    for (credential, capabilities, expected) in [
        (plain(), BASE, None),
        (Credential::Native(vec![native::verifier(b"secret")]), BASE, None),
        (Credential::Sha2(vec![stored()]), BASE, Some(Denial::PluginNeeded)),
        (plain(), Capabilities::PROTOCOL_41, Some(Denial::PluginNeeded)),
    ] {
        let mut rng = StdRng::seed_from_u64(1);
        let offer = Offer { scramble: &SCRAMBLE, plugin: None, response: &response, capabilities };
        let step = ServerAuth::new("app", credential, true).begin(&offer, &pair.services(), &mut rng);
        match (step, expected) {
            (Step::Accepted(_), None) => {}
            (Step::Denied(denial), Some(expected)) => assert_eq!(denial, expected),
            (step, expected) => panic!("{step:?} instead of {expected:?}"),
        }
    }
}

#[test]
fn a_denial_has_the_words_of_mysql() {
    for (using_password, yes_no) in [(true, "YES"), (false, "NO")] {
        let error = Denial::WrongPassword { using_password }.sql_error("app", "10.0.0.1");
        assert_eq!((error.code, error.state), (1045, "28000"));
        assert_eq!(
            error.message,
            format!("Access denied for user 'app'@'10.0.0.1' (using password: {yes_no})")
        );
    }
    assert_eq!(Denial::PluginNeeded.sql_error("app", "x").code, 1251);
}

#[test]
fn a_full_password_without_its_nul_or_too_long_is_denied() {
    for payload in [&b""[..], b"secret", &[b'x'; 300], &[&[b'x'; 257][..], &[0]].concat()] {
        let pair = Pair::new(true);
        let mut rng = StdRng::seed_from_u64(1);
        let capabilities = BASE | Capabilities::PLUGIN_AUTH;
        let offer = Offer { scramble: &SCRAMBLE, plugin: Some(SHA2), response: &[1; 32], capabilities };
        let mut server = ServerAuth::new("app", Credential::Sha2(vec![stored()]), true);
        assert!(matches!(server.begin(&offer, &pair.services(), &mut rng), Step::Ask(_)));
        assert!(matches!(server.receive(payload, &pair.services()), Step::Denied(_)));
    }
}

#[test]
fn our_side_shows_its_password_to_nobody_who_may_not_see_it() {
    let client = |secure: bool| ClientAuth::new(Zeroizing::new("secret".into()), secure);
    for mut client in [client(false), client(true)] {
        client.first_response(NATIVE, &SCRAMBLE).unwrap();
        let clear = b"\xFEmysql_clear_password\0";
        assert_eq!(client.receive(clear), Err(AuthError::ClearPasswordRefused));
    }

    // A greeting by mysql_clear_password is not answered by it.
    let (plugin, _) = client(true).first_response("mysql_clear_password", &SCRAMBLE).unwrap();
    assert_eq!(plugin, NATIVE);

    // A key that nobody asked for is not used, and one that was asked for once.
    let key = [&[1], KEYS.public_pem().as_bytes()].concat();
    let mut listened = client(false);
    listened.first_response(SHA2, &SCRAMBLE).unwrap();
    assert!(matches!(listened.receive(&key), Err(AuthError::Malformed(_))));
    assert_eq!(listened.receive(&[1, 4]), Ok(ClientStep::Send(vec![2])));
    assert!(matches!(listened.receive(&key), Ok(ClientStep::Send(encrypted)) if encrypted.len() == 256));
    assert!(matches!(listened.receive(&key), Err(AuthError::Malformed(_))));
}

#[test]
fn sha256_password_works_towards_servers() {
    for (secure, password, expected) in
        [(true, "secret", &b"secret\0"[..]), (false, "secret", &[1]), (false, "", &[0]), (true, "", &[0])]
    {
        let mut client = ClientAuth::new(Zeroizing::new(password.into()), secure);
        assert_eq!(
            client.first_response("sha256_password", &SCRAMBLE).unwrap(),
            ("sha256_password", expected.to_vec())
        );
    }
    let mut client = ClientAuth::new(Zeroizing::new("secret".into()), false);
    client.first_response("sha256_password", &SCRAMBLE).unwrap();
    let key = [&[1], KEYS.public_pem().as_bytes()].concat();
    let Ok(ClientStep::Send(encrypted)) = client.receive(&key) else { panic!("no password") };
    assert_eq!(KEYS.decrypt(&encrypted, &SCRAMBLE).unwrap().as_slice(), b"secret\0");
}

#[test]
fn a_server_that_misbehaves_is_an_error() {
    for payload in [
        &b""[..],
        b"\xFE",
        b"\xFEdialog\0abc",
        b"\xFEmysql_native_password",
        b"\xFEmysql_native_password\0short",
        b"\x01",
        b"\x01\x09",
        b"\x05",
    ] {
        let mut client = ClientAuth::new(Zeroizing::new("secret".into()), true);
        client.first_response(SHA2, &SCRAMBLE).unwrap();
        assert!(client.receive(payload).is_err(), "{payload:?}");
    }
    let mut client = ClientAuth::new(Zeroizing::new("secret".into()), true);
    client.first_response(SHA2, &SCRAMBLE).unwrap();
    let steps = (0..20).map(|_| client.receive(&[1, 4])).take_while(Result::is_ok).count();
    assert!(steps < 10, "an endless exchange ends");
}

proptest! {
    #[test]
    fn random_bytes_never_panic(
        payloads in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..60), 1..5), secure: bool, kind in 0..4,
    ) {
        let mut client = ClientAuth::new(Zeroizing::new("secret".into()), secure);
        client.first_response(SHA2, &SCRAMBLE).unwrap();
        for payload in &payloads {
            let _ = client.receive(payload);
        }

        let credential = match kind {
            0 => Credential::Empty,
            1 => plain(),
            2 => Credential::Native(vec![[1; 20]]),
            _ => Credential::Sha2(vec![Sha2Verifier::unknown([1; 52], 1)]),
        };
        let pair = Pair::new(secure);
        let mut rng = StdRng::seed_from_u64(1);
        let capabilities = BASE | Capabilities::PLUGIN_AUTH;
        let offer = Offer { scramble: &SCRAMBLE, plugin: Some(SHA2), response: &payloads[0], capabilities };
        let mut server = ServerAuth::new("app", credential, secure);
        let mut step = server.begin(&offer, &pair.services(), &mut rng);
        for payload in &payloads {
            let Step::Ask(_) = step else { break };
            step = server.receive(payload, &pair.services());
        }
    }
}
