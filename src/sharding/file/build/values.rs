//! Values of keys as a rule file writes them.

use crate::config::document::Position;
use crate::sharding::file::build::Builder;
use crate::sharding::file::model::{At, Scalar};
use crate::sharding::key::{KeyId, KeyLiteral, KeyValue};

impl Scalar {
    /// The constant that a statement would have.
    pub(crate) fn literal(&self) -> KeyLiteral<'_> {
        match self {
            Self::Null => KeyLiteral::Null,
            Self::Integer(number) => KeyLiteral::Integer(*number),
            Self::Text(text) => KeyLiteral::Text(text.as_bytes()),
        }
    }
}

impl Builder<'_> {
    /// A value of `key`, as a column stores it.
    pub(super) fn value(&self, key: KeyId, written: &At<Scalar>, path: &str) -> Option<KeyValue<'static>> {
        self.value_at(key, &written.value, written.at, path)
    }

    pub(super) fn value_at(
        &self,
        key: KeyId,
        written: &Scalar,
        at: Position,
        path: &str,
    ) -> Option<KeyValue<'static>> {
        let key = &self.keys[key.index()];
        let value = key.key_type.written(&written.literal());
        if value.is_none() {
            let message =
                format!("is no value that a column of `{}` ({}) holds as it is", key.name, key.key_type);
            self.problem(at, path, message);
        }
        value
    }
}
