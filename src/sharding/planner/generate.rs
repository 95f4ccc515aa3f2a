//! Ids from sequences: which values an INSERT leaves to them, and its text with the ids in it.
//!
//! What AUTO_INCREMENT makes an id of is what a sequence makes one of: no value, DEFAULT, NULL, and 0.

use crate::sharding::key::{KeyId, KeyLiteral, KeyValue, Stored};
use crate::sharding::placement::{Located, Placement};
use crate::sharding::planner::Refusal;
use crate::sharding::planner::block::Statement;
use crate::sharding::planner::refusal::ColumnProblem;
use crate::sharding::planner::splice::Edits;
use crate::sharding::planner::value::value;
use crate::sharding::planner::write::{Row, problem};
use crate::sharding::rules::{PlacedTable, ShardingRules};
use crate::sharding::sequence::{Part, SequenceId, SequenceKind};
use crate::sharding::slots::SlotSet;
use crate::sql::tree::{ExprKind, Insert, Source, Span};

/// An INSERT that leaves ids to sequences.
#[derive(Clone, Debug, PartialEq)]
pub struct Generate {
    /// Where its rows can belong, whatever the ids are.
    pub slots: SlotSet,
    /// How many numbers of which sequence it needs.
    pub numbers: Vec<(SequenceId, u64)>,
    /// A value is given, and it is 0: with NO_AUTO_VALUE_ON_ZERO that is no id to be made.
    pub zeros: bool,
    /// Each column with its sequence, by name.
    pub columns: Vec<(Box<str>, Box<str>)>,
    fills: Vec<Fill>,
    /// The end of the list of columns, and the names that it lacks.
    named: Option<(u32, String)>,
    /// Where each `?` is.
    parameters: Vec<Span>,
}

/// One id of one row.
#[derive(Clone, Debug, PartialEq)]
struct Fill {
    /// What it stands in the place of; empty if it is added.
    at: Span,
    before: String,
    after: &'static str,
    sequence: SequenceId,
    /// Of a composed id; of a plain one, the number is all.
    pieces: Vec<Piece>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Piece {
    /// The next number of this sequence.
    Number(SequenceId),
    Is(u64),
}

/// An INSERT with its ids.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Completed {
    /// Its text: with the ids, or with a `?` for each if it is to be executed with parameters.
    pub text: Vec<u8>,
    /// What each `?` of that text stands for.
    pub parameters: Vec<Bind>,
    /// What LAST_INSERT_ID() is after it.
    pub first: u64,
}

/// A parameter of a completed INSERT.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Bind {
    /// The client's of this number.
    Sent(u32),
    /// An id.
    Id(u64),
}

impl Generate {
    /// The statement with ids from these numbers: the first of those that [`Generate::numbers`] asks for, in the same
    /// order. `prepared`: it is executed with parameters.
    ///
    /// # Errors
    /// The sequence whose ids are used up.
    pub fn complete(
        &self,
        rules: &ShardingRules,
        text: &[u8],
        firsts: &[u64],
        prepared: bool,
    ) -> Result<Completed, SequenceId> {
        let mut next = firsts.to_vec();
        let mut edits = Edits::default();
        let mut binds: Vec<(u32, Bind)> = Vec::new();
        let gone = |span: &Span| self.fills.iter().any(|fill| fill.at == *span);
        let sent = (0_u32..).zip(&self.parameters).filter(|(_, span)| !gone(span));
        binds.extend(sent.map(|(number, span)| (span.start, Bind::Sent(number))));
        if let Some((end, names)) = &self.named {
            edits.replace(Span::new(*end, *end), names.as_str());
        }
        let mut first = None;
        for fill in &self.fills {
            let id = self.id(rules, fill, &mut next)?;
            first.get_or_insert(id);
            let shown = if prepared { "?".to_owned() } else { id.to_string() };
            edits.replace(fill.at, format!("{}{shown}{}", fill.before, fill.after));
            binds.push((fill.at.start, Bind::Id(id)));
        }
        binds.sort_by_key(|(at, _)| *at);
        let parameters =
            if prepared { binds.into_iter().map(|(_, bind)| bind).collect() } else { Vec::new() };
        Ok(Completed { text: edits.apply(text), parameters, first: first.unwrap_or_default() })
    }

    fn id(&self, rules: &ShardingRules, fill: &Fill, next: &mut [u64]) -> Result<u64, SequenceId> {
        let mut number = |wanted: SequenceId| {
            let at = self.numbers.iter().position(|(known, _)| *known == wanted);
            let counter = at.and_then(|at| next.get_mut(at)).ok_or(fill.sequence)?;
            *counter += 1;
            Ok(*counter - 1)
        };
        let mut parts = Vec::with_capacity(fill.pieces.len());
        for piece in &fill.pieces {
            parts.push(match piece {
                Piece::Number(sequence) => number(*sequence)?,
                Piece::Is(value) => *value,
            });
        }
        match &rules.sequences()[usize::from(fill.sequence.0)].kind {
            SequenceKind::Segment(_) => parts.first().copied().ok_or(fill.sequence),
            SequenceKind::Composed(composed) => composed.id(&parts).map_err(|_| fill.sequence),
        }
    }
}

