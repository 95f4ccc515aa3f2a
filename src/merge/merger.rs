//! The merger: what its plan says, one row at a time.

use std::sync::Arc;

use crate::merge::collation::Collations;
use crate::merge::computed::Computing;
use crate::merge::condition;
use crate::merge::error::MergeError;
use crate::merge::fold::{Folding, columns_of};
use crate::merge::plan::{Condition, MergePlan};
use crate::merge::row::{Layout, Row, RowFormat};
use crate::merge::sort::Sorter;
use crate::merge::sources::{Head, Need, Sources};
use crate::merge::value::{Comparator, Comparison, Purpose, column};
use crate::wire::ColumnDefinition;

/// What a merge depends on beside its plan.
#[derive(Clone, Debug)]
pub struct MergeOptions {
    /// How rows are encoded, by the sources and for the client.
    pub format: RowFormat,
    /// Bytes held at most by a plan that sorts.
    pub bytes_max: usize,
    /// The servers' collations.
    pub collations: Arc<Collations>,
}

/// What [`Merger::next`] came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// A row of the result was appended.
    Row,
    /// A row is needed: give it by [`Merger::row`], or say [`Merger::end`].
    Needs(Need),
    /// The result is complete. Sources that have not ended need not be read any further.
    Done,
}

/// See the module's text.
#[derive(Debug)]
pub struct Merger {
    layout: Layout,
    sources: Sources,
    comparators: Vec<Comparator>,
    /// Columns that are shown or looked at; the others may be of any type.
    used: Vec<bool>,
    folding: Option<Folding>,
    having: Option<Condition>,
    computing: Option<Computing>,
    sorter: Option<Sorter>,
    sorted: Option<std::vec::IntoIter<Row>>,
    collations: Arc<Collations>,
    /// Rows still to be left out.
    offset: u64,
    skipped: u64,
    /// Rows still to be passed on.
    limit: u64,
}

impl Merger {
    /// A merger for sources that all answer with these columns.
    ///
    /// # Errors
    /// [`MergeError`] if a type of them cannot be merged as the plan demands.
    pub fn new(
        plan: &MergePlan,
        mut columns: Vec<ColumnDefinition>,
        sources: usize,
        options: &MergeOptions,
    ) -> Result<Self, MergeError> {
        for column in columns.iter_mut().filter(|_| plan.anonymous) {
            (column.schema, column.table) = (Vec::new(), Vec::new());
            (column.org_table, column.org_name) = (Vec::new(), Vec::new());
        }
        let resolve = |key: &_| Comparator::resolve(*key, &columns, Purpose::Order);
        let comparators = plan.input.iter().map(resolve).collect::<Result<Vec<_>, _>>()?;
        let sort = plan.sort.iter().map(resolve).collect::<Result<Vec<_>, _>>()?;
        if let Some(last) = plan.shown.checked_sub(1) {
            column(&columns, last)?;
        }
        let shown = if plan.computed.is_some() { columns.len() } else { plan.shown };
        let layout = Layout { format: options.format, columns, shown };
        let computed = plan.computed.as_ref();
        let computing =
            computed.map(|computed| Computing::new(computed, &layout, plan.shown, options)).transpose()?;
        let folding = plan.grouping.as_ref();
        let folding =
            folding.map(|grouping| Folding::new(grouping, &layout, options.bytes_max)).transpose()?;
        let mut used: Vec<bool> = (0..layout.columns.len()).map(|column| column < plan.shown).collect();
        let folds = plan.grouping.iter().flat_map(|grouping| &grouping.folds);
        let sets = folding.iter().flat_map(Folding::set_columns);
        let looked_at = comparators.iter().chain(&sort).map(|comparator| comparator.column).chain(sets);
        for column in looked_at.chain(folds.flat_map(columns_of)) {
            if let Some(used) = used.get_mut(column) {
                *used = true;
            }
        }
        let wanted = plan.limit.map(|limit| limit.saturating_add(plan.offset));
        Ok(Self {
            sources: Sources::new(sources, !comparators.is_empty(), folding.is_some()),
            sorter: (!sort.is_empty()).then(|| Sorter::new(sort, options.bytes_max, wanted)),
            layout,
            comparators,
            used,
            folding,
            having: plan.having.clone(),
            computing,
            sorted: None,
            collations: Arc::clone(&options.collations),
            offset: plan.offset,
            skipped: 0,
            limit: plan.limit.unwrap_or(u64::MAX),
        })
    }

    /// The definitions of the columns that the client sees.
    #[must_use]
    pub fn shown(&self) -> &[ColumnDefinition] {
        &self.layout.columns[..self.layout.shown]
    }

    /// What is to be made of the merged rows before the client gets them, if that is something.
    #[must_use]
    pub const fn computing(&mut self) -> Option<Computing> {
        self.computing.take()
    }

    /// Rows that OFFSET has left out so far: servers count them as found.
    #[must_use]
    pub const fn skipped(&self) -> u64 {
        self.skipped
    }

