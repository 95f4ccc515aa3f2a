//! Results as bytes that another process can use, or refuse: with a version, an authentication code, the whole key, and
//! the tokens of the places that were written.
//!
//! A token stands for "nothing has been written here since". Each write replaces it by one that there never was, so that
//! a result is of use exactly while the tokens from before its read are the present ones, whatever the store of both
//! forgets, evicts or goes back to.

use std::time::Duration;

use aws_lc_rs::hmac;
use xxhash_rust::xxh3::{xxh3_64, xxh3_128};

use crate::cache::store::Reply;
use crate::cache::tables::Slot;
use crate::wire::{HEADER_BYTES, Header, StatusFlags};

/// Of the bytes, of what they mean, and of how places are numbered.
const VERSION: u8 = 1;

/// What every value begins with.
const MAGIC: [u8; 3] = [b'D', b'Z', VERSION];

/// Bytes of an authentication code that are kept.
const CODE_BYTES: usize = 16;

/// What a value takes at most beside result and key.
const FRAME_BYTES: usize = 80;

/// Places of one result at most.
const PLACES_MAX: usize = 64;

/// Stands for "nothing has been written here since".
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Token(pub [u8; 16]);

impl Token {
    /// From what a store says.
    #[must_use]
    pub fn of(bytes: &[u8]) -> Option<Self> {
        bytes.try_into().ok().map(Self)
    }
}

/// A result that several processes use.
#[derive(Debug)]
pub struct Portable {
    /// What its clients are sent.
    pub reply: Reply,
    /// How long it is there, from when its tokens were looked at.
    pub ttl: Duration,
}

/// Why a value is of no use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unfit {
    /// It was not made by anybody who knows the secret, or has been changed since.
    Poisoned,
    /// It is the result of another question.
    Another,
    /// There have been writes since.
    Old,
}

/// Makes values, and tells them from others.
#[derive(Debug)]
pub struct Seal {
    key: hmac::Key,
    space: String,
}

/// What decides whether a value is of use: the whole question, the places that its result depends on and the
/// present tokens of these, everything's first.
#[derive(Clone, Copy, Debug)]
pub struct Asked<'a> {
    /// Everything that decides the result.
    pub question: &'a [u8],
    /// Places of its tables or rows.
    pub slots: &'a [Slot],
    /// Theirs, after that of everything.
    pub tokens: &'a [Token],
}

impl Seal {
    /// For those who name themselves by `prefix`, know `secret`, and name the rows of tables by the same `keys`.
    #[must_use]
    pub fn new(prefix: &str, secret: &[u8], keys: &[(String, String)]) -> Self {
        let mut keys = keys.to_vec();
        keys.sort_unstable();
        keys.dedup();
        let keys: Vec<String> = keys.iter().map(|(table, column)| format!("{table}.{column}")).collect();
        let space = format!("{prefix}:{VERSION}:{:016x}", xxh3_64(keys.join(",").as_bytes()));
        let secret = [b"dazzle results ", secret].concat();
        Self { key: hmac::Key::new(hmac::HMAC_SHA256, &secret), space }
    }

    /// Where the tokens are.
    #[must_use]
    pub fn tokens(&self) -> String {
        format!("{}:tokens", self.space)
    }

    /// Where the result of a question is. Two questions may have the same place.
    #[must_use]
    pub fn place(&self, question: &[u8]) -> String {
        format!("{}:{:032x}", self.space, xxh3_128(question))
    }

    fn code(&self, body: &[u8]) -> hmac::Tag {
        let mut context = hmac::Context::with_key(&self.key);
        context.update(self.space.as_bytes());
        context.update(&[0]);
        context.update(body);
        context.sign()
    }

    /// Bytes of a value at most, for results of at most so many.
    #[must_use]
    pub fn bytes_max(question: usize, slots: usize, result: usize) -> usize {
        FRAME_BYTES + question + slots * 18 + result
    }

    /// The value. `None`: it cannot be one.
    #[must_use]
    pub fn close(&self, asked: Asked<'_>, portable: &Portable) -> Option<Vec<u8>> {
        let Asked { question, slots, tokens } = asked;
        let Portable { reply, ttl } = portable;
        if slots.len() > PLACES_MAX || tokens.len() != slots.len() + 1 || !is_whole_reply(&reply.bytes) {
            return None;
        }
        let mut body = Vec::with_capacity(Self::bytes_max(question.len(), slots.len(), reply.bytes.len()));
        body.extend_from_slice(&MAGIC);
        body.extend_from_slice(&[0; CODE_BYTES]);
        body.extend_from_slice(&reply.status.0.to_le_bytes());
        body.extend_from_slice(&reply.rows.to_le_bytes());
        body.extend_from_slice(&reply.columns.to_le_bytes());
        body.extend_from_slice(&u64::try_from(ttl.as_millis()).ok()?.to_le_bytes());
        body.push(u8::try_from(slots.len()).ok()?);
        slots.iter().for_each(|slot| body.extend_from_slice(&slot.number().to_le_bytes()));
        tokens.iter().for_each(|token| body.extend_from_slice(&token.0));
        for part in [question, &reply.bytes] {
            body.extend_from_slice(&u32::try_from(part.len()).ok()?.to_le_bytes());
            body.extend_from_slice(part);
        }
        let code = self.code(&body[MAGIC.len() + CODE_BYTES..]);
        body[MAGIC.len()..MAGIC.len() + CODE_BYTES].copy_from_slice(&code.as_ref()[..CODE_BYTES]);
        Some(body)
    }

