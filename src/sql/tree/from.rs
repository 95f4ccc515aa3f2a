//! FROM: tables, derived tables and joins, as deep as MySQL joins them.

use crate::sql::token::TokenKind;
use crate::sql::tree::parser::{Parsed, Parser};
use crate::sql::tree::query::{Condition, Join, JoinKind, TableId, TableKind};
use crate::sql::tree::span::Span;

/// What joins two table references.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Operator {
    Join(JoinKind),
    Natural(JoinKind),
}

impl Parser<'_> {
    /// Table references separated by commas, which bind looser than JOIN.
    pub(super) fn table_references(&mut self) -> Parsed<TableId> {
        self.nest(|this| {
            let (from, mut left) = (this.at, this.joined()?);
            while this.take_comma() {
                let right = this.joined()?;
                left = this.push_join(from, JoinKind::Inner, [left, right], Condition::None)?;
            }
            Ok(left)
        })
    }

    fn joined(&mut self) -> Parsed<TableId> {
        let (from, left) = (self.at, self.factor()?);
        self.joins(from, left)
    }

    /// The joins that follow `left`, which begins at the token `from`.
    fn joins(&mut self, from: usize, mut left: TableId) -> Parsed<TableId> {
        while let Some(operator) = self.join_operator()? {
            let (at, first) = (self.at, self.factor()?);
            let kind = match operator {
                Operator::Natural(kind) => {
                    left = self.push_join(from, kind, [left, first], Condition::Natural)?;
                    continue;
                }
                Operator::Join(kind) => kind,
            };
            // `a JOIN b JOIN c ON x ON y`: what follows b belongs to it, if a condition comes after.
            let right = if self.at_condition() { first } else { self.nest(|this| this.joins(at, first))? };
            let condition = self.condition()?;
            left = match (kind, &condition) {
                (JoinKind::Left | JoinKind::Right, Condition::None) => {
                    return self.fail("an outer join without a condition");
                }
                (JoinKind::Inner, Condition::None) if right != first => {
                    self.insert_below(from, left, first, right)?
                }
                _ => self.push_join(from, kind, [left, right], condition)?,
            };
        }
        Ok(left)
    }

    /// `a JOIN b JOIN c ON x` is `(a JOIN b) JOIN c ON x`: joins `left` to `first`, the leftmost of `chain`.
    fn insert_below(
        &mut self,
        from: usize,
        left: TableId,
        first: TableId,
        chain: TableId,
    ) -> Parsed<TableId> {
        let start = self.item(from).span;
        let both = start.to(self.table_mut(first).span);
        let join = Join { kind: JoinKind::Inner, left, right: first, condition: Condition::None };
        let cross = self.push_table(TableKind::Join(Box::new(join)), both)?;
        let mut at = chain;
        loop {
            let table = self.table_mut(at);
            table.span.start = start.start;
            let TableKind::Join(join) = &mut table.kind else { return self.fail("a join of nothing") };
            if join.left == first {
                join.left = cross;
                return Ok(chain);
            }
            at = join.left;
        }
    }

    fn push_join(
        &mut self,
        from: usize,
        kind: JoinKind,
        [left, right]: [TableId; 2],
        condition: Condition,
    ) -> Parsed<TableId> {
        let span = self.since(from);
        self.push_table(TableKind::Join(Box::new(Join { kind, left, right, condition })), span)
    }

    fn join_operator(&mut self) -> Parsed<Option<Operator>> {
        if self.take("STRAIGHT_JOIN") || self.take("JOIN") {
            return Ok(Some(Operator::Join(JoinKind::Inner)));
        }
        if self.take("INNER") || self.take("CROSS") {
            self.want("JOIN")?;
            return Ok(Some(Operator::Join(JoinKind::Inner)));
        }
        let natural = self.take("NATURAL");
        let kind = if self.take("LEFT") {
            JoinKind::Left
        } else if self.take("RIGHT") {
            JoinKind::Right
        } else if natural {
            self.take("INNER");
            JoinKind::Inner
        } else {
            return Ok(None);
        };
        if kind != JoinKind::Inner {
            self.take("OUTER");
        }
        self.want("JOIN")?;
        Ok(Some(if natural { Operator::Natural(kind) } else { Operator::Join(kind) }))
    }

    fn at_condition(&self) -> bool {
        // `INSERT … SELECT … FROM a JOIN b ON DUPLICATE KEY UPDATE …`
        let duplicate = self.is_word(self.look(1), "DUPLICATE") && self.is_word(self.look(2), "KEY");
        self.is("ON") && !duplicate || self.is("USING")
    }

    fn condition(&mut self) -> Parsed<Condition> {
        if !self.at_condition() {
            return Ok(Condition::None);
        }
        if self.take("ON") {
            return Ok(Condition::On(self.expr()?));
        }
        self.want("USING")?;
        Ok(Condition::Using(self.names()?))
    }

    fn factor(&mut self) -> Parsed<TableId> {
        let from = self.at;
        if self.at_subquery() || self.at_rows() {
            return self.derived(from, false);
        }
        if self.is("LATERAL") && self.look(1).kind == TokenKind::Open {
            self.next();
            return self.derived(from, true);
        }
        if self.is("JSON_TABLE") && self.look(1).kind == TokenKind::Open {
            return self.json_table();
        }
        if self.take_kind(TokenKind::Open) {
            let inside = self.table_references()?;
            self.close()?;
            self.table_mut(inside).span = self.since(from);
            return Ok(inside);
        }
        let name = self.table_name()?;
        let partition = self.take("PARTITION");
        if partition {
            self.names()?;
        }
        if self.is("FOR") && self.is_word(self.look(1), "SYSTEM_TIME") {
            return self.fail("a table's history");
        }
        let alias = self.alias()?;
        self.index_hints()?;
        let span = self.since(from);
        self.push_table(TableKind::Table { name, alias, partition }, span)
    }

    fn alias(&mut self) -> Parsed<Option<Span>> {
        if self.take("AS") || self.is_name(self.peek()) { self.name().map(Some) } else { Ok(None) }
    }

    fn derived(&mut self, from: usize, lateral: bool) -> Parsed<TableId> {
        let (query, _) = self.subquery()?;
        let alias = self.alias()?;
        let columns = if alias.is_some() && self.peek().kind == TokenKind::Open {
            self.names()?
        } else {
            Box::default()
        };
        let span = self.since(from);
        self.push_table(TableKind::Derived { query, alias, columns, lateral }, span)
    }

    /// After the document come paths, types and literals only.
    fn json_table(&mut self) -> Parsed<TableId> {
        let from = self.at;
        self.next();
        let end = self.after_group(self.at);
        self.open()?;
        let document = self.expr()?;
        while self.at < end {
            if self.peek().kind == TokenKind::Placeholder {
                return self.fail("a parameter in JSON_TABLE");
            }
            self.next();
        }
        let Some(alias) = self.alias()? else { return self.fail("JSON_TABLE without a name") };
        let span = self.since(from);
        self.push_table(TableKind::Json { document, alias }, span)
    }

    /// `USE INDEX (a, b)` and its like.
    fn index_hints(&mut self) -> Parsed<()> {
        while self.is_any(&["USE", "FORCE", "IGNORE"])
            && (self.is_word(self.look(1), "INDEX") || self.is_word(self.look(1), "KEY"))
        {
            self.next();
            self.next();
            if self.take("FOR") && !self.take("JOIN") && !self.take_all(&["ORDER", "BY"]) {
                self.want("GROUP")?;
                self.want("BY")?;
            }
            self.skip_group()?;
            // `USE INDEX (a), USE INDEX (b)`
            if self.peek().kind == TokenKind::Comma && self.is_word(self.look(2), "INDEX") {
                self.next();
            }
        }
        Ok(())
    }
}
