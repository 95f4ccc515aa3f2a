//! `dazzle rules apply`, `history` and `rollback`: which revision of a logical database runs.

use std::fs;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use clap::Args;
use serde_json::{Value, json};
use tokio::time::Instant;

use crate::cli::rules::difference::{Verdict, as_json, verdict};
use crate::cli::rules::revisions::Revisions;
use crate::cli::rules::running::Running;
use crate::cli::rules::{Loaded, load, output, read_as};

/// How long a running Dazzle has to take a revision. It looks at its files every second, and takes a change once it
/// has seen it twice.
const TAKEN_TIMEOUT: Duration = Duration::from_secs(30);

/// How often it is asked.
const ASK_INTERVAL: Duration = Duration::from_millis(200);

/// Make a file the running revision of its logical database, if `plan` allows it
///
/// The revision and the files that it names are kept for ever in FOLDER/.history, and FOLDER/NAME.yaml is switched to
/// it at once. Sessions go on; each statement goes by the one revision that it began with.
#[derive(Debug, Args)]
pub(super) struct Apply {
    /// The new rule file
    #[arg(value_name = "FILE")]
    file: PathBuf,

    #[command(flatten)]
    place: Place,
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

    #[command(flatten)]
    place: Place,
}

/// Where revisions are, and how a change of them is made.
#[derive(Debug, Args)]
struct Place {
    /// The folder that sharding.rules names
    #[arg(long, value_name = "FOLDER")]
    folder: PathBuf,

    /// What has been moved already, as the plan calls it: a slot, all slots of a placement or group, a sequence
    #[arg(long, value_name = "NAME")]
    moved: Vec<String>,

    /// Check against the clusters of this configuration, and end when the Dazzle that runs it goes by the revision
    #[arg(long, value_name = "CONFIG")]
    against: Option<PathBuf>,

    /// One JSON value, for pipelines
    #[arg(long)]
    json: bool,
}

/// A revision that runs now.
struct Applied {
    name: String,
    revision: u64,
    content: u64,
    file: PathBuf,
    verdict: Verdict,
}

/// Why a revision does not run.
struct Refused {
    why: Vec<String>,
    changes: Vec<Value>,
}

impl From<String> for Refused {
    fn from(why: String) -> Self {
        Self { why: vec![why], changes: Vec::new() }
    }
}

pub(super) fn apply(arguments: &Apply) -> ExitCode {
    let result = load(&arguments.file)
        .map_err(|error| Refused::from(error.to_string()))
        .and_then(|new| publish(&arguments.place, &new));
    tell(&arguments.place, result)
}

pub(super) fn rollback(arguments: &Rollback) -> ExitCode {
    let result = earlier(arguments).map_err(Refused::from).and_then(|new| publish(&arguments.place, &new));
    tell(&arguments.place, result)
}

/// An earlier revision with the next number.
fn earlier(arguments: &Rollback) -> Result<Loaded, String> {
    let revisions = Revisions::of(&arguments.place.folder);
    let file = revisions.kept(&arguments.name, arguments.revision);
    let text = fs::read_to_string(&file)
        .map_err(|error| format!("no revision {} of `{}`: {error}", arguments.revision, arguments.name))?;
    let running = load(&revisions.running(&arguments.name)).map_err(|error| error.to_string())?;
    let text = renumbered(&text, running.rules.revision() + 1)
        .ok_or_else(|| "its line `revision: …` is not found".to_owned())?;
    read_as(&file, text).map_err(|error| error.to_string())
}

pub(super) fn history(arguments: &History) -> ExitCode {
    let revisions = Revisions::of(&arguments.folder);
    let kept = match revisions.list(&arguments.name) {
        Ok(kept) => kept,
        Err(error) => {
            eprintln!("no history of `{}`: {error}", arguments.name);
            return ExitCode::FAILURE;
        }
    };
    let runs = load(&revisions.running(&arguments.name)).ok().map(|running| running.rules.content());
    let mut list = Vec::new();
    for kept in kept {
        let loaded = load(&kept.file).ok();
        let content = loaded.as_ref().map(|loaded| loaded.rules.content());
        let is_running = content.is_some() && content == runs;
        let content = content.map_or_else(|| "invalid now".to_owned(), |content| format!("{content:016x}"));
        if !arguments.json {
            let mark = if is_running { "  runs" } else { "" };
            output::print(&format!("{:>6}  {content}  {}{mark}\n", kept.number, kept.file.display()));
        }
        list.push(json!({
            "revision": kept.number, "content": content, "runs": is_running,
            "kept_unix_seconds": kept.since, "file": kept.file.display().to_string(),
        }));
    }
    if arguments.json {
        output::print_json(&Value::Array(list));
    }
    ExitCode::SUCCESS
}

