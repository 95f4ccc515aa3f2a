//! The parser's position, its limits, and the small steps that every rule is made of.
//!
//! Recursive descent over tokens that were read before. Depth and number of nodes are bounded, so that no
//! text can overflow the stack here or in whoever walks the tree.

use crate::sql::mode::LexMode;
use crate::sql::token::TokenKind;
use crate::sql::tree::expression::{Expr, ExprId, ExprKind};
use crate::sql::tree::query::{Query, QueryId, TableId, TableKind, TableRef};
use crate::sql::tree::reserved::is_reserved;
use crate::sql::tree::span::{ColumnName, Span, TableName};
use crate::sql::tree::tokens::{Lexeme, Tokens};
use crate::sql::tree::{Explain, Root, Tree, Unparsed};

/// Rules inside of rules. Each level takes about ten frames of the stack.
const NESTED_MAX: u32 = 100;

/// Depth of a tree, which chains such as `1 + 1 + 1` make deep without nesting.
const DEPTH_MAX: u16 = 600;

/// Tables of one statement; a join of more than 61 is refused by the servers.
const TABLES_MAX: usize = 256;

pub(super) type Parsed<T> = Result<T, Unparsed>;

pub(super) struct Parser<'t> {
    pub(super) text: &'t [u8],
    pub(super) mode: LexMode,
    tokens: Tokens,
    /// The next token.
    pub(super) at: usize,
    nested: u32,
    exprs: Vec<Expr>,
    /// Of each expression.
    depths: Vec<u16>,
    queries: Vec<Query>,
    tables: Vec<TableRef>,
}

impl<'t> Parser<'t> {
    pub(super) fn new(text: &'t [u8], mode: LexMode) -> Parsed<Self> {
        if mode.grammar.oracle {
            return Err(Unparsed { at: 0, why: "sql_mode ORACLE" });
        }
        let tokens = Tokens::read(text, mode)?;
        Ok(Self {
            text,
            mode,
            tokens,
            at: 0,
            nested: 0,
            exprs: Vec::new(),
            depths: Vec::new(),
            queries: Vec::new(),
            tables: Vec::new(),
        })
    }

    /// The whole text.
    pub(super) fn statement(mut self) -> Parsed<Tree> {
        let explain = self.explain()?;
        let root = self.root()?;
        while self.take_kind(TokenKind::Semicolon) {}
        if self.peek().kind != TokenKind::End {
            return self.fail("what follows a whole statement");
        }
        Ok(Tree {
            exprs: self.exprs,
            queries: self.queries,
            tables: self.tables,
            root,
            explain,
            parameters: self.tokens.parameters,
            executable_comment: self.tokens.executable,
        })
    }

    fn root(&mut self) -> Parsed<Root> {
        if self.is("INSERT") || self.is("REPLACE") {
            return Ok(Root::Insert(Box::new(self.insert()?)));
        }
        let start = self.peek().span;
        let with = self.with()?;
        if self.is("UPDATE") {
            return Ok(Root::Update(Box::new(self.update(with, start)?)));
        }
        if self.is("DELETE") {
            return Ok(Root::Delete(Box::new(self.delete(with, start)?)));
        }
        if with.is_none() && !self.starts_query() {
            return self.fail("another kind of statement");
        }
        Ok(Root::Query(self.query_after(with, start)?))
    }

    fn explain(&mut self) -> Parsed<Option<Explain>> {
        let start = self.peek().span;
        if !self.take("EXPLAIN") && !self.take("DESCRIBE") && !self.take("DESC") {
            return Ok(None);
        }
        let mut route = self.take("ROUTE");
        while self.take("EXTENDED") || self.take("PARTITIONS") || self.take("ANALYZE") {}
        if self.take("FORMAT") {
            self.want_bytes("=")?;
            route |= self.is("ROUTE");
            self.next();
        }
        Ok(Some(Explain { route, span: start.to(self.last()) }))
    }

    /// Runs `rule` one level deeper.
    pub(super) fn nest<T>(&mut self, rule: impl FnOnce(&mut Self) -> Parsed<T>) -> Parsed<T> {
        if self.nested == NESTED_MAX {
            return self.fail("nested too deep");
        }
        self.nested += 1;
        let result = rule(self);
        self.nested -= 1;
        result
    }

