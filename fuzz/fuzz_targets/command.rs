//! A client's command.

#![no_main]

use dazzle::wire::Command;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|payload: &[u8]| {
    let _ = Command::parse(payload);
});
