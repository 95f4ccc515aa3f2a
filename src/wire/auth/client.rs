//! The client's side of authentication: proves our password to one server.

use zeroize::Zeroizing;

use crate::wire::Malformed;
use crate::wire::Reader;
use crate::wire::auth::AUTH_MORE_DATA;
use crate::wire::auth::AUTH_SWITCH;
use crate::wire::auth::AuthError;
use crate::wire::auth::FAST_AUTH_OK;
use crate::wire::auth::FULL_AUTH;
use crate::wire::auth::LoginSecret;
use crate::wire::auth::PUBLIC_KEY_REQUEST;
use crate::wire::auth::Plugin;
use crate::wire::auth::SHA256_PUBLIC_KEY_REQUEST;
use crate::wire::auth::native;
use crate::wire::auth::rsa;
use crate::wire::auth::sha2;
use crate::wire::handshake::Scramble;

/// What the connection does next.
#[derive(Debug, PartialEq, Eq)]
pub enum ClientStep {
    /// Send this payload (it may be empty), then read on.
    Send(Vec<u8>),
    /// Read on: the server has more to say.
    Wait,
    /// The exchange is over: this payload is an OK or ERR packet.
    Finished,
}

/// Packets of one exchange at most. A switch, a request for the full password, a key, and to spare.
const PACKETS_MAX: u8 = 8;

/// One login to one server.
pub struct ClientAuth {
    secret: LoginSecret,
    secure: bool,
    encrypted: bool,
    scramble: Scramble,
    plugin: Plugin,
    /// Whether the next packet may be the server's public key. One that we did not ask for is refused.
    key_requested: bool,
    packets: u8,
}

impl ClientAuth {
    /// A login with `password`. `secure` says that nobody can listen: TLS or a unix socket.
    #[must_use]
    pub fn new(password: Zeroizing<String>, secure: bool) -> Self {
        Self::with_secret(LoginSecret::Password(password), secure)
    }

    /// The same with what is known of the password.
    #[must_use]
    pub fn with_secret(secret: LoginSecret, secure: bool) -> Self {
        Self {
            secret,
            secure,
            encrypted: secure,
            scramble: Scramble::from_bytes([0; Scramble::LEN]),
            plugin: Plugin::NativePassword,
            key_requested: false,
            packets: 0,
        }
    }

    /// Whether what makes the transport secure is TLS. To be told for unix sockets: `sha256_password`,
    /// unlike its successor, does not trust them.
    #[must_use]
    pub const fn encrypted(mut self, encrypted: bool) -> Self {
        self.encrypted = encrypted;
        self
    }

    /// The plugin to announce in the handshake response, and the answer by it. A greeting with a plugin
    /// that we do not have is answered by `mysql_native_password`; the server then asks to switch to
    /// what the user really needs.
    ///
    /// # Errors
    /// Not enough is known of the password.
    pub fn first_response(
        &mut self,
        greeting_plugin: &str,
        scramble: &Scramble,
    ) -> Result<(&'static str, Vec<u8>), AuthError> {
        self.scramble = *scramble;
        self.plugin = match Plugin::from_name(greeting_plugin) {
            _ if matches!(self.secret, LoginSecret::NativeKey(_)) => Plugin::NativePassword,
            // The greeting names the server's default, not the user's plugin: no reason to show the
            // password yet.
            None | Some(Plugin::ClearPassword) => Plugin::NativePassword,
            Some(plugin) => plugin,
        };
        Ok((self.plugin.name(), self.answer()?))
    }

    /// Takes the server's next packet.
    ///
    /// # Errors
    /// See [`AuthError`]; the connection is of no use then.
    pub fn receive(&mut self, payload: &[u8]) -> Result<ClientStep, AuthError> {
        self.packets += 1;
        if self.packets > PACKETS_MAX {
            return Err(Malformed("authentication does not end").into());
        }
        match payload.split_first() {
            Some((&AUTH_SWITCH, rest)) => self.switch(rest).map(ClientStep::Send),
            Some((&AUTH_MORE_DATA, rest)) => self.more_data(rest),
            Some((0x00 | 0xFF, _)) => Ok(ClientStep::Finished),
            _ => Err(Malformed("not an authentication packet").into()),
        }
    }

