//! Calls of functions, those with words between their arguments too, and windows.

use crate::sql::mode::Server;
use crate::sql::token::TokenKind;
use crate::sql::tree::expression::{BinaryOp, Call, CallForm, ExprId, ExprKind, Window};
use crate::sql::tree::parser::{Parsed, Parser};
use crate::sql::tree::query::SortKey;
use crate::sql::tree::span::Span;

/// Functions that are none where a blank stands before the parenthesis, unless `sql_mode` has IGNORE_SPACE.
///
/// Source: MySQL, "Function Name Parsing and Resolution".
const ADJACENT: [&str; 33] = [
    "ADDDATE",
    "BIT_AND",
    "BIT_OR",
    "BIT_XOR",
    "CAST",
    "COUNT",
    "CURDATE",
    "CURTIME",
    "DATE_ADD",
    "DATE_SUB",
    "EXTRACT",
    "GROUP_CONCAT",
    "JSON_ARRAYAGG",
    "JSON_OBJECTAGG",
    "MAX",
    "MID",
    "MIN",
    "NOW",
    "POSITION",
    "SESSION_USER",
    "STD",
    "STDDEV",
    "STDDEV_POP",
    "STDDEV_SAMP",
    "SUBDATE",
    "SUBSTR",
    "SUBSTRING",
    "SUM",
    "SYSDATE",
    "SYSTEM_USER",
    "TRIM",
    "VARIANCE",
    "VAR_POP",
];

/// Functions that may stand without parentheses.
const BARE: [&str; 9] = [
    "CURRENT_DATE",
    "CURRENT_ROLE",
    "CURRENT_TIME",
    "CURRENT_TIMESTAMP",
    "CURRENT_USER",
    "LOCALTIME",
    "LOCALTIMESTAMP",
    "UTC_DATE",
    "UTC_TIME",
];

/// Reserved words that are functions before a parenthesis.
const RESERVED_FUNCTIONS: [&str; 20] = [
    "CHAR",
    "DATABASE",
    "IF",
    "INSERT",
    "INTERVAL",
    "LEFT",
    "MOD",
    "REPEAT",
    "REPLACE",
    "RIGHT",
    "SCHEMA",
    "CUME_DIST",
    "DENSE_RANK",
    "FIRST_VALUE",
    "LAG",
    "LAST_VALUE",
    "LEAD",
    "NTH_VALUE",
    "NTILE",
    "PERCENT_RANK",
];

/// Operators and words that may follow a prefix INTERVAL's operand in no way that is certain.
const BINDS: [&str; 13] = [
    "IS", "IN", "NOT", "LIKE", "BETWEEN", "REGEXP", "RLIKE", "SOUNDS", "MEMBER", "DIV", "MOD", "COLLATE",
    "XOR",
];

