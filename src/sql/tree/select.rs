//! Queries: WITH, set operations, SELECT with its clauses, ORDER BY and LIMIT.

use crate::sql::token::TokenKind;
use crate::sql::tree::expression::{ExprId, ExprKind, Window};
use crate::sql::tree::parser::{Parsed, Parser};
use crate::sql::tree::query::{
    Body, CommonTable, Direction, Group, Item, ItemKind, Limit, Order, Query, QueryId, Select, SetArm, SetOp,
    SortKey, TableKind, With,
};
use crate::sql::tree::span::{Span, TableName};

impl Parser<'_> {
    pub(super) fn with(&mut self) -> Parsed<Option<With>> {
        let from = self.at;
        if !self.take("WITH") {
            return Ok(None);
        }
        let recursive = self.take("RECURSIVE");
        let mut tables = Vec::new();
        loop {
            let name = self.name()?;
            let columns = if self.peek().kind == TokenKind::Open { self.names()? } else { Box::default() };
            self.want("AS")?;
            if !self.at_subquery() && !self.at_rows() {
                return self.fail("no query");
            }
            let (query, _) = self.subquery()?;
            tables.push(CommonTable { name, columns, query });
            if !self.take_comma() {
                break;
            }
        }
        Ok(Some(With { recursive, tables: tables.into(), span: self.since(from) }))
    }

    /// `(VALUES`, which only where no expression can stand is a query in any case.
    pub(super) fn at_rows(&self) -> bool {
        self.peek().kind == TokenKind::Open && self.is_word(self.look(1), "VALUES")
    }

    pub(super) fn starts_query(&self) -> bool {
        self.is_any(&["SELECT", "VALUES", "TABLE", "WITH"]) || self.at_subquery()
    }

    pub(super) fn query(&mut self) -> Parsed<QueryId> {
        let start = self.peek().span;
        let with = self.with()?;
        self.query_after(with, start)
    }

    pub(super) fn query_after(&mut self, with: Option<With>, start: Span) -> Parsed<QueryId> {
        let first = self.arm()?;
        let mut arms = vec![SetArm { op: SetOp::Union, distinct: true, query: first }];
        while let Some(op) = self.set_op() {
            let all = self.take("ALL");
            if !all {
                self.take("DISTINCT");
            }
            arms.push(SetArm { op, distinct: !all, query: self.arm()? });
        }
        let id = if arms.len() == 1 { first } else { self.set_query(arms) };
        let tail = self.tail_clauses()?;
        let span = start.to(self.last());
        let query = self.query_mut(id);
        (query.with, query.order, query.limit) = (with, tail.order, tail.limit);
        (query.locks, query.into, query.span) = (tail.locks, tail.into, span);
        Ok(id)
    }

    fn set_query(&mut self, arms: Vec<SetArm>) -> QueryId {
        self.push_query(bare(Body::Set(arms.into()), Span::default()))
    }

    fn set_op(&mut self) -> Option<SetOp> {
        let ops = [("UNION", SetOp::Union), ("INTERSECT", SetOp::Intersect), ("EXCEPT", SetOp::Except)];
        ops.into_iter().find(|(word, _)| self.take(word)).map(|(_, op)| op)
    }

    /// One arm of a set operation, or the only one.
    fn arm(&mut self) -> Parsed<QueryId> {
        let from = self.at;
        let body = if self.take("SELECT") {
            Body::Select(Box::new(self.select(from)?))
        } else if self.take("VALUES") {
            Body::Values(self.rows()?)
        } else if self.take("TABLE") {
            let start = self.at;
            let name = self.table_name()?;
            let kind = TableKind::Table { name, alias: None, partition: false };
            let span = self.since(start);
            Body::Table(self.push_table(kind, span)?)
        } else if self.at_subquery() {
            Body::Nested(self.subquery()?.0)
        } else {
            return self.fail("no query");
        };
        let span = self.since(from);
        Ok(self.push_query(bare(body, span)))
    }

    fn rows(&mut self) -> Parsed<Box<[Box<[ExprId]>]>> {
        let mut rows = Vec::new();
        loop {
            self.take("ROW");
            self.open()?;
            rows.push(self.exprs()?.into());
            self.close()?;
            if !self.take_comma() {
                return Ok(rows.into());
            }
        }
    }

    /// After SELECT.
    fn select(&mut self, from: usize) -> Parsed<Select> {
        let mut select = Select {
            verb: self.last(),
            distinct: None,
            calc_found_rows: None,
            items: Box::default(),
            from: None,
            filter: None,
            group: None,
            having: None,
            windows: Box::default(),
            into: None,
            span: Span::default(),
        };
        self.options(&mut select);
        select.items = self.items()?;
        select.into = self.into()?;
        if self.take("FROM") && !self.take("DUAL") {
            select.from = Some(self.table_references()?);
        }
        if self.take("WHERE") {
            select.filter = Some(self.expr()?);
        }
        select.group = self.group()?;
        if self.take("HAVING") {
            let word = self.last();
            select.having = Some((word, self.expr()?));
        }
        select.windows = self.windows()?;
        select.span = self.since(from);
        Ok(select)
    }

    fn options(&mut self, select: &mut Select) {
        loop {
            if self.take("DISTINCT") || self.take("DISTINCTROW") {
                select.distinct = Some(self.last());
            } else if self.take("SQL_CALC_FOUND_ROWS") {
                select.calc_found_rows = Some(self.last());
            } else if self.is_any(&[
                "ALL",
                "HIGH_PRIORITY",
                "STRAIGHT_JOIN",
                "SQL_SMALL_RESULT",
                "SQL_BIG_RESULT",
                "SQL_BUFFER_RESULT",
                "SQL_NO_CACHE",
            ]) || self.is("SQL_CACHE") && self.look(1).kind != TokenKind::Comma
            {
                self.next();
            } else {
                return;
            }
        }
    }

    pub(super) fn items(&mut self) -> Parsed<Box<[Item]>> {
        let mut items = Vec::new();
        loop {
            let from = self.at;
            let kind = self.item_kind()?;
            items.push(Item { kind, span: self.since(from) });
            if !self.take_comma() {
                return Ok(items.into());
            }
        }
    }

    fn item_kind(&mut self) -> Parsed<ItemKind> {
        if self.take_bytes("*") {
            return Ok(ItemKind::Star);
        }
        if let Some(name) = self.table_star() {
            return Ok(ItemKind::TableStar(name));
        }
        let expr = self.expr()?;
        let alias = if self.take("AS") {
            match self.peek().kind {
                TokenKind::Text => Some(self.next().span),
                _ => Some(self.name()?),
            }
        } else if self.peek().kind == TokenKind::Text || self.is_name(self.peek()) {
            Some(self.next().span)
        } else {
            None
        };
        Ok(ItemKind::Expr(expr, alias))
    }

    /// Passes `t.*` or `s.t.*`.
    pub(super) fn table_star(&mut self) -> Option<TableName> {
        let dot = |at: usize| self.look(at).kind == TokenKind::Dot;
        let star = |at: usize| self.look(at).kind == TokenKind::Operator && self.bytes(self.look(at)) == b"*";
        let word = |at: usize| matches!(self.look(at).kind, TokenKind::Word | TokenKind::Quoted);
        let first = self.peek().span;
        if !self.is_name(self.peek()) || !dot(1) {
            return None;
        }
        if star(2) {
            self.at += 3;
            return Some(TableName { schema: None, table: first });
        }
        if word(2) && dot(3) && star(4) {
            let table = self.look(2).span;
            self.at += 5;
            return Some(TableName { schema: Some(first), table });
        }
        None
    }

    fn group(&mut self) -> Parsed<Option<Group>> {
        let from = self.at;
        if !self.take_all(&["GROUP", "BY"]) {
            return Ok(None);
        }
        let keys = self.sort_keys()?;
        let mut rollup = self.take_all(&["WITH", "ROLLUP"]);
        if let [only] = &keys[..]
            && let ExprKind::Call(call) = &self.expr_mut(only.expr).kind
        {
            rollup |= matches!(call.name.as_deref(), Some("ROLLUP" | "CUBE"));
        }
        Ok(Some(Group { keys, rollup, span: self.since(from) }))
    }

    fn windows(&mut self) -> Parsed<Box<[Window]>> {
        let mut windows = Vec::new();
        if !self.is("WINDOW") || self.look(2).kind == TokenKind::End {
            return Ok(windows.into());
        }
        self.next();
        loop {
            self.name()?;
            self.want("AS")?;
            windows.push(self.window()?);
            if !self.take_comma() {
                return Ok(windows.into());
            }
        }
    }

    pub(super) fn sort_keys(&mut self) -> Parsed<Box<[SortKey]>> {
        let mut keys = Vec::new();
        loop {
            let expr = self.expr()?;
            let direction = if self.take("ASC") {
                Direction::Ascending
            } else if self.take("DESC") {
                Direction::Descending
            } else {
                Direction::Unsaid
            };
            keys.push(SortKey { expr, direction });
            if !self.take_comma() {
                return Ok(keys.into());
            }
        }
    }

    pub(super) fn order(&mut self) -> Parsed<Option<Order>> {
        let from = self.at;
        if !self.take_all(&["ORDER", "BY"]) {
            return Ok(None);
        }
        let keys = self.sort_keys()?;
        Ok(Some(Order { keys, span: self.since(from) }))
    }

    pub(super) fn limit(&mut self) -> Parsed<Option<Limit>> {
        let from = self.at;
        if !self.take("LIMIT") {
            return Ok(None);
        }
        let first = self.limit_value()?;
        let (count, offset) = if self.take_comma() {
            (self.limit_value()?, Some(first))
        } else if self.take("OFFSET") {
            (first, Some(self.limit_value()?))
        } else {
            (first, None)
        };
        Ok(Some(Limit { count, offset, span: self.since(from) }))
    }

    fn limit_value(&mut self) -> Parsed<ExprId> {
        let token = self.peek();
        let digits = token.kind == TokenKind::Number && self.bytes(token).iter().all(u8::is_ascii_digit);
        if !digits && token.kind != TokenKind::Placeholder {
            return self.fail("a LIMIT of another kind");
        }
        self.primary()
    }

    fn tail_clauses(&mut self) -> Parsed<Tail> {
        let order = self.order()?;
        let limit = self.limit()?;
        let mut into = self.into()?;
        let locks = self.locks()?;
        if into.is_none() {
            into = self.into()?;
        }
        Ok(Tail { order, limit, locks, into })
    }

    /// `INTO @a, @b`, `INTO OUTFILE 'x' …`.
    fn into(&mut self) -> Parsed<Option<Span>> {
        let from = self.at;
        if !self.take("INTO") {
            return Ok(None);
        }
        if self.take("DUMPFILE") {
            self.want_kind(TokenKind::Text, "no file")?;
        } else if self.take("OUTFILE") {
            self.want_kind(TokenKind::Text, "no file")?;
            // What follows is options and strings, up to the next clause.
            while matches!(self.peek().kind, TokenKind::Word | TokenKind::Text)
                && !self.is_any(&["FROM", "FOR", "LOCK"])
            {
                self.next();
            }
        } else {
            self.want_kind(TokenKind::UserVariable, "no variable")?;
            while self.take_comma() {
                self.want_kind(TokenKind::UserVariable, "no variable")?;
            }
        }
        Ok(Some(self.since(from)))
    }

    fn locks(&mut self) -> Parsed<Option<Span>> {
        let from = self.at;
        loop {
            if self.take_all(&["LOCK", "IN", "SHARE", "MODE"]) {
            } else if self.take_all(&["FOR", "UPDATE"]) || self.take_all(&["FOR", "SHARE"]) {
                if self.take("OF") {
                    self.table_name()?;
                    while self.take_comma() {
                        self.table_name()?;
                    }
                }
            } else {
                break;
            }
            if self.take("WAIT") {
                self.want_kind(TokenKind::Number, "no number")?;
            } else if !self.take("NOWAIT") {
                self.take_all(&["SKIP", "LOCKED"]);
            }
        }
        Ok((self.at > from).then(|| self.since(from)))
    }
}

struct Tail {
    order: Option<Order>,
    limit: Option<Limit>,
    locks: Option<Span>,
    into: Option<Span>,
}

fn bare(body: Body, span: Span) -> Query {
    Query { with: None, body, order: None, limit: None, locks: None, into: None, span }
}
