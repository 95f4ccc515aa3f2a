//! Who a client may be that says a name: a user of the configuration, an account of the server, or nobody.

use std::sync::Arc;

use crate::engine::accounts::{Account, Accounts, locked, refusal, unreadable};
use crate::engine::{EngineError, Snapshot, User, pool_refusal};
use crate::error::ProxyError;
use crate::frontend::accept::Frontend;
use crate::frontend::credential::credential_of;
use crate::frontend::login::{Claim, LoginError, Memory, authenticate};
use crate::wire::auth::{Credential, Proof};
use crate::wire::{Capabilities, PacketStream};

/// A client that has proved itself.
struct Entry<'a> {
    proof: Proof,
    who: &'a str,
    /// It can change a password that has expired.
    may_expire: bool,
}

/// What a name may mean.
enum Candidate {
    Declared(Arc<User>),
    Account(Arc<Accounts>, Box<Account>),
    /// The exchange goes on as if there were such a user; of the kind that the server has, where its accounts may
    /// log in.
    Nobody(Option<Arc<Accounts>>),
}

/// Who a client has proved to be.
pub(crate) struct Identified {
    pub(crate) user: Arc<User>,
    /// It may do nothing but change its password.
    pub(crate) expired: bool,
}

/// Checks that the client is who it says, and tells who that is. The client has been sent everything but the OK.
pub(crate) async fn identify(
    stream: &mut PacketStream,
    frontend: &Frontend,
    claim: Claim<'_>,
) -> Result<Identified, LoginError> {
    let may_expire = claim.capabilities.has(Capabilities::CAN_HANDLE_EXPIRED_PASSWORDS);
    let snapshot = frontend.engine.snapshot();
    let candidate = Candidate::find(&snapshot, claim.user).await?;
    let claim = Claim { host: candidate.name_of_host(claim.host), ..claim };
    let security = frontend.security.load_full();
    let credential = candidate.credential()?;
    let memory = match &candidate {
        Candidate::Declared(_) | Candidate::Nobody(None) => {
            Memory { passwords: &security.sha2_cache, decoys: &security.decoys }
        }
        Candidate::Account(accounts, _) | Candidate::Nobody(Some(accounts)) => {
            Memory { passwords: accounts.passwords(), decoys: accounts.decoys() }
        }
    };
    let who = format!("'{}'@'{}'", claim.user, claim.host);
    let proof = authenticate(stream, claim, credential, &security, memory).await?;
    candidate.enter(frontend, Entry { proof, who: &who, may_expire }).await
}

impl Candidate {
    async fn find(snapshot: &Snapshot, name: &str) -> Result<Self, LoginError> {
        if let Some(user) = snapshot.user(name) {
            return Ok(Self::Declared(Arc::clone(user)));
        }
        let Some(accounts) = snapshot.accounts().cloned() else { return Ok(Self::Nobody(None)) };
        match accounts.look_up(name).await {
            Ok(Some(account)) => Ok(Self::Account(accounts, Box::new(account))),
            Ok(None) => Ok(Self::Nobody(Some(accounts))),
            Err(error) => Err(LoginError::Refused(unreadable(&error))),
        }
    }

    /// What errors call the client's host.
    fn name_of_host<'a>(&self, host: &'a str) -> &'a str {
        match self {
            Self::Account(accounts, _) | Self::Nobody(Some(accounts)) => accounts.name_of_host(host),
            Self::Declared(_) | Self::Nobody(None) => host,
        }
    }

    fn credential(&self) -> Result<Option<Credential>, LoginError> {
        match self {
            Self::Declared(user) => Ok(credential_of(&user.settings.password).ok()),
            Self::Account(_, account) => account.credential().map(Some).map_err(|plugin| {
                let text =
                    format!("DZ0301 an account with the plugin {plugin} cannot log in through this proxy");
                LoginError::refused(1251, "08004", text)
            }),
            Self::Nobody(_) => Ok(None),
        }
    }

    /// The client has proved itself. An account is let in if its server lets it in.
    async fn enter(self, frontend: &Frontend, entry: Entry<'_>) -> Result<Identified, LoginError> {
        let Entry { proof, who, may_expire } = entry;
        let (accounts, account) = match self {
            Self::Declared(user) => return Ok(Identified { user, expired: false }),
            // Decoys prove nothing.
            Self::Nobody(_) => return Err(LoginError::refused(1045, "28000", "Access denied")),
            Self::Account(accounts, account) => (accounts, account),
        };
        if account.locked {
            return Err(LoginError::Refused(locked(account.flavor, who)));
        }
        if account.expired && !may_expire {
            return Err(LoginError::Refused(refusal(Some(1862), account.flavor, who)));
        }
        let told = |error: EngineError| match pool_refusal(&error) {
            Some(code) => LoginError::Refused(refusal(code, account.flavor, who)),
            None => LoginError::Refused(error.sql_error()),
        };
        let user = accounts.admit(&account, proof).map_err(told)?;
        if account.expired {
            return Ok(Identified { user, expired: true });
        }
        accounts.confirm(&user, frontend.worker.id).await.map_err(told)?;
        Ok(Identified { user, expired: false })
    }
}
