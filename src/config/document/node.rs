//! One YAML document as a tree of values with positions.

use std::fmt;

use serde::de::{self, Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_saphyr::{DuplicateKeyPolicy, Error, Location, Spanned};

/// Where something was written, both counted from 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Position {
    pub(crate) line: u64,
    pub(crate) column: u64,
}

impl Position {
    /// The first character of a file.
    pub(crate) const START: Self = Self { line: 1, column: 1 };
}

impl From<Location> for Position {
    fn from(location: Location) -> Self {
        Self { line: location.line().max(1), column: location.column().max(1) }
    }
}

/// A value and where it starts.
#[derive(Clone, Debug)]
pub(crate) struct Node {
    pub(crate) at: Position,
    pub(crate) value: Value,
}

/// What stands in a file, before anybody asked for a type.
///
/// Numbers and booleans keep only what settings need: a setting that wants text refuses them and asks
/// for quotes, because `password: 0123` must not become `123`.
#[derive(Clone, Debug)]
pub(crate) enum Value {
    Null,
    Switch(bool),
    Whole(u64),
    /// Negative, fractional or too large, which no setting takes; the value of one that is negative and whole.
    OtherNumber(Option<i64>),
    Text(String),
    List(Vec<Node>),
    Map(Vec<Entry>),
}

/// One `key: value`. Keys may repeat here; `Section` refuses that with both positions.
#[derive(Clone, Debug)]
pub(crate) struct Entry {
    pub(crate) key: String,
    pub(crate) at: Position,
    pub(crate) value: Node,
}

/// A file that is not YAML, or exceeds the bounds.
#[derive(Debug)]
pub(crate) struct SyntaxError {
    pub(crate) at: Option<Position>,
    pub(crate) message: String,
}

impl Node {
    /// Reads one document. Nesting, nodes and what aliases expand to are bounded.
    pub(crate) fn parse(text: &str) -> Result<Self, SyntaxError> {
        Self::parse_with(text, 1_000)
    }

    /// Reads one document in which nothing stands for something elsewhere.
    pub(crate) fn parse_plain(text: &str) -> Result<Self, SyntaxError> {
        Self::parse_with(text, 0).map_err(|error| match Self::parse(text) {
            Ok(_) => {
                let message = "anchors and aliases have no place in this file: write it out";
                SyntaxError { at: error.at, message: message.to_owned() }
            }
            Err(_) => error,
        })
    }

    fn parse_with(text: &str, anchors_max: usize) -> Result<Self, SyntaxError> {
        let options = serde_saphyr::options! {
            budget: serde_saphyr::budget! {
                max_depth: 32,
                max_nodes: 500_000,
                max_aliases: anchors_max,
                max_anchors: anchors_max,
            },
            alias_limits: serde_saphyr::alias_limits! {
                max_total_replayed_events: 200_000,
                max_replay_stack_depth: 8,
            },
            duplicate_keys: DuplicateKeyPolicy::PassThrough,
            strict_booleans: true,
            reject_unsupported_tags: true,
            with_snippet: false,
        };
        match serde_saphyr::from_str_with_options::<Spanned<Value>>(text, options) {
            Ok(root) => Ok(Self::from(root)),
            Err(error) => match error.without_snippet() {
                Error::Eof { .. } => Ok(Self { at: Position::START, value: Value::Null }),
                known => {
                    Err(SyntaxError { at: known.location().map(Position::from), message: explain(known) })
                }
            },
        }
    }
}

/// What is wrong, without any word of the file: `password: !hunter2` is a tag to YAML.
fn explain(error: &Error) -> String {
    let quote = |start| format!("not valid YAML: write text that starts with `{start}` in quotes");
    match error {
        Error::UnknownAnchor { .. } => quote('*'),
        Error::NonFiniteFloat { .. } => "not a number; write text in quotes".to_owned(),
        Error::MultipleDocuments { .. } => "only one YAML document may stand in this file".to_owned(),
        Error::Budget { .. }
        | Error::AliasReplayLimitExceeded { .. }
        | Error::AliasReplayStackDepthExceeded { .. } => "nested too deeply, or too large".to_owned(),
        Error::AliasError { error, .. } => explain(error),
        Error::NullIntoString { .. } | Error::Unexpected { .. } => {
            "not valid here: a name must be text; write it in quotes".to_owned()
        }
        other => {
            let message = other.to_string();
            if message.starts_with("unsupported tag") {
                return quote('!');
            }
            let line = message.lines().next().unwrap_or_default();
            let line = line.find(" at line ").map_or(line, |end| &line[..end]);
            format!("not valid YAML: {}", without_quotations(line.trim_end_matches([':', '.', ','])))
        }
    }
}

