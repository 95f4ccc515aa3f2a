//! Which rows of a table a statement reads or changes, where its text names them and they can be no others.
//!
//! Each table has at most one key: a column of integers, the primary key unless a rule names another. What a read
//! with `key = 5` returns depends on the rows with that key alone, and a write with `key = 5` that does not assign
//! the key changes no others, be they one or many. Whatever is not written so plainly is about all rows.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::sync::Arc;

use parking_lot::RwLock;

use crate::cache::tables::Slot;
use crate::sql::LexMode;
use crate::sql::tree::{
    Assignment, Body, ColumnName, CompareOp, Constant, ExprId, ExprKind, Insert, Polarity, Root, Source,
    TableId, TableKind, Tree, parse,
};

/// Rows that one statement names at most; more are all.
const ROWS_MAX: usize = 16;

/// Digits of a number that is certainly within 64 bits.
const DIGITS_MAX: usize = 18;

/// The key of a table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyColumn {
    /// Its name, in lower case.
    pub name: Box<str>,
    /// The smallest and the largest number that it can hold.
    pub range: (i128, i128),
}

impl KeyColumn {
    /// A column of this type, if its values are whole numbers that nothing but their own assignment changes.
    #[must_use]
    pub fn of(name: &str, data_type: &str, unsigned: bool, extra: &str) -> Option<Self> {
        let bits = match data_type {
            "tinyint" => 8,
            "smallint" => 16,
            "mediumint" => 24,
            "int" => 32,
            "bigint" => 64,
            _ => return None,
        };
        if !matches!(extra, "" | "auto_increment") || !name.is_ascii() {
            return None;
        }
        let range = if unsigned { (0, (1 << bits) - 1) } else { (-(1 << (bits - 1)), (1 << (bits - 1)) - 1) };
        Some(Self { name: name.to_ascii_lowercase().into(), range })
    }
}

/// The keys of all tables, by their names in lower case. A table of whose key two servers, schemas or moments say
/// different things has none from then on: what was kept by the one must not survive a write by the other.
#[derive(Debug, Default)]
pub struct Keys {
    /// Held for a look-up, or while an answer of a server is taken in.
    known: RwLock<HashMap<Box<str>, Option<Arc<KeyColumn>>>>,
}

impl Keys {
    /// The key of `table`.
    #[must_use]
    pub fn of(&self, table: &str) -> Option<Arc<KeyColumn>> {
        self.known.read().get(table)?.clone()
    }

    /// What a server says. To be told before anything else of that answer is believed.
    pub(super) fn learn<'a>(&self, keys: impl Iterator<Item = (&'a str, Option<&'a KeyColumn>)>) {
        let mut known = self.known.write();
        for (table, key) in keys {
            match known.entry(table.into()) {
                Entry::Vacant(entry) => drop(entry.insert(key.cloned().map(Arc::new))),
                Entry::Occupied(mut entry) => {
                    if entry.get().as_deref() != key {
                        entry.insert(None);
                    }
                }
            }
        }
    }

    /// Where writes of the rows of `table` are counted that `text` reads; `None`: it may read any.
    pub fn read(&self, table: &str, text: Text<'_>) -> Option<Vec<Slot>> {
        let slots = self.rows(table, text, &rows_read)?;
        Some(std::iter::once(Slot::of(table)).chain(slots).collect())
    }

    /// Where a write of the rows of `table` is counted that `text` changes; `None`: it may change any.
    pub fn written(&self, table: &str, text: Text<'_>) -> Option<Vec<Slot>> {
        let slots = self.rows(table, text, &rows_written)?;
        Some(std::iter::once(Slot::of_rows(table)).chain(slots).collect())
    }

    fn rows(
        &self,
        table: &str,
        text: Text<'_>,
        rows: &dyn Fn(&Naming<'_>) -> Option<Vec<i128>>,
    ) -> Option<impl Iterator<Item = Slot>> {
        let key = self.of(table)?;
        let tree = parse(text.bytes, text.mode).ok()?;
        let rows = rows(&Naming { tree: &tree, text, key: &key })?;
        let table: Box<str> = table.into();
        Some(rows.into_iter().map(move |row| Slot::of_row(&table, &key.name, row)))
    }
}

/// A statement with what is bound to it.
#[derive(Clone, Copy, Debug)]
pub struct Text<'a> {
    /// The text.
    pub bytes: &'a [u8],
    /// As it is read.
    pub mode: LexMode,
    /// Parameters that are whole numbers, in their order.
    pub parameters: &'a [Option<i128>],
}

