//! SQL as bytes: nothing that a client can write panics, and what is found lies within the text.

use dazzle::sql::{
    LexMode, Server, altered_table, analyze, connect_question, fingerprint, kill_target, literals, normalize,
    prepared_name, savepoint_name, select_variables, set_assignments, split, tree, use_schema,
};

use super::take;

pub fn mode(mariadb: bool, flags: u8) -> LexMode {
    let mut mode = LexMode::new(Server::from_version_text(if mariadb { "10.11.6-MariaDB" } else { "9.7.0" }));
    if flags & 1 != 0 {
        mode = mode.with_sql_mode(b"ANSI_QUOTES,NO_BACKSLASH_ESCAPES");
    }
    if flags & 2 != 0 {
        mode = mode.with_charset(b"gbk");
    }
    mode
}

pub fn check(mut text: &[u8]) {
    let mode = mode(take(&mut text) & 1 != 0, take(&mut text));
    let _ = fingerprint(text, mode);
    let _ = analyze(text, mode);
    let _ = connect_question(text, mode);
    let mut normalized = Vec::new();
    normalize(text, mode, &mut normalized);
    let mut spans = Vec::new();
    literals(text, mode, &mut spans);
    if let Ok(tree) = tree::parse(text, mode) {
        let outline = tree.outline(text);
        assert!(tree.exprs().is_empty() || !outline.is_empty());
    }
    for piece in split(text, mode) {
        let piece = &text[piece];
        let _ = (kill_target(piece, mode), prepared_name(piece, mode), savepoint_name(piece, mode));
        let _ = (select_variables(piece, mode), set_assignments(piece, mode), use_schema(piece, mode));
        let _ = altered_table(piece, mode);
    }
}
