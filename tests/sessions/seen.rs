//! What a client saw of one step, and what of it may differ between a server and a proxy.

use dazzle::wire::{OkPacket, StateChange, StateChanges, StatusFlags, encode_state_change, parse_eof};

use crate::step::Bytes;

/// What a packet stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Role {
    Ok,
    Err,
    Count,
    Column,
    /// The EOF between columns and rows.
    ColumnsEnd,
    Row,
    /// EOF, or the OK in its place, after rows.
    End,
    File,
    Text,
    Prepared,
    /// Not a packet: how the connection ended, for example.
    Note,
}

/// Everything that was seen of one step.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Seen(pub(crate) Vec<(Role, Vec<u8>)>);

/// The ids of the two sessions, as this side tells them.
pub(crate) type Ids = [u32; 2];

impl Seen {
    pub(crate) fn push(&mut self, role: Role, payload: Vec<u8>) {
        self.0.push((role, payload));
    }

    pub(crate) fn note(&mut self, text: &str) {
        self.push(Role::Note, text.as_bytes().to_vec());
    }

    /// Number and text of every error.
    pub(crate) fn errors(&self) -> impl Iterator<Item = (u16, &[u8])> {
        self.0.iter().filter(|(role, payload)| *role == Role::Err && payload.len() > 2).map(|(_, payload)| {
            (u16::from_le_bytes([payload[1], payload[2]]), payload.get(9..).unwrap_or_default())
        })
    }

    /// Status flags of the last packet that has some.
    pub(crate) fn status(&self) -> Option<StatusFlags> {
        self.0.iter().rev().find_map(|(role, payload)| match role {
            Role::Ok => OkPacket::parse(payload).ok().map(|ok| ok.status),
            Role::End if payload.len() == 5 => parse_eof(payload).ok().map(|(_, status)| status),
            Role::End => OkPacket::parse(payload).ok().map(|ok| ok.status),
            _ => None,
        })
    }

    /// Without what is documented to differ, or cannot be the same. `asks`: the step asks for a connection id.
    pub(crate) fn normal(&self, client: usize, ids: Ids, asks: bool) -> Self {
        let packets = self.0.iter().map(|(role, payload)| {
            let normal = match role {
                Role::Ok => normal_ok(payload),
                Role::End if payload.len() != 5 => normal_ok(payload),
                Role::End => normal_eof(payload),
                Role::Err => normal_error(payload, client, ids),
                // A server sends it before it knows how the statement goes, the proxy between two packets.
                Role::ColumnsEnd => vec![0xFE],
                Role::Text => payload.iter().copied().filter(|byte| !byte.is_ascii_digit()).collect(),
                Role::Prepared => [&payload[..1], &payload[5..]].concat(),
                Role::Row if asks => normal_row(payload, client, ids),
                Role::Row | Role::Column | Role::Count | Role::File | Role::Note => payload.clone(),
            };
            (*role, normal)
        });
        Self(packets.collect())
    }

    /// Without the flag that says whether backslashes escape.
    pub(crate) fn without_mode(mut self) -> Self {
        let mode = StatusFlags::NO_BACKSLASH_ESCAPES;
        for (role, payload) in &mut self.0 {
            match (role, OkPacket::parse(payload)) {
                (Role::Ok | Role::End, Ok(ok)) if payload.len() != 5 => {
                    let mut normal = Vec::new();
                    OkPacket { status: ok.status.without(mode), ..ok }.encode(payload[0], &mut normal);
                    *payload = normal;
                }
                (Role::End, _) if payload.len() == 5 => {
                    let status = u16::from_le_bytes([payload[3], payload[4]]) & !mode.0;
                    payload[3..5].copy_from_slice(&status.to_le_bytes());
                }
                _ => {}
            }
        }
        self
    }

    /// For people; the packet at `mark` is marked.
    pub(crate) fn shown(&self, mark: usize) -> String {
        let lines = self.0.iter().enumerate().take(mark.max(20) + 10).map(|(n, (role, payload))| {
            let sign = if n == mark { ">" } else { " " };
            match role {
                Role::Ok => format!("      {sign} Ok {}", shown_ok(payload)),
                Role::End if payload.len() != 5 => format!("      {sign} End {}", shown_ok(payload)),
                role => format!("      {sign} {role:?} {:?}", Bytes(payload.clone())),
            }
        });
        lines.collect::<Vec<_>>().join("\n")
    }
}

