//! Tokens as MySQL's lexer cuts them.

/// What a token is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum TokenKind {
    /// A bare identifier or keyword.
    Word,
    /// An identifier in backquotes, or in double quotes under ANSI_QUOTES.
    Quoted,
    /// A number, decimal, `0x…` or `0b…`.
    Number,
    /// `'…'`, `"…"`, `N'…'`.
    Text,
    /// `x'…'`.
    Hex,
    /// `b'…'`.
    Bits,
    /// `\N`.
    Null,
    /// `?`.
    Placeholder,
    /// `@name`, `` @`name` ``, `@'name'`, with its `@`.
    UserVariable,
    /// `@@`; a name follows.
    SystemVariable,
    /// A comparison or assignment: `=`, `<=`, `:=` …; a sign after it belongs to its number.
    Compare,
    /// Any other operator or character.
    Operator,
    Open,
    Close,
    Comma,
    Semicolon,
    Dot,
    /// `/*!`, `/*!50000`, `/*M!100100`: some servers execute what follows.
    ExecutableOpen,
    /// `/*+`: an optimizer hint, on some servers and in some places.
    HintOpen,
    /// The `*/` of an executable comment or a hint.
    CommentClose,
    /// What no server can read (an unterminated string, a NUL), or what servers read differently.
    Bad,
    /// The end of the text.
    End,
}

/// A token and its bytes: `text[start..end]`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Token {
    pub(super) kind: TokenKind,
    pub(super) start: usize,
    pub(super) end: usize,
}

impl Token {
    /// Its bytes.
    pub(super) fn bytes(self, text: &[u8]) -> &[u8] {
        &text[self.start..self.end]
    }
}
