//! `dazzle rules import`: the rules of other products in our words.

mod draft;
mod kingshard;
mod mycat;
mod names;
mod quotient;
mod shardingsphere;
mod yaml;
mod zebra;

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::Args;
use serde_json::json;

use crate::cli::rules::import::draft::{Draft, Translation};
use crate::cli::rules::import::kingshard::Product;
use crate::cli::rules::output;

/// Translate the sharding rules of another proxy, with its hash functions bit by bit
///
/// Prints a rule file. What it cannot know (types of keys) is marked with `check`; what it cannot translate is told
/// on standard error, and it ends with 1. A slot is a database, so most tables need another name: --renames prints the
/// statements, which move no row.
#[derive(Debug, Args)]
pub(super) struct Import {
    #[command(flatten)]
    source: Source,

    /// The logical database, if there are several
    #[arg(long, value_name = "NAME")]
    database: Option<String>,

    /// Print the statements that bring tables to where the rules look for them, rather than the rules
    #[arg(long)]
    renames: bool,

    /// One JSON value, for pipelines
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Args)]
#[group(required = true, multiple = false)]
struct Source {
    /// kingshard's ks.yaml
    #[arg(long, value_name = "FILE")]
    kingshard: Option<PathBuf>,

    /// A namespace of Gaea, as JSON
    #[arg(long, value_name = "FILE")]
    gaea: Option<PathBuf>,

    /// MyCat's folder with rule.xml, schema.xml and the files that they name
    #[arg(long, value_name = "FOLDER")]
    mycat: Option<PathBuf>,

    /// A sharding configuration of ShardingSphere 5, as YAML; needs --database
    #[arg(long, value_name = "FILE", requires = "database")]
    shardingsphere: Option<PathBuf>,

    /// Zebra's router-rule, as XML; needs --database
    #[arg(long, value_name = "FILE", requires = "database")]
    zebra: Option<PathBuf>,
}

pub(super) fn run(arguments: &Import) -> ExitCode {
    match imported(arguments) {
        Ok(translation) => tell(arguments, &translation),
        Err(why) => {
            eprintln!("{why}");
            ExitCode::FAILURE
        }
    }
}

/// From the text of another product's file.
type Translate<'t> = dyn Fn(&str) -> Result<Draft, String> + 't;

fn imported(arguments: &Import) -> Result<Translation, String> {
    let Source { kingshard, gaea, mycat, shardingsphere, zebra } = &arguments.source;
    let database = arguments.database.as_deref();
    let named = || database.ok_or("needs --database: the name of the logical database");
    if let Some(folder) = mycat {
        return mycat::translate(folder, database)?.finish();
    }
    let (file, translate): (&Path, &Translate<'_>) = match (kingshard, gaea, shardingsphere, zebra) {
        (Some(file), ..) => (file, &|text| kingshard::translate(Product::Kingshard, text, database)),
        (_, Some(file), ..) => (file, &|text| kingshard::translate(Product::Gaea, text, database)),
        (_, _, Some(file), _) => (file, &|text| shardingsphere::translate(text, named()?)),
        (_, _, _, Some(file)) => (file, &|text| zebra::translate(text, named()?)),
        (None, None, None, None) => return Err("needs the rules of another product".to_owned()),
    };
    let wrong = |why: String| format!("{}: {why}", file.display());
    let text = std::fs::read_to_string(file).map_err(|error| wrong(error.to_string()))?;
    translate(&text).and_then(Draft::finish).map_err(wrong)
}

fn tell(arguments: &Import, translation: &Translation) -> ExitCode {
    let Translation { yaml, left_out, renames } = translation;
    if arguments.json {
        let renames: Vec<_> = renames
            .iter()
            .map(|rename| json!({ "shard": rename.shard, "statements": rename.statements() }))
            .collect();
        output::print_json(&json!({ "rules": yaml, "left_out": left_out, "renames": renames }));
    } else {
        if arguments.renames {
            let mut shard = "";
            for rename in renames {
                if shard != rename.shard {
                    shard = &rename.shard;
                    output::print(&format!("-- on {shard}\n"));
                }
                output::print(&format!("{}\n", rename.statements().join("\n")));
            }
        } else {
            output::print(yaml);
        }
        for line in left_out {
            eprintln!("left out: {line}");
        }
    }
    if left_out.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
