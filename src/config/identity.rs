//! Who a client user is towards the servers: client identity and server identity are two things.

use crate::config::{Config, Password, Secret};

/// User and password of a login to a server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServerIdentity {
    /// The user name.
    pub user: String,
    /// The password; may be empty.
    pub password: Secret,
}

impl Config {
    /// What the sessions of client user `name` log in to the servers as.
    ///
    /// The first of these that says anything, whole: the user's `server_user` and `server_password`; the
    /// cluster's; the client's own name and password. A missing half is the client's own. None for an
    /// unknown user, or where only a verifier is known, which a loaded configuration never has.
    #[must_use]
    pub fn server_identity(&self, name: &str) -> Option<ServerIdentity> {
        self.server_identity_on(name, &self.users.get(name)?.cluster)
    }

    /// The same on a cluster that is not the user's own.
    #[must_use]
    pub fn server_identity_on(&self, name: &str, cluster: &str) -> Option<ServerIdentity> {
        let user = self.users.get(name)?;
        let (server_user, server_password) = if user.server_user.is_some() || user.server_password.is_some() {
            (&user.server_user, &user.server_password)
        } else {
            let cluster = self.clusters.get(cluster)?;
            (&cluster.server_user, &cluster.server_password)
        };
        let password = match (server_password, &user.password) {
            (Some(password), _) => password.clone(),
            (None, Password::Plain(password)) => password.clone(),
            (None, Password::Empty) => Secret::new(""),
            (None, Password::Verifier(_)) => return None,
        };
        Some(ServerIdentity { user: server_user.as_deref().unwrap_or(name).to_owned(), password })
    }
}