/// Switches to `new`, unless that would lose rows from sight.
fn publish(place: &Place, new: &Loaded) -> Result<Applied, Refused> {
    let process = match &place.against {
        Some(config) => Some(Running::of(config)?),
        None => None,
    };
    if let Some(process) = &process {
        let unknown =
            new.rules.shards().iter().find(|shard| !process.config.clusters.contains_key(&*shard.cluster));
        if let Some(shard) = unknown {
            return Err(format!("the configuration has no cluster `{}`", shard.cluster).into());
        }
    }
    let revisions = Revisions::of(&place.folder);
    let lock = revisions.lock()?;
    let name = new.rules.name().to_owned();
    let running = revisions.running(&name);
    let mut judged = Verdict { changes: Vec::new(), obstacles: Vec::new() };
    if running.exists() {
        let old = load(&running).map_err(|error| error.to_string())?;
        judged = verdict(&old.rules, &new.rules, &place.moved);
        if !judged.obstacles.is_empty() {
            let changes = judged.changes.iter().map(|(change, blocks)| as_json(change, *blocks)).collect();
            let blocking = judged.changes.iter().filter(|(_, blocks)| *blocks);
            let why =
                judged.obstacles.iter().cloned().chain(blocking.map(|(change, _)| format!("  {change}")));
            return Err(Refused { why: why.collect(), changes });
        }
        revisions.keep(&lock, &old)?;
    }
    revisions.keep(&lock, new)?;
    let file = revisions.switch(&lock, &new.rules)?;
    let applied =
        Applied { name, revision: new.rules.revision(), content: new.rules.content(), file, verdict: judged };
    match process {
        Some(process) => taken(&process, new).map(|()| applied).map_err(Refused::from),
        None => Ok(applied),
    }
}

/// Waits until the process goes by the revision.
#[expect(
    clippy::disallowed_methods,
    reason = "a process tells nobody that it has taken a revision: it is asked"
)]
fn taken(process: &Running, new: &Loaded) -> Result<(), String> {
    let deadline = Instant::now() + TAKEN_TIMEOUT;
    loop {
        if process.revisions()?.iter().any(|runs| runs.is(&new.rules)) {
            return Ok(());
        }
        if Instant::now() > deadline {
            return Err(format!(
                "revision {} is in place, but Dazzle has not taken it in {} s: its log says why",
                new.rules.revision(),
                TAKEN_TIMEOUT.as_secs()
            ));
        }
        std::thread::sleep(ASK_INTERVAL);
    }
}

