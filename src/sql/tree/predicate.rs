//! Expressions by precedence, as in `sql_yacc.yy`: OR, XOR, AND, NOT, comparisons, predicates, arithmetic.
//!
//! Where the grammars of MySQL and MariaDB differ (predicates of predicates, a comparison of IS NULL), there is
//! no tree.

use crate::sql::token::TokenKind;
use crate::sql::tree::expression::{BinaryOp, CompareOp, ExprId, ExprKind, Polarity, Prefix, Truth};
use crate::sql::tree::parser::{Parsed, Parser};
use crate::sql::tree::span::Span;

/// How tight `||` binds where it joins strings; tighter than every other operator between two operands.
const CONCAT: u8 = 7;

impl Parser<'_> {
    /// A whole expression.
    pub(super) fn expr(&mut self) -> Parsed<ExprId> {
        self.nest(Self::or)
    }

    /// Expressions separated by commas.
    pub(super) fn exprs(&mut self) -> Parsed<Vec<ExprId>> {
        let mut list = vec![self.expr()?];
        while self.take_comma() {
            list.push(self.expr()?);
        }
        Ok(list)
    }

    fn or(&mut self) -> Parsed<ExprId> {
        let (from, first) = (self.at, self.xor()?);
        let mut list = Vec::new();
        while self.take("OR") || !self.mode.grammar.pipes_as_concat && self.take_bytes("||") {
            list.push(self.xor()?);
        }
        self.several(from, first, list, ExprKind::Or)
    }

    fn xor(&mut self) -> Parsed<ExprId> {
        let (from, mut left) = (self.at, self.and()?);
        while self.take("XOR") {
            let right = self.and()?;
            left = self.push(ExprKind::Xor(left, right), self.since(from), &[left, right])?;
        }
        Ok(left)
    }

    fn and(&mut self) -> Parsed<ExprId> {
        let (from, first) = (self.at, self.not()?);
        let mut list = Vec::new();
        while self.take("AND") || self.take_bytes("&&") {
            list.push(self.not()?);
        }
        self.several(from, first, list, ExprKind::And)
    }

    fn several(
        &mut self,
        from: usize,
        first: ExprId,
        mut rest: Vec<ExprId>,
        kind: fn(Box<[ExprId]>) -> ExprKind,
    ) -> Parsed<ExprId> {
        if rest.is_empty() {
            return Ok(first);
        }
        rest.insert(0, first);
        let span = self.since(from);
        self.push(kind(rest.clone().into()), span, &rest)
    }

    fn not(&mut self) -> Parsed<ExprId> {
        if self.mode.grammar.high_not_precedence || !self.is("NOT") {
            return self.comparison();
        }
        let from = self.at;
        self.next();
        let operand = self.nest(Self::not)?;
        self.push(ExprKind::Not(operand), self.since(from), &[operand])
    }

    fn comparison(&mut self) -> Parsed<ExprId> {
        let (from, mut left) = (self.at, self.predicate()?);
        loop {
            if let Some(op) = self.compare_op() {
                left = self.compared(from, left, op)?;
            } else if self.take("IS") {
                let negated = self.polarity("NOT");
                let Some(truth) = self.truth() else { return self.fail("IS of something else") };
                left = self.push(ExprKind::Is(left, truth, negated), self.since(from), &[left])?;
                if self.peek().kind == TokenKind::Compare && !self.is_bytes(":=") || self.is("IS") {
                    return self.fail("a predicate of IS");
                }
            } else {
                return Ok(left);
            }
        }
    }

    fn compared(&mut self, from: usize, left: ExprId, op: CompareOp) -> Parsed<ExprId> {
        let all = self.is("ALL");
        if (all || self.is_any(&["ANY", "SOME"])) && self.look(1).kind == TokenKind::Open {
            self.next();
            let (query, depth) = self.subquery()?;
            let kind = ExprKind::Quantified { op, all, left, query };
            return self.push_over(kind, self.since(from), &[left], depth);
        }
        let right = self.predicate()?;
        self.push(ExprKind::Compare(op, left, right), self.since(from), &[left, right])
    }

    fn compare_op(&mut self) -> Option<CompareOp> {
        let token = self.peek();
        if token.kind != TokenKind::Compare {
            return None;
        }
        let op = match self.bytes(token) {
            b"=" => CompareOp::Equal,
            b"<=>" => CompareOp::NullSafeEqual,
            b"<>" | b"!=" => CompareOp::NotEqual,
            b"<" => CompareOp::Less,
            b"<=" => CompareOp::LessOrEqual,
            b">" => CompareOp::Greater,
            b">=" => CompareOp::GreaterOrEqual,
            _ => return None,
        };
        self.next();
        Some(op)
    }

    fn truth(&mut self) -> Option<Truth> {
        let truths = [
            ("NULL", Truth::Null),
            ("TRUE", Truth::True),
            ("FALSE", Truth::False),
            ("UNKNOWN", Truth::Unknown),
        ];
        truths.into_iter().find(|(word, _)| self.take(word)).map(|(_, truth)| truth)
    }

    fn polarity(&mut self, word: &str) -> Polarity {
        if self.take(word) { Polarity::Negated } else { Polarity::Plain }
    }

    fn predicate(&mut self) -> Parsed<ExprId> {
        let (from, left) = (self.at, self.bit_expr(0)?);
        let before = self.at;
        let negated = self.polarity("NOT");
        let found = self.predicate_of(from, left, negated)?;
        let Some(found) = found else {
            self.at = before;
            return Ok(left);
        };
        let again = self.at;
        self.take("NOT");
        if self.is_any(&["IN", "BETWEEN", "LIKE", "REGEXP", "RLIKE", "SOUNDS", "MEMBER"]) {
            return self.fail("a predicate of a predicate");
        }
        self.at = again;
        Ok(found)
    }

    fn predicate_of(&mut self, from: usize, left: ExprId, negated: Polarity) -> Parsed<Option<ExprId>> {
        if self.take("IN") {
            return self.in_list(from, left, negated).map(Some);
        }
        if self.take("BETWEEN") {
            let low = self.bit_expr(0)?;
            self.want("AND")?;
            let high = self.bit_expr(0)?;
            let kind = ExprKind::Between([left, low, high], negated);
            return self.push(kind, self.since(from), &[left, low, high]).map(Some);
        }
        let mut operands = vec![left];
        if self.take("LIKE") {
            operands.push(self.bit_expr(0)?);
            if self.take("ESCAPE") {
                operands.push(self.bit_expr(0)?);
            }
        } else if self.take("REGEXP") || self.take("RLIKE") || self.take_all(&["SOUNDS", "LIKE"]) {
            operands.push(self.bit_expr(0)?);
        } else if self.take("MEMBER") {
            self.take("OF");
            self.open()?;
            operands.push(self.expr()?);
            self.close()?;
        } else {
            return Ok(None);
        }
        let kind = ExprKind::Match(operands.clone().into(), negated);
        self.push(kind, self.since(from), &operands).map(Some)
    }

    fn in_list(&mut self, from: usize, left: ExprId, negated: Polarity) -> Parsed<ExprId> {
        if self.at_subquery() {
            let (query, depth) = self.subquery()?;
            let kind = ExprKind::InQuery(left, query, negated);
            return self.push_over(kind, self.since(from), &[left], depth);
        }
        self.open()?;
        let list = self.exprs()?;
        self.close()?;
        let span = self.since(from);
        let mut below = list.clone();
        below.push(left);
        self.push(ExprKind::In(left, list.into(), negated), span, &below)
    }

    /// Operators that bind at least as tight as `min`.
    fn bit_expr(&mut self, min: u8) -> Parsed<ExprId> {
        let (from, mut left) = (self.at, self.unary()?);
        while let Some((op, tightness)) = self.binary_op(min) {
            let additive = matches!(op, BinaryOp::Add | BinaryOp::Subtract);
            let right = if additive && self.at_interval() {
                self.interval()?
            } else {
                self.nest(|this| this.bit_expr(tightness + 1))?
            };
            left = self.push(ExprKind::Binary(op, left, right), self.since(from), &[left, right])?;
        }
        Ok(left)
    }

    /// Passes the next operator if it binds at least as tight as `min`.
    fn binary_op(&mut self, min: u8) -> Option<(BinaryOp, u8)> {
        let token = self.peek();
        let (op, tightness) = match token.kind {
            TokenKind::Operator => match self.bytes(token) {
                b"|" => (BinaryOp::BitOr, 1),
                b"&" => (BinaryOp::BitAnd, 2),
                b"<<" => (BinaryOp::ShiftLeft, 3),
                b">>" => (BinaryOp::ShiftRight, 3),
                b"+" => (BinaryOp::Add, 4),
                b"-" => (BinaryOp::Subtract, 4),
                b"*" => (BinaryOp::Multiply, 5),
                b"/" => (BinaryOp::Divide, 5),
                b"%" => (BinaryOp::Modulo, 5),
                b"^" => (BinaryOp::BitXor, 6),
                b"||" if self.mode.grammar.pipes_as_concat => (BinaryOp::Concat, CONCAT),
                _ => return None,
            },
            TokenKind::Word if self.is("DIV") => (BinaryOp::IntegerDivide, 5),
            TokenKind::Word if self.is("MOD") => (BinaryOp::Modulo, 5),
            _ => return None,
        };
        if tightness < min {
            return None;
        }
        self.next();
        Some((op, tightness))
    }

    /// Operators before their operand, and COLLATE, which binds tightest.
    pub(super) fn unary(&mut self) -> Parsed<ExprId> {
        let from = self.at;
        let token = self.peek();
        let prefix = match token.kind {
            TokenKind::Operator => match self.bytes(token) {
                b"-" => Some(Prefix::Minus),
                b"+" => Some(Prefix::Plus),
                b"~" => Some(Prefix::Invert),
                b"!" => None,
                b"{" => return self.collated(),
                _ => return self.fail("no operand"),
            },
            TokenKind::Word if self.is("BINARY") => Some(Prefix::Binary),
            TokenKind::Word if self.mode.grammar.high_not_precedence && self.is("NOT") => None,
            _ => return self.collated(),
        };
        self.next();
        let operand = self.nest(Self::unary)?;
        if matches!(prefix, Some(Prefix::Minus | Prefix::Plus)) && self.joins_sign(from, operand) {
            return Ok(operand);
        }
        let kind = prefix.map_or(ExprKind::Not(operand), |prefix| ExprKind::Prefix(prefix, operand));
        self.push(kind, self.since(from), &[operand])
    }

    fn collated(&mut self) -> Parsed<ExprId> {
        let (from, mut operand) = (self.at, self.primary()?);
        while self.take("COLLATE") {
            let name = match self.peek().kind {
                TokenKind::Word | TokenKind::Quoted | TokenKind::Text => self.next().span,
                _ => return self.fail("no collation"),
            };
            operand = self.push(ExprKind::Collate(operand, name), self.since(from), &[operand])?;
        }
        Ok(operand)
    }

    /// The bytes from the token `from` to the last one that was passed.
    pub(super) fn since(&self, from: usize) -> Span {
        self.item(from).span.to(self.last())
    }
}
