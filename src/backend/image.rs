//! What a server connection must be told to look like a given session: schema, variables, options.
//!
//! An image is immutable and shared: a session and the connections that last served it hold the same
//! one, so "nothing to do" is a pointer comparison.

use std::collections::BTreeMap;
use std::sync::{Arc, LazyLock};

use xxhash_rust::xxh3::Xxh3;

use crate::wire::code;

/// Carried session state as a value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SessionImage {
    schema: Option<Box<[u8]>>,
    /// Names in lowercase; values as the server reports them. A name with an `@` is that of a user variable; its
    /// value is the SQL that makes it.
    variables: BTreeMap<Box<str>, Box<[u8]>>,
    multi_statements: bool,
    key: u128,
    /// A hash of everything but user variables.
    base: u128,
}

/// Variables that decide what a text means.
const MEANING: [&str; 8] = [
    DESCRIBED,
    "character_set_client",
    "character_set_collations",
    "character_set_results",
    "collation_connection",
    "default_collation_for_utf8mb4",
    "lc_time_names",
    "sql_mode",
];

/// Keys are compared instead of images. Clients choose what goes into them, so the hash has a seed that
/// they cannot know: 128 bits of it do not collide by chance or by design.
static SEED: LazyLock<u64> = LazyLock::new(rand::random);

/// How to turn one image into another.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Transition {
    /// They are the same.
    Nothing,
    /// Send these command payloads, each answered by one OK.
    Commands(Vec<Vec<u8>>),
    /// No command leaves a schema again, or brings back the roles of a login: the connection has to log in anew first.
    Relogin,
}

impl SessionImage {
    /// An image of these parts.
    #[must_use]
    pub fn new(schema: Option<&[u8]>, variables: BTreeMap<Box<str>, Box<[u8]>>) -> Self {
        Self { schema: schema.map(Into::into), variables, multi_statements: false, key: 0, base: 0 }.keyed()
    }

    fn keyed(mut self) -> Self {
        let mut hash = Xxh3::with_seed(*SEED);
        hash.update(self.schema.as_deref().unwrap_or(b"\0"));
        hash.update(&[0xFF, u8::from(self.multi_statements)]);
        for user in [false, true] {
            for (name, value) in self.variables.iter().filter(|(name, _)| is_user(name) == user) {
                hash.update(name.as_bytes());
                hash.update(&[0xFF]);
                hash.update(value);
                hash.update(&[0xFF]);
            }
            self.base = if user { self.base } else { hash.digest128() };
        }
        self.key = hash.digest128();
        self
    }

    /// A hash of everything but user variables.
    #[must_use]
    pub const fn base_key(&self) -> u128 {
        self.base
    }

    /// The same as bytes, which are the same in every process.
    #[must_use]
    pub fn base_bytes(&self) -> Vec<u8> {
        let mut bytes = vec![u8::from(self.multi_statements), u8::from(self.schema.is_some())];
        let mut put = |part: &[u8]| {
            bytes.extend_from_slice(&(part.len() as u64).to_le_bytes());
            bytes.extend_from_slice(part);
        };
        put(self.schema.as_deref().unwrap_or_default());
        for (name, value) in self.variables.iter().filter(|(name, _)| !is_user(name)) {
            put(name.as_bytes());
            put(value);
        }
        bytes
    }

    /// The names of the user variables, without their `@`.
    pub fn user_variables(&self) -> impl Iterator<Item = &str> {
        self.variables.keys().filter_map(|name| name.strip_prefix('@'))
    }

    /// How many user variables there are, and the bytes of the SQL that makes them.
    #[must_use]
    pub fn user_variables_size(&self) -> (usize, usize) {
        let user = self.variables.iter().filter(|(name, _)| is_user(name));
        user.fold((0, 0), |(count, bytes), (_, value)| (count + 1, bytes + value.len()))
    }

    /// This image with the user variables of `other`.
    #[must_use]
    pub fn with_user_variables_of(&self, other: &Self) -> Self {
        let mut next = self.clone();
        next.variables.retain(|name, _| !is_user(name));
        let user = other.variables.iter().filter(|(name, _)| is_user(name));
        next.variables.extend(user.map(|(name, value)| (name.clone(), value.clone())));
        next.keyed()
    }

    /// A hash of everything; equal images have equal keys.
    #[must_use]
    pub const fn key(&self) -> u128 {
        self.key
    }

    /// The default schema.
    #[must_use]
    pub fn schema(&self) -> Option<&[u8]> {
        self.schema.as_deref()
    }

    /// A variable's value, if it is carried.
    #[must_use]
    pub fn variable(&self, name: &str) -> Option<&[u8]> {
        self.variables.get(name).map(AsRef::as_ref)
    }

