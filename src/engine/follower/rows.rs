//! Which rows the events of a log are about, where the table has a key and it is certain which column that is.
//!
//! A log does not tell the names of columns, unless it is set to. What a server says of them may be newer than the event
//! that is read, or older. It is certain once the log has been read up to a place that the server told after it had
//! answered, without a change of definitions in between: such a change in the log ends all that is known ([`Catalogs`]).
//!
//! [`Catalogs`]: crate::cache::Catalogs

use tokio::time::Instant;

use crate::cache::{Cache, Catalog, KeyPlace, Slot};
use crate::wire::binlog::{RowLayout, RowsOf};

/// Rows of one event that are told apart.
const ROWS_MAX: usize = 64;

/// A table as its map in the log tells.
#[derive(Clone, Debug)]
pub(super) struct Mapped {
    pub(super) name: Box<str>,
    schema: Box<str>,
    columns: Box<[u8]>,
}

impl Mapped {
    /// A table map; all of it.
    pub(super) fn new(schema: &[u8], name: &[u8], columns: &[u8]) -> Self {
        let lower = |name: &[u8]| String::from_utf8_lossy(name).to_lowercase().into();
        Self { name: lower(name), schema: lower(schema), columns: columns.into() }
    }

    /// Where writes of the rows of an event are counted; `None`: it may be about any. `proven`: everything that the
    /// server had written at that moment has been read.
    pub(super) fn rows(
        &self,
        rows: RowsOf<'_>,
        cache: &Cache,
        catalog: &Catalog,
        proven: Option<Instant>,
    ) -> Option<Vec<Slot>> {
        let key = cache.keys.of(&self.name)?;
        let (KeyPlace { column, columns }, since) = catalog.key_place(&self.schema, &self.name)?;
        if proven.is_none_or(|proven| proven <= since) {
            return None;
        }
        let layout = RowLayout::parse(&self.columns).ok().filter(|layout| layout.count() == columns)?;
        let values = layout.values(rows.kind, rows.rows, column, ROWS_MAX).ok()?;
        if !values.fit(key.range.1) {
            return None;
        }
        let signed = key.range.0 < 0;
        let rows = values.numbers(signed).map(|number| Slot::of_row(&self.name, &key.name, number));
        Some(std::iter::once(Slot::of_rows(&self.name)).chain(rows).collect())
    }
}

/// Whether a statement of the log is one that only frames others, or is about temporary tables.
pub(super) fn changes_nothing(text: &[u8]) -> bool {
    const FRAMES: [&str; 10] = [
        "BEGIN",
        "COMMIT",
        "ROLLBACK",
        "SAVEPOINT ",
        "ROLLBACK TO ",
        "RELEASE SAVEPOINT ",
        "XA START ",
        "XA END ",
        "DROP TEMPORARY TABLE ",
        "DROP /*!40005 TEMPORARY */ TABLE ",
    ];
    let begins = |frame: &&str| {
        let frame = frame.as_bytes();
        let whole = !frame.ends_with(b" ");
        text.get(..frame.len()).is_some_and(|text| text.eq_ignore_ascii_case(frame))
            && (!whole || text.len() == frame.len())
    };
    FRAMES.iter().any(begins)
}

#[cfg(test)]
mod tests {
    use super::changes_nothing;

    #[test]
    fn what_frames_others_changes_nothing() {
        for text in ["BEGIN", "begin", "SAVEPOINT `a`", "XA START X'01'", "DROP TEMPORARY TABLE t"] {
            assert!(changes_nothing(text.as_bytes()), "{text}");
        }
        for text in
            ["BEGIN NOT ATOMIC", "CREATE TEMPORARY TABLE t SELECT f()", "XA COMMIT 'x'", "DROP TABLE t"]
        {
            assert!(!changes_nothing(text.as_bytes()), "{text}");
        }
    }
}
