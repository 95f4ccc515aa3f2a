//! The end of a write on several shards: each commits by itself, and what became of each is told.

use crate::backend::{BackendError, Condition, ResultSet, ServerLease};
use crate::engine::error::EngineError;
use crate::engine::sharded::time;
use crate::engine::sharded::write::command;
use crate::error::SqlError;
use crate::wire::Writer;

/// Slots of one outcome that the error names; the warnings name all.
const NAMED_MAX: usize = 8;

/// What became of the part of a write that is one shard's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fate {
    /// It is there to stay.
    Committed,
    /// Nothing of it is there.
    Undone,
    /// The server was told to commit it, and was lost before it said that it had.
    Unknown,
}

impl Fate {
    const fn text(self) -> &'static str {
        match self {
            Self::Committed => "committed",
            Self::Undone => "not committed",
            Self::Unknown => "not known to be committed",
        }
    }
}

/// Commits on each shard in turn. Nothing is left where the first COMMIT is refused; after one that was not, the
/// others are tried for all that. `labels`: the slots of each shard.
pub(crate) async fn commit(mut leases: Vec<ServerLease>, labels: &[Vec<String>]) -> Result<(), EngineError> {
    let mut fates: Vec<Fate> = Vec::with_capacity(leases.len());
    let mut failure: Option<BackendError> = None;
    for lease in &mut leases {
        if failure.is_some() && !fates.contains(&Fate::Committed) {
            undo(lease).await;
            fates.push(Fate::Undone);
            continue;
        }
        match command(lease, "COMMIT").await {
            Ok(_) => {
                time::go_on(lease).await;
                fates.push(Fate::Committed);
            }
            Err(error) => {
                fates.push(fate(&error));
                undo(lease).await;
                failure.get_or_insert(error);
            }
        }
    }
    let Some(failure) = failure else { return Ok(()) };
    if fates.iter().all(|fate| *fate == Fate::Undone) {
        return Err(failure.into());
    }
    let error = torn(&fates, labels);
    let mut told = ResultSet::default();
    for (lease, _) in leases.iter_mut().zip(&fates).filter(|(_, fate)| **fate != Fate::Unknown) {
        if let Ok(shown) = lease.ask_payloads("SHOW WARNINGS").await {
            told.columns = shown.columns;
            break;
        }
    }
    told.rows = conditions(&error, &fates, labels);
    Err(EngineError::Torn(Box::new((error, told))))
}

/// Takes back what has not been committed. A connection on which that fails is closed, which takes it back as
/// well; of the others, nobody gets what was set on them.
pub(crate) async fn undo(lease: &mut ServerLease) {
    if lease.condition() == Condition::Busy {
        // It is in the middle of a reply, which would be taken for that of the ROLLBACK.
        return lease.break_off();
    }
    match command(lease, "ROLLBACK").await {
        Ok(_) => lease.mark_dirty(true),
        Err(_) => lease.break_off(),
    }
}

/// A refusal says that nothing was committed, unless the server ended the connection meanwhile.
const fn fate(error: &BackendError) -> Fate {
    match error {
        BackendError::Server(packet) => match packet.code {
            1053 | 1927 | 3032 | 4031 => Fate::Unknown,
            _ => Fate::Undone,
        },
        _ => Fate::Unknown,
    }
}

fn torn(fates: &[Fate], labels: &[Vec<String>]) -> SqlError {
    let mut outcomes = Vec::new();
    for wanted in [Fate::Committed, Fate::Undone, Fate::Unknown] {
        let slots: Vec<&str> =
            each(fates, labels).filter(|(fate, _)| *fate == wanted).map(|(_, label)| label).collect();
        if !slots.is_empty() {
            let named = slots[..slots.len().min(NAMED_MAX)].join(" ");
            let more = slots.len().saturating_sub(NAMED_MAX);
            let rest = if more == 0 { String::new() } else { format!(" and {more} more") };
            outcomes.push(format!("{} in {named}{rest}", wanted.text()));
        }
    }
    SqlError::new(
        1180,
        "HY000",
        format!("DZ1602: shards ended this write differently: {}; look at them", outcomes.join("; ")),
    )
}

fn each<'a>(fates: &'a [Fate], labels: &'a [Vec<String>]) -> impl Iterator<Item = (Fate, &'a str)> {
    fates.iter().zip(labels).flat_map(|(fate, labels)| labels.iter().map(|label| (*fate, label.as_str())))
}

/// What SHOW WARNINGS tells after it: the error, and a line for each slot.
fn conditions(error: &SqlError, fates: &[Fate], labels: &[Vec<String>]) -> Vec<Vec<u8>> {
    let row = |level: &str, message: &str| {
        let mut row = Vec::new();
        for cell in [level, &error.code.to_string(), message] {
            row.put_lenenc_bytes(cell.as_bytes());
        }
        row
    };
    let of_slot = |(fate, label): (Fate, &str)| row("Warning", &format!("{label}: {}", fate.text()));
    std::iter::once(row("Error", &error.message)).chain(each(fates, labels).map(of_slot)).collect()
}

#[cfg(test)]
mod tests {
    use super::{Fate, torn};

    #[test]
    fn the_error_names_what_became_of_each_slot() {
        let labels = [vec!["by_user/0".to_owned(), "by_user/2".to_owned()], vec!["by_user/1".to_owned()]];
        assert_eq!(
            torn(&[Fate::Committed, Fate::Unknown], &labels).message,
            "DZ1602: shards ended this write differently: committed in by_user/0 by_user/2; not known to be \
             committed in by_user/1; look at them"
        );
        let many: Vec<String> = (0..10).map(|n| format!("s/{n}")).collect();
        let message = torn(&[Fate::Committed, Fate::Undone], &[many, vec!["t/0".to_owned()]]).message;
        assert!(message.contains("s/7 and 2 more; not committed in t/0;"), "{message}");
    }
}
