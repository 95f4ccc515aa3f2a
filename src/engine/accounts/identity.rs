//! One account that somebody has logged in with.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use crate::backend::Keyring;
use crate::backend::accounts::{Account, Verifier};
use crate::config::{self, Password};
use crate::engine::accounts::Lineage;
use crate::engine::snapshot::User;
use crate::wire::auth::LoginSecret;
use crate::wire::tls::TlsError;

/// See the module's text.
#[derive(Debug)]
pub(super) struct Identity {
    pub(super) user: Arc<User>,
    keyring: Arc<Keyring>,
    /// As it was when it was looked at last.
    pub(super) account: Account,
    /// What clients have proved, each against the verifier that it was right for. One, or two while a password is
    /// being replaced by another.
    secrets: Vec<(Verifier, LoginSecret)>,
    /// When somebody logged in, or was seen to be logged in.
    pub(super) used: Instant,
    /// The server has let it in, as it is now.
    pub(super) confirmed: bool,
}

impl Identity {
    pub(super) fn new(
        user: Arc<User>,
        keyring: Arc<Keyring>,
        account: Account,
        proved: (Verifier, LoginSecret),
    ) -> Self {
        Self { user, keyring, account, secrets: vec![proved], used: Instant::now(), confirmed: false }
    }

    /// The same account with another pool: that of changed settings.
    pub(super) fn moved(
        &self,
        open: impl FnOnce(Arc<Keyring>, Lineage) -> Result<Arc<User>, TlsError>,
    ) -> Result<Self, TlsError> {
        let newest = self.secrets.first().map(|(_, secret)| secret.clone());
        let keyring = Keyring::new(newest.unwrap_or_else(|| LoginSecret::password("")));
        let lineage = self.user.account.unwrap_or(Lineage(u64::MAX));
        Ok(Self {
            user: open(Arc::clone(&keyring), lineage)?,
            keyring,
            account: self.account.clone(),
            secrets: self.secrets.clone(),
            used: self.used,
            confirmed: false,
        })
    }

    /// Compares with what the server has now. False: none of the known passwords is right any more, so nobody knows
    /// whether it is still the same account. Connections that were logged in before a change are not lent again.
    pub(super) fn look(&mut self, account: &Account) -> bool {
        let grants = match (self.account.grants, account.grants) {
            (Some(before), Some(now)) => before != now,
            _ => false,
        };
        let changed = grants || self.account.stamp != account.stamp;
        let grants = account.grants.or(self.account.grants);
        self.account = account.clone().with_grants(grants);
        if changed {
            self.secrets.retain(|(verifier, _)| account.place(verifier).is_some());
            self.choose();
            self.confirmed = false;
            self.user.pool.close_all_idle();
        }
        !self.secrets.is_empty()
    }

    /// A client has proved another password, or the same one again.
    pub(super) fn learn(&mut self, verifier: Verifier, secret: LoginSecret) {
        self.used = Instant::now();
        if self.secrets.iter().any(|(known, proved)| *known == verifier && *proved == secret) {
            return;
        }
        self.secrets.retain(|(known, _)| *known != verifier);
        self.secrets.push((verifier, secret));
        self.choose();
    }

    /// The current password goes before the one that it replaces.
    fn choose(&mut self) {
        let account = &self.account;
        self.secrets.sort_by_key(|(verifier, _)| account.place(verifier).unwrap_or(usize::MAX));
        self.keyring.change(self.secrets.first().map(|(_, secret)| secret.clone()));
    }

    /// Nobody is logged in with it.
    pub(super) fn is_free(&self) -> bool {
        Arc::strong_count(&self.user) == 1
    }

    /// Whether nobody has been logged in for `idle_timeout`.
    pub(super) fn is_unused(&mut self, now: Instant, idle_timeout: Duration) -> bool {
        if !self.is_free() {
            self.used = now;
        }
        now.saturating_duration_since(self.used) >= idle_timeout
    }

    /// Its pool ends: connections are closed, those in use when they come back.
    pub(super) fn retire(&self) {
        self.user.pool.drain();
    }
}

/// The settings of an account: what a declared user has by default.
pub(super) fn settings(cluster: &str, require_tls: bool) -> config::User {
    config::User {
        // No password is right for it here: it is checked against what the server has.
        password: Password::Verifier(config::Verifier::Sha2(Vec::new())),
        cluster: cluster.to_owned(),
        schema: None,
        server_user: None,
        server_password: None,
        connections_max: 0,
        leases_max: 0,
        dedicated: 0,
        pinned_max: Duration::ZERO,
        require_tls,
        hints: Vec::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::settings;
    use crate::config::{Password, Verifier};

    #[test]
    fn no_password_of_the_configuration_is_right_for_an_account() {
        let password = settings("main", false).password;
        assert_eq!(password, Password::Verifier(Verifier::Sha2(Vec::new())));
        assert!(crate::wire::auth::Sha2Verifier::parse(&[]).is_err());
    }
}
