//! From configured passwords to what logins are checked against.

use zeroize::Zeroizing;

use crate::config::Password;
use crate::config::Verifier;
use crate::wire::Malformed;
use crate::wire::auth::Credential;
use crate::wire::auth::Sha2Verifier;

/// What a login of a user with this password is checked against: one login's own copy.
///
/// # Errors
/// A stored `caching_sha2_password` string that is none; the configuration refuses it earlier.
pub fn credential_of(password: &Password) -> Result<Credential, Malformed> {
    Ok(match password {
        Password::Empty => Credential::Empty,
        Password::Plain(secret) if secret.reveal().is_empty() => Credential::Empty,
        Password::Plain(secret) => Credential::Plain(Zeroizing::new(secret.reveal().to_owned())),
        Password::Verifier(Verifier::Native(stage2)) => Credential::Native(vec![*stage2]),
        Password::Verifier(Verifier::Sha2(stored)) => Credential::Sha2(vec![Sha2Verifier::parse(stored)?]),
    })
}

#[cfg(test)]
mod tests {
    use crate::config::Secret;

    use super::*;

    #[test]
    fn every_password_becomes_its_credential() {
        let stored = [&b"$A$005$"[..], &[b's'; 20], &[b'h'; 43]].concat();
        for (password, expected) in [
            (Password::Empty, "Ok(Empty)"),
            (Password::Plain(Secret::new("")), "Ok(Empty)"),
            (Password::Plain(Secret::new("x")), "Ok(Plain(…))"),
            (Password::Verifier(Verifier::Native([1; 20])), "Ok(Native(…))"),
            (Password::Verifier(Verifier::Sha2(stored)), "Ok(Sha2(…))"),
        ] {
            assert_eq!(format!("{:?}", credential_of(&password)), expected);
        }
        assert!(credential_of(&Password::Verifier(Verifier::Sha2(b"$A$".to_vec()))).is_err());
    }
}
