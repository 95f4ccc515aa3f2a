//! Events of a binary log, packed transactions, and texts of GTID sets.

use dazzle::wire::binlog::{EVENT_HEADER_BYTES, EventHeader, GtidSet, LogEvent, LogPosition, inner_events};

pub fn check(bytes: &[u8]) {
    if let Ok(header) = EventHeader::parse(bytes) {
        let body = bytes.get(EVENT_HEADER_BYTES..).unwrap_or_default();
        match LogEvent::parse(&header, body) {
            Ok(LogEvent::Payload(packed)) => {
                let _ = inner_events(packed, |header, body| LogEvent::parse(header, body).map(drop));
            }
            Ok(LogEvent::Rotate { file, at }) => {
                let place = str::from_utf8(file).ok().and_then(|file| LogPosition::new(file, at).ok());
                if let Some(mut place) = place {
                    place.advance(header.next);
                    assert_eq!(place.file().as_bytes(), file);
                }
            }
            Ok(LogEvent::TableMap { name, .. } | LogEvent::Query(name)) => assert!(name.len() <= body.len()),
            _ => {}
        }
    }
    if let Ok(set) = str::from_utf8(bytes).map_err(drop).and_then(|text| GtidSet::parse(text).map_err(drop)) {
        assert!(set.encode().len() >= 8);
    }
}
