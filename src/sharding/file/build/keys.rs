//! Keys: their SQL types, collations and bit fields.

use crate::config::document::{did_you_mean, join};
use crate::sharding::file::build::Builder;
use crate::sharding::file::model::{At, KeyForm, Names};
use crate::sharding::key::{BitField, Collation, Integer, Key, KeyType, TextKind};

const TYPES: [&str; 11] = [
    "tinyint",
    "smallint",
    "mediumint",
    "int",
    "bigint",
    "char",
    "varchar",
    "binary",
    "varbinary",
    "date",
    "datetime",
];

/// Types that a column may have but a key may not, and why.
const REFUSED: [(&str, &str); 6] = [
    ("timestamp", "what a TIMESTAMP shows depends on the session's time zone; use `datetime`"),
    ("decimal", "use `bigint`, or `varchar` for numbers with fractions"),
    ("float", "two floats that look alike need not be equal"),
    ("double", "two doubles that look alike need not be equal"),
    ("enum", "an ENUM compares as text and as number; use its `char`, or `int`"),
    ("text", "use `varchar` with a length"),
];

/// A column's length that no index could cover any more.
const LENGTH_MAX: u32 = 3_072;

pub(super) fn key(builder: &Builder<'_>, name: &At<String>, form: &KeyForm) -> Key {
    builder.checked_name(name, "keys");
    let path = join("keys", &name.value);
    let (written, collation, bits) = match form {
        KeyForm::Type(written) => (written, None, None),
        KeyForm::Full(rule) => (&rule.key_type, rule.collation.as_ref(), Some(&rule.bits)),
    };
    let type_path = if bits.is_some() { join(&path, "type") } else { path.clone() };
    let key_type = match parse(&written.value) {
        Ok(key_type) => with_collation(builder, key_type, collation, &path, written),
        Err(why) => {
            // A type that is missing has been told.
            if !written.value.is_empty() {
                builder.problem(written.at, type_path, why);
            }
            KeyType::Date
        }
    };
    let bits = bits.map_or_else(Vec::new, |bits| fields(builder, &key_type, bits, &join(&path, "bits")));
    Key { name: name.value.as_str().into(), key_type, bits }
}

/// The type; a string's collation is still that of bytes.
fn parse(written: &str) -> Result<KeyType, String> {
    let lower = written.trim().to_ascii_lowercase();
    let (base, length, attributes) = parts(&lower)?;
    let integer = |bits| Integer { bits, unsigned: attributes.contains(&"unsigned") };
    let text = |kind| {
        let needed = || format!("needs a length, as in `{base}(40)`: a longer value would be cut off");
        let length = length.ok_or_else(needed)?;
        if !(1..=LENGTH_MAX).contains(&length) {
            return Err(format!("the length must be from 1 to {LENGTH_MAX}"));
        }
        Ok(KeyType::Text { kind, length, collation: Collation::BINARY })
    };
    let key_type = match base {
        "tinyint" => KeyType::Integer(integer(8)),
        "smallint" => KeyType::Integer(integer(16)),
        "mediumint" => KeyType::Integer(integer(24)),
        "int" | "integer" => KeyType::Integer(integer(32)),
        "bigint" => KeyType::Integer(integer(64)),
        "char" => text(TextKind::Char)?,
        "varchar" => text(TextKind::VarChar)?,
        "binary" => text(TextKind::Binary)?,
        "varbinary" => text(TextKind::VarBinary)?,
        "date" => KeyType::Date,
        "datetime" => match length.unwrap_or(0) {
            digits @ 0..=6 => KeyType::DateTime { digits: digits as u8 },
            _ => return Err("a second's fraction has at most 6 digits".to_owned()),
        },
        _ => return Err(unknown(base)),
    };
    let known: &[&str] = if matches!(key_type, KeyType::Integer(_)) { &["unsigned", "signed"] } else { &[] };
    match attributes.iter().find(|attribute| !known.contains(attribute)) {
        Some(other) => {
            Err(format!("`{other}` is no part of this type{}", did_you_mean(other, known.iter().copied())))
        }
        None => Ok(key_type),
    }
}

