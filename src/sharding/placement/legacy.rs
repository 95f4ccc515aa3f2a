//! Functions of other proxies, bit by bit, so that rows that they have placed need no move.
//!
//! Each reproduces what that product computes for values that it places without an accident. Where its own
//! code fails or contradicts itself (an index below zero, an overflow), a value has no place here.

use crate::sharding::key::{KeyType, KeyValue};

/// Buckets of MyCat's fixed partitions.
const SEGMENTS: usize = 1_024;

/// One function with its parameters; outcomes are numbers of slots.
#[derive(Clone, Debug, PartialEq)]
pub struct Legacy {
    pub(crate) function: Function,
    /// How many slots there are.
    pub(crate) count: u32,
}

#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Function {
    /// kingshard `hash`: a number modulo the count; of a string, its CRC-32.
    KingshardHash,
    /// Gaea `hash`: as kingshard's, but a string of digits is a number.
    GaeaHash,
    /// Gaea `mod`, MyCat `PartitionByMod`: the absolute value modulo the count.
    AbsoluteModulo,
    /// MyCat `PartitionByLong`: the lowest ten bits choose one of 1,024 segments.
    MycatLong(Box<[u32]>),
    /// MyCat `PartitionByString`: a part of the string as a number, then as `PartitionByLong`.
    MycatString { segments: Box<[u32]>, start: i64, end: i64 },
    /// MyCat `PartitionByMurmurHash`: a ring of points.
    MycatMurmur { seed: u32, ring: Box<[(i32, u32)]> },
    /// ShardingSphere `MOD`: the modulus that is never negative.
    ShardingSphereMod,
    /// ShardingSphere `HASH_MOD`: the absolute value of Java's `hashCode`, of a Long or an Integer.
    ShardingSphereHashMod { long: bool },
    /// Zebra `shardByHash`: databases, then tables in each; or tables first.
    ZebraHash { databases: u32, tables: u32, tables_first: bool },
    /// Groovy's `value.intdiv(divisor) % count`, of the number or of its CRC-32, for databases and for the tables in
    /// each: what rules of Zebra and inline expressions of ShardingSphere say.
    GroovyModulo { databases: [u32; 2], tables: [u32; 2], crc32: bool },
    /// Zebra `crc32(value) / divisor % count`.
    ZebraCrc32 { divisor: u32 },
}

impl Legacy {
    pub(super) const fn outcomes(&self) -> u32 {
        self.count
    }

