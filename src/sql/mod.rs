//! SQL as bytes: one lexer, the digest of a statement and the facts a multiplexing proxy needs of it.
//!
//! A statement is lexed on every execution (its [`fingerprint`]) and analysed once per fingerprint
//! ([`analyze`]); values inside a text, which a fingerprint does not cover, are read per execution by
//! functions of their own ([`set_assignments`], [`kill_target`], …).

mod altered_table;
mod assignment;
mod blocks;
mod body;
mod charset;
mod class;
mod comments;
mod connect_question;
mod cursor;
mod definition;
mod digest;
mod effects;
mod found_rows;
mod functions;
mod held_names;
mod kind;
mod lists;
mod literal;
mod mode;
mod multiple;
mod names;
mod normalizer;
mod reading;
mod scanner;
mod select_variables;
mod set_facts;
mod shape;
mod shown_diagnostics;
mod shown_tables;
mod spelling;
mod statement;
mod substitute;
mod tail;
mod token;
pub mod tree;
mod user_variables;
mod verbs;

pub use altered_table::{Alteration, AlteredTable, altered_table};
pub use assignment::{Assignment, Target, set_assignments};
pub use charset::ClientCharset;
pub use connect_question::connect_question;
pub use digest::{Fingerprint, fingerprint, fingerprint_keyed, normalize};
pub use effects::Effects;
pub use found_rows::FoundRows;
pub use functions::{is_aggregate_function, is_builtin_function};
pub use held_names::{HandlerName, TableName, created_temporary, dropped_tables, handler_name, lock_names};
pub use kind::{Access, Kind, ShowKind};
pub use literal::{Literal, LiteralKind, LiteralSpan, literal, literals};
pub use mode::{Grammar, LexMode, Server};
pub use multiple::split;
pub use names::{KillId, KillScope, KillTarget, kill_target, prepared_name, savepoint_name, use_schema};
pub use select_variables::{SelectedVariable, select_variables};
pub use set_facts::is_untracked;
pub use shape::{Shape, shape};
pub use shown_diagnostics::{ShownDiagnostics, shown_diagnostics};
pub use shown_tables::{ShownTables, shown_tables};
pub use spelling::Spelling;
pub use statement::{Digest, Statement, analyze};
pub use substitute::{InsertId, SessionValues, substitute};
pub use tail::Tail;
pub use user_variables::user_variables;

#[cfg(test)]
mod tests;
