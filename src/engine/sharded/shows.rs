//! What a logical database shows of itself: SHOW and DESCRIBE of its tables, each asked of a slot that has it.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::backend::{BackendError, ResultSet};
use crate::engine::error::EngineError;
use crate::engine::session::Session;
use crate::engine::sharded::database::LogicalDatabase;
use crate::engine::sharded::route::unroutable;
use crate::error::ProxyError;
use crate::sharding::{Refusal, ShardingRules, SlotId, TableId, Unlisted};
use crate::sql::{LexMode, ShowKind, ShownTables, shown_tables};
use crate::telemetry::StatementContext;
use crate::wire::{ColumnDefinition, ErrPacket, Malformed, OkPacket, Reader, Writer, column_type, frame};

/// A definition of a column and more: what COM_FIELD_LIST answers with.
const FIELD_BYTES_MAX: u64 = 1 << 20;

/// Where a SHOW is answered.
#[derive(Debug)]
pub(super) enum Shown {
    /// The slot that the session is at answers as any other would.
    Here,
    /// This slot, asked by the text if there is one, by the client's own otherwise.
    Slot(SlotId, Option<Vec<u8>>),
    /// Several slots have the tables.
    Tables(Listing),
    /// The logical databases.
    Databases,
}

/// A list of tables.
#[derive(Debug)]
pub(super) struct Listing {
    text: Vec<u8>,
    /// The column that has the name of a table.
    column: usize,
    /// Each slot that is asked, with the tables that it is asked about: in lower case.
    slots: Vec<(SlotId, Vec<String>)>,
    /// The slot of tables that the rules do not list.
    unlisted: Option<SlotId>,
}

/// How a SHOW, DESCRIBE or EXPLAIN of a table is answered. Numbers of rows, sessions and the like are those of one
/// server only.
pub(super) fn shown(
    kind: ShowKind,
    (text, mode): (&[u8], LexMode),
    database: &LogicalDatabase,
    here: SlotId,
) -> Result<Shown, EngineError> {
    match kind {
        ShowKind::Variables
        | ShowKind::Diagnostics
        | ShowKind::Server
        | ShowKind::Grants
        | ShowKind::Profile => return Ok(Shown::Here),
        ShowKind::Databases if is_plain_databases(text) => return Ok(Shown::Databases),
        _ => {}
    }
    let rules = &database.rules;
    let asked = shown_tables(text, mode).filter(|asked| !asked.counts);
    let ShownTables { table, schema, column, .. } = asked.ok_or_else(|| unroutable("this form of SHOW"))?;
    let mut own = None;
    if let Some((schema, cut)) = schema {
        if schema.eq_ignore_ascii_case(b"information_schema") {
            return Ok(Shown::Here);
        }
        if !schema.eq_ignore_ascii_case(rules.name().as_bytes()) {
            return Err(unroutable("SHOW of another database"));
        }
        own = Some([&text[..cut.start], &text[cut.end..]].concat());
    }
    match table {
        Some(table) => Ok(Shown::Slot(home(rules, &table, here)?, own)),
        None => {
            let text = own.unwrap_or_else(|| text.to_vec());
            Ok(Shown::Tables(listing(rules, text, column, here)))
        }
    }
}

/// A slot that has the table, the one that the session is at if it has.
pub(super) fn home(rules: &ShardingRules, table: &[u8], here: SlotId) -> Result<SlotId, EngineError> {
    let table = String::from_utf8_lossy(table).into_owned();
    let Some(id) = rules.table_named(&table) else {
        return match rules.policies().unlisted_tables {
            Unlisted::In(slot) => Ok(slot),
            Unlisted::Reject => Err(EngineError::Refused(Refusal::Unlisted { table }.sql_error())),
        };
    };
    let slots = rules.slots_of(id);
    if slots.contains(here) {
        return Ok(here);
    }
    slots.iter().next().ok_or_else(|| unroutable("a table without a slot"))
}

/// The slots to ask for all tables.
fn listing(rules: &ShardingRules, text: Vec<u8>, column: usize, here: SlotId) -> Listing {
    let unlisted = match rules.policies().unlisted_tables {
        Unlisted::In(slot) => Some(slot),
        Unlisted::Reject => None,
    };
    let named = |(slot, tables): (SlotId, Vec<TableId>)| {
        (slot, tables.iter().map(|table| rules.table(*table).name.to_lowercase()).collect())
    };
    let mut slots: Vec<(SlotId, Vec<String>)> =
        rules.homes_anywhere(here).slots.into_iter().map(named).collect();
    if let Some(slot) = unlisted.filter(|slot| !slots.iter().any(|(known, _)| known == slot)) {
        slots.push((slot, Vec::new()));
    }
    if slots.is_empty() {
        slots.push((here, Vec::new()));
    }
    Listing { text, column, slots, unlisted }
}