    /// What is in a value, if it is of use.
    pub fn open(&self, asked: Asked<'_>, value: &[u8]) -> Result<Portable, Unfit> {
        let poisoned = Unfit::Poisoned;
        let body = value.strip_prefix(&MAGIC).ok_or(poisoned)?;
        let (code, body) = body.split_at_checked(CODE_BYTES).ok_or(poisoned)?;
        let expected = self.code(body);
        if aws_lc_rs::constant_time::verify_slices_are_equal(&expected.as_ref()[..CODE_BYTES], code).is_err()
        {
            return Err(poisoned);
        }
        let mut rest = Rest(body);
        let (portable, question, slots, tokens) = rest.portable().ok_or(poisoned)?;
        if !rest.0.is_empty() || !is_whole_reply(&portable.reply.bytes) {
            return Err(poisoned);
        }
        if question != asked.question
            || slots != asked.slots.iter().map(|slot| slot.number()).collect::<Vec<_>>()
        {
            return Err(Unfit::Another);
        }
        if tokens != asked.tokens {
            return Err(Unfit::Old);
        }
        Ok(portable)
    }
}

/// A result, its question, its places and their tokens.
type Parts<'a> = (Portable, &'a [u8], Vec<u16>, Vec<Token>);

/// What has not been read of a value.
struct Rest<'a>(&'a [u8]);

impl<'a> Rest<'a> {
    fn take<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (taken, rest) = self.0.split_first_chunk()?;
        self.0 = rest;
        Some(*taken)
    }

    fn part(&mut self) -> Option<&'a [u8]> {
        let length = u32::from_le_bytes(self.take()?) as usize;
        let (part, rest) = self.0.split_at_checked(length)?;
        self.0 = rest;
        Some(part)
    }

    fn portable(&mut self) -> Option<Parts<'a>> {
        let status = StatusFlags(u16::from_le_bytes(self.take()?));
        let (rows, columns) = (u64::from_le_bytes(self.take()?), u64::from_le_bytes(self.take()?));
        let ttl = Duration::from_millis(u64::from_le_bytes(self.take()?));
        let [places] = self.take()?;
        let slots = (0..places).map(|_| Some(u16::from_le_bytes(self.take()?))).collect::<Option<_>>()?;
        let tokens = (0..=places).map(|_| Some(Token(self.take()?))).collect::<Option<_>>()?;
        let question = self.part()?;
        let bytes = self.part()?.into();
        let reply = Reply { bytes, status, rows, columns, took: Duration::ZERO };
        Some((Portable { reply, ttl }, question, slots, tokens))
    }
}

/// Whether these are packets that count on from 1: whatever else is wrong, a client does not lose its place.
fn is_whole_reply(bytes: &[u8]) -> bool {
    let (mut rest, mut expected) = (bytes, 1_u8);
    while let Some(header) = Header::parse(rest) {
        let Some(next) = rest.get(HEADER_BYTES + header.length..) else { return false };
        if header.sequence != expected {
            return false;
        }
        (rest, expected) = (next, expected.wrapping_add(1));
    }
    rest.is_empty() && !bytes.is_empty()
}

#[cfg(test)]
mod tests {
    use proptest::collection::vec;
    use proptest::prelude::{any, prop_assert, prop_assert_eq, proptest};

    use super::*;

    const REPLY: &[u8] = b"\x01\0\0\x01\x01\x03\0\0\x02abc\x05\0\0\x03\xFE\0\0\x02\0";

    fn portable(bytes: &[u8]) -> Portable {
        let reply = Reply {
            bytes: bytes.into(),
            status: StatusFlags::AUTOCOMMIT,
            rows: 1,
            columns: 7,
            took: Duration::ZERO,
        };
        Portable { reply, ttl: Duration::from_secs(10) }
    }

    fn seal() -> Seal {
        Seal::new("dazzle", b"secret", &[])
    }

    fn tokens(count: u8) -> Vec<Token> {
        (0..count).map(|n| Token([n; 16])).collect()
    }

