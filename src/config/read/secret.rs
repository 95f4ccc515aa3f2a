//! Passwords and verifiers as a file gives them. No message here quotes what was written.

use std::path::Path;

use crate::config::document::{Node, Position, Report, Value, did_you_mean};
use crate::config::read::kind;
use crate::config::secret::{Password, Secret, Verifier};

/// Bytes of what `caching_sha2_password` stores: `$A$`, the thousands of rounds in three hexadecimal
/// digits, `$`, 20 of salt, 43 of digest.
const SHA2_BYTES: usize = 70;

type Result<T> = std::result::Result<T, (Position, String)>;

/// A password towards servers: the text, `{file: path}` or `{env: NAME}`.
pub(crate) fn secret(report: &Report, node: &Node) -> Result<Secret> {
    match form(node, &["file", "env"])? {
        Form::Text(text) => plain(text).map_err(|why| (node.at, why)),
        Form::Named(name, value) => source(report, name, value),
    }
}

/// A client's password: as [`secret`], or a stored verifier.
pub(crate) fn password(report: &Report, node: &Node) -> Result<Password> {
    match form(node, &["file", "env", "native", "sha2", "sha2_hex"])? {
        Form::Text("") => Ok(Password::Empty),
        Form::Text(text) => {
            if native(text).is_ok() || sha2(text.as_bytes()).is_ok() {
                let why =
                    "looks like a stored verifier, not a password; write `{native: \"*…\"}` or `{sha2: …}`";
                return Err((node.at, why.to_owned()));
            }
            plain(text).map(Password::Plain).map_err(|why| (node.at, why))
        }
        Form::Named(name @ ("native" | "sha2" | "sha2_hex"), value) => {
            let text = secret(report, value)?;
            let verifier = match name {
                "native" => native(text.reveal()).map(Verifier::Native),
                "sha2" => sha2(text.reveal().as_bytes()).map(Verifier::Sha2),
                _ => sha2_hex(text.reveal()).map(Verifier::Sha2),
            };
            verifier.map(Password::Verifier).map_err(|why| (value.at, why))
        }
        Form::Named(name, value) => source(report, name, value).map(Password::Plain),
    }
}

enum Form<'a> {
    Text(&'a str),
    Named(&'static str, &'a Node),
}

/// A text, or a mapping with one of the `names`.
fn form<'a>(node: &'a Node, names: &[&'static str]) -> Result<Form<'a>> {
    let forms = || names.iter().map(|name| format!("`{{{name}: …}}`")).collect::<Vec<_>>().join(", ");
    match &node.value {
        Value::Null => Err((node.at, "no value; write `\"\"` if there is really no password".to_owned())),
        Value::Map(entries) => match entries.as_slice() {
            [entry] => match names.iter().find(|name| **name == entry.key) {
                Some(name) => Ok(Form::Named(name, &entry.value)),
                None => {
                    let hint = did_you_mean(&entry.key, names.iter().copied());
                    Err((entry.at, format!("must be text, or one of {}{hint}", forms())))
                }
            },
            _ => Err((node.at, format!("must be text, or exactly one of {}", forms()))),
        },
        Value::List(_) => Err((node.at, format!("must be text, or one of {}", forms()))),
        Value::Switch(_) | Value::Whole(_) | Value::OtherNumber(_) | Value::Text(_) => {
            kind::text(node).map(Form::Text).map_err(|why| (node.at, why))
        }
    }
}

/// What a file or a variable of the environment holds. An empty one is a mistake, not an empty password.
fn source(report: &Report, name: &str, node: &Node) -> Result<Secret> {
    let at = |why: String| (node.at, why);
    let place = kind::text(node).map_err(at)?;
    if place.is_empty() {
        return Err(at("must not be empty".to_owned()));
    }
    let text = match name {
        "file" => {
            let text = report.read_text(Path::new(place)).map_err(at)?;
            let line = text.strip_suffix('\n').unwrap_or(&text);
            plain(line.strip_suffix('\r').unwrap_or(line))
        }
        _ => match std::env::var(place) {
            Ok(text) => plain(&text),
            Err(std::env::VarError::NotPresent) => Err(format!("the environment has no variable `{place}`")),
            Err(std::env::VarError::NotUnicode(_)) => {
                Err(format!("the variable `{place}` is not UTF-8 text"))
            }
        },
    };
    match text {
        Ok(secret) if secret.reveal().is_empty() => {
            Err(at(format!("`{place}` is empty; write `\"\"` here if there is really no password")))
        }
        other => other.map_err(at),
    }
}

/// A NUL would end the password early on the wire.
fn plain(text: &str) -> std::result::Result<Secret, String> {
    if text.contains('\0') { Err("must not hold a NUL character".to_owned()) } else { Ok(Secret::new(text)) }
}

fn native(text: &str) -> std::result::Result<[u8; 20], String> {
    let digits = text.strip_prefix('*').filter(|digits| digits.len() == 40);
    digits
        .and_then(unhex)
        .and_then(|bytes| bytes.try_into().ok())
        .ok_or_else(|| "must be `*` and 40 hexadecimal digits, as `mysql.user` shows it".to_owned())
}

fn sha2(bytes: &[u8]) -> std::result::Result<Vec<u8>, String> {
    let known = bytes.len() == SHA2_BYTES
        && bytes.starts_with(b"$A$")
        && bytes[3..6].iter().all(u8::is_ascii_hexdigit)
        && bytes[3..6] != *b"000"
        && bytes[6] == b'$'
        && bytes[27..].iter().all(|c| c.is_ascii_alphanumeric() || b"./".contains(c));
    if known {
        return Ok(bytes.to_vec());
    }
    let hint = "if its salt holds unprintable bytes, write `{sha2_hex: …}` with HEX(authentication_string)";
    Err(format!(
        "must be `$A$`, the rounds, `$`, 20 bytes of salt and 43 of digest, as `mysql.user` stores it; {hint}"
    ))
}

fn sha2_hex(text: &str) -> std::result::Result<Vec<u8>, String> {
    let bytes = unhex(text).filter(|_| text.len() == 2 * SHA2_BYTES);
    bytes.and_then(|bytes| sha2(&bytes).ok()).ok_or_else(|| {
        "must be the 140 hexadecimal digits of HEX(authentication_string), starting with 24412430".to_owned()
    })
}

fn unhex(text: &str) -> Option<Vec<u8>> {
    let digits: Vec<u8> = text
        .chars()
        .map(|c| c.to_digit(16).and_then(|digit| u8::try_from(digit).ok()))
        .collect::<Option<_>>()?;
    if !digits.len().is_multiple_of(2) {
        return None;
    }
    Some(digits.chunks_exact(2).map(|pair| pair[0] << 4 | pair[1]).collect())
}