/// `EXPLAIN ROUTE` and a statement: to those who do not know it, it describes a table of that name.
pub(super) fn asks_for_route(text: &[u8]) -> bool {
    let mut words = text.split(|byte| !byte.is_ascii_alphanumeric()).filter(|word| !word.is_empty());
    let explain = words.next().is_some_and(|word| {
        [&b"EXPLAIN"[..], b"DESCRIBE", b"DESC"].iter().any(|known| word.eq_ignore_ascii_case(known))
    });
    explain && words.next().is_some_and(|word| word.eq_ignore_ascii_case(b"ROUTE")) && words.next().is_some()
}

/// Whether an EXPLAIN or DESCRIBE is of a statement, not of a table.
pub(super) fn explains(text: &[u8]) -> bool {
    const WORDS: [&[u8]; 8] =
        [b"SELECT", b"INSERT", b"UPDATE", b"DELETE", b"REPLACE", b"WITH", b"TABLE", b"VALUES"];
    let mut words = text.split(|byte| !byte.is_ascii_alphanumeric() && *byte != b'_' && *byte != b'`');
    words.any(|word| WORDS.iter().any(|known| word.eq_ignore_ascii_case(known)))
}

/// `SHOW DATABASES`, `SHOW SCHEMAS`, without a pattern.
fn is_plain_databases(text: &[u8]) -> bool {
    let words: Vec<&[u8]> = text
        .split(|byte| byte.is_ascii_whitespace() || *byte == b';')
        .filter(|word| !word.is_empty())
        .collect();
    let is = |word: &[u8], wanted: &str| word.eq_ignore_ascii_case(wanted.as_bytes());
    matches!(&words[..], [show, what] if is(show, "SHOW") && (is(what, "DATABASES") || is(what, "SCHEMAS")))
}

impl Session {
    /// Asks each slot for its tables and answers with all of them.
    pub(super) async fn list_tables(
        &mut self,
        listing: &Listing,
        context: &mut StatementContext<'_>,
    ) -> Result<(), EngineError> {
        let mut result = ResultSet::default();
        let mut rows = BTreeMap::new();
        for asked in &listing.slots {
            self.go_to(asked.0).await?;
            let waited = self.acquire(context.started()).await?;
            context.leased(waited);
            let answer = self.list_slot(listing, asked, &mut rows).await;
            self.witness.queried_between();
            self.mark_and_release();
            result.columns = answer?;
        }
        result.rows = rows.into_values().collect();
        (self.state.row_count, self.state.warnings, self.diagnostics) = (-1, 0, None);
        self.state.found_rows = Some(result.rows.len() as u64);
        let bytes = self.frame_rows(&result);
        Ok(self.client.send(&bytes).await?)
    }

    /// The columns of one slot's answer, as the client sees them; its rows go into `rows`.
    async fn list_slot(
        &mut self,
        listing: &Listing,
        (slot, tables): &(SlotId, Vec<String>),
        rows: &mut BTreeMap<(String, usize), Vec<u8>>,
    ) -> Result<Vec<Vec<u8>>, EngineError> {
        let Some(place) = &self.place else { return Ok(Vec::new()) };
        let database = Arc::clone(&place.database);
        let renaming = database.renaming(*slot);
        let Some(lease) = self.lease.as_mut() else { return Ok(Vec::new()) };
        let asked = lease.ask_bytes(&listing.text).await;
        let (answer, _) = asked.map_err(|error| self.renamed(error))?;
        for row in answer.rows {
            let name = cell(&row, listing.column).map_err(BackendError::from)?.to_lowercase();
            let unlisted = listing.unlisted == Some(*slot) && database.rules.table_named(&name).is_none();
            if tables.contains(&name) || unlisted {
                rows.insert((name, rows.len()), row);
            }
        }
        let column = |definition: Vec<u8>| renaming.column(&definition).unwrap_or(definition);
        Ok(answer.columns.into_iter().map(column).collect())
    }