    pub(super) fn fail<T>(&self, why: &'static str) -> Parsed<T> {
        Err(Unparsed { at: self.peek().span.start, why })
    }

    pub(super) fn push(&mut self, kind: ExprKind, span: Span, below: &[ExprId]) -> Parsed<ExprId> {
        let deepest = below.iter().map(|id| self.depths[id.0 as usize]).max().unwrap_or(0);
        if deepest == DEPTH_MAX {
            return self.fail("a chain too long");
        }
        self.exprs.push(Expr { kind, span });
        self.depths.push(deepest + 1);
        Ok(ExprId(self.exprs.len() as u32 - 1))
    }

    /// The same for what also holds a query whose expressions are `depth` deep.
    pub(super) fn push_over(
        &mut self,
        kind: ExprKind,
        span: Span,
        below: &[ExprId],
        depth: u16,
    ) -> Parsed<ExprId> {
        let id = self.push(kind, span, below)?;
        self.deepen(id, depth)?;
        Ok(id)
    }

    /// `id` holds expressions that are `depth` deep.
    pub(super) fn deepen(&mut self, id: ExprId, depth: u16) -> Parsed<()> {
        if depth >= DEPTH_MAX {
            return self.fail("queries too deep");
        }
        let own = &mut self.depths[id.0 as usize];
        *own = (*own).max(depth + 1);
        Ok(())
    }

    pub(super) fn expr_count(&self) -> usize {
        self.exprs.len()
    }

    /// The depth of the deepest expression that was made since there were `count`.
    pub(super) fn deepest_since(&self, count: usize) -> u16 {
        self.depths[count..].iter().copied().max().unwrap_or(0)
    }

    pub(super) fn expr_mut(&mut self, id: ExprId) -> &mut Expr {
        &mut self.exprs[id.0 as usize]
    }

    pub(super) fn push_query(&mut self, query: Query) -> QueryId {
        self.queries.push(query);
        QueryId(self.queries.len() as u32 - 1)
    }

    pub(super) fn query_mut(&mut self, id: QueryId) -> &mut Query {
        &mut self.queries[id.0 as usize]
    }

    pub(super) fn push_table(&mut self, kind: TableKind, span: Span) -> Parsed<TableId> {
        if self.tables.len() == TABLES_MAX {
            return self.fail("too many tables");
        }
        self.tables.push(TableRef { kind, span });
        Ok(TableId(self.tables.len() as u32 - 1))
    }

    pub(super) fn table_mut(&mut self, id: TableId) -> &mut TableRef {
        &mut self.tables[id.0 as usize]
    }

    /// The next token, which stays the next.
    pub(super) fn peek(&self) -> Lexeme {
        self.look(0)
    }

    /// The token `ahead` of the next.
    pub(super) fn look(&self, ahead: usize) -> Lexeme {
        let last = self.tokens.items.len() - 1;
        self.tokens.items[(self.at + ahead).min(last)]
    }

    /// Passes the next token. The end is never passed.
    pub(super) fn next(&mut self) -> Lexeme {
        let token = self.peek();
        self.at = (self.at + 1).min(self.tokens.items.len() - 1);
        token
    }

    /// The span of the token that was passed last.
    pub(super) fn last(&self) -> Span {
        self.tokens.items[self.at.saturating_sub(1)].span
    }

    /// The token after the partner of the opening parenthesis at `open`.
    pub(super) fn after_group(&self, open: usize) -> usize {
        self.tokens.items[open].link as usize + 1
    }

    pub(super) fn item(&self, at: usize) -> Lexeme {
        self.tokens.items[at.min(self.tokens.items.len() - 1)]
    }

