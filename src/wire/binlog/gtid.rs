//! Global transaction identifiers of MySQL: one, and sets of them.

use std::collections::BTreeMap;

use crate::wire::codec::{Malformed, Reader};

/// Characters of a tag at most, and bytes: they are letters, digits and `_`.
const TAG_MAX: usize = 32;

/// Who numbers transactions: a server, or a group, and a tag of its own.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Source {
    uuid: [u8; 16],
    tag: Box<[u8]>,
}

/// The name of one transaction.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Gtid {
    source: Source,
    number: u64,
}

impl Gtid {
    /// Of a source's UUID, its tag or nothing, and the number that it gave.
    pub fn new(uuid: &[u8], tag: &[u8], number: u64) -> Result<Self, Malformed> {
        let uuid = uuid.try_into().map_err(|_| Malformed("not a UUID"))?;
        Ok(Self { source: Source { uuid, tag: tag.into() }, number })
    }

    /// From the body of a `GTID_TAGGED_LOG_EVENT`, which is in the format of MySQL's serialization library: fields by
    /// number, integers of variable length.
    pub(super) fn parse_tagged(body: &[u8]) -> Result<Self, Malformed> {
        let mut reader = Reader::new(body);
        let _version = reader.u8()?;
        let _size = varlen(&mut reader)?;
        let _last_not_ignorable = varlen(&mut reader)?;
        let (mut uuid, mut tag, mut number) = (None, None, None);
        while uuid.is_none() || tag.is_none() || number.is_none() {
            match varlen(&mut reader)? {
                0 => drop(varlen(&mut reader)?),
                1 => {
                    let mut bytes = [0; 16];
                    for byte in &mut bytes {
                        *byte = u8::try_from(varlen(&mut reader)?).map_err(|_| Malformed("not a UUID"))?;
                    }
                    uuid = Some(bytes);
                }
                // Signed: the sign is the lowest bit.
                2 => number = Some(varlen(&mut reader)? >> 1),
                3 => {
                    let length = usize::try_from(varlen(&mut reader)?).unwrap_or(usize::MAX);
                    tag = Some(reader.bytes(length)?);
                }
                _ => return Err(Malformed("unknown field of a GTID")),
            }
        }
        let missing = Malformed("a GTID without its name");
        Self::new(&uuid.ok_or(missing)?, tag.ok_or(missing)?, number.ok_or(missing)?)
    }
}

/// An integer of the serialization library: as many low bits are set in the first byte as bytes follow it.
fn varlen(reader: &mut Reader<'_>) -> Result<u64, Malformed> {
    let first = reader.u8()?;
    let more = first.trailing_ones() as usize;
    let mut bytes = [0; 8];
    if more == 8 {
        bytes.copy_from_slice(reader.bytes(8)?);
        return Ok(u64::from_le_bytes(bytes));
    }
    bytes[..more].copy_from_slice(reader.bytes(more)?);
    let rest = u64::from_le_bytes(bytes);
    Ok(u64::from(first) >> (more + 1) | rest << (7 - more))
}

/// A set of transactions, as `gtid_executed` tells it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct GtidSet {
    /// First and last numbers, in their order.
    ranges: BTreeMap<Source, Vec<(u64, u64)>>,
}

impl GtidSet {
    /// From a server's text: `uuid:1-5:7:tag:1-3, …`.
    pub fn parse(text: &str) -> Result<Self, Malformed> {
        let mut set = Self::default();
        for part in text.split(',').map(str::trim).filter(|part| !part.is_empty()) {
            let mut pieces = part.split(':').map(str::trim);
            let uuid = parse_uuid(pieces.next().unwrap_or_default())?;
            let mut source = Source { uuid, tag: Box::default() };
            for piece in pieces {
                if piece.starts_with(|c: char| c.is_ascii_digit()) {
                    let range = parse_range(piece)?;
                    set.ranges.entry(source.clone()).or_default().push(range);
                } else if piece.is_empty() || piece.len() > TAG_MAX {
                    return Err(Malformed("not a tag"));
                } else {
                    source.tag = piece.as_bytes().into();
                }
            }
        }
        set.ranges.values_mut().for_each(|ranges| ranges.sort_unstable());
        Ok(set)
    }

    /// Whether it holds this one.
    #[must_use]
    pub fn contains(&self, gtid: &Gtid) -> bool {
        let Some(ranges) = self.ranges.get(&gtid.source) else { return false };
        let after = ranges.partition_point(|(first, _)| *first <= gtid.number);
        after > 0 && ranges[after - 1].1 >= gtid.number
    }

    /// As `COM_BINLOG_DUMP_GTID` has it. Tags are written only if there are any: older servers know none.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let tagged = self.ranges.keys().any(|source| !source.tag.is_empty());
        let count = self.ranges.len() as u64;
        let mut out = Vec::new();
        out.extend_from_slice(&if tagged { count << 8 | 1 << 56 } else { count }.to_le_bytes());
        for (source, ranges) in &self.ranges {
            out.extend_from_slice(&source.uuid);
            if tagged {
                // An integer of variable length that needs one byte.
                out.push((source.tag.len().min(TAG_MAX) as u8) << 1);
                out.extend_from_slice(&source.tag);
            }
            out.extend_from_slice(&(ranges.len() as u64).to_le_bytes());
            for (first, last) in ranges {
                out.extend_from_slice(&first.to_le_bytes());
                out.extend_from_slice(&last.saturating_add(1).to_le_bytes());
            }
        }
        out
    }
}

