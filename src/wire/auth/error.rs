//! What can go wrong while we log in to a server, beside its own ERR packet.

use crate::error::Blame;
use crate::error::ProxyError;
use crate::error::SqlError;
use crate::wire::Malformed;

/// A login to a server that cannot go on.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AuthError {
    /// The server asks for a plugin that this proxy does not have.
    #[error("the server asks for the authentication plugin {0}, which is not supported")]
    UnsupportedPlugin(String),
    /// The server asks for the password itself where that is not allowed or not safe.
    #[error("the server asks for the password in clear text, which is not allowed here")]
    ClearPasswordRefused,
    /// The server's public key is none, or none that we can use.
    #[error("the server's rsa public key cannot be used")]
    BadPublicKey,
    /// Only `mysql_native_password` can be answered with what is known of the password.
    #[error("the server asks for {0}, and of the password only its hash for mysql_native_password is known")]
    PasswordUnknown(&'static str),
    /// The password does not fit into one encrypted block.
    #[error("the password is too long for rsa encryption without tls")]
    PasswordTooLong,
    /// The server's packet is not what the plugin's exchange demands.
    #[error(transparent)]
    Malformed(#[from] Malformed),
}

impl ProxyError for AuthError {
    fn blame(&self) -> Blame {
        match self {
            Self::UnsupportedPlugin(_) | Self::BadPublicKey | Self::Malformed(_) => Blame::Backend,
            Self::ClearPasswordRefused | Self::PasswordTooLong | Self::PasswordUnknown(_) => Blame::Proxy,
        }
    }

    fn retryable(&self) -> bool {
        false
    }

    fn sql_error(&self) -> SqlError {
        match self {
            Self::UnsupportedPlugin(_) | Self::ClearPasswordRefused | Self::PasswordUnknown(_) => {
                SqlError::new(2059, "HY000", format!("server login failed: {self}"))
            }
            Self::BadPublicKey | Self::PasswordTooLong => {
                SqlError::new(2061, "HY000", format!("server login failed: {self}"))
            }
            Self::Malformed(_) => SqlError::new(2027, "HY000", format!("server login failed: {self}")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_error_says_who_is_to_blame_and_what_the_client_sees() {
        for (error, blame, code) in [
            (AuthError::UnsupportedPlugin("dialog".into()), Blame::Backend, 2059),
            (AuthError::ClearPasswordRefused, Blame::Proxy, 2059),
            (AuthError::PasswordUnknown("caching_sha2_password"), Blame::Proxy, 2059),
            (AuthError::BadPublicKey, Blame::Backend, 2061),
            (AuthError::PasswordTooLong, Blame::Proxy, 2061),
            (AuthError::Malformed(Malformed("unexpected end")), Blame::Backend, 2027),
        ] {
            assert_eq!((error.blame(), error.sql_error().code), (blame, code));
            assert!(!error.retryable());
        }
    }
}
