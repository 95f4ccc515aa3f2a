//! A configuration file: any text is a configuration or a list of what is wrong with it.

#![no_main]

use std::path::Path;

use dazzle::config::Config;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    // Files that a text may name are not there.
    if text.contains("file") || text.contains('/') {
        return;
    }
    if let Err(error) = Config::parse(text, Path::new("/nonexistent/dazzle.yaml")) {
        assert!(!error.to_string().is_empty());
    }
});