    /// Whether the client may send several statements at once.
    #[must_use]
    pub const fn multi_statements(&self) -> bool {
        self.multi_statements
    }

    /// This image with another schema.
    #[must_use]
    pub fn with_schema(&self, schema: Option<&[u8]>) -> Self {
        Self { schema: schema.map(Into::into), ..self.clone() }.keyed()
    }

    /// This image with multi-statements on or off.
    #[must_use]
    pub fn with_multi_statements(&self, on: bool) -> Self {
        Self { multi_statements: on, ..self.clone() }.keyed()
    }

    /// This image with these variables added or replaced.
    #[must_use]
    pub fn with_variables<'a>(&self, changed: impl IntoIterator<Item = (&'a str, &'a [u8])>) -> Self {
        let mut next = self.clone();
        for (name, value) in changed {
            next.variables.insert(name.into(), value.into());
        }
        next.keyed()
    }

    /// The active roles, as SET ROLE takes them; `None`: those that the login made active.
    #[must_use]
    pub fn role(&self) -> Option<&[u8]> {
        self.variable(ROLE)
    }

    /// This image with these roles active. No reset of a session changes them.
    #[must_use]
    pub fn with_role(&self, role: Option<&[u8]>) -> Self {
        let mut next = self.clone();
        match role {
            Some(role) => drop(next.variables.insert(ROLE.into(), role.into())),
            None => drop(next.variables.remove(ROLE)),
        }
        next.keyed()
    }

    /// This image with all that decides what a text means, schema and lexer, of `other`. Nothing else: to set
    /// `autocommit` would end a transaction. No command leaves a schema: where `other` has none and the
    /// connection cannot log in again, the schema `stays`.
    #[must_use]
    pub fn with_meaning_of(&self, other: &Self, stays: bool) -> Self {
        let mut next = self.clone();
        if other.schema.is_some() || !stays {
            next.schema.clone_from(&other.schema);
        }
        for name in MEANING {
            if let Some(value) = other.variables.get(name) {
                next.variables.insert(name.into(), value.clone());
            } else {
                next.variables.remove(name);
            }
        }
        next.keyed()
    }

    /// What turns a connection that looks like `from` into one that looks like `self`.
    #[must_use]
    pub fn transition_from(self: &Arc<Self>, from: &Arc<Self>) -> Transition {
        if self.key == from.key {
            return Transition::Nothing;
        }
        let mut commands = Vec::new();
        if self.multi_statements != from.multi_statements {
            commands.push(vec![code::SET_OPTION, u8::from(!self.multi_statements), 0]);
        }
        // First of all: a role may be what gives access to the schema.
        match (self.role(), from.role()) {
            (None, Some(_)) => return Transition::Relogin,
            (Some(to), role) if role != Some(to) => {
                commands.push(set_role(to));
            }
            _ => {}
        }
        match (&self.schema, &from.schema) {
            (None, Some(_)) => return Transition::Relogin,
            (Some(to), schema) if schema.as_ref() != Some(to) => {
                let mut command = vec![code::INIT_DB];
                command.extend_from_slice(to);
                commands.push(command);
            }
            _ => {}
        }
        if let Some(set) = self.set_statement(from) {
            commands.push(set);
        }
        Transition::Commands(commands)
    }

    /// One `SET` for every variable that differs; `None` if none does.
    fn set_statement(&self, from: &Self) -> Option<Vec<u8>> {
        let mut command = vec![code::QUERY];
        command.extend_from_slice(b"SET ");
        let start = command.len();
        let names =
            self.names().filter(|_| NAMED.iter().any(|name| self.variable(name) != from.variable(name)));
        // What is there once the charset has been named.
        let mut there = from.clone();
        if let Some((charset, collation)) = names {
            command.extend_from_slice(b"NAMES '");
            command.extend_from_slice(charset);
            command.extend_from_slice(b"' COLLATE '");
            command.extend_from_slice(collation);
            command.extend_from_slice(b"',");
            for (name, value) in [CLIENT, CONNECTION, RESULTS].map(|name| (name, charset)) {
                if name != CONNECTION || self.variables.contains_key(CONNECTION) {
                    there.variables.insert(name.into(), value.into());
                }
            }
            there.variables.insert(COLLATION.into(), collation.into());
        } else if self.described(from) {
            there.variables.remove(RESULTS);
        }
        for (name, value) in self.variables.iter().filter(|(name, _)| !is_own(name)) {
            if there.variables.get(name) != Some(value) {
                assign(name, Some(value), &mut command);
            }
        }
        for name in there.variables.keys().filter(|name| !is_own(name)) {
            if !self.variables.contains_key(name) {
                assign(name, None, &mut command);
            }
        }
        // Every assignment ends with a comma; the last one is too many.
        (command.len() > start).then(|| {
            command.pop();
            command
        })
    }

    /// Whether results are described by another collation than those of `from`.
    fn described(&self, from: &Self) -> bool {
        self.variable(DESCRIBED).unwrap_or_default() != from.variable(DESCRIBED).unwrap_or_default()
    }

    /// The charset of results and the collation that describes them, if a `SET NAMES` has to say them: no variable
    /// shows that collation, which is that of the login or of the last `SET NAMES`.
    fn names(&self) -> Option<(&[u8], &[u8])> {
        let collation = self.variable(DESCRIBED)?;
        let charset = self.variable(RESULTS)?;
        let of_charset =
            collation.strip_prefix(charset).is_some_and(|rest| rest.is_empty() || rest[0] == b'_');
        let plain = |byte: &u8| byte.is_ascii_alphanumeric() || *byte == b'_';
        let complete = self.variables.contains_key(CLIENT) && self.variables.contains_key(COLLATION);
        (complete && of_charset && !charset.is_empty() && collation.iter().all(plain))
            .then_some((charset, collation))
    }
}

