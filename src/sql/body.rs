//! The rest of a statement, token by token: functions, variables, locks.

use crate::sql::assignment::scoped_name;
use crate::sql::blocks::Blocks;
use crate::sql::cursor::Cursor;
use crate::sql::effects::Effects;
use crate::sql::functions;
use crate::sql::kind::Kind;
use crate::sql::literal::unquoted_name;
use crate::sql::token::{Token, TokenKind};
use crate::sql::verbs::{Body, Verb};

/// What the body of a statement tells.
#[derive(Clone, Copy, Debug)]
pub(super) struct BodyFacts {
    pub(super) effects: Effects,
    /// Nothing in it must go to the primary.
    pub(super) reads: bool,
}

/// Reads to the end of the statement.
pub(super) fn read(cursor: &mut Cursor<'_>, verb: Verb) -> BodyFacts {
    let mut walk = Walk {
        verb,
        facts: BodyFacts { effects: Effects::NONE, reads: true },
        blocks: verb.blocks(),
        depth: 0,
        previous: None,
        before_name: None,
        into: false,
        assignment_begins: true,
        selects: verb.kind != Kind::CreateTable,
    };
    loop {
        let token = cursor.peek();
        match token.kind {
            TokenKind::End => break,
            TokenKind::Semicolon if walk.blocks.are_closed() => break,
            _ => {}
        }
        cursor.next();
        walk.token(cursor, token);
    }
    if !walk.blocks.are_closed() {
        // Either it is not finished, or what is a block was misunderstood.
        walk.facts.effects |= Effects::UNREADABLE;
    }
    walk.facts
}

struct Walk {
    verb: Verb,
    facts: BodyFacts,
    blocks: Blocks,
    depth: u32,
    /// The token before the current one.
    previous: Option<Token>,
    /// The token before the (perhaps qualified) name that `previous` belongs to.
    before_name: Option<Token>,
    /// In the list of variables after INTO.
    into: bool,
    /// The next token may be the target of an assignment of SET.
    assignment_begins: bool,
    /// Expressions are evaluated from here on; of CREATE TABLE only those of its SELECT.
    selects: bool,
}

impl Walk {
    fn token(&mut self, cursor: &mut Cursor<'_>, token: Token) {
        if matches!(self.verb.body, Body::Routine | Body::Blocks) {
            self.blocks.pass(cursor, token);
        }
        if matches!(self.verb.body, Body::Inert | Body::Routine) {
            return;
        }
        let after_dot = self.previous.is_some_and(|previous| previous.kind == TokenKind::Dot);
        if !after_dot && token.kind != TokenKind::Dot {
            self.before_name = self.previous;
        }
        match token.kind {
            TokenKind::Open => self.depth += 1,
            TokenKind::Close => self.depth = self.depth.saturating_sub(1),
            TokenKind::UserVariable => self.user_variable(cursor),
            TokenKind::SystemVariable if !self.is_target() => self.system_variable(cursor),
            TokenKind::Word | TokenKind::Quoted => self.name(cursor, token, after_dot),
            _ => {}
        }
        let list = matches!(token.kind, TokenKind::UserVariable | TokenKind::Comma)
            || cursor.is(token, "INTO") && !after_dot;
        self.into = list && (self.into || token.kind == TokenKind::Word);
        self.assignment_begins =
            self.depth == 0 && (token.kind == TokenKind::Comma || token.kind == TokenKind::Semicolon);
        self.previous = Some(token);
    }

    /// Whether the current token is what a SET assigns to.
    fn is_target(&self) -> bool {
        self.verb.body == Body::Assignments && self.assignment_begins
    }

    fn user_variable(&mut self, cursor: &Cursor<'_>) {
        let next = cursor.peek();
        let assigned = self.is_target()
            || self.into
            || next.kind == TokenKind::Compare && cursor.bytes(next) == b":="
            || self.verb.kind == Kind::Load && self.depth > 0
            || self.verb.kind == Kind::GetDiagnostics;
        self.facts.effects |= match self.verb.kind {
            // It may be the argument of an OUT parameter.
            Kind::Call => Effects::USES_USER_VARIABLE | Effects::ASSIGNS_USER_VARIABLE,
            _ if assigned => Effects::ASSIGNS_USER_VARIABLE,
            _ => Effects::USES_USER_VARIABLE,
        };
    }

    fn system_variable(&mut self, cursor: &Cursor<'_>) {
        let Some((_, name)) = scoped_name(&mut cursor.clone()) else { return };
        self.facts.effects |= Effects::READS_SYSTEM_VARIABLE;
        self.facts.effects |= match name.to_ascii_lowercase().as_slice() {
            b"last_insert_id" | b"identity" => Effects::READS_LAST_INSERT_ID,
            b"warning_count" | b"error_count" => Effects::DIAGNOSTICS,
            b"pseudo_thread_id" => Effects::READS_CONNECTION_ID,
            b"socket" => Effects::READS_SOCKET,
            _ => Effects::NONE,
        };
    }

