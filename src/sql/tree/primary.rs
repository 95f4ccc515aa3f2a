//! Operands: constants, names, variables, parentheses, CASE, INTERVAL.

use crate::sql::token::TokenKind;
use crate::sql::tree::expression::{BinaryOp, Constant, ExprId, ExprKind};
use crate::sql::tree::parser::{Parsed, Parser};
use crate::sql::tree::query::QueryId;
use crate::sql::tree::span::Span;

/// Units of INTERVAL and EXTRACT, without `SQL_TSI_`.
const UNITS: [&str; 20] = [
    "MICROSECOND",
    "SECOND",
    "MINUTE",
    "HOUR",
    "DAY",
    "WEEK",
    "MONTH",
    "QUARTER",
    "YEAR",
    "SECOND_MICROSECOND",
    "MINUTE_MICROSECOND",
    "MINUTE_SECOND",
    "HOUR_MICROSECOND",
    "HOUR_SECOND",
    "HOUR_MINUTE",
    "DAY_MICROSECOND",
    "DAY_SECOND",
    "DAY_MINUTE",
    "DAY_HOUR",
    "YEAR_MONTH",
];

impl Parser<'_> {
    pub(super) fn primary(&mut self) -> Parsed<ExprId> {
        let (from, token) = (self.at, self.peek());
        let value = token.span;
        let constant = match token.kind {
            TokenKind::Number if self.bytes(token).starts_with(b"0x") => Constant::Other,
            TokenKind::Number if self.bytes(token).starts_with(b"0b") => Constant::Other,
            TokenKind::Number => Constant::Number { value },
            TokenKind::Text => return self.text(),
            TokenKind::Hex | TokenKind::Bits => Constant::Other,
            TokenKind::Null => Constant::Null,
            TokenKind::Placeholder => {
                self.next();
                return self.push(ExprKind::Parameter(token.link), value, &[]);
            }
            TokenKind::UserVariable => return self.user_variable(),
            TokenKind::SystemVariable => return self.system_variable(),
            TokenKind::Open => return self.parenthesis(),
            TokenKind::Word => return self.word(),
            TokenKind::Quoted => return self.named(),
            TokenKind::Operator if self.bytes(token) == b"{" => return self.odbc(),
            _ => return self.fail("no operand"),
        };
        self.next();
        self.push(ExprKind::Constant(constant), self.since(from), &[])
    }

    pub(super) fn constant(&mut self, from: usize, constant: Constant) -> Parsed<ExprId> {
        self.push(ExprKind::Constant(constant), self.since(from), &[])
    }

    /// `'a'`; `'a' 'b'` is one string too, but none whose value is read here.
    fn text(&mut self) -> Parsed<ExprId> {
        let from = self.at;
        let value = self.next().span;
        let mut constant = Constant::Text { value };
        if matches!(self.text.get(value.start as usize), Some(b'n' | b'N')) {
            constant = Constant::Other;
        }
        while self.take_kind(TokenKind::Text) {
            constant = Constant::Other;
        }
        self.constant(from, constant)
    }

    /// Makes the sign at `from` part of the number that is its operand.
    pub(super) fn joins_sign(&mut self, from: usize, operand: ExprId) -> bool {
        let (sign, end) = (self.item(from).span, self.last());
        let text = self.text;
        let expr = self.expr_mut(operand);
        let ExprKind::Constant(Constant::Number { value }) = &mut expr.kind else { return false };
        // Not a sign before a sign, nor before a parenthesis.
        let joins = expr.span == *value && matches!(text.get(value.start as usize), Some(b'0'..=b'9' | b'.'));
        if joins {
            value.start = sign.start;
            expr.span = sign.to(end);
        }
        joins
    }

    fn user_variable(&mut self) -> Parsed<ExprId> {
        let from = self.at;
        self.next();
        if self.take_bytes(":=") {
            let value = self.expr()?;
            return self.push(ExprKind::Assign(value), self.since(from), &[value]);
        }
        self.push(ExprKind::UserVariable, self.since(from), &[])
    }

    fn system_variable(&mut self) -> Parsed<ExprId> {
        let from = self.at;
        self.next();
        loop {
            if !matches!(self.peek().kind, TokenKind::Word | TokenKind::Quoted) {
                return self.fail("no variable");
            }
            self.next();
            if !self.take_kind(TokenKind::Dot) {
                return self.push(ExprKind::SystemVariable, self.since(from), &[]);
            }
        }
    }

    /// `(SELECT …)`, `(a)`, `(a, b)`.
    fn parenthesis(&mut self) -> Parsed<ExprId> {
        let from = self.at;
        if self.at_subquery() {
            let (query, depth) = self.subquery()?;
            return self.push_over(ExprKind::Subquery(query), self.since(from), &[], depth);
        }
        self.open()?;
        let list = self.exprs()?;
        self.close()?;
        let span = self.since(from);
        if let [only] = list[..] {
            self.expr_mut(only).span = span;
            return Ok(only);
        }
        self.push(ExprKind::Row(list.clone().into()), span, &list)
    }

    /// Whether a parenthesis with a query in it comes next.
    pub(super) fn at_subquery(&self) -> bool {
        self.query_opens_at(self.at)
    }

    /// Whether the parenthesis at `at` holds a query, not an expression or a join that begins with one.
    pub(super) fn query_opens_at(&self, at: usize) -> bool {
        if self.item(at).kind != TokenKind::Open {
            return false;
        }
        let mut inner = at + 1;
        while self.item(inner).kind == TokenKind::Open {
            inner += 1;
        }
        let first = self.item(inner);
        if !["SELECT", "WITH", "TABLE"].iter().any(|word| self.is_word(first, word)) {
            // `VALUES(a)` is a function.
            let rows = self.is_word(first, "VALUES") && self.is_word(self.item(inner + 1), "ROW");
            if !rows {
                return false;
            }
        }
        // Each parenthesis inside must be followed by what can only follow a query.
        (at + 1..inner).all(|open| {
            let after = self.item(self.after_group(open));
            after.kind == TokenKind::Close
                || ["UNION", "INTERSECT", "EXCEPT", "ORDER", "LIMIT"]
                    .iter()
                    .any(|word| self.is_word(after, word))
        })
    }

    /// A query in parentheses, and how deep its expressions are.
    pub(super) fn subquery(&mut self) -> Parsed<(QueryId, u16)> {
        let before = self.expr_count();
        self.open()?;
        let query = self.nest(Self::query)?;
        self.close()?;
        Ok((query, self.deepest_since(before)))
    }

    fn word(&mut self) -> Parsed<ExprId> {
        let (from, token) = (self.at, self.peek());
        let constant = match self.bytes(token) {
            word if word.eq_ignore_ascii_case(b"NULL") => Some(Constant::Null),
            word if word.eq_ignore_ascii_case(b"TRUE") => Some(Constant::Truth(true)),
            word if word.eq_ignore_ascii_case(b"FALSE") => Some(Constant::Truth(false)),
            _ => None,
        };
        if let Some(constant) = constant
            && self.look(1).kind != TokenKind::Open
        {
            self.next();
            return self.constant(from, constant);
        }
        let next = self.look(1).kind;
        if next == TokenKind::Text && self.is_any(&["DATE", "TIME", "TIMESTAMP"])
            || self.is_introducer(token) && matches!(next, TokenKind::Text | TokenKind::Hex | TokenKind::Bits)
            || self.is_introducer(token) && next == TokenKind::Number
        {
            self.next();
            self.next();
            while self.take_kind(TokenKind::Text) {}
            return self.constant(from, Constant::Other);
        }
        if self.take("CASE") {
            return self.case(from);
        }
        if self.is("EXISTS") && self.query_opens_at(self.at + 1) {
            self.next();
            let (query, depth) = self.subquery()?;
            return self.push_over(ExprKind::Exists(query), self.since(from), &[], depth);
        }
        if self.is("ROW") && next == TokenKind::Open {
            self.next();
            self.open()?;
            let list = self.exprs()?;
            self.close()?;
            return self.push(ExprKind::Row(list.clone().into()), self.since(from), &list);
        }
        if self.is_any(&["NEXT", "PREVIOUS"]) && self.is_word(self.look(1), "VALUE") {
            return self.fail("a sequence");
        }
        self.call_or_name()
    }

    /// `_utf8mb4` before a literal. Any such word: no column can stand there.
    fn is_introducer(&self, token: crate::sql::tree::tokens::Lexeme) -> bool {
        self.bytes(token).first() == Some(&b'_')
    }

    /// A column, `a.b(…)`, `a->'$.b'`.
    pub(super) fn named(&mut self) -> Parsed<ExprId> {
        let from = self.at;
        let name = self.column_name()?;
        if self.peek().kind == TokenKind::Open {
            return self.stored_function(from);
        }
        let mut column = self.push(ExprKind::Column(name), self.since(from), &[])?;
        if self.is_bytes("->") || self.is_bytes("->>") {
            self.next();
            let path = self.at;
            self.want_kind(TokenKind::Text, "no path")?;
            let path = self.constant(path, Constant::Other)?;
            let kind = ExprKind::Binary(BinaryOp::JsonPath, column, path);
            column = self.push(kind, self.since(from), &[column, path])?;
        }
        Ok(column)
    }

    fn case(&mut self, from: usize) -> Parsed<ExprId> {
        let mut list = Vec::new();
        if !self.is("WHEN") {
            list.push(self.expr()?);
        }
        self.want("WHEN")?;
        loop {
            list.push(self.expr()?);
            self.want("THEN")?;
            list.push(self.expr()?);
            if !self.take("WHEN") {
                break;
            }
        }
        if self.take("ELSE") {
            list.push(self.expr()?);
        }
        self.want("END")?;
        self.push(ExprKind::Case(list.clone().into()), self.since(from), &list)
    }

    /// `{d '2024-01-01'}`.
    fn odbc(&mut self) -> Parsed<ExprId> {
        let from = self.at;
        self.next();
        if !self.is_any(&["D", "T", "TS"]) || self.look(1).kind != TokenKind::Text {
            return self.fail("an escape of ODBC");
        }
        self.next();
        self.next();
        self.want_bytes("}")?;
        self.constant(from, Constant::Other)
    }

    /// Whether `INTERVAL a unit` comes next, not the function of that name.
    pub(super) fn at_interval(&self) -> bool {
        if !self.is("INTERVAL") {
            return false;
        }
        let open = self.at + 1;
        if self.item(open).kind != TokenKind::Open {
            return true;
        }
        let close = self.after_group(open) - 1;
        let mut inner = open + 1;
        while inner < close {
            match self.item(inner).kind {
                TokenKind::Comma => return false,
                TokenKind::Open => inner = self.after_group(inner),
                _ => inner += 1,
            }
        }
        true
    }

    pub(super) fn interval(&mut self) -> Parsed<ExprId> {
        let from = self.at;
        self.want("INTERVAL")?;
        let value = self.expr()?;
        let unit = self.unit()?;
        self.push(ExprKind::Interval(value, unit), self.since(from), &[value])
    }

    pub(super) fn unit(&mut self) -> Parsed<Span> {
        let token = self.peek();
        let word = self.bytes(token);
        let word = match word.get(..8) {
            Some(prefix) if prefix.eq_ignore_ascii_case(b"SQL_TSI_") => &word[8..],
            _ => word,
        };
        let known = UNITS.iter().any(|unit| unit.as_bytes().eq_ignore_ascii_case(word));
        if token.kind == TokenKind::Word && known { Ok(self.next().span) } else { self.fail("no unit") }
    }
}