/// What stands among the variables for the collation that describes results; empty or missing where it is the default
/// one of their charset. No server has such a variable.
pub const DESCRIBED: &str = "!results";

/// What stands among the variables for the active roles, once SET ROLE has changed them.
const ROLE: &str = "!role";

const CLIENT: &str = "character_set_client";
const CONNECTION: &str = "character_set_connection";
const RESULTS: &str = "character_set_results";
const COLLATION: &str = "collation_connection";

/// What `SET NAMES … COLLATE …` sets.
const NAMED: [&str; 4] = [CLIENT, RESULTS, COLLATION, DESCRIBED];

/// The command that makes these roles active.
pub(super) fn set_role(role: &[u8]) -> Vec<u8> {
    [&[code::QUERY], &b"SET ROLE "[..], role].concat()
}

/// Whether it stands for something that is no variable.
fn is_own(name: &str) -> bool {
    name.starts_with('!')
}

fn is_user(name: &str) -> bool {
    name.starts_with('@')
}

/// Appends `@@SESSION.name=value,`.
fn assign(name: &str, value: Option<&[u8]>, out: &mut Vec<u8>) {
    if let Some(user) = name.strip_prefix('@') {
        out.extend_from_slice(format!("@`{user}`=").as_bytes());
        out.extend_from_slice(value.unwrap_or(b"NULL"));
        out.push(b',');
        return;
    }
    out.extend_from_slice(b"@@SESSION.");
    out.extend_from_slice(name.as_bytes());
    out.push(b'=');
    match value {
        None => out.extend_from_slice(b"DEFAULT"),
        // Both servers report NULL, which only this variable takes, as an empty text.
        Some(b"") if name == "character_set_results" => out.extend_from_slice(b"NULL"),
        Some(value) => put_literal(value, out),
    }
    out.push(b',');
}

/// Appends `value` as SQL, whatever the connection's `sql_mode` and charset: numbers bare (integer
/// variables refuse strings), plain text quoted, all else as a hexadecimal literal.
fn put_literal(value: &[u8], out: &mut Vec<u8>) {
    let plain = |byte: &u8| byte.is_ascii_graphic() && !matches!(byte, b'\'' | b'\\') || *byte == b' ';
    if is_number(value) {
        out.extend_from_slice(value);
    } else if value.iter().all(plain) {
        out.push(b'\'');
        out.extend_from_slice(value);
        out.push(b'\'');
    } else {
        out.extend_from_slice(b"_utf8mb4 X'");
        for byte in value {
            out.extend_from_slice(format!("{byte:02X}").as_bytes());
        }
        out.push(b'\'');
    }
}

