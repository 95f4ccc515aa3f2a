//! What a login towards a server is made with: a password, or what a client's own login has shown of it.

use zeroize::Zeroizing;

use crate::wire::auth::native;

/// Enough to log in. Wiped when dropped.
#[derive(Clone, PartialEq, Eq)]
pub enum LoginSecret {
    /// The password itself: enough for every plugin. May be empty.
    Password(Zeroizing<String>),
    /// SHA1(password): enough for `mysql_native_password`, and for nothing else. A client that proves itself by
    /// that plugin shows it to whoever knows what the server has stored.
    NativeKey(Zeroizing<[u8; native::LEN]>),
}

impl LoginSecret {
    /// The secret of a known password.
    #[must_use]
    pub fn password(text: &str) -> Self {
        Self::Password(Zeroizing::new(text.to_owned()))
    }
}

impl std::fmt::Debug for LoginSecret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Password(_) => "Password(…)",
            Self::NativeKey(_) => "NativeKey(…)",
        })
    }
}
