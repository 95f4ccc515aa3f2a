//! What a client is checked against, and the stand-in for users that do not exist.

use rand::CryptoRng;
use zeroize::Zeroizing;

use crate::wire::auth::Sha2Verifier;
use crate::wire::auth::native;
use crate::wire::auth::plugin::Plugin;
use crate::wire::auth::sha2;

/// How one user proves itself: one login's own copy.
#[derive(Clone)]
pub enum Credential {
    /// By an empty response, with either plugin.
    Empty,
    /// By this password, with either plugin.
    Plain(Zeroizing<String>),
    /// By a password behind one of these SHA1(SHA1(password)), with `mysql_native_password`.
    Native(Vec<[u8; native::LEN]>),
    /// By a password behind one of these stored strings, with `caching_sha2_password`.
    Sha2(Vec<Sha2Verifier>),
}

impl Credential {
    /// Of an account that does not exist, of the kind that MariaDB's have.
    #[must_use]
    pub fn unknown_native() -> Self {
        Self::Native(vec![[0; native::LEN]])
    }

    /// Of an account that does not exist, of the kind that MySQL's have; `rounds` is what a check costs.
    #[must_use]
    pub fn unknown_sha2(rounds: u32) -> Self {
        Self::Sha2(vec![Sha2Verifier::unknown([0; 52], rounds)])
    }

    /// The plugin that can check it, given the client's own choice where both can.
    pub(super) fn plugin(&self, guess: Option<Plugin>, default: Plugin) -> Plugin {
        match self {
            Self::Native(_) => Plugin::NativePassword,
            Self::Sha2(_) => Plugin::CachingSha2Password,
            Self::Empty | Self::Plain(_) => match guess.unwrap_or(default) {
                plugin @ (Plugin::NativePassword | Plugin::CachingSha2Password) => plugin,
                // Neither is ever asked of a client: one is obsolete, the other shows the password.
                Plugin::Sha256Password | Plugin::ClearPassword => default,
            },
        }
    }
}

impl std::fmt::Debug for Credential {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Empty => "Empty",
            Self::Plain(_) => "Plain(…)",
            Self::Native(_) => "Native(…)",
            Self::Sha2(_) => "Sha2(…)",
        })
    }
}

/// Credentials for users that do not exist, so that their logins take the same steps, and as long, as
/// those of users that do.
///
/// Each unknown name always gets the same kind of credential, one that a configured user has (a client
/// sees the kind by the authentication switch); its secret is random, so nothing proves itself.
#[derive(Clone, Debug)]
pub struct Decoys {
    key: [u8; 32],
    kinds: Vec<Kind>,
}

#[derive(Clone, Copy, Debug)]
enum Kind {
    Plain,
    Native,
    Sha2 { rounds: u32 },
}

impl Decoys {
    /// Stand-ins that look like `credentials`, those of the configured users. Accounts without password
    /// are not imitated: whoever tries one gets in and knows.
    #[must_use]
    pub fn new<'a>(credentials: impl IntoIterator<Item = &'a Credential>, rng: &mut impl CryptoRng) -> Self {
        let mut key = [0; 32];
        rng.fill_bytes(&mut key);
        let kinds = credentials.into_iter().filter_map(|credential| match credential {
            Credential::Empty => None,
            Credential::Plain(_) => Some(Kind::Plain),
            Credential::Native(_) => Some(Kind::Native),
            Credential::Sha2(verifiers) => {
                verifiers.first().map(|verifier| Kind::Sha2 { rounds: verifier.rounds() })
            }
        });
        Self { key, kinds: kinds.collect() }
    }

    /// The stand-in for `user`.
    pub fn credential(&self, user: &str, rng: &mut impl CryptoRng) -> Credential {
        let mut random = [0; 52];
        rng.fill_bytes(&mut random);
        match self.kind(user) {
            Kind::Plain => {
                let text = random.iter().map(|byte| char::from(byte & 0x3F | 0x40)).collect();
                Credential::Plain(Zeroizing::new(text))
            }
            Kind::Native => {
                let mut stage2 = [0; native::LEN];
                stage2.copy_from_slice(&random[..native::LEN]);
                Credential::Native(vec![stage2])
            }
            Kind::Sha2 { rounds } => Credential::Sha2(vec![Sha2Verifier::unknown(random, rounds)]),
        }
    }

    fn kind(&self, user: &str) -> Kind {
        let hash = sha2::sha256(&[&self.key, user.as_bytes()]);
        let mut head = [0; 8];
        head.copy_from_slice(&hash[..8]);
        let count = self.kinds.len().max(1) as u64;
        let index = (u64::from_le_bytes(head) % count) as usize;
        self.kinds.get(index).copied().unwrap_or(Kind::Plain)
    }
}

#[cfg(test)]
mod tests {
    use rand::SeedableRng;
    use rand::rngs::StdRng;

    use super::*;

    #[test]
    fn an_unknown_name_always_looks_like_the_same_kind_of_user() {
        let mut rng = StdRng::seed_from_u64(1);
        let known = [
            Credential::Empty,
            Credential::Native(vec![[1; 20]]),
            Credential::Sha2(vec![Sha2Verifier::unknown([2; 52], 10_000)]),
        ];
        let decoys = Decoys::new(&known, &mut rng);
        let mut natives = 0;
        for n in 0..200 {
            let user = format!("user{n}");
            let first = decoys.credential(&user, &mut rng);
            let again = decoys.credential(&user, &mut rng);
            match (first, again) {
                (Credential::Native(a), Credential::Native(b)) => {
                    assert_ne!(a, b, "the secret is random");
                    natives += 1;
                }
                (Credential::Sha2(a), Credential::Sha2(b)) => {
                    assert_eq!((a[0].rounds(), b[0].rounds()), (10_000, 10_000));
                    assert_ne!(a, b);
                }
                other => panic!("{other:?}"),
            }
        }
        assert!((50..150).contains(&natives), "both kinds are imitated: {natives}");
    }

    #[test]
    fn without_any_known_user_a_stand_in_has_a_plain_password() {
        let mut rng = StdRng::seed_from_u64(1);
        let decoys = Decoys::new([], &mut rng);
        assert!(matches!(decoys.credential("app", &mut rng), Credential::Plain(text) if text.len() == 52));
    }
}