fn parse_uuid(text: &str) -> Result<[u8; 16], Malformed> {
    let digits: Vec<u8> = text.bytes().filter(|byte| *byte != b'-').collect();
    let mut uuid = [0; 16];
    if digits.len() != 2 * uuid.len() {
        return Err(Malformed("not a UUID"));
    }
    for (byte, pair) in uuid.iter_mut().zip(digits.chunks_exact(2)) {
        let pair = std::str::from_utf8(pair).map_err(|_| Malformed("not a UUID"))?;
        *byte = u8::from_str_radix(pair, 16).map_err(|_| Malformed("not a UUID"))?;
    }
    Ok(uuid)
}

fn parse_range(text: &str) -> Result<(u64, u64), Malformed> {
    let (first, last) = text.split_once('-').unwrap_or((text, text));
    let number = |text: &str| text.parse::<u64>().map_err(|_| Malformed("not a range of a GTID set"));
    match (number(first)?, number(last)?) {
        (first, last) if first <= last => Ok((first, last)),
        _ => Err(Malformed("not a range of a GTID set")),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::{any, prop_assert_eq, proptest};

    use super::*;

    const ONE: &str = "3e11fa47-71ca-11e1-9e33-c80aa9429562";
    const OTHER: &str = "3e11fa47-71ca-11e1-9e33-c80aa9429563";

    fn gtid(uuid: &str, tag: &str, number: u64) -> Gtid {
        Gtid::new(&parse_uuid(uuid).expect("a UUID"), tag.as_bytes(), number).expect("a UUID")
    }

    #[test]
    fn a_set_holds_what_its_text_says() {
        let set = GtidSet::parse(&format!("{ONE}:1-5:7:red:1-3:5,\n{OTHER}:10-20")).expect("right");
        let check = |uuid, tag, number, expected| {
            assert_eq!(set.contains(&gtid(uuid, tag, number)), expected, "{uuid}:{tag}:{number}");
        };
        for (number, held) in [(1, true), (5, true), (6, false), (7, true), (8, false)] {
            check(ONE, "", number, held);
        }
        for (number, held) in [(1, true), (3, true), (4, false), (5, true)] {
            check(ONE, "red", number, held);
        }
        check(OTHER, "", 10, true);
        check(OTHER, "", 9, false);
        check(OTHER, "red", 10, false);
        assert_eq!(GtidSet::parse("").expect("right"), GtidSet::default());
        for wrong in ["x", "3e11fa47:1", &format!("{ONE}:5-1"), &format!("{ONE}:1-x"), &format!("{ONE}::1")] {
            assert!(GtidSet::parse(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_set_is_sent_as_servers_read_it() {
        let plain = GtidSet::parse(&format!("{ONE}:1-5:7")).expect("right");
        let uuid = parse_uuid(ONE).expect("a UUID");
        let number = |n: u64| n.to_le_bytes().to_vec();
        let expected = [number(1), uuid.to_vec(), number(2), number(1), number(6), number(7), number(8)];
        assert_eq!(plain.encode(), expected.concat());
        let tagged = GtidSet::parse(&format!("{ONE}:1:red:2")).expect("right");
        let expected = [
            number(2 << 8 | 1 << 56),
            uuid.to_vec(),
            vec![0],
            number(1),
            number(1),
            number(2),
            uuid.to_vec(),
            vec![6],
            b"red".to_vec(),
            number(1),
            number(2),
            number(3),
        ];
        assert_eq!(tagged.encode(), expected.concat());
    }

    #[test]
    fn a_tagged_event_has_its_name() {
        let uuid = parse_uuid(ONE).expect("a UUID");
        let mut body = vec![2, 100 << 1, 11 << 1, 0, 0, 1 << 1];
        for byte in uuid {
            match byte {
                0..128 => body.push(byte << 1),
                _ => body.extend_from_slice(&(u16::from(byte) << 2 | 1).to_le_bytes()),
            }
        }
        body.extend_from_slice(&[2 << 1, 9 << 2, 3 << 1, 3 << 1]);
        body.extend_from_slice(b"red and more");
        assert_eq!(Gtid::parse_tagged(&body), Ok(gtid(ONE, "red", 9)));
    }

    #[test]
    fn integers_of_variable_length_are_read() {
        for (bytes, expected) in [
            (&[0][..], 0),
            (&[127 << 1], 127),
            (&[0b0000_0001, 0b0000_0010], 128),
            (&[0xff, 1, 0, 0, 0, 0, 0, 0, 1], 1 | 1 << 56),
            (&[0b0111_1111, 0, 0, 0, 0, 0, 0, 1], 1 << 48),
        ] {
            assert_eq!(varlen(&mut Reader::new(bytes)), Ok(expected), "{bytes:?}");
        }
    }

    proptest! {
        #[test]
        fn no_bytes_panic(bytes in proptest::collection::vec(any::<u8>(), 0..100)) {
            let _ = Gtid::parse_tagged(&bytes);
            let _ = GtidSet::parse(&String::from_utf8_lossy(&bytes));
        }

        #[test]
        fn a_set_holds_exactly_its_ranges(numbers in proptest::collection::btree_set(1_u64..60, 1..30)) {
            let ranges: Vec<String> = numbers.iter().map(u64::to_string).collect();
            let set = GtidSet::parse(&format!("{ONE}:{}", ranges.join(":"))).expect("right");
            for number in 0..70 {
                prop_assert_eq!(set.contains(&gtid(ONE, "", number)), numbers.contains(&number));
            }
        }
    }
}