fn tell(place: &Place, result: Result<Applied, Refused>) -> ExitCode {
    let well = result.is_ok();
    match result {
        Ok(applied) if place.json => {
            let changes = applied.verdict.changes.iter().map(|(change, blocks)| as_json(change, *blocks));
            output::print_json(&json!({
                "applied": true,
                "name": applied.name,
                "revision": applied.revision,
                "content": format!("{:016x}", applied.content),
                "file": applied.file.display().to_string(),
                "changes": changes.collect::<Vec<_>>(),
            }));
        }
        Ok(applied) => {
            let runs = if place.against.is_some() { "runs" } else { "is in place" };
            let file = applied.file.display();
            output::print(&format!("`{}` revision {} {runs}: {file}\n", applied.name, applied.revision));
        }
        Err(refused) if place.json => {
            output::print_json(
                &json!({ "applied": false, "obstacles": refused.why, "changes": refused.changes }),
            );
        }
        Err(refused) => eprintln!("{}", refused.why.join("\n")),
    }
    if well { ExitCode::SUCCESS } else { ExitCode::FAILURE }
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
keys: {id: bigint, city: int}
placements:
  p: {hash: id, slots: {s1: 0-1, s2: 2-3}}
  c: {list: city, file: maps/cities.csv, slots: {s1: 0-1}, database: 'city_{slot}'}
tables: {t: {placement: p}, u: {placement: c}}
tests: [{table: t, slots: all}]
";

    struct Folder(PathBuf);

    impl Folder {
        fn new() -> Self {
            let folder = std::env::temp_dir().join(format!("dazzle-apply-{}", std::process::id()));
            for below in ["maps", "run"] {
                fs::create_dir_all(folder.join(below)).expect("a temporary folder can be made");
            }
            Self(folder)
        }

        fn cities(&self, text: &str) {
            fs::write(self.0.join("maps/cities.csv"), text).expect("a file can be written");
        }

        fn apply(&self, text: &str, moved: &[&str]) -> Result<Applied, Vec<String>> {
            let file = self.0.join("new.yaml");
            fs::write(&file, text).expect("a file can be written");
            let new = load(&file).unwrap_or_else(|error| panic!("{error}"));
            publish(&self.place(moved), &new).map_err(|refused| refused.why)
        }

        fn place(&self, moved: &[&str]) -> Place {
            Place {
                folder: self.0.join("run"),
                moved: moved.iter().map(|slot| (*slot).to_owned()).collect(),
                against: None,
                json: false,
            }
        }

        fn back(&self, revision: u64, moved: &[&str]) -> Result<Applied, Vec<String>> {
            let rollback = Rollback { name: "shop".to_owned(), revision, place: self.place(moved) };
            earlier(&rollback)
                .map_err(|why| vec![why])
                .and_then(|new| publish(&rollback.place, &new).map_err(|refused| refused.why))
        }

        fn running(&self) -> String {
            fs::read_to_string(self.0.join("run/shop.yaml")).expect("it runs")
        }
    }

    impl Drop for Folder {
        fn drop(&mut self) {
            let _ = fs::remove_dir_all(&self.0);
        }
    }

    #[test]
    fn a_revision_follows_another_only_if_no_row_is_lost_from_sight() {
        let folder = Folder::new();
        folder.cities("1,0\n2,1\n");
        let second = FIRST.replace("revision: 1", "revision: 2");
        assert!(folder.apply(FIRST, &[]).is_ok(), "the first has nothing before it");
        assert!(folder.apply(&FIRST.replace("s2: 2-3", "s2: 2-3, s3: 4"), &[]).is_err(), "the same number");
        assert!(folder.apply(&second.replace("s2: 2-3", "s2: 2-7"), &[]).is_err(), "a re-key");
        let moved = second.replace("{s1: 0-1, s2: 2-3}", "{s1: 0, s2: 1-3}");
        let why = folder.apply(&moved, &[]).map(|_| ()).expect_err("a move without its rows");
        assert_eq!(why, ["1 change would lose rows from sight", "  move    p/1: s1.shop_1 → s2.shop_1"]);
        assert!(folder.apply(&moved, &["p/1"]).is_ok(), "the rows are there");
        assert!(folder.back(1, &[]).is_err(), "back again needs its rows, too");
        assert!(folder.back(1, &["p"]).is_ok(), "the rows are back");
        assert_eq!(folder.running(), FIRST.replace("revision: 1", "revision: 3"));
        let run = folder.0.join("run");
        let kept = Revisions::of(&run).list("shop").expect("there is a history");
        assert_eq!(kept.iter().map(|kept| kept.number).collect::<Vec<_>>(), [1, 2, 3]);
    }

    #[test]
    fn the_files_that_a_revision_names_are_part_of_it() {
        let folder = Folder(std::env::temp_dir().join(format!("dazzle-apply-files-{}", std::process::id())));
        fs::create_dir_all(folder.0.join("maps")).expect("a temporary folder can be made");
        fs::create_dir_all(folder.0.join("run")).expect("a temporary folder can be made");
        folder.cities("1,0\n2,1\n");
        assert!(folder.apply(FIRST, &[]).is_ok());
        // What is edited beside the source changes nothing that runs.
        folder.cities("1,1\n2,0\n");
        let loaded = load(&folder.0.join("run/shop.yaml")).unwrap_or_else(|error| panic!("{error}"));
        assert!(loaded.named[0].ends_with(".history/shop/1/maps/cities.csv"), "{:?}", loaded.named);
        let second = FIRST.replace("revision: 1", "revision: 2");
        let why = folder.apply(&second, &[]).map(|_| ()).expect_err("listed cities would be elsewhere");
        assert_eq!(why[1], "  re-key  c: 100.0 % of its values would lead to another slot");
        folder.cities("1,0\n2,1\n3,1\n");
        assert!(folder.apply(&second, &[]).is_ok(), "a city that was not listed");
        // The same number with another list is another revision.
        folder.cities("1,0\n2,1\n3,0\n");
        assert!(folder.apply(&second, &[]).is_err());
    }
}
