//! The authentication plugins this proxy knows.

/// An authentication plugin, by its name on the wire.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Plugin {
    /// `mysql_native_password`: SHA1, the only one of MariaDB's defaults that every driver has.
    NativePassword,
    /// `caching_sha2_password`: MySQL's default since 8.0.
    CachingSha2Password,
    /// `sha256_password`: its predecessor without the fast path; only towards servers.
    Sha256Password,
    /// `mysql_clear_password`: the password itself. Known in order to be refused by its name.
    ClearPassword,
}

impl Plugin {
    /// The plugin called `name`.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        [Self::NativePassword, Self::CachingSha2Password, Self::Sha256Password, Self::ClearPassword]
            .into_iter()
            .find(|plugin| plugin.name() == name)
    }

    /// Its name on the wire.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::NativePassword => "mysql_native_password",
            Self::CachingSha2Password => "caching_sha2_password",
            Self::Sha256Password => "sha256_password",
            Self::ClearPassword => "mysql_clear_password",
        }
    }
}