    pub(super) fn outcome(&self, value: &KeyValue<'_>) -> Option<u32> {
        let count = u64::from(self.count);
        let index = match (&self.function, value) {
            (_, KeyValue::Moment(_)) => return None,
            (Function::KingshardHash | Function::GaeaHash, KeyValue::Integer(number)) => {
                // Both take a negative number's bits for a large one.
                wrapped(*number) % count
            }
            (Function::KingshardHash, KeyValue::Text(text)) => u64::from(crc32(text)) % count,
            (Function::GaeaHash, KeyValue::Text(text)) => {
                let digits = std::str::from_utf8(text).ok().filter(|text| !text.starts_with('+'));
                digits.and_then(|text| text.parse().ok()).unwrap_or_else(|| u64::from(crc32(text))) % count
            }
            (Function::AbsoluteModulo, KeyValue::Integer(number)) => {
                (number.unsigned_abs() % u128::from(count)) as u64
            }
            (Function::MycatLong(segments), KeyValue::Integer(number)) => segment(segments, wrapped(*number)),
            (Function::MycatString { segments, start, end }, value) => {
                segment(segments, slice_hash(&units(value)?, *start, *end))
            }
            (Function::MycatMurmur { seed, ring }, value) => point(ring, murmur3(*seed, &units(value)?))?,
            (Function::ShardingSphereMod, KeyValue::Integer(number)) => {
                i64::try_from(*number).ok()?.rem_euclid(count as i64) as u64
            }
            (Function::ShardingSphereHashMod { long }, value) => java_hash(value, *long)? % count,
            (Function::ZebraHash { databases, tables, tables_first }, KeyValue::Integer(number)) => {
                let (databases, tables) = (u64::from(*databases), u64::from(*tables));
                let number = u64::try_from(*number).ok().filter(|number| *number <= i64::MAX as u64)?;
                let (database, table) = match tables_first {
                    true => (number / tables % databases, number % tables),
                    false => (number % databases, number / databases % tables),
                };
                database * tables + table
            }
            (Function::GroovyModulo { databases, tables, crc32: hashed }, value) => {
                let number = match (hashed, value) {
                    (true, value) => u64::from(crc32(&written(value)?)),
                    // Of a negative number the remainder is an index below zero.
                    (false, KeyValue::Integer(number)) => u64::try_from(i64::try_from(*number).ok()?).ok()?,
                    (false, KeyValue::Text(_) | KeyValue::Moment(_)) => return None,
                };
                let part = |[divisor, count]: &[u32; 2]| number / u64::from(*divisor) % u64::from(*count);
                part(databases) * u64::from(tables[1]) + part(tables)
            }
            (Function::ZebraCrc32 { divisor }, value) => {
                u64::from(crc32(&written(value)?)) / u64::from(*divisor) % count
            }
            (
                Function::AbsoluteModulo
                | Function::MycatLong(_)
                | Function::ShardingSphereMod
                | Function::ZebraHash { .. },
                KeyValue::Text(_),
            ) => return None,
        };
        u32::try_from(index).ok().filter(|index| *index < self.count)
    }
}

impl Function {
    /// Whether the function can look at keys of this type. The case and the blanks of a string count for all of
    /// them, so its collation must let them count too.
    pub(crate) fn takes(&self, key_type: &KeyType) -> bool {
        match key_type {
            KeyType::Integer(_) => true,
            KeyType::Text { collation, .. } => {
                let numbers_only = matches!(
                    self,
                    Self::AbsoluteModulo
                        | Self::MycatLong(_)
                        | Self::ShardingSphereMod
                        | Self::ZebraHash { .. }
                        | Self::GroovyModulo { crc32: false, .. }
                );
                !numbers_only && collation.tells_case()
            }
            KeyType::Date | KeyType::DateTime { .. } => false,
        }
    }
}

/// The number's low 64 bits.
const fn wrapped(number: i128) -> u64 {
    number as u64
}

/// The number as text, or the text.
fn written(value: &KeyValue<'_>) -> Option<Vec<u8>> {
    match value {
        KeyValue::Integer(number) => Some(number.to_string().into_bytes()),
        KeyValue::Text(text) => Some(text.to_vec()),
        KeyValue::Moment(_) => None,
    }
}

/// The UTF-16 units of the value as text: what Java calls its characters.
fn units(value: &KeyValue<'_>) -> Option<Vec<u16>> {
    let written = written(value)?;
    Some(std::str::from_utf8(&written).ok()?.encode_utf16().collect())
}

fn segment(segments: &[u32], number: u64) -> u64 {
    segments.get(number as usize % SEGMENTS).copied().unwrap_or(u32::MAX).into()
}

/// The slot of each segment: for each count, so many slots of that length. None unless they are 1,024 in all.
pub(crate) fn segments(counts: &[u32], lengths: &[u32]) -> Option<(Box<[u32]>, u32)> {
    let mut segments = Vec::with_capacity(SEGMENTS);
    let mut slot = 0;
    for (count, length) in counts.iter().zip(lengths) {
        for _ in 0..*count {
            if *length == 0 || segments.len() + *length as usize > SEGMENTS {
                return None;
            }
            segments.extend(std::iter::repeat_n(slot, *length as usize));
            slot += 1;
        }
    }
    (counts.len() == lengths.len() && segments.len() == SEGMENTS).then(|| (segments.into(), slot))
}