    pub(super) fn bytes(&self, token: Lexeme) -> &'t [u8] {
        &self.text[token.span.range()]
    }

    pub(super) fn is_word(&self, token: Lexeme, word: &str) -> bool {
        token.kind == TokenKind::Word && self.bytes(token).eq_ignore_ascii_case(word.as_bytes())
    }

    /// Whether the next token is this word.
    pub(super) fn is(&self, word: &str) -> bool {
        self.is_word(self.peek(), word)
    }

    pub(super) fn is_any(&self, words: &[&str]) -> bool {
        words.iter().any(|word| self.is(word))
    }

    /// Passes the next token if it is this word.
    pub(super) fn take(&mut self, word: &str) -> bool {
        let found = self.is(word);
        self.at += usize::from(found);
        found
    }

    /// Passes these words if they come next, in this order.
    pub(super) fn take_all(&mut self, words: &[&str]) -> bool {
        let found = words.iter().enumerate().all(|(ahead, word)| self.is_word(self.look(ahead), word));
        if found {
            self.at += words.len();
        }
        found
    }

    pub(super) fn take_kind(&mut self, kind: TokenKind) -> bool {
        let found = self.peek().kind == kind;
        if found {
            self.next();
        }
        found
    }

    pub(super) fn take_comma(&mut self) -> bool {
        self.take_kind(TokenKind::Comma)
    }

    pub(super) fn want(&mut self, word: &'static str) -> Parsed<Span> {
        if self.take(word) { Ok(self.last()) } else { self.fail(word) }
    }

    pub(super) fn want_kind(&mut self, kind: TokenKind, why: &'static str) -> Parsed<Lexeme> {
        if self.peek().kind == kind { Ok(self.next()) } else { self.fail(why) }
    }

    pub(super) fn open(&mut self) -> Parsed<Lexeme> {
        self.want_kind(TokenKind::Open, "no parenthesis")
    }

    pub(super) fn close(&mut self) -> Parsed<Lexeme> {
        self.want_kind(TokenKind::Close, "no closing parenthesis")
    }

    /// Whether the next token is this operator.
    pub(super) fn is_bytes(&self, operator: &str) -> bool {
        let token = self.peek();
        matches!(token.kind, TokenKind::Operator | TokenKind::Compare)
            && self.bytes(token) == operator.as_bytes()
    }

    pub(super) fn take_bytes(&mut self, operator: &str) -> bool {
        let found = self.is_bytes(operator);
        self.at += usize::from(found);
        found
    }

    pub(super) fn want_bytes(&mut self, operator: &'static str) -> Parsed<()> {
        if self.take_bytes(operator) { Ok(()) } else { self.fail(operator) }
    }

    /// Whether `token` can be a name where no dot stands before it.
    pub(super) fn is_name(&self, token: Lexeme) -> bool {
        match token.kind {
            TokenKind::Quoted => true,
            TokenKind::Word => !is_reserved(self.bytes(token), self.mode.server),
            _ => false,
        }
    }

    pub(super) fn name(&mut self) -> Parsed<Span> {
        if self.is_name(self.peek()) { Ok(self.next().span) } else { self.fail("no name") }
    }

    /// After a dot, every word is a name.
    fn name_after_dot(&mut self) -> Parsed<Span> {
        match self.peek().kind {
            TokenKind::Word | TokenKind::Quoted => Ok(self.next().span),
            _ => self.fail("no name after a dot"),
        }
    }

    pub(super) fn table_name(&mut self) -> Parsed<TableName> {
        let first = self.name()?;
        if self.take_kind(TokenKind::Dot) {
            return Ok(TableName { schema: Some(first), table: self.name_after_dot()? });
        }
        Ok(TableName { schema: None, table: first })
    }

    pub(super) fn column_name(&mut self) -> Parsed<ColumnName> {
        let mut column = self.name()?;
        let (mut schema, mut table) = (None, None);
        while schema.is_none() && self.take_kind(TokenKind::Dot) {
            schema = table;
            table = Some(column);
            column = self.name_after_dot()?;
        }
        Ok(ColumnName { schema, table, column })
    }

    /// `(a, b)`.
    pub(super) fn names(&mut self) -> Parsed<Box<[Span]>> {
        self.open()?;
        let mut names = vec![self.name()?];
        while self.take_comma() {
            names.push(self.name()?);
        }
        self.close()?;
        Ok(names.into())
    }

    /// Everything up to the partner of the opening parenthesis that comes next, it included.
    pub(super) fn skip_group(&mut self) -> Parsed<Span> {
        let start = self.at;
        self.open()?;
        self.at = self.after_group(start);
        Ok(self.item(start).span.to(self.last()))
    }
}
