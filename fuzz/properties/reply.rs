//! The end of a server's reply is the same however its bytes arrive, and no byte is lost.

use dazzle::wire::{End, Event, HEADER_BYTES, ReplyKind, ReplyScanner};

use super::{take, take_part};

/// What a walk over the reply came to: ends, bytes consumed, rows; `None` after a malformed packet.
type Walk = Option<(Vec<End>, usize, u64)>;

fn walk(kind: ReplyKind, bytes: &[u8], mut step: impl FnMut() -> usize, first: u8) -> Walk {
    let mut scanner = ReplyScanner::new(kind, first);
    let (mut held, mut fed, mut ends, mut consumed) = (Vec::new(), 0, Vec::new(), 0);
    loop {
        let before = held.len();
        let (n, event) = scanner.scan(&mut held).ok()?;
        assert!(n <= before);
        held.drain(..n);
        consumed += n;
        match event {
            Event::More { wanted } => {
                assert!(wanted > held.len(), "more is wanted than is there");
                if fed == bytes.len() {
                    assert_eq!(consumed + held.len(), fed, "no byte is lost");
                    return Some((ends, consumed, scanner.rows()));
                }
                let n = step().clamp(1, bytes.len() - fed);
                held.extend_from_slice(&bytes[fed..fed + n]);
                fed += n;
            }
            Event::TooMuch => unreachable!("nothing is bounded"),
            Event::Column | Event::ColumnsEnd => {
                scanner.take_sequence();
            }
            Event::End { end, header, more } => {
                let whole = HEADER_BYTES + header.length;
                assert!(whole <= held.len(), "an end is whole");
                held.drain(..whole);
                consumed += whole;
                ends.push(end);
                if end == End::LocalInfile {
                    scanner.file_sent();
                } else if !more {
                    assert_eq!(consumed + held.len(), fed, "no byte is lost");
                    return Some((ends, consumed, scanner.rows()));
                }
            }
        }
    }
}

pub fn check(mut bytes: &[u8]) {
    let kind = match take(&mut bytes) % 4 {
        0 => ReplyKind::Results,
        1 => ReplyKind::Rows,
        2 => ReplyKind::Status,
        _ => ReplyKind::Text,
    };
    let first = take(&mut bytes);
    let steps = take_part(&mut bytes);
    let whole = walk(kind, bytes, || usize::MAX, 0);
    let mut at = 0;
    let next = || {
        at += 1;
        steps.get(at % steps.len().max(1)).map_or(1, |step| usize::from(*step))
    };
    let pieces = walk(kind, bytes, next, first);
    assert_eq!(whole, pieces);
}