/// `hash = hash × 31 + unit` over the units from `start` to `end`, which count from the end if they are negative
/// (and an `end` of 0 is the end).
fn slice_hash(units: &[u16], start: i64, end: i64) -> u64 {
    let length = units.len() as i64;
    let start = if start >= 0 { start } else { length + start }.max(0);
    let end = if end > 0 { end } else { length + end }.min(length);
    let mut hash: i64 = 0;
    for index in start..end {
        hash = hash.wrapping_mul(31).wrapping_add(units[index as usize].into());
    }
    hash as u64
}

/// The points of a ring: for each slot its name, which grows with every point.
pub(crate) fn ring(seed: u32, count: u32, points: u32) -> Box<[(i32, u32)]> {
    let mut ring = std::collections::BTreeMap::new();
    for slot in 0..count {
        let mut name = format!("SHARD-{slot}");
        for point in 0..points {
            name.push_str(&format!("-NODE-{point}"));
            let units: Vec<u16> = name.encode_utf16().collect();
            ring.insert(murmur3(seed, &units) as i32, slot);
        }
    }
    ring.into_iter().collect()
}

/// The slot of the first point at or after `hash`; behind the last one comes the first.
fn point(ring: &[(i32, u32)], hash: u32) -> Option<u64> {
    let index = ring.partition_point(|(point, _)| *point < hash as i32);
    ring.get(index).or(ring.first()).map(|(_, slot)| u64::from(*slot))
}

/// MurmurHash3 (x86, 32 bits) of the units, lowest byte first: Guava's `murmur3_32().hashUnencodedChars`.
fn murmur3(seed: u32, units: &[u16]) -> u32 {
    let mixed = |word: u32| word.wrapping_mul(0xcc9e_2d51).rotate_left(15).wrapping_mul(0x1b87_3593);
    let mut hash = seed;
    let (pairs, rest) = units.as_chunks::<2>();
    for [low, high] in pairs {
        hash ^= mixed(u32::from(*low) | u32::from(*high) << 16);
        hash = hash.rotate_left(13).wrapping_mul(5).wrapping_add(0xe654_6b64);
    }
    if let [last] = rest {
        hash ^= mixed(u32::from(*last));
    }
    hash ^= (units.len() * 2) as u32;
    hash = (hash ^ hash >> 16).wrapping_mul(0x85eb_ca6b);
    hash = (hash ^ hash >> 13).wrapping_mul(0xc2b2_ae35);
    hash ^ hash >> 16
}

/// The absolute value of `hashCode` of a String, a Long or an Integer.
fn java_hash(value: &KeyValue<'_>, long: bool) -> Option<u64> {
    let hash = match value {
        KeyValue::Integer(number) if long => {
            let number = i64::try_from(*number).ok()?;
            (number ^ ((number as u64) >> 32) as i64) as i32
        }
        KeyValue::Integer(number) => i32::try_from(*number).ok()?,
        KeyValue::Text(_) => {
            let add = |hash: i32, unit: u16| hash.wrapping_mul(31).wrapping_add(unit.into());
            units(value)?.into_iter().fold(0, add)
        }
        KeyValue::Moment(_) => return None,
    };
    Some(i64::from(hash).unsigned_abs())
}

