//! `dazzle rules diff` and `dazzle rules plan`: what a new revision changes, and whether it may take effect.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;
use serde_json::{Value, json};

use crate::cli::rules::statements::Fates;
use crate::cli::rules::{Loaded, load_or_tell, output};
use crate::sharding::{Change, Weight};

/// Tell what differs between two revisions, in the words of the rules
#[derive(Debug, Args)]
pub(super) struct Diff {
    /// The older file
    #[arg(value_name = "OLD")]
    old: PathBuf,

    /// The newer file
    #[arg(value_name = "NEW")]
    new: PathBuf,

    /// One JSON value, for pipelines
    #[arg(long)]
    json: bool,
}

/// Tell whether a revision may follow another: ends with 1 if rows would be lost sight of
///
/// A re-key (a value leads to another slot) is never allowed; a move (a slot goes to another place) needs its
/// rows to be there before. The revision must be the next one.
#[derive(Debug, Args)]
pub(super) struct Plan {
    /// The file that runs
    #[arg(value_name = "RUNNING")]
    running: PathBuf,

    /// The file that is to follow
    #[arg(value_name = "NEW")]
    new: PathBuf,

    /// Slots whose rows have been moved already, by label
    #[arg(long, value_name = "SLOT")]
    moved: Vec<String>,

    /// Also compare where these statements go, one on each line (recent digests, a corpus)
    #[arg(long, value_name = "FILE")]
    statements: Option<PathBuf>,

    /// One JSON value, for pipelines
    #[arg(long)]
    json: bool,
}

pub(super) fn diff(arguments: &Diff) -> ExitCode {
    let (Some(old), Some(new)) = (load_or_tell(&arguments.old), load_or_tell(&arguments.new)) else {
        return ExitCode::FAILURE;
    };
    let changes = old.rules.difference(&new.rules);
    if arguments.json {
        output::print_json(&Value::Array(changes.iter().map(|change| as_json(change, false)).collect()));
    } else if changes.is_empty() {
        output::print("nothing differs\n");
    } else {
        output::print(&changes.iter().map(|change| format!("{change}\n")).collect::<String>());
    }
    ExitCode::SUCCESS
}

pub(super) fn plan(arguments: &Plan) -> ExitCode {
    let (Some(running), Some(new)) = (load_or_tell(&arguments.running), load_or_tell(&arguments.new)) else {
        return ExitCode::FAILURE;
    };
    let Verdict { changes, mut obstacles } = verdict(&running, &new, &arguments.moved);
    let fates = match arguments.statements.as_deref().map(|file| Fates::of_file(&running, &new, file)) {
        None => None,
        Some(Ok(fates)) => Some(fates),
        Some(Err(why)) => {
            obstacles.push(why);
            None
        }
    };
    if arguments.json {
        let list: Vec<Value> = changes.iter().map(|(change, blocks)| as_json(change, *blocks)).collect();
        output::print_json(&json!({
            "allowed": obstacles.is_empty(),
            "changes": list,
            "obstacles": obstacles,
            "statements": fates.as_ref().map(Fates::json),
        }));
    } else {
        for (change, blocks) in &changes {
            let mark = if *blocks { "BLOCKS " } else { "       " };
            output::print(&format!("{mark}{change}\n"));
        }
        output::print(&fates.map(|fates| fates.text()).unwrap_or_default());
        for obstacle in &obstacles {
            eprintln!("{obstacle}");
        }
    }
    if obstacles.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// Whether one revision may follow another.
pub(super) struct Verdict {
    /// What changes, and whether that stands in the way.
    pub(super) changes: Vec<(Change, bool)>,
    /// Why it may not; empty if it may.
    pub(super) obstacles: Vec<String>,
}

/// Judges whether `new` may follow `running`; the rows of `moved` slots are where they will be looked for.
pub(super) fn verdict(running: &Loaded, new: &Loaded, moved: &[String]) -> Verdict {
    let judge = |change: Change| {
        let moved = change.weight == Weight::Move && moved.contains(&change.subject);
        let blocks = change.weight.strands_rows() && !moved;
        (change, blocks)
    };
    let changes: Vec<(Change, bool)> = running.rules.difference(&new.rules).into_iter().map(judge).collect();
    let mut obstacles = numbering(running, new);
    let blocking = changes.iter().filter(|(_, blocks)| *blocks).count();
    if blocking > 0 {
        obstacles.push(format!("{blocking} changes would lose rows from sight"));
    }
    Verdict { changes, obstacles }
}

/// One logical database, and the next revision of it.
fn numbering(running: &Loaded, new: &Loaded) -> Vec<String> {
    let mut wrong = Vec::new();
    if running.rules.name() != new.rules.name() {
        wrong.push(format!("these are rules of `{}` and of `{}`", running.rules.name(), new.rules.name()));
    }
    let (runs, next) = (running.rules.revision(), new.rules.revision());
    if next != runs + 1 {
        wrong.push(format!("revision {runs} runs, so the next is {}, not {next}", runs + 1));
    }
    wrong
}

fn as_json(change: &Change, blocks: bool) -> Value {
    json!({ "weight": change.weight.name(), "subject": change.subject, "text": change.text, "blocks": blocks })
}
