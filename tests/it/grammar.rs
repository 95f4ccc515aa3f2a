//! The statement tree against real servers: an expression and its outline, in which every precedence is spelt
//! out, have the same value.

use dazzle::lab::Server;
use dazzle::sql::tree::parse;
use dazzle::sql::{LexMode, Server as Grammar};
use rand::rngs::SmallRng;
use rand::{RngExt, SeedableRng};

use crate::support::{At, Conn, Login};

const EXPRESSIONS: usize = 2_500;

const OPERANDS: [&str; 12] =
    ["0", "1", "2", "3", "NULL", "'a'", "'1'", "1.5", "TRUE", "('b')", "(0 OR 2)", "(SELECT 2)"];

const PREFIXES: [&str; 8] = ["", "", "", "-", "!", "~", "BINARY ", "NOT "];

const OPERATORS: [&str; 40] = [
    "OR",
    "||",
    "XOR",
    "AND",
    "&&",
    "=",
    "<=>",
    "<>",
    "<",
    "<=",
    ">",
    ">=",
    "!=",
    "|",
    "&",
    "<<",
    ">>",
    "+",
    "-",
    "*",
    "/",
    "%",
    "DIV",
    "MOD",
    "^",
    "LIKE",
    "NOT LIKE",
    "REGEXP",
    "= NOT",
    "AND NOT",
    "OR NOT",
    "XOR NOT",
    "SOUNDS LIKE",
    "= ALL (SELECT 1) OR",
    "IN (1, 2) AND",
    "NOT IN (0, 3) =",
    "IS NULL OR",
    "IS NOT TRUE AND",
    "BETWEEN 0 AND",
    "NOT BETWEEN 1 AND",
];

const SUFFIXES: [&str; 8] =
    ["", "", "", " IS NULL", " IN (1, 2)", " IS NOT FALSE", " BETWEEN 0 AND 2", " COLLATE utf8mb4_bin"];

fn expression(rng: &mut SmallRng) -> String {
    let mut pick = |from: &[&'static str]| from[rng.random_range(0..from.len())];
    let mut text = format!("{}{}{}", pick(&PREFIXES), pick(&OPERANDS), pick(&SUFFIXES));
    for _ in 0..pick(&["1", "2", "3", "4"]).parse().unwrap() {
        text += &format!(" {} {}{}{}", pick(&OPERATORS), pick(&PREFIXES), pick(&OPERANDS), pick(&SUFFIXES));
    }
    text
}

async fn value(conn: &mut Conn, expression: &str) -> Result<String, u16> {
    let reply = conn.query(expression).await;
    conn.log.clear();
    reply.error().map_or_else(|| Ok(reply.value()), Err)
}

async fn check(server: &'static Server, sql_mode: &str) {
    let mut conn = Login::new(At::Tcp(server.address().to_string())).connect().await;
    conn.ok(&format!("SET sql_mode = '{sql_mode}'")).await;
    let version = conn.value("SELECT VERSION()").await;
    let mode = LexMode::new(Grammar::from_version_text(&version)).with_sql_mode(sql_mode.as_bytes());
    let seed = 0x0DA2_21E5;
    eprintln!("seed {seed:#x}, {version}");
    let mut rng = SmallRng::seed_from_u64(seed);
    let (mut compared, mut unparsed, mut wrong) = (0, 0, Vec::new());
    for _ in 0..EXPRESSIONS {
        let text = format!("SELECT {}", expression(&mut rng));
        let expected = value(&mut conn, &text).await;
        if expected == Err(1064) {
            continue;
        }
        let Ok(tree) = parse(text.as_bytes(), mode) else {
            unparsed += 1;
            continue;
        };
        compared += 1;
        let outline = tree.outline(text.as_bytes());
        let found = value(&mut conn, &outline).await;
        if found != expected {
            wrong.push(format!("{text}: {expected:?}\n  {outline}: {found:?}"));
        }
    }
    eprintln!("{compared} compared, {unparsed} unparsed");
    assert!(wrong.is_empty(), "{} of {compared} are misread:\n{}", wrong.len(), wrong.join("\n"));
    assert!(compared > EXPRESSIONS / 4, "{compared} of {EXPRESSIONS} were compared");
}

both! {
    async fn an_expression_and_its_outline_have_one_value(server) {
        check(server, "").await;
    }
    async fn with_pipes_as_concat_too(server) {
        check(server, "PIPES_AS_CONCAT").await;
    }
    async fn with_high_not_precedence_too(server) {
        check(server, "HIGH_NOT_PRECEDENCE").await;
    }
}