    #[test]
    fn a_value_is_refused_for_exactly_what_is_wrong_with_it() {
        let (slots, tokens) = ([Slot::of("menu"), Slot::of("orders")], tokens(3));
        let asked = Asked { question: b"SELECT 1", slots: &slots, tokens: &tokens };
        let value = seal().close(asked, &portable(REPLY)).expect("it fits");
        let check = |seal: &Seal, asked: Asked<'_>, expected: Result<(), Unfit>| {
            assert_eq!(seal.open(asked, &value).map(drop), expected);
        };
        let opened = seal().open(asked, &value).expect("it is whole");
        assert_eq!((&*opened.reply.bytes, opened.reply.rows, opened.reply.columns), (REPLY, 1, 7));
        assert_eq!(opened.ttl, Duration::from_secs(10));
        check(&seal(), Asked { question: b"SELECT 2", ..asked }, Err(Unfit::Another));
        check(&seal(), Asked { slots: &slots[..1], tokens: &tokens[..2], ..asked }, Err(Unfit::Another));
        let mut others = tokens.clone();
        others[1] = Token([9; 16]);
        check(&seal(), Asked { tokens: &others, ..asked }, Err(Unfit::Old));
        check(&Seal::new("dazzle", b"another", &[]), asked, Err(Unfit::Poisoned));
        check(&Seal::new("zebra", b"secret", &[]), asked, Err(Unfit::Poisoned));
    }

    #[test]
    fn another_version_is_refused() {
        let (slots, tokens) = ([Slot::of("menu")], tokens(2));
        let asked = Asked { question: b"q", slots: &slots, tokens: &tokens };
        let mut value = seal().close(asked, &portable(REPLY)).expect("it fits");
        value[2] += 1;
        assert_eq!(seal().open(asked, &value).map(drop), Err(Unfit::Poisoned));
    }

    #[test]
    fn who_names_rows_by_other_keys_shares_nothing() {
        let key = |table: &str| (table.to_owned(), "id".to_owned());
        let space = |keys: &[(String, String)]| Seal::new("dazzle", b"", keys).tokens();
        assert_eq!(space(&[key("a"), key("b")]), space(&[key("b"), key("a"), key("a")]));
        assert_ne!(space(&[key("a")]), space(&[]));
    }

    #[test]
    fn what_is_no_reply_is_not_put() {
        let tokens = tokens(1);
        let asked = Asked { question: b"q", slots: &[], tokens: &tokens };
        for bytes in
            [&b""[..], b"\x01\0\0\x02a", b"\x02\0\0\x01a", b"\x01\0\0\x01a\x01\0\0\x03a", b"\x01\0\0"]
        {
            assert!(seal().close(asked, &portable(bytes)).is_none(), "{bytes:?}");
        }
    }

    proptest! {
        #[test]
        fn a_value_holds_what_was_put(question in vec(any::<u8>(), 0..99), row in vec(any::<u8>(), 0..300), places in 0..20_u8) {
            let slots: Vec<Slot> = (0..places).map(|n| Slot::of_row("t", "id", n.into())).collect();
            let tokens = tokens(places + 1);
            let asked = Asked { question: &question, slots: &slots, tokens: &tokens };
            let mut bytes = (row.len() as u32).to_le_bytes().to_vec();
            bytes[3] = 1;
            bytes.extend(&row);
            let value = seal().close(asked, &portable(&bytes)).expect("it fits");
            prop_assert!(value.len() <= Seal::bytes_max(question.len(), slots.len(), bytes.len()));
            prop_assert_eq!(&*seal().open(asked, &value).expect("it is whole").reply.bytes, &bytes[..]);
        }

        #[test]
        fn a_changed_value_is_refused(at in any::<proptest::sample::Index>(), flip in 1..=255_u8, cut in any::<proptest::sample::Index>()) {
            let (slots, tokens) = ([Slot::of("menu")], tokens(2));
            let asked = Asked { question: b"SELECT name FROM menu", slots: &slots, tokens: &tokens };
            let value = seal().close(asked, &portable(REPLY)).expect("it fits");
            let mut flipped = value.clone();
            flipped[at.index(value.len())] ^= flip;
            prop_assert_eq!(seal().open(asked, &flipped).map(drop), Err(Unfit::Poisoned));
            prop_assert_eq!(seal().open(asked, &value[..cut.index(value.len())]).map(drop), Err(Unfit::Poisoned));
            let longer = [&value[..], &[flip]].concat();
            prop_assert_eq!(seal().open(asked, &longer).map(drop), Err(Unfit::Poisoned));
        }

        #[test]
        fn random_bytes_are_refused(bytes in vec(any::<u8>(), 0..400), sealed in any::<bool>()) {
            let tokens = tokens(1);
            let asked = Asked { question: b"q", slots: &[], tokens: &tokens };
            // Also those that somebody who knows the secret has made of nonsense.
            let code = seal().code(&bytes);
            let value = if sealed { [&MAGIC[..], &code.as_ref()[..CODE_BYTES], &bytes].concat() } else { bytes };
            prop_assert!(seal().open(asked, &value).is_err());
        }
    }
}
