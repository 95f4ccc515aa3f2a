//! A rule file of a logical database: any text is rules or a list of what is wrong with it.

use std::path::Path;

use dazzle::sharding::{Date, ShardingRules};

pub fn check(bytes: &[u8]) {
    let Ok(text) = str::from_utf8(bytes) else { return };
    // Files that a text may name are not there; those that are everywhere have no end.
    if ["/dev", "/proc", "/sys"].iter().any(|endless| text.contains(endless)) {
        return;
    }
    let today = Date::new(2026, 1, 31).expect("a day");
    if let Err(error) = ShardingRules::parse(text, Path::new("/nonexistent/shop.yaml"), today) {
        assert!(!error.to_string().is_empty());
    }
}
