//! `sharding-rules/schema.json` is generated from the types that a rule file is read into.

use std::borrow::Cow;
use std::path::Path;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};

use crate::sharding::file::model::{At, Document, Names};

impl<T: JsonSchema> JsonSchema for At<T> {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        T::schema_name()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        generator.subschema_for::<T>()
    }
}

impl<T: JsonSchema> JsonSchema for Names<T> {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        format!("Names_of_{}", T::schema_name()).into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let inner = generator.subschema_for::<T>();
        json_schema!({ "type": "object", "additionalProperties": inner })
    }
}

#[test]
fn the_shipped_schema_is_that_of_the_types() {
    let schema = SchemaGenerator::default().into_root_schema_for::<Document>();
    let text = format!("{}\n", serde_json::to_string_pretty(&schema).expect("a schema is JSON"));
    let shipped = Path::new(env!("CARGO_MANIFEST_DIR")).join("sharding-rules/schema.json");
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        std::fs::write(&shipped, &text).expect("the schema can be written");
    }
    assert_eq!(std::fs::read_to_string(&shipped).unwrap_or_default(), text, "UPDATE_GOLDEN=1 writes it anew");
}