impl Parser<'_> {
    /// What begins with an unquoted word that is no constant.
    pub(super) fn call_or_name(&mut self) -> Parsed<ExprId> {
        let (from, token) = (self.at, self.peek());
        let word = String::from_utf8_lossy(self.bytes(token)).to_ascii_uppercase();
        if self.look(1).kind != TokenKind::Open {
            let bare = BARE.contains(&word.as_str()) || word == "UTC_TIMESTAMP";
            if bare && self.look(1).kind != TokenKind::Dot {
                self.next();
                return self.push_call(from, &word, &[], CallForm::Plain);
            }
            if self.at_interval() {
                return self.leading_interval();
            }
            if word == "DEFAULT" {
                self.next();
                return self.push(ExprKind::Default, self.since(from), &[]);
            }
            if word == "MATCH" {
                return self.full_text();
            }
            return self.named();
        }
        let gap = self.look(1).span.start != token.span.end;
        let adjacent = ADJACENT.contains(&word.as_str()) || word == "VAR_SAMP";
        if gap && adjacent && !self.mode.grammar.ignore_space {
            return self.fail("a blank before the parenthesis of a function");
        }
        match word.as_str() {
            "MATCH" => return self.full_text(),
            "INTERVAL" if self.at_interval() => return self.leading_interval(),
            _ => {}
        }
        if self.is_name(token) || adjacent || self.is_reserved_function(&word) {
            self.next();
            return self.call(from, &word);
        }
        self.fail("a word that is no function")
    }

    fn is_reserved_function(&self, word: &str) -> bool {
        RESERVED_FUNCTIONS.contains(&word)
            || BARE.contains(&word)
            || matches!(
                word,
                "CONVERT"
                    | "DEFAULT"
                    | "VALUES"
                    | "VALUE"
                    | "UTC_TIMESTAMP"
                    | "RANK"
                    | "ROW_NUMBER"
                    | "GROUPING"
                    | "ROLLUP"
                    | "USER"
                    | "TRUNCATE"
                    | "AVG"
                    | "LN"
                    | "ASCII"
                    | "FORMAT"
                    | "YEAR"
            )
    }

    /// After the name of a built-in function.
    fn call(&mut self, from: usize, word: &str) -> Parsed<ExprId> {
        match word {
            "CAST" => self.cast(from),
            "CONVERT" => self.convert(from),
            "DEFAULT" | "VALUES" | "VALUE" => self.of_column(from, word),
            "COUNT" if self.is_star_argument() => {
                self.at += 3;
                self.push_call(from, word, &[], CallForm::Star)
            }
            _ => self.arguments(from, word),
        }
    }

    fn is_star_argument(&self) -> bool {
        let star = self.look(1);
        star.kind == TokenKind::Operator && self.bytes(star) == b"*" && self.look(2).kind == TokenKind::Close
    }

    /// From the opening parenthesis on.
    fn arguments(&mut self, from: usize, word: &str) -> Parsed<ExprId> {
        let count = self.expr_count();
        self.open()?;
        let mut form = CallForm::Plain;
        let mut list = Vec::new();
        let mut order: Box<[SortKey]> = Box::default();
        if self.is_any(&["DISTINCT", "DISTINCTROW"]) {
            self.next();
            form = CallForm::Distinct;
        } else if self.is("ALL") {
            self.next();
        }
        if word == "TRIM" && (self.take("LEADING") || self.take("TRAILING") || self.take("BOTH")) {
            form = CallForm::Worded;
        }
        if matches!(word, "EXTRACT" | "TIMESTAMPADD" | "TIMESTAMPDIFF") {
            self.unit()?;
            form = CallForm::Worded;
            if word != "EXTRACT" {
                self.want_kind(TokenKind::Comma, "no comma")?;
            }
        }
        if word == "GET_FORMAT" {
            self.next();
            self.want_kind(TokenKind::Comma, "no comma")?;
            form = CallForm::Worded;
        }
        if self.peek().kind != TokenKind::Close {
            self.worded_arguments(word, &mut list, &mut form)?;
            if word == "GROUP_CONCAT" {
                order = self.group_concat(&mut form)?;
            }
        }
        self.close()?;
        let deepest = self.deepest_since(count);
        let id = self.push_call(from, word, &list, form)?;
        if let ExprKind::Call(call) = &mut self.expr_mut(id).kind {
            call.order = order;
        }
        self.deepen(id, deepest)?;
        self.over(id, from)?;
        Ok(id)
    }

    /// Arguments separated by commas, or by words where a function has such.
    fn worded_arguments(&mut self, word: &str, list: &mut Vec<ExprId>, form: &mut CallForm) -> Parsed<()> {
        if word == "EXTRACT" || word == "TRIM" && *form == CallForm::Worded && self.is("FROM") {
            self.want("FROM")?;
        }
        loop {
            // `POSITION(a IN b)`: no predicate there.
            let argument = match word {
                "POSITION" => self.nest(Self::unary)?,
                _ if self.at_interval() => self.interval_argument()?,
                _ => self.expr()?,
            };
            list.push(argument);
            let worded = match word {
                "TRIM" => self.take("FROM"),
                "SUBSTRING" | "SUBSTR" | "MID" => self.take("FROM") || self.take("FOR"),
                "POSITION" => self.take("IN"),
                _ => false,
            };
            if worded {
                *form = CallForm::Worded;
            } else if !self.take_comma() {
                break;
            }
        }
        self.tail(word, form)
    }

    /// Words after the last argument that hold no expression: a charset, a type, defaults of JSON_VALUE.
    fn tail(&mut self, word: &str, form: &mut CallForm) -> Parsed<()> {
        let tail = match word {
            "CHAR" => self.is("USING"),
            "WEIGHT_STRING" => self.is_any(&["AS", "LEVEL"]),
            "JSON_VALUE" => self.is_any(&["RETURNING", "DEFAULT", "NULL", "ERROR"]),
            _ => false,
        };
        if !tail {
            return Ok(());
        }
        *form = CallForm::Worded;
        while self.peek().kind != TokenKind::Close {
            match self.peek().kind {
                TokenKind::Open => {
                    self.skip_group()?;
                }
                TokenKind::End | TokenKind::Placeholder => return self.fail("an argument of another kind"),
                _ => {
                    self.next();
                }
            }
        }
        Ok(())
    }

    fn group_concat(&mut self, form: &mut CallForm) -> Parsed<Box<[SortKey]>> {
        let mut order: Box<[SortKey]> = Box::default();
        let before = self.at;
        if self.take_all(&["ORDER", "BY"]) {
            order = self.sort_keys()?;
        }
        if self.take("SEPARATOR") {
            self.want_kind(TokenKind::Text, "no separator")?;
        }
        if self.is("LIMIT") {
            return self.fail("LIMIT in GROUP_CONCAT");
        }
        if self.at != before {
            *form = match *form {
                CallForm::Distinct | CallForm::DistinctWorded => CallForm::DistinctWorded,
                CallForm::Plain | CallForm::Star | CallForm::Worded => CallForm::Worded,
            };
        }
        Ok(order)
    }

    fn push_call(&mut self, from: usize, word: &str, list: &[ExprId], form: CallForm) -> Parsed<ExprId> {
        let call = Call {
            name: Some(word.into()),
            name_span: self.item(from).span,
            arguments: list.into(),
            form,
            order: Box::default(),
            over: None,
        };
        let id = self.push(ExprKind::Call(Box::new(call)), self.since(from), list)?;
        if form == CallForm::Star {
            self.over(id, from)?;
        }
        Ok(id)
    }

    /// `db.f(a)`, `` `f`(a) ``: never built in.
    pub(super) fn stored_function(&mut self, from: usize) -> Parsed<ExprId> {
        let name_span = self.since(from);
        self.open()?;
        let list = if self.peek().kind == TokenKind::Close { Vec::new() } else { self.exprs()? };
        self.close()?;
        let call = Call {
            name: None,
            name_span,
            arguments: list.clone().into(),
            form: CallForm::Plain,
            order: Box::default(),
            over: None,
        };
        self.push(ExprKind::Call(Box::new(call)), self.since(from), &list)
    }

    fn cast(&mut self, from: usize) -> Parsed<ExprId> {
        self.open()?;
        let value = self.expr()?;
        self.want("AS")?;
        self.typed(from, value)
    }

    fn convert(&mut self, from: usize) -> Parsed<ExprId> {
        self.open()?;
        let value = self.expr()?;
        if !self.take("USING") {
            self.want_kind(TokenKind::Comma, "no comma")?;
        }
        self.typed(from, value)
    }

    /// The type of a cast, to its closing parenthesis: words, and a length in parentheses.
    fn typed(&mut self, from: usize, value: ExprId) -> Parsed<ExprId> {
        let start = self.at;
        while self.peek().kind != TokenKind::Close {
            match self.peek().kind {
                TokenKind::Word | TokenKind::Quoted => {
                    self.next();
                }
                TokenKind::Open => {
                    self.skip_group()?;
                }
                _ => return self.fail("a type of another kind"),
            }
        }
        let kind = ExprKind::Cast(value, self.since(start));
        self.close()?;
        self.push(kind, self.since(from), &[value])
    }

    fn of_column(&mut self, from: usize, word: &str) -> Parsed<ExprId> {
        self.open()?;
        let column = self.column_name()?;
        self.close()?;
        let kind = if word == "DEFAULT" { ExprKind::DefaultOf(column) } else { ExprKind::ValuesOf(column) };
        self.push(kind, self.since(from), &[])
    }

    fn full_text(&mut self) -> Parsed<ExprId> {
        let from = self.at;
        self.want("MATCH")?;
        let parenthesis = self.take_kind(TokenKind::Open);
        let mut list = vec![self.named()?];
        while self.take_comma() {
            list.push(self.named()?);
        }
        if parenthesis {
            self.close()?;
        }
        self.want("AGAINST")?;
        self.open()?;
        // `IN BOOLEAN MODE` is no predicate.
        list.push(self.nest(Self::unary)?);
        while self.is_any(&["IN", "NATURAL", "LANGUAGE", "BOOLEAN", "MODE", "WITH", "QUERY", "EXPANSION"]) {
            self.next();
        }
        self.close()?;
        self.push(ExprKind::FullText(list.clone().into()), self.since(from), &list)
    }

    /// `INTERVAL 1 DAY` as an argument, or `INTERVAL 1 DAY + a` there.
    fn interval_argument(&mut self) -> Parsed<ExprId> {
        let before = self.at;
        let interval = self.interval()?;
        if self.is_bytes("+") {
            self.at = before;
            return self.expr();
        }
        Ok(interval)
    }

    /// `INTERVAL a unit + b`. How far b reaches is certain only where little follows.
    fn leading_interval(&mut self) -> Parsed<ExprId> {
        let from = self.at;
        let interval = self.interval()?;
        self.want_bytes("+")?;
        let operand = self.nest(Self::unary)?;
        let next = self.peek();
        let binds = matches!(next.kind, TokenKind::Compare | TokenKind::Operator);
        if binds || self.is_any(&BINDS) {
            return self.fail("an operator after INTERVAL + operand");
        }
        let kind = ExprKind::Binary(BinaryOp::Add, interval, operand);
        self.push(kind, self.since(from), &[interval, operand])
    }

    /// What may follow a function: how NULLs are treated, OVER.
    fn over(&mut self, id: ExprId, from: usize) -> Parsed<()> {
        let (before, count) = (self.at, self.expr_count());
        if self.take("FROM") && !self.take("FIRST") && !self.take("LAST") {
            self.at = before;
        }
        if self.take("RESPECT") || self.take("IGNORE") {
            self.at += usize::from(self.is("NULLS"));
        }
        if !self.is("OVER") || self.over_is_a_name() {
            self.at = before;
            return Ok(());
        }
        self.next();
        let start = self.at;
        let window = if self.peek().kind == TokenKind::Open {
            self.window()?
        } else {
            self.name()?;
            Window { partition: Box::default(), order: Box::default(), span: self.since(start), named: true }
        };
        let span = self.since(from);
        let deepest = self.deepest_since(count);
        let expr = self.expr_mut(id);
        expr.span = span;
        if let ExprKind::Call(call) = &mut expr.kind {
            call.over = Some(window);
        }
        self.deepen(id, deepest)
    }

    /// OVER is no reserved word of MariaDB and of MySQL 5.7.
    fn over_is_a_name(&self) -> bool {
        let next = self.look(1);
        let reserved = matches!(self.mode.server, Server::MySql { version } if version >= 80_000);
        !reserved && next.kind != TokenKind::Open && !self.is_name(next)
    }

    /// `([name] [PARTITION BY …] [ORDER BY …] [frame])`.
    pub(super) fn window(&mut self) -> Parsed<Window> {
        let start = self.at;
        self.open()?;
        let close = self.after_group(start) - 1;
        let named = self.is_name(self.peek()) && !self.is_any(&["ROWS", "RANGE", "GROUPS"]);
        if named {
            self.next();
        }
        let mut partition = Box::default();
        if self.take_all(&["PARTITION", "BY"]) {
            partition = self.exprs()?.into();
        }
        let mut order = Box::default();
        if self.take_all(&["ORDER", "BY"]) {
            order = self.sort_keys()?;
        }
        if self.is_any(&["ROWS", "RANGE", "GROUPS"]) {
            while self.at < close {
                if self.peek().kind == TokenKind::Open {
                    return self.fail("a frame of another kind");
                }
                self.next();
            }
        }
        self.close()?;
        let span: Span = self.since(start);
        Ok(Window { partition, order, span, named })
    }
}
