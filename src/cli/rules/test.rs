//! `dazzle rules test`: would the tests notice a mistake?

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;
use serde_json::{Value, json};

use crate::cli::rules::corpus::Corpus;
use crate::cli::rules::{Loaded, load_or_tell, output, surroundings};
use crate::sharding::{Mutation, ShardingRules, mutate};

/// Score the tests of rule files: flip each value that decides where rows are, and see whether a test fails
///
/// A value that can be flipped unnoticed is reported with its place; a test that would notice is missing.
#[derive(Debug, Args)]
pub(super) struct Test {
    /// Rule files
    #[arg(value_name = "FILE", required = true)]
    files: Vec<PathBuf>,

    /// The share of flips that must be noticed, in percent
    #[arg(long, value_name = "PERCENT", default_value_t = 0, value_parser = clap::value_parser!(u8).range(0..=100))]
    at_least: u8,

    /// A corpus: statements, one on each line, with where they go behind ` -- `
    #[arg(long, value_name = "FILE")]
    corpus: Vec<PathBuf>,

    /// Write where each statement of the corpus goes into it, rather than hold it to what it says
    #[arg(long, requires = "corpus")]
    write: bool,

    /// One JSON value, for pipelines
    #[arg(long)]
    json: bool,
}

pub(super) fn run(arguments: &Test) -> ExitCode {
    let mut right = true;
    let mut values = Vec::new();
    for file in &arguments.files {
        let Some(loaded) = load_or_tell(file) else {
            right = false;
            continue;
        };
        let corpora = match corpora(&loaded, arguments) {
            Ok(corpora) => corpora,
            Err(why) => {
                eprintln!("{why}");
                right = false;
                continue;
            }
        };
        let notices = |rules: &ShardingRules| corpora.iter().any(|corpus| !corpus.wrong(rules).is_empty());
        let mutation = mutate(&loaded.text, &loaded.file, &surroundings(), &notices);
        right &= score(&mutation) >= f64::from(arguments.at_least);
        match arguments.json {
            true => values.push(as_json(&loaded, &mutation)),
            false => output::print(&as_text(&loaded, &mutation)),
        }
    }
    if arguments.json {
        output::print_json(&Value::Array(values));
    }
    if right { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// The corpora, none of which says something wrong.
fn corpora(loaded: &Loaded, arguments: &Test) -> Result<Vec<Corpus>, String> {
    let mut corpora = Vec::new();
    let mut wrong = Vec::new();
    for file in &arguments.corpus {
        let mut corpus = Corpus::read(file)?;
        if arguments.write {
            corpus.write(&loaded.rules)?;
        }
        wrong.extend(corpus.wrong(&loaded.rules));
        if corpus.unsaid() > 0 {
            let unsaid = corpus.unsaid();
            wrong.push(format!("{}: where {unsaid} statements go is not said; --write does", file.display()));
        }
        corpora.push(corpus);
    }
    if wrong.is_empty() { Ok(corpora) } else { Err(wrong.join("\n")) }
}

/// Percent of the flips that were noticed.
fn score(mutation: &Mutation) -> f64 {
    let all = mutation.killed + mutation.survived.len();
    if all == 0 { 100.0 } else { mutation.killed as f64 * 100.0 / all as f64 }
}

fn as_text(loaded: &Loaded, mutation: &Mutation) -> String {
    let all = mutation.killed + mutation.survived.len();
    let mut text = format!(
        "{}: all tests pass; {} of {all} flipped values are noticed ({:.0} %)\n",
        loaded.file.display(),
        mutation.killed,
        score(mutation)
    );
    for mutant in &mutation.survived {
        let (line, column) = mutant.place;
        let place = format!("{}:{line}:{column}", loaded.file.display());
        text.push_str(&format!("{place}: {}: nobody notices {}\n", mutant.path, mutant.change));
    }
    text
}

fn as_json(loaded: &Loaded, mutation: &Mutation) -> Value {
    let survived: Vec<Value> = mutation
        .survived
        .iter()
        .map(|mutant| {
            let (line, column) = mutant.place;
            json!({ "line": line, "column": column, "path": mutant.path, "change": mutant.change })
        })
        .collect();
    json!({
        "file": loaded.file.display().to_string(),
        "killed": mutation.killed,
        "survived": survived,
        "score": score(mutation),
    })
}
