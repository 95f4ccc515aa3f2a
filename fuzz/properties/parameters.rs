//! The parameters of COM_STMT_EXECUTE: what is found lies within the packet.

use dazzle::engine::{ParameterLayout, skip_value};
use dazzle::wire::Reader;

use super::take;

pub fn check(mut bytes: &[u8]) {
    let declared = u16::from_le_bytes([take(&mut bytes), take(&mut bytes)]);
    let (attributes, counted) = (take(&mut bytes) & 1 != 0, take(&mut bytes) & 1 != 0);
    let kind = take(&mut bytes);
    if let Ok(Some(layout)) = ParameterLayout::find(bytes, declared, attributes, counted) {
        assert!(layout.flag < bytes.len());
        assert!(layout.types.is_none_or(|types| types.start <= types.end && types.end <= bytes.len()));
    }
    let mut reader = Reader::new(bytes);
    while !reader.is_empty() && skip_value(&mut reader, kind).is_ok() && kind != 0x06 {}
}
