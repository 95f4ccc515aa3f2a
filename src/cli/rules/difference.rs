//! `dazzle rules diff` and `dazzle rules plan`: what a new revision changes, and whether it may take effect.

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;

use clap::Args;
use serde_json::{Value, json};

use crate::cli::rules::running::Running;
use crate::cli::rules::statements::Fates;
use crate::cli::rules::{load_or_tell, output};
use crate::sharding::{Change, ShardingRules, Weight};

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
    /// The file that runs, unless --against tells, and the file that is to follow
    #[arg(value_name = "FILE", num_args = 1..=2, required = true)]
    files: Vec<PathBuf>,

    /// Compare with what the Dazzle of this configuration runs now, and where its recent statements go
    #[arg(long, value_name = "CONFIG")]
    against: Option<PathBuf>,

    /// What has been moved already, as the plan calls it: a slot, all slots of a placement or group, a sequence
    #[arg(long, value_name = "SLOT")]
    moved: Vec<String>,

    /// Also compare where these statements go, one on each line
    #[arg(long, value_name = "FILE")]
    statements: Option<PathBuf>,

    /// End with 1, too, if a statement would be refused or ask more slots
    #[arg(long)]
    strict: bool,

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
    match planned(arguments) {
        Ok((verdict, fates)) => tell(arguments, &verdict, &fates),
        Err(why) => {
            eprintln!("{why}");
            ExitCode::FAILURE
        }
    }
}

fn planned(arguments: &Plan) -> Result<(Verdict, Vec<Fates>), String> {
    let read = |file: &Path| super::load(file).map_err(|error| error.to_string());
    let (running, new, seen) = match (arguments.files.as_slice(), &arguments.against) {
        ([running, new], None) => (Some(Arc::new(read(running)?.rules)), read(new)?.rules, Vec::new()),
        ([new], Some(config)) => {
            let new = read(new)?.rules;
            let process = Running::of(config)?;
            (process.rules_of(new.name())?, new, process.seen()?)
        }
        ([..], None) => return Err("needs RUNNING and NEW, or NEW and --against CONFIG".to_owned()),
        ([..], Some(_)) => return Err("needs RUNNING or --against CONFIG, not both".to_owned()),
    };
    let Some(running) = running else {
        // Nothing runs that could be lost from sight.
        return Ok((Verdict { changes: Vec::new(), obstacles: Vec::new() }, Vec::new()));
    };
    let mut fates = Vec::new();
    if arguments.against.is_some() {
        fates.push(Fates::of(&running, &new, &seen));
    }
    if let Some(file) = &arguments.statements {
        fates.push(Fates::of_file(&running, &new, file)?);
    }
    Ok((verdict(&running, &new, &arguments.moved), fates))
}

fn tell(arguments: &Plan, Verdict { changes, obstacles }: &Verdict, fates: &[Fates]) -> ExitCode {
    let worse: usize = fates.iter().map(Fates::worse).sum();
    if arguments.json {
        let list: Vec<Value> = changes.iter().map(|(change, blocks)| as_json(change, *blocks)).collect();
        output::print_json(&json!({
            "allowed": obstacles.is_empty(),
            "changes": list,
            "obstacles": obstacles,
            "statements": fates.iter().map(Fates::json).collect::<Vec<_>>(),
        }));
    } else {
        for (change, blocks) in changes {
            let mark = if *blocks { "BLOCKS " } else { "       " };
            output::print(&format!("{mark}{change}\n"));
        }
        for fates in fates {
            output::print(&fates.text());
        }
        if changes.is_empty() && obstacles.is_empty() {
            output::print("nothing changes where rows are\n");
        }
        for obstacle in obstacles {
            eprintln!("{obstacle}");
        }
    }
    let well = obstacles.is_empty() && !(arguments.strict && worse > 0);
    if well { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// Whether one revision may follow another.
pub(super) struct Verdict {
    /// What changes, and whether that stands in the way.
    pub(super) changes: Vec<(Change, bool)>,
    /// Why it may not; empty if it may.
    pub(super) obstacles: Vec<String>,
}

/// Judges whether `new` may follow `running`; the rows of `moved` slots are where they will be looked for.
pub(super) fn verdict(running: &ShardingRules, new: &ShardingRules, moved: &[String]) -> Verdict {
    let judge = |change: Change| {
        let moved = change.weight == Weight::Move && moved.iter().any(|done| covers(done, &change.subject));
        let blocks = change.weight.strands_rows() && !moved;
        (change, blocks)
    };
    let changes: Vec<(Change, bool)> = running.difference(new).into_iter().map(judge).collect();
    let mut obstacles = numbering(running, new);
    let blocking = changes.iter().filter(|(_, blocks)| *blocks).count();
    if blocking > 0 {
        let changes = if blocking == 1 { "change" } else { "changes" };
        obstacles.push(format!("{blocking} {changes} would lose rows from sight"));
    }
    Verdict { changes, obstacles }
}

/// Whether `done` names the subject of a change, or the placement or group that the slot belongs to.
fn covers(done: &str, subject: &str) -> bool {
    subject.strip_prefix(done).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

/// One logical database, and the next revision of it.
fn numbering(running: &ShardingRules, new: &ShardingRules) -> Vec<String> {
    let mut wrong = Vec::new();
    if running.name() != new.name() {
        wrong.push(format!("these are rules of `{}` and of `{}`", running.name(), new.name()));
    }
    let (runs, next) = (running.revision(), new.revision());
    if next != runs + 1 {
        wrong.push(format!("revision {runs} runs, so the next is {}, not {next}", runs + 1));
    }
    wrong
}

pub(super) fn as_json(change: &Change, blocks: bool) -> Value {
    json!({ "weight": change.weight.name(), "subject": change.subject, "text": change.text, "blocks": blocks })
}