/// Whether statements of this digest may name the rows that they are about: of one table, by one query or write.
#[must_use]
pub fn may_name_rows(text: &[u8], mode: LexMode) -> bool {
    let Ok(tree) = parse(text, mode) else { return false };
    is_simple(&tree)
        && match &tree.root {
            Root::Query(query) => {
                matches!(&tree.query(*query).body, Body::Select(select) if select.filter.is_some())
            }
            Root::Insert(insert) => names_its_rows(insert),
            Root::Update(update) => update.filter.is_some(),
            Root::Delete(delete) => delete.filter.is_some() && delete.targets.is_none(),
        }
}

fn is_simple(tree: &Tree) -> bool {
    let tables = usize::from(!matches!(tree.root, Root::Insert(_)));
    let queries = usize::from(matches!(tree.root, Root::Query(_)));
    tree.tables().len() == tables
        && tree.queries().len() == queries
        && tree.queries().iter().all(|query| query.with.is_none())
        // How relevant a row is depends on all others.
        && !tree.exprs().iter().any(|expr| matches!(expr.kind, ExprKind::FullText(_)))
        && tree.explain.is_none()
        && !tree.executable_comment
}

/// Whether no other row than those of its VALUES can be concerned: with REPLACE and ON DUPLICATE KEY UPDATE the
/// conflict may be one of another unique key.
fn names_its_rows(insert: &Insert) -> bool {
    !insert.replace && !insert.delayed && insert.on_duplicate.is_empty()
}

/// A statement whose rows are looked for.
struct Naming<'a> {
    tree: &'a Tree,
    text: Text<'a>,
    key: &'a KeyColumn,
}

fn rows_read(naming: &Naming<'_>) -> Option<Vec<i128>> {
    let tree = naming.tree;
    let Root::Query(query) = tree.root else { return None };
    let Body::Select(select) = &tree.query(query).body else { return None };
    (is_simple(tree) && is_table(tree, select.from?)).then(|| naming.named_by(select.filter?))?
}

fn rows_written(naming: &Naming<'_>) -> Option<Vec<i128>> {
    let tree = naming.tree;
    if !is_simple(tree) {
        return None;
    }
    match &tree.root {
        Root::Query(_) => None,
        Root::Insert(insert) => naming.inserted(insert),
        Root::Update(update) => {
            let assigned =
                update.assignments.iter().any(|Assignment { column, .. }| naming.may_be_key(*column));
            let plain = update.with.is_none() && is_table(tree, update.tables);
            (plain && !assigned).then(|| naming.named_by(update.filter?))?
        }
        Root::Delete(delete) => {
            let plain = delete.with.is_none() && delete.targets.is_none() && is_table(tree, delete.tables);
            plain.then(|| naming.named_by(delete.filter?))?
        }
    }
}

fn is_table(tree: &Tree, table: TableId) -> bool {
    matches!(tree.table(table).kind, TableKind::Table { .. })
}

