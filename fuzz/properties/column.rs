//! Column definitions: what parses is written in a form that parses to the same.

use dazzle::wire::ColumnDefinition;

pub fn check(payload: &[u8]) {
    let Ok(column) = ColumnDefinition::parse(payload) else { return };
    let mut encoded = Vec::new();
    column.encode(&mut encoded);
    assert_eq!(ColumnDefinition::parse(&encoded), Ok(column));
}
