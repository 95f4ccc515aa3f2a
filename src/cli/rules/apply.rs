//! `dazzle rules apply`, `history` and `rollback`: revisions of a folder that a running Dazzle watches.
//!
//! The folder holds `<logical database>.yaml`, which runs, and `.history/<logical database>/<revision>.yaml`, which
//! never changes. A revision is switched by one rename, so whoever reads sees the old one or the new one.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::Args;
use serde_json::{Value, json};

use crate::cli::rules::difference::{Verdict, verdict};
use crate::cli::rules::{Loaded, load_or_tell, output, surroundings};
use crate::config::ConfigError;
use crate::sharding::read;

/// Make a file the running revision of its logical database, if `plan` allows it
#[derive(Debug, Args)]
pub(super) struct Apply {
    /// The new rule file
    #[arg(value_name = "FILE")]
    file: PathBuf,

    /// The folder that sharding.rules names
    #[arg(long, value_name = "FOLDER")]
    into: PathBuf,

    /// Slots whose rows have been moved already, by label
    #[arg(long, value_name = "SLOT")]
    moved: Vec<String>,
}

/// List the revisions of a logical database
#[derive(Debug, Args)]
pub(super) struct History {
    /// The logical database
    #[arg(value_name = "NAME")]
    name: String,

    /// The folder that sharding.rules names
    #[arg(long, value_name = "FOLDER")]
    folder: PathBuf,

    /// One JSON value, for pipelines
    #[arg(long)]
    json: bool,
}

/// Make an earlier revision run again, as the next one
#[derive(Debug, Args)]
pub(super) struct Rollback {
    /// The logical database
    #[arg(value_name = "NAME")]
    name: String,

    /// The revision whose content returns
    #[arg(value_name = "REVISION")]
    revision: u64,

    /// The folder that sharding.rules names
    #[arg(long, value_name = "FOLDER")]
    folder: PathBuf,

    /// Slots whose rows have been moved back already, by label
    #[arg(long, value_name = "SLOT")]
    moved: Vec<String>,
}

pub(super) fn apply(arguments: &Apply) -> ExitCode {
    let Some(new) = load_or_tell(&arguments.file) else { return ExitCode::FAILURE };
    ended(publish(&arguments.into, &new.text, &arguments.moved))
}

pub(super) fn rollback(arguments: &Rollback) -> ExitCode {
    let folder = &arguments.folder;
    let text = match fs::read_to_string(kept(folder, &arguments.name, arguments.revision)) {
        Ok(text) => text,
        Err(error) => {
            return ended(Err(format!(
                "no revision {} of `{}`: {error}",
                arguments.revision, arguments.name
            )));
        }
    };
    let Some(running) = load_or_tell(&running(folder, &arguments.name)) else { return ExitCode::FAILURE };
    match renumbered(&text, running.rules.revision() + 1) {
        Some(text) => ended(publish(folder, &text, &arguments.moved)),
        None => ended(Err("its line `revision: …` is not found".to_owned())),
    }
}

pub(super) fn history(arguments: &History) -> ExitCode {
    let revisions = match revisions(&arguments.folder, &arguments.name) {
        Ok(revisions) => revisions,
        Err(error) => return ended(Err(format!("no history of `{}`: {error}", arguments.name))),
    };
    let runs =
        load_or_tell(&running(&arguments.folder, &arguments.name)).map(|running| running.rules.revision());
    if arguments.json {
        let list: Vec<Value> = revisions
            .iter()
            .map(|number| json!({ "revision": number, "runs": runs == Some(*number) }))
            .collect();
        output::print_json(&Value::Array(list));
    } else {
        for number in revisions {
            let mark = if runs == Some(number) { "  runs" } else { "" };
            output::print(&format!("{number}{mark}\n"));
        }
    }
    ExitCode::SUCCESS
}

fn ended(result: Result<String, String>) -> ExitCode {
    match result {
        Ok(message) => {
            output::print(&format!("{message}\n"));
            ExitCode::SUCCESS
        }
        Err(message) => {
            eprintln!("{message}");
            ExitCode::FAILURE
        }
    }
}

fn running(folder: &Path, name: &str) -> PathBuf {
    folder.join(format!("{name}.yaml"))
}

fn kept(folder: &Path, name: &str, revision: u64) -> PathBuf {
    folder.join(".history").join(name).join(format!("{revision}.yaml"))
}

