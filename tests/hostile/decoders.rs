//! Decoders on damaged input, without a socket: what they hold is bounded, and no byte is lost.

use std::path::Path;

use dazzle::config::Config;
use dazzle::wire::{End, Event, HEADER_BYTES, ReplyKind, ReplyScanner};
use proptest::prelude::*;

use crate::server::reply;

const EXAMPLE: &str = include_str!("../../docs/dazzle.example.yaml");

/// Walks `bytes` in pieces; what was seen, or `None` after something malformed. Fails if a byte is lost.
fn walk(bytes: &[u8], steps: &[usize]) -> Option<(Vec<End>, usize, u64)> {
    let mut scanner = ReplyScanner::new(ReplyKind::Results, 1);
    let (mut held, mut fed, mut ends, mut consumed) = (Vec::new(), 0, Vec::new(), 0);
    let mut steps = steps.iter().cycle();
    loop {
        let (n, event) = scanner.scan(&mut held).ok()?;
        held.drain(..n);
        consumed += n;
        match event {
            Event::More { .. } if fed == bytes.len() => break,
            Event::More { wanted } => {
                assert!(wanted > held.len(), "more is wanted than is there");
                assert!(wanted <= dazzle::wire::END_BYTES_MAX + HEADER_BYTES);
                let n = (*steps.next().unwrap()).min(bytes.len() - fed);
                held.extend_from_slice(&bytes[fed..fed + n]);
                fed += n;
            }
            Event::TooMuch => unreachable!("nothing is bounded"),
            Event::Column | Event::ColumnsEnd => {}
            Event::End { end, header, more } => {
                held.drain(..HEADER_BYTES + header.length);
                consumed += HEADER_BYTES + header.length;
                ends.push(end);
                if end == End::LocalInfile {
                    scanner.file_sent();
                } else if !more {
                    break;
                }
            }
        }
    }
    assert_eq!(consumed + held.len(), fed, "no byte is lost");
    Some((ends, consumed, scanner.rows()))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn a_damaged_reply_ends_the_same_however_it_arrives(
        at: prop::sample::Index,
        byte: u8,
        steps in proptest::collection::vec(1_usize..9, 1..20),
    ) {
        let mut bytes = Vec::new();
        reply(&mut bytes, 1, &["some", "values", "of text"]);
        let at = at.index(bytes.len());
        bytes[at] = byte;
        prop_assert_eq!(walk(&bytes, &[bytes.len()]), walk(&bytes, &steps));
    }

    #[test]
    fn a_damaged_configuration_is_a_configuration_or_a_list_of_mistakes(
        line: prop::sample::Index,
        at: prop::sample::Index,
        with in "[a-z0-9:{}\\[\\]&*!|>'\"#, \n-]{0,12}",
    ) {
        let lines: Vec<&str> = EXAMPLE.lines().collect();
        let line = line.index(lines.len());
        // A setting that is shown as a comment is one now, and a few characters of it are others.
        let mut changed = lines[line].replacen('#', "", 1);
        let mut at = at.index(changed.len() + 1);
        while !changed.is_char_boundary(at) {
            at -= 1;
        }
        changed.insert_str(at, &with);
        let text = [&lines[..line], &[&changed], &lines[line + 1..]].concat().join("\n");
        if let Err(error) = Config::parse(&text, Path::new("/nonexistent/dazzle.yaml")) {
            prop_assert!(!error.to_string().is_empty());
        }
    }
}
