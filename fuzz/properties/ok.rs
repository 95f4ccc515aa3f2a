//! OK, EOF and ERR packets, and the session state changes in an OK.

use dazzle::wire::{ErrPacket, OkPacket, StateChanges, StatusFlags, encode_state_change, parse_eof};

pub fn check(payload: &[u8]) {
    let _ = parse_eof(payload);
    let _ = ErrPacket::parse(payload);
    let Ok(ok) = OkPacket::parse(payload) else { return };
    let mut encoded = Vec::new();
    ok.encode(payload[0], &mut encoded);
    let again = OkPacket::parse(&encoded).expect("what was written can be read");
    let plain = |ok: &OkPacket<'_>| ok.status.without(StatusFlags::SESSION_STATE_CHANGED);
    assert_eq!(
        (again.affected_rows, again.last_insert_id, again.info),
        (ok.affected_rows, ok.last_insert_id, ok.info)
    );
    assert_eq!((plain(&again), again.warnings, again.state), (plain(&ok), ok.warnings, ok.state));
    let mut state = Vec::new();
    for change in StateChanges::new(ok.state) {
        let Ok(change) = change else { return };
        encode_state_change(change, &mut state);
    }
    let seen = |state: &'_ [u8]| StateChanges::new(state).filter_map(Result::ok).count();
    assert_eq!(seen(&state), seen(ok.state));
}