    fn switch(&mut self, rest: &[u8]) -> Result<Vec<u8>, AuthError> {
        let mut reader = Reader::new(rest);
        if reader.is_empty() {
            return Err(AuthError::UnsupportedPlugin("mysql_old_password".into()));
        }
        let name = String::from_utf8_lossy(reader.nul_bytes()?).into_owned();
        let data = reader.take_rest();
        let data = data.strip_suffix(&[0]).unwrap_or(data);
        self.plugin = Plugin::from_name(&name).ok_or(AuthError::UnsupportedPlugin(name))?;
        match <[u8; Scramble::LEN]>::try_from(data) {
            Ok(bytes) => self.scramble = Scramble::from_bytes(bytes),
            Err(_) if self.plugin == Plugin::ClearPassword => {}
            Err(_) => return Err(Malformed("the challenge has not 20 bytes").into()),
        }
        self.answer()
    }

    /// The answer to a challenge by the plugin of the moment.
    fn answer(&mut self) -> Result<Vec<u8>, AuthError> {
        let password = match (&self.secret, self.plugin) {
            (LoginSecret::Password(password), _) => password,
            (LoginSecret::NativeKey(key), Plugin::NativePassword) => {
                return Ok(native::response_by_key(key, &self.scramble));
            }
            (LoginSecret::NativeKey(_), plugin) => return Err(AuthError::PasswordUnknown(plugin.name())),
        };
        match self.plugin {
            Plugin::NativePassword => Ok(native::response(password.as_bytes(), &self.scramble)),
            Plugin::CachingSha2Password => Ok(sha2::response(password.as_bytes(), &self.scramble)),
            Plugin::Sha256Password if password.is_empty() => Ok(vec![0]),
            Plugin::Sha256Password => self.full_password(SHA256_PUBLIC_KEY_REQUEST),
            Plugin::ClearPassword => Err(AuthError::ClearPasswordRefused),
        }
    }

    fn more_data(&mut self, data: &[u8]) -> Result<ClientStep, AuthError> {
        match (self.plugin, data) {
            (Plugin::CachingSha2Password, [FAST_AUTH_OK]) => Ok(ClientStep::Wait),
            (Plugin::CachingSha2Password, [FULL_AUTH]) => {
                self.full_password(PUBLIC_KEY_REQUEST).map(ClientStep::Send)
            }
            (Plugin::CachingSha2Password | Plugin::Sha256Password, pem) if self.key_requested => {
                self.key_requested = false;
                rsa::encrypt(self.password()?.as_bytes(), &self.scramble, pem).map(ClientStep::Send)
            }
            _ => Err(Malformed("unexpected authentication data").into()),
        }
    }

    /// The password in full: as it is where nobody listens, else the request for the server's key.
    fn full_password(&mut self, key_request: u8) -> Result<Vec<u8>, AuthError> {
        let trusted = if self.plugin == Plugin::Sha256Password { self.encrypted } else { self.secure };
        if trusted {
            return Ok(clear(self.password()?));
        }
        self.key_requested = true;
        Ok(vec![key_request])
    }

    fn password(&self) -> Result<&Zeroizing<String>, AuthError> {
        match &self.secret {
            LoginSecret::Password(password) => Ok(password),
            LoginSecret::NativeKey(_) => Err(AuthError::PasswordUnknown(self.plugin.name())),
        }
    }
}

fn clear(password: &str) -> Vec<u8> {
    let mut out = Vec::with_capacity(password.len() + 1);
    out.extend_from_slice(password.as_bytes());
    out.push(0);
    out
}

impl std::fmt::Debug for ClientAuth {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ClientAuth")
            .field("secure", &self.secure)
            .field("plugin", &self.plugin)
            .field("packets", &self.packets)
            .finish_non_exhaustive()
    }
}
