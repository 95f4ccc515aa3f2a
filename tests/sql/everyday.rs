//! Statements that applications with orders, users and shops send every day.

/// One a line: how its rows are compared, then the text. `=` in order, `*` in any order, `~` by an order that
/// leaves LIMIT a choice, `!` is a write.
pub(crate) const EVERYDAY: &str = include_str!("everyday.sql");

#[test]
fn there_are_two_hundred_of_them() {
    let statements = EVERYDAY.lines().filter(|line| !line.is_empty() && !line.starts_with("--"));
    assert_eq!(statements.count(), 200);
}
