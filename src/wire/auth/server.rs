//! The server's side of authentication: checks one client.

use rand::CryptoRng;

use crate::error::SqlError;
use crate::wire::Capabilities;
use crate::wire::Writer;
use crate::wire::auth::AUTH_MORE_DATA;
use crate::wire::auth::AUTH_SWITCH;
use crate::wire::auth::Credential;
use crate::wire::auth::FAST_AUTH_OK;
use crate::wire::auth::FULL_AUTH;
use crate::wire::auth::LoginSecret;
use crate::wire::auth::PASSWORD_LEN_MAX;
use crate::wire::auth::PUBLIC_KEY_REQUEST;
use crate::wire::auth::Plugin;
use crate::wire::auth::RsaKeys;
use crate::wire::auth::Sha2Cache;
use crate::wire::auth::native;
use crate::wire::auth::sha2;
use crate::wire::handshake::Scramble;

/// What all logins share.
#[derive(Clone, Copy, Debug)]
pub struct Services<'a> {
    /// For passwords that travel without TLS.
    pub keys: &'a RsaKeys,
    /// For the second login of a user with a stored `caching_sha2_password` verifier.
    pub cache: &'a Sha2Cache,
    /// The plugin of the greeting: `mysql_native_password` or `caching_sha2_password`. Asked of clients
    /// whose guess is neither.
    pub default_plugin: Plugin,
}

/// What the client offers in its handshake response or COM_CHANGE_USER.
#[derive(Clone, Copy)]
pub struct Offer<'a> {
    /// The challenge that it answered: the greeting's, or the last one of a switch.
    pub scramble: &'a Scramble,
    /// The plugin that it guessed.
    pub plugin: Option<&'a str>,
    /// Its answer.
    pub response: &'a [u8],
    /// The connection's capabilities.
    pub capabilities: Capabilities,
}

/// What the session does next.
#[derive(Debug)]
pub enum Step {
    /// Send this payload, read one packet, pass it to [`ServerAuth::receive`].
    Ask(Vec<u8>),
    /// The client is who it says.
    Accepted(Proof),
    /// It is not: send the ERR packet and close.
    Denied(Denial),
}

/// A successful login.
pub struct Proof {
    /// A packet to send before OK, in the same write: `caching_sha2_password` announces its fast path.
    pub notice: Option<&'static [u8]>,
    /// What the client has shown, or what is known of it: enough to log in elsewhere in its name. Nothing for a
    /// password that is not UTF-8 text, and for one that proved itself from a cache without passwords.
    pub secret: Option<LoginSecret>,
    /// Which of the credential's verifiers it was proved against.
    pub verifier: usize,
}

impl std::fmt::Debug for Proof {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Proof").field("notice", &self.notice).finish_non_exhaustive()
    }
}

/// A failed login.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Denial {
    /// No such user, or not its password.
    WrongPassword {
        /// Whether the client sent any.
        using_password: bool,
    },
    /// The client cannot switch to the plugin that its user needs.
    PluginNeeded,
}

impl Denial {
    /// What the client is told, in MySQL's own words.
    #[must_use]
    pub fn sql_error(self, user: &str, host: &str) -> SqlError {
        match self {
            Self::WrongPassword { using_password } => {
                let yes_no = if using_password { "YES" } else { "NO" };
                let message = format!("Access denied for user '{user}'@'{host}' (using password: {yes_no})");
                SqlError::new(1045, "28000", message)
            }
            Self::PluginNeeded => SqlError::new(
                1251,
                "08004",
                "Client does not support authentication protocol requested by server; \
                 consider upgrading MySQL client",
            ),
        }
    }
}

/// One login of one client.
///
/// A user that does not exist gets a credential of [`crate::wire::auth::Decoys`], so that the steps tell
/// nobody which users do.
#[derive(Debug)]
pub struct ServerAuth {
    user: String,
    credential: Credential,
    secure: bool,
    scramble: Scramble,
    state: State,
}

#[derive(Clone, Copy, Debug)]
enum State {
    /// Waits for `begin`.
    Start,
    /// Asked to switch to the plugin.
    Switched(Plugin),
    /// Asked for the password itself.
    FullAuth {
        /// Whether the client has got our public key.
        key_sent: bool,
    },
    /// Accepted or denied.
    Done,
}

impl ServerAuth {
    /// A login as `user`, to be checked against `credential`. `secure` says that nobody can listen: TLS
    /// or a unix socket.
    #[must_use]
    pub fn new(user: &str, credential: Credential, secure: bool) -> Self {
        let scramble = Scramble::from_bytes([0; Scramble::LEN]);
        Self { user: user.to_owned(), credential, secure, scramble, state: State::Start }
    }

