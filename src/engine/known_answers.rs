//! What drivers ask when they connect (`SELECT @@a AS x, …`, `SHOW VARIABLES LIKE`, `SELECT DATABASE()`), answered
//! without a server connection: as a server has just answered a session that looks the same.
//!
//! Nothing is made up here: names, types, flags and charsets are the server's own. Only questions are kept whose
//! answer follows from the session's image and from what a server is started with; all others go to the server.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use foldhash::fast::FixedState;
use parking_lot::Mutex;
use xxhash_rust::xxh3::Xxh3;

use crate::backend::{ResultSet, Told};
use crate::engine::admission::{self, end_permit};
use crate::engine::definitions::SETTING_BELIEVED_MAX;
use crate::engine::error::EngineError;
use crate::engine::facts::Facts;
use crate::engine::known_executions::Remembered;
use crate::engine::relay::Outcome;
use crate::engine::session::Session;
use crate::protection;
use crate::sql::{Effects, Kind, LexMode, SessionValues, ShowKind, Statement, connect_question, substitute};
use crate::telemetry::StatementContext;
use crate::wire::{HEADER_BYTES, Header, StatusFlags};

/// Answers that a worker keeps; beyond it it begins anew.
const ANSWERS_MAX: usize = 512;

/// Bytes of a question that is looked at. Connector/J's has 800.
pub(crate) const QUESTION_BYTES_MAX: usize = 4 << 10;

/// An answer and when it was told.
#[derive(Clone, Debug)]
struct Known {
    answer: Arc<ResultSet>,
    status: StatusFlags,
    told: Told,
}

impl admission::Told for Option<Known> {
    fn outcome(&self) -> (protection::Outcome, Option<Duration>) {
        (protection::Outcome::Served, None)
    }
}

/// What a worker's sessions have been told.
#[derive(Debug)]
pub struct KnownAnswers {
    /// Only this worker's sessions use it, one at a time and never across an await: the lock is never contended and
    /// serves only to make it shareable.
    known: Mutex<HashMap<u128, Known, FixedState>>,
    /// The same of those that are prepared.
    remembered: Mutex<HashMap<u128, Remembered, FixedState>>,
    /// Clients choose the questions; a seed they do not know keeps them from choosing collisions.
    seed: u64,
}

impl KnownAnswers {
    /// Nothing yet.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        Self { known: Mutex::default(), remembered: Mutex::default(), seed }
    }

    /// A reply to a question that was prepared.
    pub(crate) fn recall(&self, key: u128) -> Option<Remembered> {
        self.remembered.lock().get(&key).cloned()
    }

    /// Keeps such a reply.
    pub(crate) fn remember(&self, key: u128, reply: Remembered) {
        let mut all = self.remembered.lock();
        if all.len() >= ANSWERS_MAX {
            all.clear();
        }
        all.insert(key, reply);
    }

    fn learn(&self, key: u128, known: Known) {
        let mut all = self.known.lock();
        if all.len() >= ANSWERS_MAX {
            all.clear();
        }
        all.insert(key, known);
    }
}

/// Effects that such a question may have.
const ASKING: Effects =
    Effects::READS_SYSTEM_VARIABLE.with(Effects::SELECT_VARIABLES).with(Effects::READS_SOCKET);

/// Whether statements of this digest, of which `text` is one, may be such questions.
pub(crate) fn may_be_known(statement: &Statement, text: &[u8], mode: LexMode) -> bool {
    if !statement.effects.without(ASKING).is_empty() {
        return false;
    }
    match statement.kind {
        Kind::Show(ShowKind::Variables) => true,
        Kind::Select => text.len() <= QUESTION_BYTES_MAX && connect_question(text, mode),
        _ => false,
    }
}