fn unknown(base: &str) -> String {
    match REFUSED.iter().find(|(name, _)| *name == base) {
        Some((_, why)) => format!("`{base}` cannot be a key: {why}"),
        None => format!("`{base}` is no type of a key: {}{}", TYPES.join(", "), did_you_mean(base, TYPES)),
    }
}

/// `varchar(40)`: name, number in parentheses, words that follow.
fn parts(written: &str) -> Result<(&str, Option<u32>, Vec<&str>), String> {
    let end = written.find(|c: char| !c.is_ascii_alphabetic()).unwrap_or(written.len());
    let (base, rest) = written.split_at(end);
    let rest = rest.trim_start();
    let Some(inner) = rest.strip_prefix('(') else {
        return Ok((base, None, rest.split_whitespace().collect()));
    };
    let number = inner.split_once(')').and_then(|(number, rest)| Some((number.trim().parse().ok()?, rest)));
    match number {
        Some((number, rest)) => Ok((base, Some(number), rest.split_whitespace().collect())),
        None => Err("must be a type of SQL, as in `bigint unsigned` or `varchar(40)`".to_owned()),
    }
}

fn with_collation(
    builder: &Builder<'_>,
    key_type: KeyType,
    collation: Option<&At<String>>,
    path: &str,
    written: &At<String>,
) -> KeyType {
    let KeyType::Text { kind: kind @ (TextKind::Char | TextKind::VarChar), length, .. } = key_type else {
        if let Some(collation) = collation {
            builder.problem(collation.at, join(path, "collation"), format!("`{key_type}` has no collation"));
        }
        return key_type;
    };
    let Some(collation) = collation else {
        let message = "a string needs a collation, as in `{type: varchar(40), collation: utf8mb4_bin}`: \
                       it decides which spellings are one value";
        builder.problem(written.at, path, message);
        return key_type;
    };
    match Collation::named(&collation.value) {
        Some(known) => KeyType::Text { kind, length, collation: known },
        None => {
            let hint = did_you_mean(&collation.value, Collation::names());
            let message = format!(
                "`{}` is no collation that a key may have: which strings are equal under it is not known here{hint}",
                collation.value
            );
            builder.problem(collation.at, join(path, "collation"), message);
            key_type
        }
    }
}

fn fields(builder: &Builder<'_>, key_type: &KeyType, bits: &Names<At<String>>, path: &str) -> Vec<BitField> {
    let mut fields: Vec<BitField> = Vec::new();
    let usable = match key_type {
        KeyType::Integer(integer) => integer.bits - u32::from(!integer.unsigned),
        KeyType::Text { .. } | KeyType::Date | KeyType::DateTime { .. } => 0,
    };
    for (name, span) in &bits.0 {
        builder.checked_name(name, path);
        let path = join(path, &name.value);
        let Some((first, last)) = bit_span(&span.value) else {
            builder.problem(span.at, path, "must be bits, the lowest being 0: `0-13`, or one alone: `5`");
            continue;
        };
        if last >= usable {
            let message = match usable {
                0 => format!("`{key_type}` has no bits; only whole numbers have"),
                _ => format!("`{key_type}` has the bits 0-{} for this", usable - 1),
            };
            builder.problem(span.at, path, message);
            continue;
        }
        let field = BitField { name: name.value.as_str().into(), offset: first, length: last - first + 1 };
        let overlaps = |other: &&BitField| other.offset <= last && first < other.offset + other.length;
        if let Some(other) = fields.iter().find(overlaps) {
            builder.problem(span.at, path, format!("overlaps with `{}`", other.name));
        }
        fields.push(field);
    }
    fields
}

fn bit_span(written: &str) -> Option<(u32, u32)> {
    let (first, last) = written.split_once('-').unwrap_or((written, written));
    let (first, last) = (first.trim().parse().ok()?, last.trim().parse().ok()?);
    (first <= last && last < 64).then_some((first, last))
}
