//! What must hold for any bytes that a decoder gets. Each property is one target of the fuzzer; the suite holds them
//! against the corpus, against damaged inputs of it, and against random bytes (`tests/hostile/fuzz.rs`).

mod binlog;
mod column;
mod command;
mod compression;
mod config;
mod greeting;
mod handshake_response;
mod login;
mod ok;
mod parameters;
mod proxy_protocol;
mod reply;
mod rules;
mod sql;
mod tail;

/// Panics where it does not hold.
type Property = fn(&[u8]);

/// All properties, by the names of their targets.
pub const ALL: [(&str, Property); 15] = [
    ("binlog", binlog::check),
    ("column", column::check),
    ("command", command::check),
    ("compression", compression::check),
    ("config", config::check),
    ("greeting", greeting::check),
    ("handshake_response", handshake_response::check),
    ("login", login::check),
    ("ok", ok::check),
    ("parameters", parameters::check),
    ("proxy_protocol", proxy_protocol::check),
    ("reply", reply::check),
    ("rules", rules::check),
    ("sql", sql::check),
    ("tail", tail::check),
];

/// Holds the property of one target against these bytes.
pub fn check(target: &str, bytes: &[u8]) {
    let (_, property) = ALL.iter().find(|(name, _)| *name == target).expect("a target has a property");
    property(bytes);
}

/// Takes the next byte of an input: what is decided by it is 0 where the input ends.
fn take(bytes: &mut &[u8]) -> u8 {
    let Some((first, rest)) = bytes.split_first() else { return 0 };
    *bytes = rest;
    *first
}

/// Takes a part with a byte before it that tells its length.
fn take_part<'a>(bytes: &mut &'a [u8]) -> &'a [u8] {
    let length = usize::from(take(bytes)).min(bytes.len());
    let (part, rest) = bytes.split_at(length);
    *bytes = rest;
    part
}