/// Switches to `text`, seen from where it will be, unless that would lose rows from sight.
fn publish(folder: &Path, text: &str, moved: &[String]) -> Result<String, String> {
    let read_there =
        |file: &Path| read(text, file, &surroundings()).rules.map_err(|error: ConfigError| error.to_string());
    let name = read_there(&folder.join("new.yaml"))?.name().to_owned();
    let file = running(folder, &name);
    let rules = read_there(&file)?;
    let new = Loaded { file: file.clone(), text: text.to_owned(), rules };
    if file.exists() {
        let old = super::load(&file).map_err(|error| error.to_string())?;
        let Verdict { obstacles, .. } = verdict(&old, &new, moved);
        if !obstacles.is_empty() {
            return Err(format!("{}; `dazzle rules plan` tells more", obstacles.join("; ")));
        }
        keep(folder, &old)?;
    }
    keep(folder, &new)?;
    let beside = folder.join(format!(".{name}.yaml.new"));
    let switched = fs::write(&beside, text).and_then(|()| fs::rename(&beside, &file));
    switched.map_err(|error| format!("{}: {error}", file.display()))?;
    Ok(format!("`{name}` revision {} is in {}", new.rules.revision(), file.display()))
}

/// Keeps a revision for ever: the same number never has another content.
fn keep(folder: &Path, loaded: &Loaded) -> Result<(), String> {
    let path = kept(folder, loaded.rules.name(), loaded.rules.revision());
    let wrong = |error: io::Error| format!("{}: {error}", path.display());
    match fs::read_to_string(&path) {
        Ok(text) if text == loaded.text => return Ok(()),
        Ok(_) => {
            let number = loaded.rules.revision();
            return Err(format!("revision {number} was something else before; count `revision` up"));
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(error) => return Err(wrong(error)),
    }
    fs::create_dir_all(path.parent().unwrap_or(folder)).map_err(wrong)?;
    fs::write(&path, &loaded.text).map_err(wrong)
}

fn revisions(folder: &Path, name: &str) -> io::Result<Vec<u64>> {
    let entries = fs::read_dir(folder.join(".history").join(name))?;
    let mut revisions: Vec<u64> =
        entries.filter_map(|entry| entry.ok()?.path().file_stem()?.to_str()?.parse().ok()).collect();
    revisions.sort_unstable();
    Ok(revisions)
}

/// `text` with another number on its line `revision: …`.
fn renumbered(text: &str, revision: u64) -> Option<String> {
    let line = text.lines().find(|line| line.starts_with("revision:"))?;
    Some(text.replacen(line, &format!("revision: {revision}"), 1))
}

#[cfg(test)]
mod tests {
    use super::*;

    const FIRST: &str = "
api: dazzle/v1
name: shop
revision: 1
keys: {id: bigint}
placements: {p: {hash: id, slots: {s1: 0-1, s2: 2-3}}}
tables: {t: {placement: p}}
tests: [{table: t, slots: all}]
";

    struct Folder(PathBuf);

    impl Drop for Folder {
        fn drop(&mut self) {
            let _ = fs::remove_dir_all(&self.0);
        }
    }

    #[test]
    fn a_revision_follows_another_only_if_no_row_is_lost_from_sight() {
        let folder = Folder(std::env::temp_dir().join(format!("dazzle-apply-{}", std::process::id())));
        fs::create_dir_all(&folder.0).expect("a temporary folder can be made");
        let publish = |text: &str, moved: &[&str]| {
            let moved: Vec<String> = moved.iter().map(|slot| (*slot).to_owned()).collect();
            publish(&folder.0, text, &moved)
        };
        let second = FIRST.replace("revision: 1", "revision: 2");
        publish(FIRST, &[]).expect("the first has nothing before it");
        assert!(publish(&FIRST.replace("s2: 2-3", "s2: 2-3, s3: 4"), &[]).is_err(), "the same number");
        assert!(publish(&second.replace("s2: 2-3", "s2: 2-7"), &[]).is_err(), "a re-key");
        let moved = second.replace("{s1: 0-1, s2: 2-3}", "{s1: 0, s2: 1-3}");
        assert!(publish(&moved, &[]).is_err(), "a move without its rows");
        publish(&moved, &["p/1"]).expect("the rows are there");
        assert_eq!(revisions(&folder.0, "shop").expect("there is a history"), [1, 2]);
        let back = renumbered(FIRST, 3).expect("it has a revision");
        assert!(publish(&back, &[]).is_err(), "back again needs its rows, too");
        publish(&back, &["p/1"]).expect("the rows are back");
        let running = fs::read_to_string(running(&folder.0, "shop")).expect("it runs");
        assert_eq!(running, FIRST.replace("revision: 1", "revision: 3"));
    }
}
