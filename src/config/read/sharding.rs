//! Reads the settings of sharding.

use crate::config::document::Section;
use crate::config::read::kind;
use crate::config::sharding::Sharding;

pub(super) fn sharding(section: &Section<'_>) -> Sharding {
    let rules = section.list("rules", &kind::PATH);
    section.finish();
    Sharding { rules: rules.into_iter().map(|(_, path)| section.report().resolve(&path)).collect() }
}
