//! How each type of setting is written: numbers, durations, sizes, choices.

use std::path::PathBuf;
use std::time::Duration;

use crate::config::document::{Kind, Node, Value, did_you_mean};
use crate::config::frontend::{Hint, TlsMode};
use crate::config::process::LogFormat;
use crate::config::protection::{ConcurrencyMode, Kinds, QuarantineMode};
use crate::config::{Compression, FollowMode, TlsVerify};

/// The longest duration: a year, MySQL's own bound on `wait_timeout`. Adding one to a clock never overflows.
const DURATION_MAX: Duration = Duration::from_secs(365 * 86_400);

const DURATION_UNITS: [(&str, u64); 5] =
    [("ms", 1), ("s", 1_000), ("m", 60_000), ("h", 3_600_000), ("d", 86_400_000)];

const SIZE_UNITS: [(&str, u64); 4] = [("B", 1), ("KiB", 1 << 10), ("MiB", 1 << 20), ("GiB", 1 << 30)];

const TLS_MODES: [(&str, TlsMode); 3] =
    [("disabled", TlsMode::Disabled), ("preferred", TlsMode::Preferred), ("required", TlsMode::Required)];

const TLS_VERIFICATIONS: [(&str, TlsVerify); 3] =
    [("none", TlsVerify::None), ("ca", TlsVerify::Ca), ("full", TlsVerify::Full)];

const USER_SOURCES: [(&str, bool); 2] = [("declared", false), ("from_server", true)];

const COMPRESSIONS: [(&str, Compression); 3] =
    [("none", Compression::None), ("zlib", Compression::Zlib), ("zstd", Compression::Zstd)];

const FOLLOW_MODES: [(&str, FollowMode); 3] =
    [("off", FollowMode::Off), ("auto", FollowMode::Auto), ("required", FollowMode::Required)];

const CONCURRENCY_MODES: [(&str, ConcurrencyMode); 3] = [
    ("unlimited", ConcurrencyMode::Off),
    ("fixed", ConcurrencyMode::Fixed),
    ("adaptive", ConcurrencyMode::Adaptive),
];

const QUARANTINE_MODES: [(&str, QuarantineMode); 3] =
    [("never", QuarantineMode::Off), ("suggest", QuarantineMode::Suggest), ("auto", QuarantineMode::Auto)];
const HINTS: [(&str, Hint); 3] = [("slot", Hint::Slot), ("shard", Hint::Shard), ("scatter", Hint::Scatter)];

const LOG_FORMATS: [(&str, LogFormat); 2] = [("text", LogFormat::Text), ("json", LogFormat::Json)];

const LOG_LEVELS: [&str; 6] = ["off", "error", "warn", "info", "debug", "trace"];

/// A whole number from `MIN` to `MAX`.
pub(crate) const fn count<const MIN: u32, const MAX: u32>() -> Kind<u32> {
    Kind { read: read_count::<MIN, MAX>, show: u32::to_string }
}

/// `true` or `false`.
pub(crate) const SWITCH: Kind<bool> = Kind {
    read: |node| match node.value {
        Value::Switch(switch) => Ok(switch),
        Value::Null
        | Value::Whole(_)
        | Value::OtherNumber(_)
        | Value::Text(_)
        | Value::List(_)
        | Value::Map(_) => Err("must be `true` or `false`".to_owned()),
    },
    show: bool::to_string,
};

/// A duration; zero is allowed and means something the setting says.
pub(crate) const DURATION: Kind<Duration> = Kind { read: read_duration, show: show_duration };

/// A duration above zero.
pub(crate) const DEADLINE: Kind<Duration> = Kind {
    read: |node| match read_duration(node)? {
        Duration::ZERO => Err("must be more than zero: every wait needs an end".to_owned()),
        deadline => Ok(deadline),
    },
    show: show_duration,
};

/// A number of bytes.
pub(crate) const SIZE: Kind<u64> = Kind { read: read_size, show: show_size };

/// Any text but the empty one.
pub(crate) const TEXT: Kind<String> = Kind { read: |node| Ok(word(node)?.to_owned()), show: String::clone };

/// A path, as written.
pub(crate) const PATH: Kind<PathBuf> =
    Kind { read: |node| Ok(PathBuf::from(word(node)?)), show: |path| path.display().to_string() };

/// `disabled`, `preferred`, `required`.
pub(crate) const TLS_MODE: Kind<TlsMode> =
    Kind { read: |node| choose(node, &TLS_MODES), show: |mode| chosen(*mode, &TLS_MODES) };