    /// The logical databases that this user reaches, and what every server has.
    pub(super) async fn list_databases(&mut self) -> Result<(), EngineError> {
        let mut names: Vec<&str> = self.user.shards.keys().map(String::as_str).collect();
        names.push("information_schema");
        names.sort_unstable();
        let column = ColumnDefinition {
            catalog: b"def".to_vec(),
            schema: b"information_schema".to_vec(),
            table: b"SCHEMATA".to_vec(),
            org_table: b"SCHEMATA".to_vec(),
            name: b"Database".to_vec(),
            org_name: b"SCHEMA_NAME".to_vec(),
            charset: 45,
            length: 256,
            column_type: column_type::VAR_STRING,
            flags: 1,
            decimals: 0,
            rest: vec![0, 0],
            extended: None,
        };
        let mut definition = Vec::new();
        column.encode(&mut definition);
        let row = |name: &&str| {
            let mut row = Vec::new();
            row.put_lenenc_bytes(name.as_bytes());
            row
        };
        let result = ResultSet { columns: vec![definition], rows: names.iter().map(row).collect() };
        (self.state.row_count, self.state.warnings, self.diagnostics) = (-1, 0, None);
        self.state.found_rows = Some(result.rows.len() as u64);
        let bytes = self.frame_rows(&result);
        Ok(self.client.send(&bytes).await?)
    }

    /// COM_FIELD_LIST, which names its table: the definitions of its columns.
    pub(crate) async fn list_fields(&mut self, command: &[u8]) -> Result<(), EngineError> {
        let Some(place) = &self.place else { return Ok(()) };
        let table = command.get(1..).unwrap_or_default().split(|byte| *byte == 0).next().unwrap_or_default();
        let slot = home(&place.database.rules, table, place.slot())?;
        self.go_to(slot).await?;
        self.acquire(tokio::time::Instant::now()).await?;
        let fields = self.ask_fields(command).await;
        self.witness.queried_between();
        self.mark_and_release();
        let fields = fields?;
        let (mut bytes, mut sequence) = (Vec::new(), 1);
        for definition in &fields {
            sequence = frame(&mut bytes, sequence, definition);
        }
        let mut end = Vec::new();
        if self.client.capabilities.has(crate::wire::Capabilities::DEPRECATE_EOF) {
            OkPacket { status: self.state.status, ..OkPacket::default() }.encode(0xFE, &mut end);
        } else {
            crate::wire::encode_eof(0, self.state.status, &mut end);
        }
        frame(&mut bytes, sequence, &end);
        Ok(self.client.send(&bytes).await?)
    }

    async fn ask_fields(&mut self, command: &[u8]) -> Result<Vec<Vec<u8>>, EngineError> {
        let (renaming, limit) = (self.renaming(), self.reply_timeout());
        let Some(lease) = self.lease.as_mut() else { return Ok(Vec::new()) };
        lease.begin();
        let mut packet = lease.closing_frames();
        frame(&mut packet, 0, command);
        let conn = &mut **lease;
        let stream = &mut conn.stream;
        let exchanged = async {
            stream.write_all(&packet).await?;
            stream.sequence = 1;
            let mut fields: Vec<Vec<u8>> = Vec::new();
            loop {
                let payload = stream.read_payload(FIELD_BYTES_MAX).await?;
                match payload.first() {
                    Some(0xFF) => return Ok(Err(ErrPacket::parse(&payload)?)),
                    Some(0xFE) => return Ok(Ok(fields)),
                    _ => fields.push(payload),
                }
            }
        };
        let answer: Result<Result<_, ErrPacket>, BackendError> = conn
            .deadline
            .run(limit, exchanged)
            .await
            .map_err(|_| BackendError::Timeout("a list of columns"))?;
        let answer = answer?;
        let status = conn.status;
        conn.answered(status);
        match answer {
            Ok(fields) => {
                let renamed = |field: Vec<u8>| {
                    renaming.as_ref().and_then(|renaming| renaming.field(&field)).unwrap_or(field)
                };
                Ok(fields.into_iter().map(renamed).collect())
            }
            Err(packet) => Err(self.renamed(BackendError::Server(packet)).into()),
        }
    }
}

/// The text in a column of a row.
fn cell(row: &[u8], column: usize) -> Result<String, Malformed> {
    let mut reader = Reader::new(row);
    for _ in 0..column {
        reader.lenenc_bytes()?;
    }
    Ok(String::from_utf8_lossy(reader.lenenc_bytes()?).into_owned())
}
