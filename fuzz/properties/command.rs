//! A client's command.

use dazzle::wire::Command;

pub fn check(payload: &[u8]) {
    let _ = Command::parse(payload);
}