/// What the rows of an INSERT leave to sequences; None if nothing.
pub(super) fn generate(
    statement: &Statement<'_>,
    insert: &Insert,
    placed: &PlacedTable,
    rows: &[Row<'_>],
) -> Result<Option<Generate>, Refusal> {
    let mut found = Generate {
        slots: SlotSet::none(statement.rules.slots().len()),
        numbers: Vec::new(),
        zeros: false,
        columns: Vec::new(),
        fills: Vec::new(),
        named: None,
        parameters: Vec::new(),
    };
    for (column, sequence) in &placed.generate {
        if placed.key_of(column).is_none() {
            // Whether it is given is looked at, and nobody follows that.
            statement.trace.spoil();
        }
        let before = found.fills.len();
        for row in rows {
            let at = match given(statement, placed, row, column)? {
                Given::Value => continue,
                Given::Zero(span) => {
                    found.zeros = true;
                    Some(span)
                }
                Given::Nothing(span) => span,
            };
            let pieces = pieces(statement, placed, row, *sequence)?;
            found.need(&pieces);
            let (at, before, after) = match at {
                Some(span) => (span, String::new(), ""),
                None => found.add_to(insert, row, column)?,
            };
            found.fills.push(Fill { at, before, after, sequence: *sequence, pieces });
        }
        if found.fills.len() > before {
            let name = &statement.rules.sequences()[usize::from(sequence.0)].name;
            found.columns.push((column.clone(), name.clone()));
        }
    }
    if found.fills.is_empty() {
        return Ok(None);
    }
    is_plain(statement, insert, rows)?;
    let placement = statement.rules.placement(placed.placement);
    for row in rows {
        found.slots.unite(&open(statement, placed, placement, row));
    }
    let parameters = statement.tree.exprs().iter().filter_map(|expr| match expr.kind {
        ExprKind::Parameter(number) => Some((number, expr.span)),
        _ => None,
    });
    let mut parameters: Vec<(u32, Span)> = parameters.collect();
    parameters.sort_unstable();
    found.parameters = parameters.into_iter().map(|(_, span)| span).collect();
    Ok(Some(found))
}

/// Whether what one server would do with the ids is what is done here.
fn is_plain(statement: &Statement<'_>, insert: &Insert, rows: &[Row<'_>]) -> Result<(), Refusal> {
    let what = if !insert.on_duplicate.is_empty() {
        "rows of ON DUPLICATE KEY UPDATE"
    } else if insert.ignore && rows.len() > 1 {
        "several rows of an INSERT IGNORE"
    } else if insert.returning.is_some() {
        "rows of an INSERT with RETURNING"
    } else if statement.tree.executable_comment {
        "rows of an INSERT with an executable comment"
    } else if statement.tree.explain.is_some_and(|explain| !explain.route) {
        "rows of an INSERT that is only explained"
    } else {
        return Ok(());
    };
    Err(Refusal::Generated { what })
}

impl Generate {
    fn need(&mut self, pieces: &[Piece]) {
        for piece in pieces {
            let Piece::Number(sequence) = piece else { continue };
            match self.numbers.iter_mut().find(|(known, _)| known == sequence) {
                Some((_, count)) => *count += 1,
                None => self.numbers.push((*sequence, 1)),
            }
        }
    }

    /// Where a column that is not in the statement gets its value, and what stands around that.
    fn add_to(
        &mut self,
        insert: &Insert,
        row: &Row<'_>,
        column: &str,
    ) -> Result<(Span, String, &'static str), Refusal> {
        let name = column.replace('`', "``");
        if let Source::Set(list) = &insert.source {
            let first = list.first().map(|one| one.column);
            let first = first.ok_or_else(|| problem(column.to_owned(), ColumnProblem::Missing))?;
            let start = first.schema.or(first.table).unwrap_or(first.column).start;
            return Ok((Span::new(start, start), format!("`{name}` = "), ", "));
        }
        let last = insert.columns.iter().flatten().last();
        let last = last.ok_or_else(|| problem(column.to_owned(), ColumnProblem::Missing))?;
        let (_, names) = self.named.get_or_insert((last.column.end, String::new()));
        let added = format!(", `{name}`");
        if !names.contains(&added) {
            names.push_str(&added);
        }
        let end = row.span.end - 1;
        Ok((Span::new(end, end), ", ".to_owned(), ""))
    }
}

