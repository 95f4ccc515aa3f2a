//! The parameters of COM_STMT_EXECUTE.

#![no_main]

use dazzle::engine::{ParameterLayout, skip_value};
use dazzle::wire::Reader;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: (u16, bool, bool, u8, &[u8])| {
    let (declared, attributes, counted, kind, bytes) = input;
    if let Ok(Some(layout)) = ParameterLayout::find(bytes, declared, attributes, counted) {
        assert!(layout.flag < bytes.len());
        assert!(layout.types.is_none_or(|types| types.start <= types.end && types.end <= bytes.len()));
    }
    let mut reader = Reader::new(bytes);
    while !reader.is_empty() && skip_value(&mut reader, kind).is_ok() && kind != 0x06 {}
});