fn is_number(value: &[u8]) -> bool {
    let digits = value.strip_prefix(b"-").unwrap_or(value);
    let (whole, fraction) = match memchr::memchr(b'.', digits) {
        Some(at) => (&digits[..at], &digits[at + 1..]),
        None => (digits, &b"0"[..]),
    };
    let all_digits = |part: &[u8]| !part.is_empty() && part.iter().all(u8::is_ascii_digit);
    all_digits(whole) && all_digits(fraction)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn image(schema: Option<&str>, variables: &[(&str, &str)]) -> Arc<SessionImage> {
        let variables = variables.iter().map(|(n, v)| ((*n).into(), v.as_bytes().into())).collect();
        Arc::new(SessionImage::new(schema.map(str::as_bytes), variables))
    }

    fn check(from: &Arc<SessionImage>, to: &Arc<SessionImage>, expected: &[&str]) {
        let commands = expected.iter().map(|command| command.as_bytes().to_vec()).collect();
        assert_eq!(to.transition_from(from), Transition::Commands(commands));
    }

    #[test]
    fn only_what_differs_is_sent_in_one_set() {
        let plain = image(None, &[("autocommit", "ON"), ("sql_mode", "")]);
        let other =
            image(Some("shop"), &[("autocommit", "OFF"), ("sql_mode", ""), ("sql_select_limit", "10")]);
        check(
            &plain,
            &other,
            &["\x02shop", "\x03SET @@SESSION.autocommit='OFF',@@SESSION.sql_select_limit=10"],
        );
        assert_eq!(plain.transition_from(&other), Transition::Relogin);
        let back = Arc::new(plain.with_schema(Some(b"shop")));
        check(&other, &back, &["\x03SET @@SESSION.autocommit='ON',@@SESSION.sql_select_limit=DEFAULT"]);
    }

    #[test]
    fn a_charset_is_set_with_the_collation_that_describes_results() {
        let utf8 = [
            ("!results", "utf8mb4_general_ci"),
            ("character_set_client", "utf8mb4"),
            ("character_set_results", "utf8mb4"),
            ("collation_connection", "utf8mb4_general_ci"),
        ];
        let login = image(None, &utf8);
        let with = |changed: &[(&str, &str)]| {
            let changed = changed.iter().map(|(name, value)| (*name, value.as_bytes()));
            Arc::new(login.with_variables(changed))
        };
        let bin = [("!results", "utf8mb4_bin"), ("collation_connection", "utf8mb4_bin"), ("x", "1")];
        let other = with(&bin);
        check(&login, &other, &["\x03SET NAMES 'utf8mb4' COLLATE 'utf8mb4_bin',@@SESSION.x=1"]);
        check(&other, &login, &["\x03SET NAMES 'utf8mb4' COLLATE 'utf8mb4_general_ci',@@SESSION.x=DEFAULT"]);
        let null = with(&[("!results", ""), ("character_set_results", "")]);
        check(&login, &null, &["\x03SET @@SESSION.character_set_results=NULL"]);
        check(&null, &login, &["\x03SET NAMES 'utf8mb4' COLLATE 'utf8mb4_general_ci'"]);
        let collated = with(&[("collation_connection", "utf8mb4_bin")]);
        let named = "\x03SET NAMES 'utf8mb4' COLLATE 'utf8mb4_general_ci',";
        check(&login, &collated, &[&format!("{named}@@SESSION.collation_connection='utf8mb4_bin'")]);
        let default = with(&[("!results", "")]);
        check(&login, &default, &["\x03SET @@SESSION.character_set_results='utf8mb4'"]);
        check(
            &with(&bin[..2]),
            &collated,
            &[&format!("{named}@@SESSION.collation_connection='utf8mb4_bin'")],
        );
    }

    #[test]
    fn equal_images_need_nothing() {
        let (one, two) = (image(Some("a"), &[("x", "1")]), image(Some("a"), &[("x", "1")]));
        assert_eq!(one.transition_from(&two), Transition::Nothing);
        assert_eq!(one.key(), two.key());
        assert_ne!(one.key(), one.with_multi_statements(true).key());
    }

    #[test]
    fn user_variables_travel_in_the_same_set() {
        let plain = image(None, &[("autocommit", "ON")]);
        let other = image(None, &[("@a", "CAST(5 AS SIGNED)"), ("autocommit", "OFF")]);
        check(&plain, &other, &["\x03SET @`a`=CAST(5 AS SIGNED),@@SESSION.autocommit='OFF'"]);
        check(&other, &plain, &["\x03SET @@SESSION.autocommit='ON',@`a`=NULL"]);
        let without = image(None, &[("autocommit", "OFF")]);
        assert_eq!(other.base_key(), without.key());
        assert_ne!(other.key(), without.key());
        assert_eq!(without.with_user_variables_of(&other), *other);
    }

    #[test]
    fn values_cannot_break_out_of_their_quotes() {
        let plain = image(None, &[]);
        check(&plain, &image(None, &[("a", "x'; --")]), &["\x03SET @@SESSION.a=_utf8mb4 X'78273B202D2D'"]);
        check(&plain, &image(None, &[("a", "-1.50")]), &["\x03SET @@SESSION.a=-1.50"]);
        check(&plain, &image(None, &[("a", "+01:00")]), &["\x03SET @@SESSION.a='+01:00'"]);
        check(
            &plain,
            &image(None, &[("character_set_results", "")]),
            &["\x03SET @@SESSION.character_set_results=NULL"],
        );
    }
}