impl Naming<'_> {
    fn is_key(&self, column: ColumnName) -> bool {
        column.column.name(self.text.bytes).eq_ignore_ascii_case(self.key.name.as_bytes())
    }

    /// To servers, letters with and without accents are the same ones in names of columns.
    fn may_be_key(&self, column: ColumnName) -> bool {
        self.is_key(column) || !column.column.of(self.text.bytes).is_ascii()
    }

    /// The keys of all rows for which `filter` can be true.
    fn named_by(&self, filter: ExprId) -> Option<Vec<i128>> {
        match &self.tree.expr(filter).kind {
            ExprKind::And(parts) => parts.iter().find_map(|part| self.named_by(*part)),
            ExprKind::Compare(CompareOp::Equal, one, other) => {
                let value = if self.is_key_column(*one) {
                    self.number(*other)
                } else if self.is_key_column(*other) {
                    self.number(*one)
                } else {
                    None
                };
                value.map(|value| vec![value])
            }
            ExprKind::In(of, values, Polarity::Plain)
                if self.is_key_column(*of) && values.len() <= ROWS_MAX =>
            {
                values.iter().map(|value| self.number(*value)).collect()
            }
            _ => None,
        }
    }

    fn is_key_column(&self, expr: ExprId) -> bool {
        matches!(self.tree.expr(expr).kind, ExprKind::Column(name) if self.is_key(name))
    }

    /// A whole number that both servers compare with integers as such.
    fn number(&self, expr: ExprId) -> Option<i128> {
        match self.tree.expr(expr).kind {
            ExprKind::Parameter(n) => *self.text.parameters.get(n as usize)?,
            ExprKind::Constant(Constant::Number { value }) => {
                let text = std::str::from_utf8(value.of(self.text.bytes)).ok()?;
                let digits = text.strip_prefix(['-', '+']).unwrap_or(text);
                let plain = !digits.is_empty()
                    && digits.len() <= DIGITS_MAX
                    && digits.bytes().all(|byte| byte.is_ascii_digit());
                text.parse().ok().filter(|_| plain)
            }
            _ => None,
        }
    }

    /// The keys of the rows that an INSERT makes. A zero may be replaced by a generated number, what does not fit by what
    /// does.
    fn inserted(&self, insert: &Insert) -> Option<Vec<i128>> {
        if !names_its_rows(insert) {
            return None;
        }
        let values: Vec<ExprId> = match (&insert.source, &insert.columns) {
            (Source::Values(rows), Some(columns)) if rows.len() <= ROWS_MAX => {
                let at = columns.iter().position(|column| self.is_key(*column))?;
                rows.iter().map(|row| row.values.get(at).copied()).collect::<Option<_>>()?
            }
            (Source::Set(assignments), None) => {
                let own = assignments.iter().find(|assignment| self.is_key(assignment.column))?;
                vec![own.value]
            }
            (Source::Values(_) | Source::Set(_) | Source::Query(_), _) => return None,
        };
        let (min, max) = self.key.range;
        let stored = |value: i128| (value != 0 && (min..=max).contains(&value)).then_some(value);
        values.into_iter().map(|value| self.number(value).and_then(stored)).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sql::Server;

    fn keys() -> Keys {
        let keys = Keys::default();
        let key = KeyColumn::of("Id", "int", false, "auto_increment").expect("an integer");
        keys.learn([("t", Some(&key)), ("none", None)].into_iter());
        keys
    }

    fn text<'a>(bytes: &'a str, parameters: &'a [Option<i128>]) -> Text<'a> {
        let mode = LexMode::new(Server::from_version_text("10.11.6-MariaDB"));
        Text { bytes: bytes.as_bytes(), mode, parameters }
    }

    fn rows(all: Slot, rows: &[i128]) -> Option<Vec<Slot>> {
        let rows = rows.iter().map(|row| Slot::of_row("t", "id", *row));
        Some(std::iter::once(all).chain(rows).collect())
    }

    #[test]
    fn a_read_that_names_its_rows_is_about_those() {
        let check = |sql: &str, expected: &[i128]| {
            let text = text(sql, &[Some(9), None]);
            assert!(may_name_rows(text.bytes, text.mode), "{sql}");
            assert_eq!(keys().read("t", text), rows(Slot::of("t"), expected), "{sql}");
        };
        check("SELECT * FROM t WHERE id = 5", &[5]);
        check("SELECT COUNT(*) FROM s.T AS x WHERE x.a > 1 AND (-7 = x.`ID`) ORDER BY b LIMIT 1", &[-7]);
        check("SELECT a FROM t WHERE id IN (1, 2, 3)", &[1, 2, 3]);
        check("SELECT a FROM t WHERE id = ? AND b = ?", &[9]);
    }

    #[test]
    fn what_does_not_name_its_rows_is_about_all() {
        for sql in [
            "SELECT * FROM t",
            "SELECT * FROM t WHERE id > 5",
            "SELECT * FROM t WHERE id <=> 5",
            "SELECT * FROM t WHERE id = '5'",
            "SELECT * FROM t WHERE id = 5.0",
            "SELECT * FROM t WHERE id = 5e0",
            "SELECT * FROM t WHERE id = 1234567890123456789",
            "SELECT * FROM t WHERE id = a",
            "SELECT * FROM t WHERE id = 5 OR a = 1",
            "SELECT * FROM t WHERE NOT id = 5",
            "SELECT * FROM t WHERE id NOT IN (5)",
            "SELECT * FROM t WHERE id + 0 = 5",
            "SELECT * FROM t WHERE other = 5",
            "SELECT * FROM t WHERE id = ? AND a = ?",
            "SELECT id FROM t HAVING id = 5",
            "SELECT MATCH (a) AGAINST ('x') FROM t WHERE id = 5",
            "SELECT * FROM t, u WHERE id = 5",
            "SELECT * FROM t WHERE id = 5 AND a = (SELECT MAX(a) FROM t)",
            "SELECT * FROM t WHERE id = 5 UNION SELECT * FROM t",
            "WITH c AS (SELECT * FROM t) SELECT * FROM t WHERE id = 5",
            "UPDATE t SET a = 1 WHERE id = 5",
        ] {
            assert_eq!(keys().read("t", text(sql, &[None, Some(1)])), None, "{sql}");
        }
        let sql = text("SELECT * FROM none WHERE id = 5", &[]);
        assert_eq!((keys().read("none", sql), keys().read("unknown", sql)), (None, None));
    }

    #[test]
    fn a_write_that_names_its_rows_is_about_those() {
        let check = |sql: &str, expected: &[i128]| {
            let text = text(sql, &[Some(9)]);
            assert!(may_name_rows(text.bytes, text.mode), "{sql}");
            assert_eq!(keys().written("t", text), rows(Slot::of_rows("t"), expected), "{sql}");
        };
        check("UPDATE t SET a = a + 1 WHERE id = 5", &[5]);
        check("UPDATE IGNORE s.t SET a = 1, b = id WHERE b = 2 AND id IN (3, ?) LIMIT 1", &[3, 9]);
        check("DELETE FROM t WHERE id = 5 AND a = 1", &[5]);
        check("INSERT INTO t (a, id) VALUES (0, 1), (0, ?)", &[1, 9]);
        check("INSERT IGNORE INTO t SET id = -3, a = 1", &[-3]);
    }

    #[test]
    fn a_write_that_may_change_others_is_about_all() {
        for sql in [
            "UPDATE t SET id = 6 WHERE id = 5",
            "UPDATE t SET t.ID = 6, a = 1 WHERE id = 5",
            "UPDATE t SET `íd` = 6 WHERE id = 5",
            "UPDATE t SET a = 1",
            "UPDATE t SET a = 1 LIMIT 5",
            "UPDATE t JOIN u USING (id) SET a = 1 WHERE id = 5",
            "UPDATE t SET a = (SELECT MAX(a) FROM u) WHERE id = 5",
            "DELETE FROM t",
            "DELETE t FROM t WHERE id = 5",
            "DELETE FROM t WHERE id = 5 OR 1",
            "INSERT INTO t VALUES (5, 1)",
            "INSERT INTO t (a) VALUES (1)",
            "INSERT INTO t (id, a) VALUES (0, 1)",
            "INSERT INTO t (id, a) VALUES (5, 1), (NULL, 1)",
            "INSERT INTO t (id, a) VALUES (2147483648, 1)",
            "INSERT INTO t (id, a) VALUES (DEFAULT, 1)",
            "INSERT INTO t (id, a) VALUES ('5', 1)",
            "INSERT INTO t (id, a) VALUES (5, 1) ON DUPLICATE KEY UPDATE a = 2",
            "INSERT INTO t (id, a) SELECT id, a FROM t WHERE id = 5",
            "REPLACE INTO t (id, a) VALUES (5, 1)",
            "INSERT DELAYED INTO t (id, a) VALUES (5, 1)",
            "/*!50000 DELETE FROM t WHERE id = 5 */",
            "SELECT * FROM t WHERE id = 5",
        ] {
            assert_eq!(keys().written("t", text(sql, &[])), None, "{sql}");
        }
    }

    #[test]
    fn a_table_with_two_keys_has_none() {
        let keys = keys();
        let same = KeyColumn::of("id", "int", false, "").expect("an integer");
        let wider = KeyColumn::of("id", "bigint", false, "").expect("an integer");
        keys.learn([("t", Some(&same))].into_iter());
        assert!(keys.of("t").is_some(), "every server says the same");
        keys.learn([("t", Some(&wider))].into_iter());
        keys.learn([("t", Some(&same)), ("none", Some(&same))].into_iter());
        assert_eq!(
            (keys.of("t"), keys.of("none")),
            (None, None),
            "what one server says the other must not break"
        );
    }

    #[test]
    fn only_columns_of_plain_integers_are_keys() {
        let check = |data_type: &str, unsigned: bool, extra: &str, expected: Option<(i128, i128)>| {
            let key = KeyColumn::of("id", data_type, unsigned, extra);
            assert_eq!(key.map(|key| key.range), expected, "{data_type} {extra}");
        };
        check("tinyint", false, "", Some((-128, 127)));
        check("bigint", true, "auto_increment", Some((0, u64::MAX.into())));
        for (data_type, extra) in
            [("year", ""), ("varchar", ""), ("decimal", ""), ("int", "STORED GENERATED")]
        {
            check(data_type, false, extra, None);
        }
        assert_eq!(KeyColumn::of("ï", "int", false, ""), None);
    }
}