fn shown_ok(payload: &[u8]) -> String {
    OkPacket::parse(payload).map_or_else(
        |error| format!("{error} {:?}", Bytes(payload.to_vec())),
        |ok| {
            format!(
                "rows {} id {} status {:#06x} warnings {} info {:?} state {:?}",
                ok.affected_rows,
                ok.last_insert_id,
                ok.status.0,
                ok.warnings,
                Bytes(ok.info.to_vec()),
                Bytes(ok.state.to_vec())
            )
        },
    )
}

/// SESSION_STATE_CHANGED where nothing is said to have changed; whether a statement was slow, or used no index, which the
/// statistics of each server decide; the order of the changes, which on MariaDB is that of a hash table.
fn normal_ok(payload: &[u8]) -> Vec<u8> {
    let Ok(ok) = OkPacket::parse(payload) else { return payload.to_vec() };
    let ok = OkPacket { status: ok.status.without(OF_SPEED), ..ok };
    let changes: Result<Vec<_>, _> = StateChanges::new(ok.state).collect();
    let Ok(mut changes) = changes else { return payload.to_vec() };
    changes.retain(|change| !matches!(change, StateChange::Other { kind: OF_A_TRANSACTION, .. }));
    changes.sort_by_key(|change| format!("{change:?}"));
    let mut state = Vec::new();
    for change in changes {
        encode_state_change(change, &mut state);
    }
    let mut normal = Vec::new();
    OkPacket { state: &state, ..ok }.encode(payload[0], &mut normal);
    normal
}

/// SESSION_TRACK_TRANSACTION_STATE: MySQL tells it although it is not asked to, once, to whoever asks next, and not any
/// more after the session has been reset.
const OF_A_TRANSACTION: u8 = 5;

/// How a statement was run, not what it did.
const OF_SPEED: StatusFlags =
    StatusFlags::QUERY_WAS_SLOW.with(StatusFlags::NO_INDEX).with(StatusFlags::NO_GOOD_INDEX);

fn normal_eof(payload: &[u8]) -> Vec<u8> {
    let mut normal = payload.to_vec();
    let status = u16::from_le_bytes([payload[3], payload[4]]);
    let varying = OF_SPEED.with(StatusFlags::SESSION_STATE_CHANGED).0;
    normal[3..5].copy_from_slice(&(status & !varying).to_le_bytes());
    normal
}

/// Errors name sessions and statements by ids, which are each side's own.
fn normal_error(payload: &[u8], client: usize, ids: Ids) -> Vec<u8> {
    if matches!(payload, [0xFF, 0xDB, 0x04, ..] | [0xFF, 0x8D, 0x05, ..]) {
        return payload.iter().copied().filter(|byte| !byte.is_ascii_digit()).collect();
    }
    // MariaDB counts rows where there are none.
    if matches!(payload, [0xFF, 0x56, 0x05, ..])
        && let Some(at) = payload.windows(8).rposition(|window| window == b" at row ")
    {
        return payload[..at].to_vec();
    }
    // 1094 and 1095: no such session, or somebody else's.
    if !matches!(payload, [0xFF, 0x46 | 0x47, 0x04, ..]) {
        return payload.to_vec();
    }
    let text = String::from_utf8_lossy(payload.get(3..).unwrap_or_default()).into_owned();
    let words = text.split_inclusive(|letter: char| !letter.is_ascii_digit());
    let named = words.map(|word| {
        let digits = word.trim_end_matches(|letter: char| !letter.is_ascii_digit());
        match digits.parse::<u32>() {
            Ok(id) if id == ids[client] => format!("<me>{}", &word[digits.len()..]),
            Ok(id) if id == ids[1 - client] => format!("<other>{}", &word[digits.len()..]),
            _ => word.to_owned(),
        }
    });
    [&payload[..3.min(payload.len())], named.collect::<String>().as_bytes()].concat()
}

/// A row that is a connection id and nothing else.
fn normal_row(payload: &[u8], client: usize, ids: Ids) -> Vec<u8> {
    for (id, name) in [(ids[client], &b"<me>"[..]), (ids[1 - client], b"<other>")] {
        let text = id.to_string();
        let (binary, long) = (u64::from(id).to_le_bytes(), payload.len() == 10 && payload[..2] == [0, 0]);
        if (payload.len() == text.len() + 1 && &payload[1..] == text.as_bytes())
            || (long && payload[2..] == binary)
        {
            return name.to_vec();
        }
    }
    payload.to_vec()
}