    /// Checks what came with the login, or asks for more.
    pub fn begin(&mut self, offer: &Offer<'_>, services: &Services<'_>, rng: &mut impl CryptoRng) -> Step {
        debug_assert!(matches!(self.state, State::Start), "a login begins once");
        self.scramble = *offer.scramble;
        let can_switch = offer.capabilities.has(Capabilities::PLUGIN_AUTH);
        let guess = if can_switch {
            offer.plugin.and_then(Plugin::from_name)
        } else if offer.capabilities.has(Capabilities::SECURE_CONNECTION) {
            Some(Plugin::NativePassword)
        } else {
            return self.deny(Denial::PluginNeeded);
        };
        let plugin = self.credential.plugin(guess, services.default_plugin);
        if guess == Some(plugin) {
            return self.check(plugin, offer.response, services);
        }
        if !can_switch {
            return self.deny(Denial::PluginNeeded);
        }
        self.scramble = Scramble::random(rng);
        self.state = State::Switched(plugin);
        let mut payload = vec![AUTH_SWITCH];
        payload.put_nul_bytes(plugin.name().as_bytes());
        payload.put_nul_bytes(self.scramble.as_bytes());
        Step::Ask(payload)
    }

    /// Takes the client's answer to the last [`Step::Ask`].
    pub fn receive(&mut self, payload: &[u8], services: &Services<'_>) -> Step {
        match self.state {
            State::Switched(plugin) => self.check(plugin, payload, services),
            State::FullAuth { key_sent: false } if !self.secure && payload == [PUBLIC_KEY_REQUEST] => {
                self.state = State::FullAuth { key_sent: true };
                let mut answer = vec![AUTH_MORE_DATA];
                answer.extend_from_slice(services.keys.public_pem().as_bytes());
                Step::Ask(answer)
            }
            State::FullAuth { .. } if self.secure => self.check_password(payload, services),
            State::FullAuth { .. } => match services.keys.decrypt(payload, &self.scramble) {
                Some(password) => self.check_password(&password, services),
                None => self.deny(Denial::WrongPassword { using_password: true }),
            },
            State::Start | State::Done => {
                debug_assert!(false, "no answer was asked for");
                self.deny(Denial::WrongPassword { using_password: false })
            }
        }
    }

    /// Checks the answer to a challenge.
    fn check(&mut self, plugin: Plugin, response: &[u8], services: &Services<'_>) -> Step {
        // MySQL's own client sends one NUL for an empty caching_sha2_password, others send nothing.
        let sha2 = plugin == Plugin::CachingSha2Password;
        let using_password = !(response.is_empty() || sha2 && response == [0]);
        let scramble = &self.scramble;
        let proved = match &self.credential {
            Credential::Empty => (!using_password).then(|| (0, Some(LoginSecret::password("")))),
            Credential::Plain(password) => {
                let right = if sha2 {
                    sha2::proves(response, scramble, &sha2::fast_digest(password.as_bytes()))
                } else {
                    native::proves(response, scramble, &native::verifier(password.as_bytes()))
                };
                right.then(|| (0, Some(LoginSecret::Password(password.clone()))))
            }
            Credential::Native(verifiers) => verifiers.iter().enumerate().find_map(|(n, verifier)| {
                let key = native::proved(response, scramble, verifier)?;
                Some((n, Some(LoginSecret::NativeKey(key))))
            }),
            Credential::Sha2(verifiers) if response.len() == sha2::LEN => {
                let known = verifiers.iter().enumerate().find_map(|(n, verifier)| {
                    let known = services.cache.proved(&self.user, verifier)?;
                    sha2::proves(response, scramble, &known.digest).then_some((n, known.secret))
                });
                if known.is_none() {
                    // Also with a digest at hand, as in MySQL: a wrong password tells nobody whether
                    // this user exists and has logged in before.
                    self.state = State::FullAuth { key_sent: false };
                    return Step::Ask(vec![AUTH_MORE_DATA, FULL_AUTH]);
                }
                known
            }
            Credential::Sha2(_) => None,
        };
        let Some((verifier, secret)) = proved else {
            return self.deny(Denial::WrongPassword { using_password });
        };
        let notice: &'static [u8] = &[AUTH_MORE_DATA, FAST_AUTH_OK];
        self.state = State::Done;
        Step::Accepted(Proof { notice: (sha2 && using_password).then_some(notice), secret, verifier })
    }

    /// Checks a password that came in full, with its NUL.
    fn check_password(&mut self, payload: &[u8], services: &Services<'_>) -> Step {
        let denied = Denial::WrongPassword { using_password: true };
        let Some((0, password)) = payload.split_last() else { return self.deny(denied) };
        let Credential::Sha2(verifiers) = &self.credential else { return self.deny(denied) };
        // The bound keeps a stranger from buying much work with one packet.
        if password.len() > PASSWORD_LEN_MAX {
            return self.deny(denied);
        }
        let right = verifiers.iter().enumerate().find(|(_, verifier)| verifier.matches(password));
        let Some((n, verifier)) = right else { return self.deny(denied) };
        services.cache.remember(&self.user, verifier, password);
        self.state = State::Done;
        let secret = str::from_utf8(password).ok().map(LoginSecret::password);
        Step::Accepted(Proof { notice: None, secret, verifier: n })
    }

    fn deny(&mut self, denial: Denial) -> Step {
        self.state = State::Done;
        Step::Denied(denial)
    }
}