    fn name(&mut self, cursor: &mut Cursor<'_>, token: Token, after_dot: bool) {
        if self.before_name.is_some_and(|before| before.kind == TokenKind::SystemVariable) {
            return;
        }
        if cursor.peek().kind == TokenKind::Open {
            self.call(cursor, token, after_dot);
        }
        if after_dot {
            self.pseudocolumn(cursor, token);
        }
        if after_dot || token.kind != TokenKind::Word {
            return;
        }
        match cursor.keyword(token).as_str() {
            "SELECT" | "ROW" => self.selects = true,
            "SQL_CALC_FOUND_ROWS" => self.facts.effects |= Effects::SQL_CALC_FOUND_ROWS,
            "FOR" if cursor.at("UPDATE") || cursor.at("SHARE") => self.lock(),
            "LOCK" if cursor.clone().take_all(&["IN", "SHARE"]) => self.lock(),
            "NEXT" if cursor.clone().take_all(&["VALUE", "FOR"]) => self.sequence(Effects::USES_SEQUENCE),
            "PREVIOUS" if cursor.clone().take_all(&["VALUE", "FOR"]) => {
                self.sequence(Effects::READS_SEQUENCE);
            }
            "INTO" => self.into(cursor),
            "OFFSET" => self.facts.effects |= Effects::SKIPS_ROWS,
            "LIMIT" if has_offset(cursor) => self.facts.effects |= Effects::SKIPS_ROWS,
            _ => {}
        }
    }

    fn sequence(&mut self, effect: Effects) {
        self.facts.effects |= effect;
        self.facts.reads = false;
    }

    /// `seq.NEXTVAL`, `seq.CURRVAL` of MariaDB's other grammar, unless they are columns.
    fn pseudocolumn(&mut self, cursor: &Cursor<'_>, token: Token) {
        if !cursor.mode().grammar.oracle || cursor.peek().kind == TokenKind::Open {
            return;
        }
        match cursor.keyword(token).as_str() {
            "NEXTVAL" => self.sequence(Effects::USES_SEQUENCE),
            "CURRVAL" => self.sequence(Effects::READS_SEQUENCE),
            _ => {}
        }
    }

    fn lock(&mut self) {
        self.facts.effects |= Effects::LOCKING_READ;
        self.facts.reads = false;
    }

    fn into(&mut self, cursor: &Cursor<'_>) {
        if cursor.at("OUTFILE") || cursor.at("DUMPFILE") {
            self.facts.effects |= Effects::INTO_OUTFILE;
        }
        self.facts.reads = false;
    }

    /// A name and a parenthesis: a function, unless it is a table with its columns.
    fn call(&mut self, cursor: &Cursor<'_>, token: Token, after_dot: bool) {
        if !self.selects || self.names_columns(cursor) {
            return;
        }
        if after_dot {
            self.facts.effects |= Effects::CALLS_UNKNOWN_FUNCTION;
            return;
        }
        let name = unquoted_name(cursor.bytes(token));
        let name = String::from_utf8_lossy(&name).to_ascii_uppercase();
        let mut ahead = cursor.clone();
        ahead.next();
        let arguments = ahead.peek().kind != TokenKind::Close;
        let call = functions::call(&name, arguments);
        self.facts.effects |= call.effects;
        self.facts.reads &= !call.writes;
    }

    /// `INSERT INTO t (a)`, `WITH c (a) AS (…)`, `(SELECT …) AS x (a)`, `CALL p (…)`.
    fn names_columns(&self, cursor: &Cursor<'_>) -> bool {
        let Some(before) = self.before_name else {
            let target = matches!(
                self.verb.kind,
                Kind::Insert | Kind::Replace | Kind::Call | Kind::CreateTable | Kind::Handler
            );
            return target || is_common_table(cursor);
        };
        let words = [
            "INTO",
            "AS",
            "WITH",
            "RECURSIVE",
            "INSERT",
            "REPLACE",
            "IGNORE",
            "DELAYED",
            "LOW_PRIORITY",
            "HIGH_PRIORITY",
            "TABLE",
            "JOIN",
            "UPDATE",
            "REFERENCES",
        ];
        match before.kind {
            TokenKind::Close => true,
            // A function named so is known by its own name.
            TokenKind::Word => cursor.is_any(before, &words),
            // The next common table expression. At depth 0 only, or nesting would cost quadratic time.
            TokenKind::Comma => self.depth == 0 && is_common_table(cursor),
            _ => false,
        }
    }
}

/// After LIMIT: `offset, count`.
fn has_offset(cursor: &Cursor<'_>) -> bool {
    let mut ahead = cursor.clone();
    ahead.next();
    ahead.peek().kind == TokenKind::Comma
}

/// Before a parenthesis: whether it holds columns and `AS (` follows.
fn is_common_table(cursor: &Cursor<'_>) -> bool {
    let mut ahead = cursor.clone();
    ahead.next();
    ahead.skip_group();
    ahead.take("AS") && ahead.peek().kind == TokenKind::Open
}
