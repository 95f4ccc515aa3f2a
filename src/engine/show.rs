//! SHOW HOTKEYS and SHOW CACHE: what a client may ask of the proxy itself, in words that no server knows.

use tokio::time::Instant;

use crate::backend::ResultSet;
use crate::engine::error::EngineError;
use crate::engine::relay::Outcome;
use crate::engine::session::Session;
use crate::sql::Statement;
use crate::wire::{BINARY_CHARSET, ColumnDefinition, Writer, column_type};

/// What is asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum OwnShow {
    /// The user's reads that come most often.
    HotKeys,
    /// What became of the reads that each rule of the cache is about.
    Cache,
}

/// What `statement` asks of the proxy, if it does.
pub(crate) fn own_show(statement: &Statement) -> Option<OwnShow> {
    let mut words = statement.digest.text.trim_end_matches([' ', ';']).split(' ');
    let mut word = || words.next().unwrap_or_default().to_ascii_uppercase();
    match [word(), word(), word()].each_ref().map(String::as_str) {
        ["SHOW", "HOTKEYS", ""] => Some(OwnShow::HotKeys),
        ["SHOW", "CACHE", ""] => Some(OwnShow::Cache),
        _ => None,
    }
}

impl Session {
    /// Answers it. Its command has been taken from the client's input.
    pub(crate) async fn show(&mut self, what: OwnShow, statement: &Statement) -> Result<(), EngineError> {
        let (columns, rows) = match what {
            OwnShow::HotKeys => self.hot_keys(),
            OwnShow::Cache => self.cache_rules(),
        };
        let outcome = Outcome {
            row_count: -1,
            rows: rows.len() as u64,
            columns: columns.len() as u64,
            results: 1,
            ..Outcome::default()
        };
        self.diagnostics = None;
        self.count(statement, &outcome);
        self.witness.last_statement = false;
        self.answer_table(columns, &rows).await
    }

    fn hot_keys(&self) -> (&'static [&'static str], Vec<Vec<String>>) {
        let hot = self.engine.cache.hot_keys(Instant::now());
        let own = hot.into_iter().filter(|(hot, _)| *hot.user == *self.user.name);
        let rows = own.map(|(hot, rule)| {
            vec![
                format!("{:016x}", hot.key),
                format!("{:016x}", hot.digest),
                format!("{:.0}", hot.reads_per_second),
                format!("{:.1}", hot.share),
                rule.unwrap_or_default(),
                hot.statement.to_string(),
            ]
        });
        (&["key", "digest", "reads_per_second", "share", "rule", "statement"], rows.collect())
    }

    fn cache_rules(&self) -> (&'static [&'static str], Vec<Vec<String>>) {
        let rules = self.engine.cache.numbers().rules.into_iter();
        let rows = rules.map(|rule| {
            let numbers = [
                rule.hits,
                rule.shared,
                rule.misses,
                rule.renewed,
                rule.passed,
                rule.old,
                rule.kept,
                rule.cheap,
                rule.fleet,
            ];
            std::iter::once(rule.rule).chain(numbers.map(|number| number.to_string())).collect()
        });
        (
            &["rule", "hits", "shared", "misses", "renewed", "passed", "old", "kept", "cheap", "fleet"],
            rows.collect(),
        )
    }

    /// Sends rows of texts.
    pub(crate) async fn answer_table(
        &mut self,
        columns: &[&str],
        rows: &[Vec<String>],
    ) -> Result<(), EngineError> {
        let column = |name: &&str| {
            let definition = ColumnDefinition {
                catalog: b"def".to_vec(),
                schema: Vec::new(),
                table: Vec::new(),
                org_table: Vec::new(),
                name: name.as_bytes().to_vec(),
                org_name: Vec::new(),
                charset: BINARY_CHARSET,
                length: 65_535,
                column_type: column_type::VAR_STRING,
                flags: 0,
                decimals: 0,
                rest: vec![0, 0],
                extended: None,
            };
            let mut payload = Vec::new();
            definition.encode(&mut payload);
            payload
        };
        let row = |cells: &Vec<String>| {
            let mut row = Vec::new();
            cells.iter().for_each(|cell| row.put_lenenc_bytes(cell.as_bytes()));
            row
        };
        let columns = columns.iter().map(column).collect();
        let result = ResultSet { columns, rows: rows.iter().map(row).collect() };
        self.state.row_count = -1;
        let bytes = self.frame_rows(&result);
        Ok(self.client.send(&bytes).await?)
    }
}
