//! INSERT, REPLACE, UPDATE and DELETE.

use crate::sql::token::TokenKind;
use crate::sql::tree::parser::{Parsed, Parser};
use crate::sql::tree::query::With;
use crate::sql::tree::span::{Span, TableName};
use crate::sql::tree::write::{Assignment, Delete, Insert, Source, Update, ValuesRow};

impl Parser<'_> {
    pub(super) fn insert(&mut self) -> Parsed<Insert> {
        let from = self.at;
        let replace = !self.take("INSERT") && self.take("REPLACE");
        let delayed = self.is("DELAYED");
        if self.is_any(&["LOW_PRIORITY", "HIGH_PRIORITY", "DELAYED"]) {
            self.next();
        }
        let ignore = self.take("IGNORE");
        self.take("INTO");
        let table = self.table_name()?;
        let partition = self.take("PARTITION");
        if partition {
            self.names()?;
        }
        let columns = self.insert_columns()?;
        let source = self.source()?;
        if matches!(source, Source::Values(_) | Source::Set(_)) && self.take("AS") {
            self.name()?;
            if self.peek().kind == TokenKind::Open {
                self.names()?;
            }
        }
        let on_duplicate = if self.take_all(&["ON", "DUPLICATE", "KEY", "UPDATE"]) {
            self.assignments()?
        } else {
            Box::default()
        };
        let returning = self.returning()?;
        Ok(Insert {
            replace,
            ignore,
            delayed,
            table,
            partition,
            columns,
            source,
            on_duplicate,
            returning,
            span: self.since(from),
        })
    }

    fn insert_columns(&mut self) -> Parsed<Option<Box<[crate::sql::tree::ColumnName]>>> {
        if self.peek().kind != TokenKind::Open || self.at_subquery() {
            return Ok(None);
        }
        self.open()?;
        let mut columns = Vec::new();
        while self.peek().kind != TokenKind::Close {
            columns.push(self.column_name()?);
            if !self.take_comma() {
                break;
            }
        }
        self.close()?;
        Ok(Some(columns.into()))
    }

    fn source(&mut self) -> Parsed<Source> {
        if self.take("VALUES") || self.take("VALUE") {
            return Ok(Source::Values(self.values()?));
        }
        if self.take("SET") {
            return Ok(Source::Set(self.assignments()?));
        }
        if !self.starts_query() {
            return self.fail("no rows");
        }
        Ok(Source::Query(self.query()?))
    }

    fn values(&mut self) -> Parsed<Box<[ValuesRow]>> {
        let mut rows = Vec::new();
        loop {
            let from = self.at;
            self.take("ROW");
            self.open()?;
            let values = if self.peek().kind == TokenKind::Close { Vec::new() } else { self.exprs()? };
            self.close()?;
            rows.push(ValuesRow { values: values.into(), span: self.since(from) });
            if !self.take_comma() {
                return Ok(rows.into());
            }
        }
    }

    fn assignments(&mut self) -> Parsed<Box<[Assignment]>> {
        let mut list = Vec::new();
        loop {
            let column = self.column_name()?;
            if !self.take_bytes("=") {
                self.want_bytes(":=")?;
            }
            list.push(Assignment { column, value: self.expr()? });
            if !self.take_comma() {
                return Ok(list.into());
            }
        }
    }

    fn returning(&mut self) -> Parsed<Option<Span>> {
        let from = self.at;
        if !self.take("RETURNING") {
            return Ok(None);
        }
        self.items()?;
        Ok(Some(self.since(from)))
    }

    pub(super) fn update(&mut self, with: Option<With>, start: Span) -> Parsed<Update> {
        self.want("UPDATE")?;
        self.take("LOW_PRIORITY");
        let ignore = self.take("IGNORE");
        let tables = self.table_references()?;
        self.want("SET")?;
        let assignments = self.assignments()?;
        let filter = if self.take("WHERE") { Some(self.expr()?) } else { None };
        let (order, limit) = (self.order()?, self.limit()?);
        let span = start.to(self.last());
        Ok(Update { with, ignore, tables, assignments, filter, order, limit, span })
    }

    pub(super) fn delete(&mut self, with: Option<With>, start: Span) -> Parsed<Delete> {
        self.want("DELETE")?;
        let mut ignore = false;
        while self.is_any(&["LOW_PRIORITY", "QUICK", "IGNORE"]) && !self.is_word(self.look(1), "USING") {
            ignore |= self.is("IGNORE");
            self.next();
        }
        let mut targets = None;
        if self.take("FROM") {
            let before = self.at;
            let names = self.targets()?;
            if self.take("USING") {
                targets = Some(names);
            } else {
                self.at = before;
            }
        } else {
            targets = Some(self.targets()?);
            self.want("FROM")?;
        }
        let tables = self.table_references()?;
        let filter = if self.take("WHERE") { Some(self.expr()?) } else { None };
        let (order, limit) = (self.order()?, self.limit()?);
        let returning = self.returning()?;
        let span = start.to(self.last());
        Ok(Delete { with, ignore, targets, tables, filter, order, limit, returning, span })
    }

    /// `t, u.*`
    fn targets(&mut self) -> Parsed<Box<[TableName]>> {
        let mut names = Vec::new();
        loop {
            let name = match self.table_star() {
                Some(name) => name,
                None => self.table_name()?,
            };
            names.push(name);
            if !self.take_comma() {
                return Ok(names.into());
            }
        }
    }
}
