//! `dazzle rules explain`: where would this statement go, and why?

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;
use serde_json::{Value, json};

use crate::cli::rules::{load_or_tell, output};
use crate::sharding::{Action, KeyLiteral, Plan, Request, ShardingRules, plan};
use crate::sql::{LexMode, Server};

/// Tell where a statement would go: its slots, the predicates that decided, what each slot is sent, the merge;
/// or why it is refused
///
/// Ends with 1 if it is refused. For example: dazzle rules explain orders.yaml -e "SELECT … WHERE user_id = ?" --param 7
#[derive(Debug, Args)]
pub(super) struct Explain {
    /// The rule file
    #[arg(value_name = "FILE")]
    file: PathBuf,

    /// The statement
    #[arg(short = 'e', long, value_name = "SQL")]
    execute: String,

    /// A value for each `?`; one that is no whole number is text
    #[arg(long = "param", value_name = "VALUE")]
    parameters: Vec<String>,

    /// The session's sql_mode
    #[arg(long, value_name = "MODES", default_value = "")]
    sql_mode: String,

    /// Read the statement as MariaDB does, rather than as MySQL does
    #[arg(long)]
    mariadb: bool,

    /// One JSON value, for pipelines
    #[arg(long)]
    json: bool,
}

pub(super) fn run(arguments: &Explain) -> ExitCode {
    let Some(loaded) = load_or_tell(&arguments.file) else { return ExitCode::FAILURE };
    let plan = planned(&loaded.rules, arguments);
    let lines = plan.explain(&loaded.rules, arguments.execute.as_bytes());
    if arguments.json {
        let lines: Vec<Value> =
            lines.iter().map(|(what, text)| json!({ "what": what, "text": text })).collect();
        output::print_json(&json!({ "accepted": accepted(&plan), "plan": lines }));
    } else {
        output::print(&lines.iter().map(|(what, text)| format!("{what:<7} {text}\n")).collect::<String>());
    }
    if accepted(&plan) { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn accepted(plan: &Plan) -> bool {
    !matches!(plan.action, Action::Refuse(_))
}

fn planned(rules: &ShardingRules, arguments: &Explain) -> Plan {
    let parameters: Vec<KeyLiteral<'_>> = arguments
        .parameters
        .iter()
        .map(|value| value.parse().map_or(KeyLiteral::Text(value.as_bytes()), KeyLiteral::Integer))
        .collect();
    let server = match arguments.mariadb {
        true => Server::MariaDb { version: 101_100 },
        false => Server::MySql { version: 80_036 },
    };
    let request = Request {
        text: arguments.execute.as_bytes(),
        mode: LexMode::new(server).with_sql_mode(arguments.sql_mode.as_bytes()),
        utf8: true,
        schema: Some(rules.name()),
        parameters: &parameters,
    };
    plan(rules, &request)
}