/// CRC-32 as in IEEE 802.3, which zlib, Java and Go share.
fn crc32(bytes: &[u8]) -> u32 {
    let step = |crc: u32, _| if crc & 1 == 1 { crc >> 1 ^ 0xedb8_8320 } else { crc >> 1 };
    !bytes.iter().fold(!0, |crc: u32, byte| (0..8).fold(crc ^ u32::from(*byte), step))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn place(function: Function, count: u32, value: &KeyValue<'_>) -> Option<u32> {
        Legacy { function, count }.outcome(value)
    }

    fn text(text: &str) -> KeyValue<'_> {
        KeyValue::Text(text.as_bytes().into())
    }

    fn murmur(seed: u32, count: u32) -> Function {
        Function::MycatMurmur { seed, ring: ring(seed, count, 160) }
    }

    /// Computed by `java.util.zip.CRC32`.
    #[test]
    fn crc32_has_the_values_of_zlib() {
        for (text, expected) in
            [("", 0), ("a", 3_904_355_907), ("hello, world", 4_289_425_978), ("1001", 3_273_692_033)]
        {
            assert_eq!(crc32(text.as_bytes()), expected, "{text}");
        }
    }

    /// Computed by Guava 31.
    #[test]
    fn murmur3_has_the_values_of_guava() {
        for (text, expected) in [
            ("", 0),
            ("a", 1_867_108_634),
            ("abc", 1_118_836_419),
            ("hello, world", -2_077_892_864),
            ("你好, 中国", -667_482_541),
            ("🍜", -997_811_895),
        ] {
            let units: Vec<u16> = text.encode_utf16().collect();
            assert_eq!(murmur3(0, &units) as i32, expected, "{text}");
        }
    }

    /// Published in Gaea's `shard_mycat_test.go` as results of MyCat itself, and computed by Guava 31.
    #[test]
    fn mycats_ring_has_its_published_places() {
        let check = |seed, count, value, expected| {
            assert_eq!(
                place(murmur(seed, count), count, &value),
                Some(expected),
                "seed {seed} count {count}"
            );
        };
        for (value, expected) in [("", 0), ("hello, world", 0), ("你好, 中国", 0), ("?!)_FFSD", 1)] {
            check(0, 2, text(value), expected);
        }
        for (value, expected) in [("", 2), ("hello, world", 1), ("你好, 中国", 0), ("?!)_FFSD", 1)] {
            check(1, 4, text(value), expected);
        }
        for (number, expected) in
            [(-50, 1), (-47, 2), (-46, 3), (-1, 3), (0, 0), (1, 2), (4, 3), (6, 1), (50, 0)]
        {
            check(1, 4, KeyValue::Integer(number), expected);
        }
        for (number, expected) in [(0, 6), (1, 4), (7, 2), (1_001, 3), (-7, 4), (123_456_789_012_345, 3)] {
            check(0, 7, KeyValue::Integer(number), expected);
        }
        check(0, 7, text("user-10086"), 2);
    }

    /// Published in Gaea's `shard_mycat_test.go`.
    #[test]
    fn mycats_segments_have_their_published_places() {
        let check = |counts: &[u32], lengths: &[u32], number: i128, expected| {
            let (segments, count) = segments(counts, lengths).expect("1,024 in all");
            assert_eq!(
                place(Function::MycatLong(segments), count, &KeyValue::Integer(number)),
                Some(expected)
            );
        };
        for (number, expected) in [(-1, 3), (0, 0), (128, 0), (256, 1), (768, 3), (1_024, 0), (1_280, 1)] {
            check(&[4], &[256], number, expected);
            check(&[2, 2], &[256, 256], number, expected);
        }
        for (number, expected) in
            [(-1, 5), (256, 0), (512, 1), (768, 2), (i64::MIN.into(), 0), (i64::MAX.into(), 5)]
        {
            check(&[1, 1, 4], &[512, 256, 64], number, expected);
        }
        for (counts, lengths) in
            [(&[1, 4, 5][..], &[512, 128][..]), (&[1, 2], &[128, 512]), (&[1, 2], &[128, 128])]
        {
            assert_eq!(segments(counts, lengths), None);
        }
    }

    /// Computed by Java from MyCat's definition: the lowest ten bits of the slice's hash.
    #[test]
    fn mycats_strings_have_their_places() {
        let one_each: Vec<u32> = vec![1; SEGMENTS];
        let check = |value: &str, start, end, expected| {
            let (segments, count) = segments(&one_each, &one_each).expect("1,024 in all");
            let function = Function::MycatString { segments, start, end };
            assert_eq!(place(function, count, &text(value)), Some(expected), "{value} {start}:{end}");
        };
        for (value, first_eight, from_one, last_two) in [
            ("", 0, 0, 0),
            ("a", 97, 0, 97),
            ("abc", 98, 65, 65),
            ("hello, world", 881, 756, 376),
            ("🍜", 672, 860, 672),
        ] {
            check(value, 0, 8, first_eight);
            check(value, 1, 0, from_one);
            check(value, -2, 0, last_two);
        }
    }

    #[test]
    fn moduli_are_those_of_each_product() {
        let number = |function: Function, number: i128| place(function, 7, &KeyValue::Integer(number));
        // Computed by Java: BigInteger.abs().mod, BigInteger.mod, abs((long) hashCode()) % 7.
        for (value, absolute, modulus, hash) in [
            (1_001, 0, 0, 0),
            (-1, 1, 6, 0),
            (-7, 0, 0, 6),
            (10_086, 6, 6, 6),
            (i64::MIN.into(), 1, 6, 2),
            (i64::MAX.into(), 0, 0, 2),
        ] {
            assert_eq!(number(Function::AbsoluteModulo, value), Some(absolute), "{value}");
            assert_eq!(number(Function::ShardingSphereMod, value), Some(modulus), "{value}");
            assert_eq!(number(Function::ShardingSphereHashMod { long: true }, value), Some(hash), "{value}");
        }
        for (value, hash) in [(-1, 1), (-7, 0), (i32::MIN.into(), 2)] {
            assert_eq!(number(Function::ShardingSphereHashMod { long: false }, value), Some(hash), "{value}");
        }
        for (value, hash) in [("", 0), ("a", 6), ("你好, 中国", 2), ("user-10086", 1), ("🍜", 4)] {
            assert_eq!(
                place(Function::ShardingSphereHashMod { long: true }, 7, &text(value)),
                Some(hash),
                "{value}"
            );
        }
        // Go: uint64(-7) % 7 and crc32.ChecksumIEEE("a") % 7.
        assert_eq!(number(Function::KingshardHash, -7), Some(((u64::MAX - 6) % 7) as u32));
        assert_eq!(place(Function::KingshardHash, 7, &text("a")), Some(3_904_355_907 % 7));
        assert_eq!(place(Function::GaeaHash, 7, &text("10086")), Some(6));
        assert_eq!(place(Function::GaeaHash, 7, &text("a")), Some(3_904_355_907 % 7));
    }

    #[test]
    fn zebras_databases_and_tables_are_slots_in_order() {
        let hash = |tables_first| Function::ZebraHash { databases: 4, tables: 8, tables_first };
        let slot = |tables_first, number| place(hash(tables_first), 32, &KeyValue::Integer(number));
        // shardByHash(1001, 4, 8): database 1001 / 8 % 4 = 1, table 1001 % 8 = 1.
        assert_eq!(slot(true, 1_001), Some(8 + 1));
        // In the other order: database 1001 % 4 = 1, table 1001 / 4 % 8 = 2.
        assert_eq!(slot(false, 1_001), Some(8 + 2));
        assert_eq!(slot(true, -7), None, "Zebra computes an index below zero");
        let quotients = |crc32| Function::GroovyModulo { databases: [1, 2], tables: [2, 4], crc32 };
        // 1001 % 2 = 1 and 1001.intdiv(2) % 4 = 0.
        assert_eq!(place(quotients(false), 8, &KeyValue::Integer(1_001)), Some(4));
        assert_eq!(place(quotients(false), 8, &KeyValue::Integer(-1)), None, "an index below zero");
        // crc32("mtpp_123_459") is 3844145103: odd, and 1922072551 % 4 = 3.
        assert_eq!(place(quotients(true), 8, &text("mtpp_123_459")), Some(7));
        let crc = Function::ZebraCrc32 { divisor: 10 };
        assert_eq!(place(crc, 10, &KeyValue::Integer(1_001)), Some((3_273_692_033_u64 / 10 % 10) as u32));
    }
}