/// `none`, `ca`, `full`.
pub(crate) const TLS_VERIFY: Kind<TlsVerify> = Kind {
    read: |node| choose(node, &TLS_VERIFICATIONS),
    show: |verify| chosen(*verify, &TLS_VERIFICATIONS),
};

/// `none`, `zlib`, `zstd`.
pub(crate) const COMPRESSION: Kind<Compression> =
    Kind { read: |node| choose(node, &COMPRESSIONS), show: |how| chosen(*how, &COMPRESSIONS) };

/// `declared`, `from_server`.
pub(crate) const FROM_SERVER: Kind<bool> = Kind {
    read: |node| choose(node, &USER_SOURCES),
    show: |from_server| chosen(*from_server, &USER_SOURCES),
};

/// `off`, `auto`, `required`.
pub(crate) const FOLLOW_MODE: Kind<FollowMode> =
    Kind { read: |node| choose(node, &FOLLOW_MODES), show: |mode| chosen(*mode, &FOLLOW_MODES) };

/// `unlimited`, `fixed`, `adaptive`.
pub(crate) const CONCURRENCY_MODE: Kind<ConcurrencyMode> =
    Kind { read: |node| choose(node, &CONCURRENCY_MODES), show: |mode| chosen(*mode, &CONCURRENCY_MODES) };

/// `never`, `suggest`, `auto`.
pub(crate) const QUARANTINE_MODE: Kind<QuarantineMode> =
    Kind { read: |node| choose(node, &QUARANTINE_MODES), show: |mode| chosen(*mode, &QUARANTINE_MODES) };

/// A kind of statements.
pub(crate) const STATEMENT_KIND: Kind<Kinds> =
    Kind { read: |node| choose(node, Kinds::NAMES), show: |kind| chosen(*kind, Kinds::NAMES) };
/// `slot`, `shard`, `scatter`.
pub(crate) const HINT: Kind<Hint> =
    Kind { read: |node| choose(node, &HINTS), show: |hint| chosen(*hint, &HINTS) };

/// `text`, `json`.
pub(crate) const LOG_FORMAT: Kind<LogFormat> =
    Kind { read: |node| choose(node, &LOG_FORMATS), show: |format| chosen(*format, &LOG_FORMATS) };

/// A `tracing` filter.
pub(crate) const LOG_LEVEL: Kind<String> = Kind { read: read_log_level, show: String::clone };

/// Text in which nothing else hides: a number or a boolean has to be quoted, so that it stays as written.
pub(crate) fn text(node: &Node) -> Result<&str, String> {
    match &node.value {
        Value::Text(text) => Ok(text),
        Value::Switch(_) | Value::Whole(_) | Value::OtherNumber(_) => {
            Err("must be text; write it in quotes".to_owned())
        }
        Value::Null => Err("no value".to_owned()),
        Value::List(_) | Value::Map(_) => Err("must be a single value".to_owned()),
    }
}

/// Text that is neither empty nor holds a NUL character.
pub(crate) fn word(node: &Node) -> Result<&str, String> {
    match text(node)? {
        "" => Err("must not be empty".to_owned()),
        word if word.contains('\0') => Err("must not hold a NUL character".to_owned()),
        word => Ok(word),
    }
}

fn read_count<const MIN: u32, const MAX: u32>(node: &Node) -> Result<u32, String> {
    let Value::Whole(number) = node.value else { return Err(range::<MIN, MAX>()) };
    let fits = u32::try_from(number).ok().filter(|number| (MIN..=MAX).contains(number));
    fits.ok_or_else(range::<MIN, MAX>)
}

fn range<const MIN: u32, const MAX: u32>() -> String {
    match MAX {
        u32::MAX => format!("must be a whole number of at least {MIN}"),
        _ => format!("must be a whole number from {MIN} to {MAX}"),
    }
}

/// `250ms`: the number and the unit's factor.
fn number_with_unit(text: &str, units: &[(&str, u64)]) -> Option<u64> {
    let digits = text.find(|c: char| !c.is_ascii_digit())?;
    let (number, unit) = text.split_at(digits);
    let (_, factor) = units.iter().find(|(name, _)| *name == unit.trim_start())?;
    number.parse::<u64>().ok()?.checked_mul(*factor)
}

