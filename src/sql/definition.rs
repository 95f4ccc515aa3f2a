//! CREATE, ALTER, DROP and their like: what is defined, and whether a routine's body follows.

use crate::sql::cursor::Cursor;
use crate::sql::effects::Effects;
use crate::sql::kind::Kind;
use crate::sql::verbs::{Body, Verb};

/// Tokens between CREATE and what is created: `OR REPLACE ALGORITHM = … DEFINER = … SQL SECURITY …`.
const MODIFIERS_MAX: usize = 24;

const COMMIT: Effects = Effects::IMPLICIT_COMMIT;

/// The verb, if `word` defines something.
pub(super) fn verb(word: &str, cursor: &mut Cursor<'_>) -> Option<Verb> {
    Some(match word {
        "CREATE" => create(cursor),
        "ALTER" => alter(cursor),
        "DROP" => drop(cursor),
        "TRUNCATE" => Verb::new(Kind::Truncate, COMMIT, Body::Inert),
        "RENAME" if cursor.at("USER") => account(),
        "RENAME" => ddl(Body::Inert),
        "GRANT" | "REVOKE" => account(),
        _ => return None,
    })
}

fn ddl(body: Body) -> Verb {
    Verb::new(Kind::Ddl, COMMIT, body)
}

fn account() -> Verb {
    Verb::new(Kind::Account, COMMIT, Body::Inert)
}

fn create(cursor: &mut Cursor<'_>) -> Verb {
    let temporary = cursor.clone();
    let (object, modifiers) = object(cursor);
    let is_temporary = modifiers.iter().any(|word| word == "TEMPORARY");
    match object.as_str() {
        "TABLE" | "SEQUENCE" => {
            let effects = if is_temporary { Effects::CREATES_TEMPORARY_TABLE } else { COMMIT };
            Verb::new(Kind::CreateTable, effects, Body::Executed)
        }
        "TRIGGER" | "PROCEDURE" | "FUNCTION" | "EVENT" | "PACKAGE" => ddl(Body::Routine),
        "USER" | "ROLE" => account(),
        "" => {
            *cursor = temporary;
            ddl(Body::Inert)
        }
        _ => ddl(Body::Inert),
    }
}

fn alter(cursor: &mut Cursor<'_>) -> Verb {
    let mut ahead = cursor.clone();
    let (object, _) = object(&mut ahead);
    match object.as_str() {
        "EVENT" => ddl(Body::Routine),
        "USER" | "ROLE" => account(),
        "INSTANCE" => Verb::new(Kind::Admin, COMMIT, Body::Inert),
        _ => ddl(Body::Inert),
    }
}

fn drop(cursor: &mut Cursor<'_>) -> Verb {
    if cursor.take("PREPARE") {
        return Verb::new(Kind::Deallocate, Effects::TEXT_DEALLOCATE, Body::Inert);
    }
    let temporary = cursor.take("TEMPORARY");
    if cursor.take_any(&["TABLE", "TABLES", "SEQUENCE"]) {
        let commit = if temporary { Effects::NONE } else { COMMIT };
        return Verb::new(Kind::DropTable, Effects::DROPS_TABLE | commit, Body::Inert);
    }
    if cursor.at("USER") || cursor.at("ROLE") { account() } else { ddl(Body::Inert) }
}

/// Passes everything up to the word that says what is created; returns it and the words before it.
fn object(cursor: &mut Cursor<'_>) -> (String, Vec<String>) {
    const OBJECTS: [&str; 20] = [
        "TABLE",
        "SEQUENCE",
        "VIEW",
        "TRIGGER",
        "PROCEDURE",
        "FUNCTION",
        "EVENT",
        "PACKAGE",
        "USER",
        "ROLE",
        "DATABASE",
        "SCHEMA",
        "INDEX",
        "SERVER",
        "TABLESPACE",
        "LOGFILE",
        "RESOURCE",
        "REFERENCE",
        "INSTANCE",
        "LIBRARY",
    ];
    let mut modifiers = Vec::new();
    for _ in 0..MODIFIERS_MAX {
        if cursor.at_end() {
            break;
        }
        let token = cursor.next();
        let word = cursor.keyword(token);
        if OBJECTS.contains(&word.as_str()) {
            return (word, modifiers);
        }
        if !word.is_empty() {
            modifiers.push(word);
        }
    }
    (String::new(), modifiers)
}
