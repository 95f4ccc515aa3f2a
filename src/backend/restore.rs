//! Giving a server connection the look of a session: by what differs, by a reset, by another login.

use std::sync::Arc;

use tokio::time::timeout;

use crate::backend::answer::{ANSWER_BYTES_MAX, expect_ok, read_rows};
use crate::backend::conn::{BackendConn, Condition, query, tracking};
use crate::backend::error::BackendError;
use crate::backend::facts::Flavor;
use crate::backend::image::{SessionImage, Transition, set_role};
use crate::backend::role::{CURRENT_ROLE, role_setting};
use crate::wire::{ErrPacket, code, frame};

impl BackendConn {
    /// Makes the server's session look like `image`, in one round trip at most. On any error but the
    /// server's refusal of a value the connection is broken.
    pub async fn adopt(&mut self, image: &Arc<SessionImage>) -> Result<(), BackendError> {
        if image.key() == self.image.key() {
            return Ok(());
        }
        let mut from = Arc::clone(&self.image);
        let mut commands = Vec::new();
        if image.role().is_none()
            && from.role().is_some()
            && let Some(role) = &self.login_role
        {
            commands.push(set_role(role));
            from = Arc::new(from.with_role(None));
        }
        match image.transition_from(&from) {
            Transition::Nothing => {}
            Transition::Commands(others) => commands.extend(others),
            Transition::Relogin => {
                self.relogin().await?;
                commands = match image.transition_from(&self.image) {
                    Transition::Commands(commands) => commands,
                    Transition::Nothing | Transition::Relogin => Vec::new(),
                };
            }
        }
        if !commands.is_empty() {
            self.status = self.exchange(&commands).await?;
        }
        self.note_remnants(image);
        self.image = Arc::clone(image);
        Ok(())
    }

    /// User variables that `image` lacks have been set to NULL.
    fn note_remnants(&mut self, image: &SessionImage) {
        let left = self.image.user_variables().filter(|name| image.variable(&format!("@{name}")).is_none());
        let left: Vec<Box<str>> = left.map(Into::into).collect();
        self.remnants.extend(left);
        if !self.remnants.is_empty() {
            self.remnants.retain(|name| image.variable(&format!("@{name}")).is_none());
        }
    }

    /// Back to the state that the server resets a session to, whatever it held; the schema stays, and so do roles and
    /// what COM_SET_OPTION has set, on the server as here.
    pub async fn reset(&mut self) -> Result<(), BackendError> {
        self.reset_and(Vec::new()).await
    }

    /// The same, and to the roles that the login made active, whichever are by now.
    pub async fn renew(&mut self) -> Result<(), BackendError> {
        match self.login_role.as_deref().map(set_role) {
            Some(command) => {
                self.reset_and(vec![command]).await?;
                self.image = Arc::new(self.image.with_role(None));
                Ok(())
            }
            None => self.relogin().await,
        }
    }

    async fn reset_and(&mut self, more: Vec<Vec<u8>>) -> Result<(), BackendError> {
        let mut set = vec![code::QUERY];
        set.extend_from_slice(tracking(self.facts.flavor).as_bytes());
        self.prepared.clear();
        let schema = self.image.schema().map(<[u8]>::to_vec);
        let commands = [vec![vec![code::RESET_CONNECTION], set], more].concat();
        let status = self.exchange(&commands).await?;
        let reset = self.facts.reset.with_multi_statements(self.image.multi_statements());
        self.image = Arc::new(reset.with_schema(schema.as_deref()).with_role(self.image.role()));
        self.start_over();
        self.status = status;
        Ok(())
    }

    /// Logs in again on this connection: the only way to leave a schema without choosing another.
    async fn relogin(&mut self) -> Result<(), BackendError> {
        if self.facts.flavor == Flavor::MariaDb && self.image.role().is_some() {
            // There a role outlives COM_CHANGE_USER, unless the account has a default one.
            self.exchange(&[set_role(b"NONE")]).await?;
        }
        self.condition = Condition::Broken;
        self.prepared.clear();
        self.stream.reset_sequence();
        let limit = self.exchange_timeout;
        let login = Arc::clone(&self.login);
        let exchange = login.change_user(&mut self.stream, self.capabilities, &self.scramble);
        match timeout(limit, exchange).await.map_err(|_| BackendError::Timeout("COM_CHANGE_USER"))? {
            Err(BackendError::Server(packet)) if is_about_room(&packet) => {
                return Err(BackendError::NoRoom(packet));
            }
            result => result?,
        };
        self.start_over();
        self.begin_session().await?;
        // A login in the middle of a connection leaves what COM_SET_OPTION has set.
        let multi_statements = self.image.multi_statements();
        self.image = Arc::new(self.facts.fresh.with_multi_statements(multi_statements));
        Ok(())
    }

    /// What no session leaves behind on a connection that has been wiped.
    fn start_over(&mut self) {
        self.insert_id = 0;
        self.took_numbers = false;
        self.remnants.clear();
        self.condition = Condition::Ready;
    }

    /// Right after a login: what the server is to report from now on, and which roles are active. Servers that have no
    /// roles say so by an error.
    pub(super) async fn begin_session(&mut self) -> Result<(), BackendError> {
        let before = self.condition;
        self.condition = Condition::Broken;
        if !self.pipelines() {
            self.condition = before;
            self.ask(&tracking(self.facts.flavor)).await?;
            let told = match self.ask(CURRENT_ROLE).await {
                Ok(mut rows) => {
                    rows.pop().and_then(|mut row| row.pop()).map(|role| (self.facts.flavor, role))
                }
                Err(BackendError::Server(_)) => None,
                Err(error) => return Err(error),
            };
            self.login_role = told.and_then(|(flavor, role)| role_setting(flavor, role.as_deref()));
            return Ok(());
        }
        self.stream.reset_sequence();
        let mut bytes = Vec::new();
        for text in [&*tracking(self.facts.flavor), CURRENT_ROLE] {
            frame(&mut bytes, 0, &query(text.as_bytes(), self.capabilities));
        }
        let limit = self.exchange_timeout;
        let stream = &mut self.stream;
        let replies = async {
            stream.write_all(&bytes).await?;
            stream.sequence = 1;
            let tracked = expect_ok(&stream.read_payload(ANSWER_BYTES_MAX).await?);
            stream.sequence = 1;
            match read_rows(stream).await {
                Ok((answer, (status, _))) => Ok((tracked, Some((answer, status)))),
                Err(BackendError::Server(_)) => Ok((tracked, None)),
                Err(error) => Err(error),
            }
        };
        let result = timeout(limit, replies).await.map_err(|_| BackendError::Timeout("a session's start"))?;
        let (tracked, roles) = self.after(before, result)?;
        self.status = tracked?;
        self.login_role = None;
        if let Some((answer, status)) = roles {
            self.status = status;
            let told = answer.texts()?.pop().and_then(|mut row| row.pop()).flatten();
            self.login_role = role_setting(self.facts.flavor, told.as_deref());
        }
        Ok(())
    }

    /// The roles that the login made active, as SET ROLE takes them.
    pub(crate) fn login_role(&self) -> Option<&[u8]> {
        self.login_role.as_deref()
    }
}

/// Whether a login was refused for the number of connections: ER_TOO_MANY_USER_CONNECTIONS, or ER_USER_LIMIT_REACHED, which
/// is also said of statements in an hour.
fn is_about_room(packet: &ErrPacket) -> bool {
    let name = b"max_user_connections";
    packet.code == 1203 || packet.code == 1226 && packet.message.windows(name.len()).any(|at| at == name)
}
