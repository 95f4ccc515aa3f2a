//! The limit of a statement's time, told to the server as well: it ends the statement even if Dazzle cannot.
//!
//! Told in the statement itself, so that nothing is left behind on the connection and the session's variables are
//! what its client has set. Only plain reads: their texts can be preceded by a limit and mean the same.

use std::time::Duration;

use crate::backend::Flavor;
use crate::engine::cut::Bounds;
use crate::engine::session::Session;
use crate::engine::statement::Sending;
use crate::sql::{Access, Kind, Statement};
use crate::wire::{HEADER_BYTES, frame};

/// Dazzle's own KILL comes first, with an error that says why; the server is for the case that it does not come.
const LATER: Duration = Duration::from_secs(1);

/// Variables that the limit stands in; a statement that names one would see it.
const VARIABLES: [&[u8]; 2] = [b"max_statement_time", b"max_execution_time"];

impl Session {
    /// The packet that tells the server the limit too, in the place of the client's. What precedes the text there, its
    /// attributes, stays.
    pub(crate) fn limited_packet(&self, sending: &Sending<'_>) -> Option<Vec<u8>> {
        let max = sending.relay.bounds.allowance.time_max?;
        let own = |name: &[u8]| self.state.image.variable(&String::from_utf8_lossy(name)).is_some();
        if sending.header.length > crate::engine::statement::WHOLE_MAX
            || VARIABLES.iter().any(|name| own(name))
        {
            return None;
        }
        let text = self.query_text(sending.header);
        let payload = &self.client.stream.input.filled()[HEADER_BYTES..HEADER_BYTES + sending.header.length];
        let head = payload.strip_suffix(text)?;
        let text = limited(text, &sending.facts.statement, self.flavor(), max + LATER)?;
        let mut bytes = Vec::with_capacity(HEADER_BYTES + head.len() + text.len());
        frame(&mut bytes, 0, &[head, &text].concat());
        Some(bytes)
    }
}

impl Bounds {
    /// Whether a change of the variable `name` is the limit, which MariaDB reports as a change of the session though
    /// it ends with the statement. Never for a `SET` of the client's own.
    pub(crate) fn explains(&self, name: &str) -> bool {
        self.limited && name == "max_statement_time"
    }
}

/// `text` with a limit, if it is a plain read.
fn limited(text: &[u8], statement: &Statement, flavor: Flavor, max: Duration) -> Option<Vec<u8>> {
    const SELECT: usize = b"SELECT".len();
    let plain =
        statement.kind == Kind::Select && statement.access == Access::Read && statement.effects.is_empty();
    let text = text.trim_ascii_start();
    let verb = text.get(..SELECT).is_some_and(|verb| verb.eq_ignore_ascii_case(b"SELECT"));
    let rest = text.get(SELECT..).filter(|rest| rest.first().is_some_and(u8::is_ascii_whitespace))?;
    let names = |name: &[u8]| text.windows(name.len()).any(|part| part.eq_ignore_ascii_case(name));
    if !plain || !verb || VARIABLES.into_iter().any(names) {
        return None;
    }
    match flavor {
        Flavor::MariaDb => {
            let limit = format!("SET STATEMENT max_statement_time={:.3} FOR ", max.as_secs_f64());
            Some([limit.as_bytes(), text].concat())
        }
        // There is one place for hints, and this client has taken it.
        Flavor::MySql if rest.trim_ascii_start().starts_with(b"/*") => None,
        Flavor::MySql => {
            let limit = format!(" /*+ MAX_EXECUTION_TIME({}) */", max.as_millis());
            Some([&text[..SELECT], limit.as_bytes(), rest].concat())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sql::{LexMode, Server, analyze};

    fn check(text: &str, maria_db: Option<&str>, my_sql: Option<&str>) {
        for (flavor, server, expected) in [
            (Flavor::MariaDb, Server::from_version_text("10.11.0-MariaDB"), maria_db),
            (Flavor::MySql, Server::from_version_text("9.7.0"), my_sql),
        ] {
            let statement = analyze(text.as_bytes(), LexMode::new(server));
            let limited = limited(text.as_bytes(), &statement, flavor, Duration::from_millis(1_500));
            let limited = limited.map(|text| String::from_utf8(text).expect("as it was"));
            assert_eq!(limited.as_deref(), expected, "{text} on {flavor:?}");
        }
    }

    #[test]
    fn only_plain_reads_carry_their_limit() {
        check(
            " select a FROM t",
            Some("SET STATEMENT max_statement_time=1.500 FOR select a FROM t"),
            Some("select /*+ MAX_EXECUTION_TIME(1500) */ a FROM t"),
        );
        check(
            "SELECT /*+ NO_ICP(t) */ a FROM t",
            Some("SET STATEMENT max_statement_time=1.500 FOR SELECT /*+ NO_ICP(t) */ a FROM t"),
            None,
        );
        for text in [
            "UPDATE t SET a = 1",
            "SELECT @@max_statement_time, @@MAX_EXECUTION_TIME FROM t",
            "SELECT a INTO @a FROM t",
            "SELECT f(a) FROM t",
            "(SELECT a FROM t)",
            "SELECT 1; DELETE FROM t",
            "SELECT a FROM t FOR UPDATE",
        ] {
            check(text, None, None);
        }
    }
}