    /// Checks that another source answers with the same columns; they may lie in another schema.
    ///
    /// # Errors
    /// [`MergeError::Drift`].
    pub fn check(&self, columns: &[ColumnDefinition]) -> Result<(), MergeError> {
        let what = |column: &ColumnDefinition| (column.column_type, column.decimals, column.charset);
        let same = columns.len() == self.layout.columns.len()
            && columns.iter().zip(&self.layout.columns).zip(&self.used).all(|((a, b), used)| {
                !used || what(a) == what(b) && (a.flags ^ b.flags) & crate::wire::UNSIGNED_FLAG == 0
            });
        if same { Ok(()) } else { Err(MergeError::Drift) }
    }

    /// The next row of a source.
    ///
    /// # Errors
    /// [`MergeError`] if it is not well-formed, or cannot be compared.
    pub fn row(&mut self, source: usize, payload: &[u8]) -> Result<(), MergeError> {
        let first = self.sources.is_first(source);
        let row = self.sources.load(source, payload, &self.comparators, &self.layout)?;
        if first {
            learn(row, &self.collations, self.comparators.iter_mut())?;
            if let Some(sorter) = &mut self.sorter {
                learn(row, &self.collations, sorter.comparators().iter_mut())?;
            }
            if let Some(folding) = &mut self.folding {
                learn(row, &self.collations, folding.comparators())?;
            }
        }
        self.sources.admit(source, &self.comparators)
    }

    /// A source has no more rows.
    pub fn end(&mut self, source: usize) {
        self.sources.end(source);
    }

    /// Goes on until there is a row of the result, which is appended to `out` as a payload, or one of the
    /// sources' is needed.
    ///
    /// # Errors
    /// [`MergeError`]; nothing can be gone on with after it.
    pub fn next(&mut self, out: &mut Vec<u8>) -> Result<Step, MergeError> {
        loop {
            if self.limit == 0 {
                return Ok(Step::Done);
            }
            if let Some(sorted) = &mut self.sorted {
                let Some(row) = sorted.next() else { return Ok(Step::Done) };
                if self.count() {
                    row.emit(&self.layout, out);
                    return Ok(Step::Row);
                }
                continue;
            }
            match self.sources.head() {
                Head::Needs(need) => return Ok(Step::Needs(need)),
                Head::Of(source) => {
                    let row = self.sources.take(source, &self.comparators)?;
                    let passed = self.take_in(&row, out)?;
                    self.sources.put_back(source, row);
                    if passed {
                        return Ok(Step::Row);
                    }
                }
                Head::End => {
                    let last = match &mut self.folding {
                        Some(folding) => folding.finish(&self.layout)?,
                        None => None,
                    };
                    let passed = last.map_or(Ok(false), |row| self.pass(&row, out))?;
                    match &mut self.sorter {
                        Some(sorter) => self.sorted = Some(sorter.finish()?),
                        None => self.sorted = Some(Vec::new().into_iter()),
                    }
                    if passed {
                        return Ok(Step::Row);
                    }
                }
            }
        }
    }

    /// Takes in the next row of all; whether a row of the result came of it.
    fn take_in(&mut self, row: &Row, out: &mut Vec<u8>) -> Result<bool, MergeError> {
        let Some(folding) = &mut self.folding else { return self.pass(row, out) };
        let group = folding.step(row, &self.comparators, &self.layout)?;
        group.map_or(Ok(false), |group| self.pass(&group, out))
    }

    /// A row of the result, unless HAVING, the sort or OFFSET keep it; whether it was appended.
    fn pass(&mut self, row: &Row, out: &mut Vec<u8>) -> Result<bool, MergeError> {
        if let Some(having) = &self.having
            && condition::holds(having, row, &self.layout)? != Some(true)
        {
            return Ok(false);
        }
        if let Some(sorter) = &mut self.sorter {
            let mut row = row.clone();
            row.read_keys(sorter.comparators(), &self.layout)?;
            sorter.push(row)?;
            return Ok(false);
        }
        let counts = self.count();
        if counts {
            row.emit(&self.layout, out);
        }
        Ok(counts)
    }

    /// Counts a row against OFFSET and LIMIT; whether it is passed on.
    const fn count(&mut self) -> bool {
        if self.offset > 0 {
            self.offset -= 1;
            self.skipped += 1;
            return false;
        }
        self.limit -= 1;
        true
    }
}

/// Learns from a source's first row which collations its texts are compared by.
pub(crate) fn learn<'a>(
    row: &Row,
    collations: &Collations,
    comparators: impl Iterator<Item = &'a mut Comparator>,
) -> Result<(), MergeError> {
    for comparator in comparators.filter(|comparator| comparator.comparison == Comparison::Weights) {
        let name = comparator.key.collation.and_then(|column| row.cell(column)).unwrap_or_default();
        let unknown = || MergeError::Collation(String::from_utf8_lossy(name).into_owned());
        let pad = collations.pad(name).ok_or_else(unknown)?;
        match &comparator.pad {
            Some(known) if known != pad => return Err(MergeError::Drift),
            Some(_) => {}
            None => comparator.pad = Some(pad.clone()),
        }
    }
    Ok(())
}
