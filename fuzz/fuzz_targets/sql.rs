//! SQL as bytes: nothing that a client can write panics, and a normalized text is its own.

#![no_main]

use dazzle::sql::{
    LexMode, Server, analyze, fingerprint, kill_target, literals, normalize, prepared_name, savepoint_name,
    select_variables, set_assignments, split, use_schema,
};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: (bool, u8, &[u8])| {
    let (mariadb, flags, text) = input;
    let server = Server::from_version_text(if mariadb { "10.11.6-MariaDB" } else { "9.7.0" });
    let mut mode = LexMode::new(server);
    if flags & 1 != 0 {
        mode = mode.with_sql_mode(b"ANSI_QUOTES,NO_BACKSLASH_ESCAPES");
    }
    if flags & 2 != 0 {
        mode = mode.with_charset(b"gbk");
    }
    let _ = fingerprint(text, mode);
    let _ = analyze(text, mode);
    let mut normalized = Vec::new();
    normalize(text, mode, &mut normalized);
    let mut spans = Vec::new();
    literals(text, mode, &mut spans);
    for piece in split(text, mode) {
        let piece = &text[piece];
        let _ = (kill_target(piece, mode), prepared_name(piece, mode), savepoint_name(piece, mode));
        let _ = (select_variables(piece, mode), set_assignments(piece, mode), use_schema(piece, mode));
    }
});