impl Session {
    /// Answers the COM_QUERY at the front of the client's input, if its answer is known or can be kept. False: it is
    /// to be sent like any other statement.
    pub(crate) async fn answer_known(
        &mut self,
        facts: &Facts,
        header: Header,
        context: &mut StatementContext<'_>,
    ) -> Result<bool, EngineError> {
        let statement = &facts.statement;
        if !self.knows_by_itself() {
            return Ok(false);
        }
        let text = self.query_text(header);
        if header.length > QUESTION_BYTES_MAX || !connect_question(text, self.state.mode) {
            return Ok(false);
        }
        let text = text.to_vec();
        let key = self.question_key(&text, b"");
        let worker = Arc::clone(&self.worker);
        let known = worker.answers.known.lock().get(&key).cloned();
        let known =
            match known.filter(|known| self.engine.definitions.holds(known.told, SETTING_BELIEVED_MAX)) {
                Some(known) => known,
                None => match self.ask_admitted(facts, &text, context).await {
                    Ok(Some(known)) => {
                        worker.answers.learn(key, known.clone());
                        known
                    }
                    Ok(None) => return Ok(false),
                    Err(error) => {
                        self.skip_command(header).await?;
                        return Err(error);
                    }
                },
            };
        self.client.stream.input.consume(HEADER_BYTES + header.length);
        self.state.status = known.status;
        let bytes = self.frame_rows(&known.answer);
        self.state.status = known.status.without(StatusFlags::OF_ONE_RESULT);
        let rows = known.answer.rows.len() as u64;
        let outcome = Outcome { status: known.status, row_count: -1, rows, results: 1, ..Outcome::default() };
        self.count(statement, &outcome);
        self.witness.queried_between();
        self.client.send(&bytes).await?;
        Ok(true)
    }

    /// Whether such a question may be answered here.
    pub(crate) fn knows_by_itself(&self) -> bool {
        // What the statement before left is the server's to tell: MariaDB keeps it over such a question.
        let clean = self.state.warnings == 0 && self.diagnostics.is_none() && self.client.owed.is_empty();
        // Rules may have something to say about it.
        let free = self.engine.admission.revision() == 0;
        free && clean && !self.is_bound() && self.place.is_none() && !self.expired
    }

    /// Everything that the answer depends on; `form`: in which it is given.
    pub(crate) fn question_key(&self, text: &[u8], form: &[u8]) -> u128 {
        let mut hash = Xxh3::with_seed(self.worker.answers.seed);
        hash.update(self.user.backend.address().as_bytes());
        hash.update(&[0]);
        hash.update(self.user.name.as_bytes());
        hash.update(&[0]);
        hash.update(&self.state.image.key().to_le_bytes());
        hash.update(&[self.profile().bits()]);
        hash.update(&(form.len() as u64).to_le_bytes());
        hash.update(form);
        hash.update(text);
        hash.digest128()
    }

    /// Asks the server, past its door.
    async fn ask_admitted(
        &mut self,
        facts: &Facts,
        text: &[u8],
        context: &mut StatementContext<'_>,
    ) -> Result<Option<Known>, EngineError> {
        let permit = self.admit_prepare(facts, text, context.started()).await?;
        let result = self.ask_kept(&facts.statement, text, context).await;
        end_permit(permit, &result);
        result
    }

    /// Asks the server. `None`: its answer is not one to be kept, and the client has to hear it from the server itself.
    async fn ask_kept(
        &mut self,
        statement: &Statement,
        text: &[u8],
        context: &mut StatementContext<'_>,
    ) -> Result<Option<Known>, EngineError> {
        let text = if statement.effects.contains(Effects::READS_SOCKET) {
            match substitute(text, self.state.mode, &SessionValues::default()) {
                Some(text) => text,
                None => return Ok(None),
            }
        } else {
            text.to_vec()
        };
        let waited = self.acquire(context.started()).await?;
        context.leased(waited);
        let told = self.engine.definitions.told();
        let lease = self.lease.as_mut().expect("acquired just before");
        let Ok((answer, warnings)) = lease.ask_bytes(&text).await else {
            // Asked again in the usual way, the server's error is the client's.
            self.keep_if_known();
            return Ok(None);
        };
        let status = lease.status;
        self.witness.queried_between();
        self.mark_and_release();
        let plain = warnings == 0 && !answer.columns.is_empty() && !status.has(StatusFlags::IN_TRANS);
        Ok(plain.then(|| Known { answer: Arc::new(answer), status, told }))
    }
}
