//! What an OK packet tells of changed session state, as the client is to see it.

use crate::backend::Flavor;
use crate::engine::changes::is_reported;
use crate::engine::client::Client;
use crate::sql::{Effects, Kind, LexMode, Statement, split};
use crate::wire::{
    Capabilities, HEADER_BYTES, Header, Malformed, OkPacket, PAYLOAD_MAX, StateChange, StateChanges,
    StatusFlags, encode_eof, encode_state_change,
};

/// Bytes of the changes that wait for an OK packet at most.
const OWED_BYTES_MAX: usize = 1 << 20;

/// Changes that a client has not been told of. Of each variable the last value counts, as on the servers.
#[derive(Debug, Default)]
pub(crate) struct OwedChanges {
    /// What has changed, and the change as it goes on the wire.
    changes: Vec<(Vec<u8>, Vec<u8>)>,
    /// The statement whose reply is passed on has changed something.
    pub(crate) of_this_statement: bool,
    /// A statement that failed has left the schema and entered it again: the server tells it when it tells anything.
    left_behind: bool,
}

impl OwedChanges {
    fn add(&mut self, change: StateChange<'_>, counts: bool) -> Result<(), Malformed> {
        let what = match change {
            StateChange::SystemVariable { name, .. } => [b"@", name].concat(),
            StateChange::Schema(_) => b"schema".to_vec(),
            StateChange::State(_) => b"state".to_vec(),
            StateChange::Other { kind, .. } => vec![kind],
        };
        let mut encoded = Vec::new();
        encode_state_change(change, &mut encoded);
        self.changes.retain(|(known, _)| *known != what);
        self.changes.push((what, encoded));
        self.of_this_statement |= counts;
        let bytes: usize = self.changes.iter().map(|(what, encoded)| what.len() + encoded.len()).sum();
        if bytes > OWED_BYTES_MAX { Err(Malformed("too many session state changes")) } else { Ok(()) }
    }

    /// What a server told with an OK that the client does not get.
    pub(crate) fn untold(&mut self, state: &[u8], tracks_itself: bool) -> Result<(), Malformed> {
        for change in StateChanges::new(state) {
            let change = change?;
            if tracks_itself || is_reported(change) {
                self.add(change, false)?;
            }
        }
        Ok(())
    }

    /// The schema was left and entered again, which the client has not been told.
    pub(crate) fn schema(&mut self, schema: &[u8], counts: bool) -> Result<(), Malformed> {
        self.left_behind |= !counts;
        self.add(StateChange::Schema(schema), counts)
    }

    /// Whether the client has been told everything.
    pub(crate) fn is_empty(&self) -> bool {
        self.changes.is_empty()
    }

    /// Everything that the client is to be told, as it goes on the wire.
    pub(crate) fn take(&mut self) -> Vec<u8> {
        self.left_behind = false;
        std::mem::take(&mut self.changes).into_iter().flat_map(|(_, encoded)| encoded).collect()
    }
}

/// The circumstances of an OK packet.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Circumstances<'a> {
    /// It ends rows.
    pub(crate) rows: bool,
    /// Who sent it.
    pub(crate) flavor: Flavor,
    /// The schema that the session was in before the statement.
    pub(crate) schema: Option<&'a [u8]>,
    /// The statement may leave the schema, be it to come back.
    pub(crate) moves: bool,
    /// It enters one, be it the same.
    pub(crate) enters: bool,
    /// The definitions of these rows, OUT parameters, have told what MySQL does not repeat at their end.
    pub(crate) flagged: bool,
}

/// The payload of an OK as this client must see it; `None` if it may see it as it is.
pub(crate) fn rewrite(
    ok: &OkPacket<'_>,
    at: Circumstances<'_>,
    client: &mut Client,
) -> Result<Option<Vec<u8>>, Malformed> {
    let changed = ok.status.has(StatusFlags::SESSION_STATE_CHANGED);
    if changed && client.capabilities.has(Capabilities::SESSION_TRACK) {
        for change in StateChanges::new(ok.state) {
            let change = change?;
            if client.tracks_itself || is_reported(change) {
                // A schema that is no other one was left and entered again by an earlier statement.
                let again = matches!(change, StateChange::Schema(name) if Some(name) == at.schema)
                    && !at.enters
                    && (!at.moves || client.owed.left_behind);
                client.owed.add(change, !again)?;
            }
        }
    }
    if at.rows && !client.capabilities.has(Capabilities::DEPRECATE_EOF) {
        let told = StatusFlags(StatusFlags::PS_OUT_PARAMS.0 | StatusFlags::MORE_RESULTS.0);
        let status = if at.flagged { ok.status.without(told) } else { ok.status };
        let mut payload = Vec::with_capacity(5);
        encode_eof(ok.warnings, status, &mut payload);
        return Ok(Some(payload));
    }
    // MySQL tells what is owed with any OK, MariaDB with one of a statement that has changed something.
    let tells = at.flavor == Flavor::MySql || client.owed.of_this_statement;
    let state = if tells { client.owed.take() } else { Vec::new() };
    if !changed && state.is_empty() {
        return Ok(None);
    }
    let mut payload = Vec::with_capacity(16 + ok.info.len() + state.len());
    let header = if at.rows { 0xFE } else { 0x00 };
    OkPacket { state: &state, ..*ok }.encode(header, &mut payload);
    Ok(Some(payload))
}

/// Whether an ERR says that a prepared statement does not fit its tables any more (ER_NEED_REPREPARE).
pub(crate) fn is_stale(payload: &[u8]) -> bool {
    payload.get(1..3) == Some(&1615u16.to_le_bytes())
}

/// What the end of a result that has come whole says of its plan. A server knows it before the first row and says so in
/// the EOF after the columns, which is where mysqli looks; of a longer result it comes with the last row.
pub(crate) fn flags_of_plan(rows: &[u8]) -> StatusFlags {
    let mut rest = rows;
    while let Some(header) = Header::parse(rest)
        && let Some((packet, next)) = rest.split_at_checked(HEADER_BYTES + header.length)
    {
        if let [0xFE, end @ ..] = &packet[HEADER_BYTES..]
            && end.len() < PAYLOAD_MAX - 1
        {
            let status = OkPacket::parse(&packet[HEADER_BYTES..]).map(|ok| ok.status).unwrap_or_default();
            let of_plan = StatusFlags::NO_INDEX.0 | StatusFlags::NO_GOOD_INDEX.0;
            return StatusFlags(status.0 & of_plan);
        }
        rest = next;
    }
    StatusFlags::default()
}

/// Says at the end of a prepared statement's rows whether it has other columns than before. A server says so where it
/// notices; here several clients' statements may be one of the server's, or one be prepared several times.
pub(crate) fn flag_columns(end: &mut [u8], changed: bool) {
    // Both an EOF and an OK without rows and id have the status here.
    if let [0xFE, 0, 0, low, high, ..] = end {
        let status = StatusFlags(u16::from_le_bytes([*low, *high])).without(StatusFlags::METADATA_CHANGED);
        let status = if changed { status.with(StatusFlags::METADATA_CHANGED) } else { status };
        [*low, *high] = status.0.to_le_bytes();
    }
}

/// Results that a text gives at least, unless one is an error. What a CALL gives is never all.
pub(crate) fn results_min(statement: &Statement, text: &[u8], mode: LexMode) -> usize {
    if statement.effects.contains(Effects::MULTIPLE) {
        split(text, mode).len()
    } else if statement.kind == Kind::Call {
        usize::MAX
    } else {
        1
    }
}