/// `text` with every quotation longer than one character left out.
fn without_quotations(text: &str) -> String {
    let mut kept = String::new();
    for (i, part) in text.split(['`', '\'', '"']).enumerate() {
        let quoted = i % 2 == 1;
        if !quoted {
            kept.push_str(part);
        } else if part.chars().count() <= 1 {
            kept.extend(["`", part, "`"]);
        } else {
            kept.push('…');
        }
    }
    kept
}

impl From<Spanned<Value>> for Node {
    fn from(spanned: Spanned<Value>) -> Self {
        Self { at: spanned.referenced.into(), value: spanned.value }
    }
}

impl<'de> Deserialize<'de> for Value {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(ValueVisitor)
    }
}

struct ValueVisitor;

impl<'de> Visitor<'de> for ValueVisitor {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a YAML value")
    }

    fn visit_unit<E: de::Error>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_bool<E: de::Error>(self, switch: bool) -> Result<Value, E> {
        Ok(Value::Switch(switch))
    }

    fn visit_u64<E: de::Error>(self, number: u64) -> Result<Value, E> {
        Ok(Value::Whole(number))
    }

    fn visit_i64<E: de::Error>(self, number: i64) -> Result<Value, E> {
        Ok(u64::try_from(number).map_or(Value::OtherNumber(Some(number)), Value::Whole))
    }

    fn visit_u128<E: de::Error>(self, _: u128) -> Result<Value, E> {
        Ok(Value::OtherNumber(None))
    }

    fn visit_i128<E: de::Error>(self, _: i128) -> Result<Value, E> {
        Ok(Value::OtherNumber(None))
    }

    fn visit_f64<E: de::Error>(self, _: f64) -> Result<Value, E> {
        Ok(Value::OtherNumber(None))
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<Value, E> {
        Ok(Value::Text(text.to_owned()))
    }

    fn visit_string<E: de::Error>(self, text: String) -> Result<Value, E> {
        Ok(Value::Text(text))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Value, A::Error> {
        let mut list = Vec::new();
        while let Some(item) = seq.next_element::<Spanned<Value>>()? {
            list.push(item.into());
        }
        Ok(Value::List(list))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Value, A::Error> {
        let mut entries = Vec::new();
        while let Some(key) = map.next_key::<Spanned<String>>()? {
            let value = map.next_value::<Spanned<Value>>()?.into();
            entries.push(Entry { key: key.value, at: key.referenced.into(), value });
        }
        Ok(Value::Map(entries))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn check(text: &str, expected: &str) {
        let shown = match Node::parse(text) {
            Ok(node) => show(&node),
            Err(error) => {
                let at = error.at.map_or_else(String::new, |at| format!("{}:{} ", at.line, at.column));
                format!("error {at}{}", error.message)
            }
        };
        assert_eq!(shown, expected, "{text:?}");
    }

    fn show(node: &Node) -> String {
        let value = match &node.value {
            Value::Null => "null".to_owned(),
            Value::Switch(switch) => switch.to_string(),
            Value::Whole(number) => number.to_string(),
            Value::OtherNumber(_) => "number".to_owned(),
            Value::Text(text) => format!("{text:?}"),
            Value::List(items) => format!("{:?}", items.iter().map(show).collect::<Vec<_>>()),
            Value::Map(entries) => entries
                .iter()
                .map(|entry| {
                    format!("{}@{}:{}={}", entry.key, entry.at.line, entry.at.column, show(&entry.value))
                })
                .collect::<Vec<_>>()
                .join(" "),
        };
        format!("{value}@{}:{}", node.at.line, node.at.column)
    }

    #[test]
    fn values_keep_their_positions_and_what_is_no_text_stays_apart() {
        check("", "null@1:1");
        check("# nothing\n", "null@2:1");
        check("a: 10s\nb: 0123\nc: '0123'\n", "a@1:1=\"10s\"@1:4 b@2:1=number@2:4 c@3:1=\"0123\"@3:4@1:1");
        check(
            "a: yes\nb: true\nc: -1\nd: 1.5\ne: ~\nf: 0x10\ng: 1e5\n",
            "a@1:1=\"yes\"@1:4 b@2:1=true@2:4 c@3:1=number@3:4 d@4:1=number@4:4 e@5:1=null@5:4 f@6:1=16@6:4 g@7:1=number@7:4@1:1",
        );
        check("a: 123456789012345678901234567890\n", "a@1:1=number@1:4@1:1");
        check("ä: ü # ö\n", "ä@1:1=\"ü\"@1:4@1:1");
        check("\u{feff}a: 1\r\nb: x\r\n", "a@1:1=1@1:4 b@2:1=\"x\"@2:4@1:1");
        check("1: a\n", "1@1:1=\"a\"@1:4@1:1");
        check("a: 1\na: 2\n", "a@1:1=1@1:4 a@2:1=2@2:4@1:1");
    }

    #[test]
    fn anchors_and_merges_expand_and_point_to_their_use() {
        check("a: &x {b: 1}\nc: *x\n", "a@1:1=b@1:8=1@1:11@1:7 c@2:1=b@2:4=1@2:4@2:4@1:1");
        check(
            "base: &x {b: 1, c: 2}\nd:\n  <<: *x\n  c: 3\n",
            "base@1:1=b@1:11=1@1:14 c@1:17=2@1:20@1:10 d@2:1=c@4:3=3@4:6 b@3:7=1@3:7@3:3@1:1",
        );
    }

    #[test]
    fn what_is_no_yaml_is_refused_without_quoting_the_file() {
        check("p: *hunter2\n", "error 1:4 not valid YAML: write text that starts with `*` in quotes");
        check("p: !hunter2\n", "error 1:12 not valid YAML: write text that starts with `!` in quotes");
        check("p: !hunter2 x\n", "error 1:13 not valid YAML: write text that starts with `!` in quotes");
        check("p: @hunter2\n", "error 1:4 not valid YAML: unexpected character: `@`");
        check("p: %hunter2\n", "error 1:4 not valid YAML: unexpected character: `%`");
        check("p: hunter2: x\n", "error 1:11 not valid YAML: mapping values are not allowed in this context");
        check("p: 'hunter2\n", "error 2:1 not valid YAML: invalid indentation in multiline quoted scalar");
        check(
            "p: \"hunter2\\z\"\n",
            "error 1:4 not valid YAML: while parsing a quoted scalar, found unknown escape character",
        );
        check("p: {hunter2\n", "error 1:4 not valid YAML: unclosed bracket `{`");
        check("p: .nan\n", "error 1:4 not a number; write text in quotes");
        check("a: [1\n", "error 1:4 not valid YAML: unclosed bracket `[`");
        check("a: 1\n---\nb: 2\n", "error 3:1 only one YAML document may stand in this file");
        check("a: 1\n  b: 2\n", "error 2:4 not valid YAML: mapping values are not allowed in this context");
        check("? [a, b]\n: c\n", "error 1:3 not valid here: a name must be text; write it in quotes");
        check("~: c\n", "error 1:1 not valid here: a name must be text; write it in quotes");
    }

    #[test]
    fn nesting_and_aliases_are_bounded() {
        let deep = format!("a: {}1{}", "[".repeat(60), "]".repeat(60));
        check(&deep, "error 1:35 nested too deeply, or too large");
        let mut bomb = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n".to_owned();
        for i in 1..9 {
            let before = vec![format!("*a{}", i - 1); 10].join(", ");
            bomb.push_str(&format!("a{i}: &a{i} [{before}]\n"));
        }
        check(&bomb, "error 6:10 nested too deeply, or too large");
    }

    proptest! {
        #[test]
        fn random_text_never_panics(text in "[a-z:{}\\[\\]&*!|>'\"#, \n-]{0,80}") {
            let _ = Node::parse(&text);
        }
    }
}
