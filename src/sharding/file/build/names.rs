//! Names that a file chooses: none twice, none that could not be written in a label.

use crate::config::document::join;
use crate::sharding::file::build::Builder;
use crate::sharding::file::forms::is_name;
use crate::sharding::file::model::At;

impl Builder<'_> {
    /// Refuses a name that a label of a slot or a message could not hold.
    pub(super) fn checked_name(&self, name: &At<String>, under: &str) {
        if !is_name(&name.value) {
            let message = "the name must be 1 to 64 letters, digits, `_`, `-` or `.`";
            self.problem(name.at, join(under, &name.value), message);
        }
    }
}