/// What a row says about a column.
enum Given {
    Value,
    /// 0, there.
    Zero(Span),
    /// Nothing, or NULL or DEFAULT there.
    Nothing(Option<Span>),
}

fn given(
    statement: &Statement<'_>,
    placed: &PlacedTable,
    row: &Row<'_>,
    column: &str,
) -> Result<Given, Refusal> {
    let Some(expr) = row.value_of(statement, column) else { return Ok(Given::Nothing(None)) };
    let expr = statement.tree.expr(expr);
    if matches!(expr.kind, ExprKind::Default) {
        return Ok(Given::Nothing(Some(expr.span)));
    }
    let unsure = || problem(column.to_owned(), ColumnProblem::Unsure);
    let value = value(statement.request, expr).ok_or_else(unsure)?;
    if let Some(key) = placed.key_of(column) {
        return Ok(match statement.rules.key(key).key_type.stored(&value.as_key()) {
            Stored::Null => Given::Nothing(Some(expr.span)),
            Stored::Exactly(KeyValue::Integer(0)) => Given::Zero(expr.span),
            // What is not sure is refused where the row's slot is looked for.
            Stored::Exactly(_) | Stored::Unknown => Given::Value,
        });
    }
    match value.as_key() {
        KeyLiteral::Null => Ok(Given::Nothing(Some(expr.span))),
        KeyLiteral::Integer(0) => Ok(Given::Zero(expr.span)),
        KeyLiteral::Integer(_) => Ok(Given::Value),
        KeyLiteral::Opaque if matches!(expr.kind, ExprKind::Parameter(_)) => Ok(Given::Value),
        _ => Err(unsure()),
    }
}

/// What an id of this row is made of.
fn pieces(
    statement: &Statement<'_>,
    placed: &PlacedTable,
    row: &Row<'_>,
    sequence: SequenceId,
) -> Result<Vec<Piece>, Refusal> {
    let composed = match &statement.rules.sequences()[usize::from(sequence.0)].kind {
        SequenceKind::Segment(_) => return Ok(vec![Piece::Number(sequence)]),
        SequenceKind::Composed(composed) => composed,
    };
    let placement = statement.rules.placement(placed.placement);
    let part = |(_, part): &(_, Part)| match part {
        Part::Sequence(number) => Ok(Piece::Number(*number)),
        Part::Of(key) => {
            let name = || name_of(statement, placed, *key);
            let value = key_value(statement, placed, row, *key)?;
            let value = value.ok_or_else(|| problem(name(), ColumnProblem::Missing))?;
            let carried = placement.carried(composed.key, *key, &value);
            Ok(Piece::Is(carried.ok_or_else(|| problem(name(), ColumnProblem::NoSlot))?))
        }
    };
    composed.parts.iter().map(part).collect()
}

fn name_of(statement: &Statement<'_>, placed: &PlacedTable, key: KeyId) -> String {
    let column = placed.columns.iter().find(|column| column.key == key);
    column.map_or_else(|| statement.rules.key(key).name.to_string(), |column| column.column.to_string())
}

/// The value of a key in a row, if it has one.
fn key_value(
    statement: &Statement<'_>,
    placed: &PlacedTable,
    row: &Row<'_>,
    key: KeyId,
) -> Result<Option<KeyValue<'static>>, Refusal> {
    let Some(column) = placed.columns.iter().find(|column| column.key == key) else { return Ok(None) };
    let Some(expr) = row.value_of(statement, &column.column) else { return Ok(None) };
    let expr = statement.tree.expr(expr);
    let wrong = |what| problem(column.column.to_string(), what);
    let Some(value) = value(statement.request, expr) else { return Err(wrong(ColumnProblem::Unsure)) };
    match statement.rules.key(key).key_type.stored(&value.as_key()) {
        Stored::Exactly(value) => Ok(Some(value.into_owned())),
        Stored::Null => Err(wrong(ColumnProblem::Null)),
        Stored::Unknown => Err(wrong(ColumnProblem::Unsure)),
    }
}

/// The slots that what a row says of its keys leaves open.
fn open(statement: &Statement<'_>, placed: &PlacedTable, placement: &Placement, row: &Row<'_>) -> SlotSet {
    let mut slots = placement.all().clone();
    for column in &placed.columns {
        if placed.generate.iter().any(|(generated, _)| generated.eq_ignore_ascii_case(&column.column)) {
            continue;
        }
        let Ok(Some(value)) = key_value(statement, placed, row, column.key) else { continue };
        match placement.locate(column.key, &value) {
            Located::One(slot) => slots.intersect(&SlotSet::one(slots.universe(), slot)),
            Located::Among(some) => slots.intersect(&some),
            Located::Nowhere => {}
        }
    }
    slots
}