fn read_duration(node: &Node) -> Result<Duration, String> {
    let duration = match &node.value {
        Value::Whole(0) => Some(Duration::ZERO),
        Value::Whole(number) => {
            return Err(format!("needs a unit: `{number}s`, `{number}ms`, `{number}m`, `{number}h`"));
        }
        Value::Text(text) => number_with_unit(text, &DURATION_UNITS).map(Duration::from_millis),
        Value::Null | Value::Switch(_) | Value::OtherNumber(_) | Value::List(_) | Value::Map(_) => None,
    };
    let form = || "must be a whole number and a unit: `250ms`, `10s`, `5m`, `8h`, `1d`".to_owned();
    match duration.ok_or_else(form)? {
        long if long > DURATION_MAX => Err("must be at most `365d`".to_owned()),
        duration => Ok(duration),
    }
}

/// A duration with its unit.
pub(super) fn duration(text: &str) -> Option<Duration> {
    number_with_unit(text, &DURATION_UNITS).map(Duration::from_millis)
}

/// The duration in the largest unit that divides it.
pub(crate) fn show_duration(duration: &Duration) -> String {
    let millis = u64::try_from(duration.as_millis()).unwrap_or(u64::MAX);
    match DURATION_UNITS[1..4].iter().rev().find(|(_, factor)| millis > 0 && millis.is_multiple_of(*factor)) {
        Some((unit, factor)) => format!("{}{unit}", millis / factor),
        None if millis == 0 => "0s".to_owned(),
        None => format!("{millis}ms"),
    }
}

fn read_size(node: &Node) -> Result<u64, String> {
    let size = match &node.value {
        Value::Whole(bytes) => Some(*bytes),
        Value::Text(text) => number_with_unit(text, &SIZE_UNITS),
        Value::Null | Value::Switch(_) | Value::OtherNumber(_) | Value::List(_) | Value::Map(_) => None,
    };
    size.ok_or_else(|| {
        let unit = match &node.value {
            Value::Text(text) => text.trim_start_matches(|c: char| c.is_ascii_digit()).trim(),
            _ => "",
        };
        let hint = match unit.to_lowercase().as_str() {
            "k" | "kb" | "kib" => "; did you mean `KiB`?",
            "m" | "mb" | "mib" => "; did you mean `MiB`?",
            "g" | "gb" | "gib" => "; did you mean `GiB`?",
            _ => "",
        };
        format!("must be a whole number of bytes, or one with a unit: `512KiB`, `64MiB`, `1GiB`{hint}")
    })
}

/// The size in the largest unit that divides it.
fn show_size(bytes: &u64) -> String {
    match SIZE_UNITS[1..].iter().rev().find(|(_, factor)| *bytes > 0 && bytes.is_multiple_of(*factor)) {
        Some((unit, factor)) => format!("{}{unit}", bytes / factor),
        None => bytes.to_string(),
    }
}

/// One of the words of `choices`.
pub(crate) fn choose<T: Copy>(node: &Node, choices: &[(&str, T)]) -> Result<T, String> {
    let Value::Text(text) = &node.value else {
        return Err(format!("must be {}", names(choices)));
    };
    match choices.iter().find(|(name, _)| name == text) {
        Some((_, choice)) => Ok(*choice),
        None => {
            let known = choices.iter().map(|(name, _)| *name);
            Err(format!("must be {}{}", names(choices), did_you_mean(text, known)))
        }
    }
}

fn names<T>(choices: &[(&str, T)]) -> String {
    let quoted: Vec<String> = choices.iter().map(|(name, _)| format!("`{name}`")).collect();
    quoted.join(" or ")
}

/// The word of `value`.
pub(crate) fn chosen<T: PartialEq + Copy>(value: T, choices: &[(&str, T)]) -> String {
    let (name, _) =
        choices.iter().find(|(_, choice)| *choice == value).expect("the table lists every choice");
    (*name).to_owned()
}

/// A bare word that is no level would be taken for a module's name and log everything of nothing.
fn read_log_level(node: &Node) -> Result<String, String> {
    let text = word(node)?;
    for directive in text.split(',').map(str::trim).filter(|part| !part.contains(['=', ':', '['])) {
        if !LOG_LEVELS.contains(&directive) {
            let hint = did_you_mean(directive, LOG_LEVELS);
            return Err(format!("`{directive}` is no level: {}{hint}", LOG_LEVELS.join(", ")));
        }
    }
    match tracing_subscriber::EnvFilter::builder().parse(text) {
        Ok(_) => Ok(text.to_owned()),
        Err(_) => Err("must be a level, or levels by module, as in `info,dazzle::backend=debug`".to_owned()),
    }
}
