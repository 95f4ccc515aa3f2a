//! Types of parameters that a statement leaves open.
//!
//! MySQL settles the type of such a parameter (as in `SELECT ?`) when the statement is first executed, and
//! converts what later executions bind: a text becomes 0 where a number came first. So a statement on a server
//! is shared only among executions that bind the same types to its open parameters; the types are part of its
//! key. A session that binds other types later on gets the statement on its connection to itself, as it is: what
//! the server makes of them depends on what came before. MariaDB settles them with every execution.

use std::sync::Arc;

use crate::backend::{Flavor, PrepareReply, PreparedKey};
use crate::engine::parameters::ParameterLayout;
use crate::engine::prepared::Prepared;
use crate::wire::{Reader, column_type};

/// Which parameters of a prepared statement are open; empty if none is. Those that get their type from a
/// column or an operator are described by it; the others, and texts, as a text.
pub(crate) fn open_parameters(reply: &PrepareReply, flavor: Flavor) -> Box<[bool]> {
    if flavor != Flavor::MySql {
        return Box::default();
    }
    let parameters = &reply.definitions[..usize::from(reply.parameters).min(reply.definitions.len())];
    let open: Box<[bool]> = parameters.iter().map(|definition| is_open(definition)).collect();
    if open.contains(&true) { open } else { Box::default() }
}

fn is_open(definition: &[u8]) -> bool {
    let known = crate::wire::ColumnDefinition::parse(definition).map(|definition| definition.column_type);
    !matches!(
        known,
        Ok(
            column_type::DECIMAL..=column_type::DOUBLE
            | column_type::TIMESTAMP..=column_type::YEAR
            | column_type::NEWDECIMAL,
        )
    )
}

/// Takes note of the types that the execution at `parameters` (what follows the iteration count) binds: later
/// ones that send none mean these, and they decide which of the server's statements is executed. `owner` is
/// the number of this statement among those of all sessions.
pub(crate) fn bind_types(
    statement: &mut Prepared,
    parameters: &[u8],
    layout: &ParameterLayout,
    attributes: bool,
    owner: u64,
) {
    if let Some(range) = layout.types.clone()
        && let Some(sent) = parameters.get(range)
        && statement.types.as_deref() != Some(sent)
    {
        statement.types = Some(sent.into());
    }
    // Long data waits at the statement it was sent for.
    if statement.open.is_empty() || statement.long_data {
        return;
    }
    let Some(types) = statement.types.as_deref() else { return };
    if statement.key.types.first() == Some(&OWN) {
        return;
    }
    let bound = classes(types, &statement.open, &statement.key.types, attributes);
    if *statement.key.types == *bound {
        return;
    }
    let others = statement
        .key
        .types
        .chunks(2)
        .zip(bound.chunks(2))
        .any(|(before, now)| before != now && before != [column_type::NULL, 0]);
    let types = if others { [&[OWN][..], &owner.to_le_bytes()].concat() } else { bound };
    let next = PreparedKey { types: Arc::from(types), ..statement.key.clone() };
    let former = std::mem::replace(&mut statement.key, next);
    statement.former = others.then_some(former);
}

/// Begins the types of a statement that one session has to itself; no type has this number.
const OWN: u8 = 0xF0;

/// The types of the open parameters. A NULL leaves a parameter's type as it was before.
fn classes(types: &[u8], open: &[bool], before: &[u8], attributes: bool) -> Vec<u8> {
    let mut reader = Reader::new(types);
    let mut classes = Vec::with_capacity(2 * open.len());
    for (n, open) in open.iter().enumerate() {
        let (Ok(kind), Ok(flags)) = (reader.u8(), reader.u8()) else { break };
        if attributes && reader.lenenc_bytes().is_err() {
            break;
        }
        let as_before =
            || before.get(2 * n..2 * n + 2).map_or([column_type::NULL, 0], |two| [two[0], two[1]]);
        classes.extend_from_slice(&match kind {
            _ if !open => [0, 0],
            column_type::NULL => as_before(),
            column_type::VARCHAR | column_type::STRING => [column_type::VAR_STRING, flags],
            kind => [kind, flags],
        });
    }
    classes
}

#[cfg(test)]
mod tests {
    use super::classes;

    #[test]
    fn only_open_parameters_count_and_null_keeps_what_was_bound() {
        let check = |types: &[u8], before: &[u8], expected: &[u8]| {
            assert_eq!(classes(types, &[true, false], before, false), expected);
        };
        check(&[8, 0, 253, 0], &[], &[8, 0, 0, 0]);
        check(&[8, 128, 8, 0], &[], &[8, 128, 0, 0]);
        check(&[254, 0, 8, 0], &[], &[253, 0, 0, 0]);
        check(&[6, 0, 8, 0], &[], &[6, 0, 0, 0]);
        check(&[6, 0, 8, 0], &[8, 0, 0, 0], &[8, 0, 0, 0]);
        check(&[8], &[], &[]);
    }

    #[test]
    fn names_of_query_attributes_stand_between() {
        assert_eq!(classes(&[8, 0, 1, b'a', 5, 0, 0], &[true, true], &[], true), [8, 0, 5, 0]);
    }
}
