//! What drivers ask when they connect, prepared: both the PREPARE and its execution are answered as a server has lately
//! answered a session that looks the same, without a server connection.

use std::sync::Arc;

use crate::backend::{PrepareReply, PreparedKey, Told};
use crate::cache::Recording;
use crate::engine::definitions::SETTING_BELIEVED_MAX;
use crate::engine::error::EngineError;
use crate::engine::facts::Facts;
use crate::engine::known_answers::QUESTION_BYTES_MAX;
use crate::engine::relay::Outcome;
use crate::engine::session::Session;
use crate::engine::statement::is_whole;
use crate::sql::connect_question;
use crate::wire::{Capabilities, HEADER_BYTES, Header, StatusFlags};

/// Bytes of a reply that is kept.
const REPLY_BYTES_MAX: usize = 8 << 10;

/// A reply that a worker remembers.
#[derive(Clone, Debug)]
pub(crate) enum Remembered {
    /// To a PREPARE.
    Prepared(Arc<PrepareReply>, Told),
    /// To an execution, as it goes on the wire; the session's status with it, and how many rows it has.
    Executed { bytes: Arc<[u8]>, status: StatusFlags, rows: u64, told: Told },
}

/// A question whose answer can be kept.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Question {
    key: u128,
    told: Told,
}

impl Session {
    /// The PREPARE of such a question.
    pub(crate) fn prepared_question(&self, facts: &Facts, key: &PreparedKey) -> Option<Question> {
        let known =
            self.may_be_answered_here(facts, &key.text).then(|| self.question_key(&key.text, b"prepare"));
        Some(Question { key: known?, told: self.engine.definitions.told() })
    }

    /// What a server has lately told of it.
    pub(crate) fn known_preparation(&self, question: Option<Question>) -> Option<Arc<PrepareReply>> {
        match self.remembered(question?.key)? {
            Remembered::Prepared(reply, _) => Some(reply),
            Remembered::Executed { .. } => None,
        }
    }

    /// Remembers what a server has told of it.
    pub(crate) fn learn_preparation(&self, question: Option<Question>, reply: &Arc<PrepareReply>) {
        if let Some(Question { key, told }) =
            question.filter(|_| reply.warnings == 0 && reply.parameters == 0)
        {
            self.worker.answers.remember(key, Remembered::Prepared(Arc::clone(reply), told));
        }
    }

    /// The execution at the front of the client's input, if it is that of such a question.
    pub(crate) fn executed_question(&mut self, id: u32, facts: &Facts, header: Header) -> Option<Question> {
        let statement = self.statement(id)?;
        let plain = statement.parameters == 0 && !statement.long_data && !statement.cursor;
        let (text, meaning) = (Arc::clone(&statement.key.text), statement.image.key().to_le_bytes());
        let whole = is_whole(&self.client.stream.input, header) && header.length <= QUESTION_BYTES_MAX;
        if !plain || !whole || !self.may_be_answered_here(facts, &text) {
            return None;
        }
        let ends = u8::from(self.client.capabilities.has(Capabilities::DEPRECATE_EOF));
        let key = self.question_key(&text, &[&b"execute"[..], &[ends], &meaning].concat());
        Some(Question { key, told: self.engine.definitions.told() })
    }

    /// Answers an execution from memory. False: it is to be sent, and its reply recorded.
    pub(crate) async fn answer_execution(
        &mut self,
        question: Question,
        facts: &Facts,
        header: Header,
    ) -> Result<bool, EngineError> {
        let Some(Remembered::Executed { bytes, status, rows, .. }) = self.remembered(question.key) else {
            self.client.recording = Some(Box::new(Recording::new(REPLY_BYTES_MAX)));
            return Ok(false);
        };
        self.client.stream.input.consume(HEADER_BYTES + header.length);
        self.state.status = status.without(StatusFlags::OF_ONE_RESULT);
        let outcome = Outcome { status, row_count: -1, rows, results: 1, ..Outcome::default() };
        self.count(&facts.statement, &outcome);
        self.witness.queried_between();
        self.client.send(&bytes).await?;
        Ok(true)
    }

    /// Remembers the reply that has been recorded, if it can be given again.
    pub(crate) fn learn_execution(&mut self, question: Question, outcome: Option<&Outcome>) {
        let recorded = self.client.recording.take().and_then(|recording| recording.finish());
        let (Some(bytes), Some(outcome)) = (recorded, outcome) else { return };
        let plain = outcome.error.is_none()
            && outcome.warnings == 0
            && outcome.results == 1
            && !outcome.changes.any()
            && !outcome.status.has(StatusFlags::IN_TRANS)
            && !outcome.status.has(StatusFlags::METADATA_CHANGED);
        if plain {
            let (status, rows) = (outcome.status, outcome.rows);
            let executed = Remembered::Executed { bytes: bytes.into(), status, rows, told: question.told };
            self.worker.answers.remember(question.key, executed);
        }
    }

    fn remembered(&self, key: u128) -> Option<Remembered> {
        let found = self.worker.answers.recall(key)?;
        let (Remembered::Prepared(_, told) | Remembered::Executed { told, .. }) = found;
        self.engine.definitions.holds(told, SETTING_BELIEVED_MAX).then_some(found)
    }

    fn may_be_answered_here(&self, facts: &Facts, text: &[u8]) -> bool {
        facts.connect_question && self.knows_by_itself() && connect_question(text, self.state.mode)
    }
}
