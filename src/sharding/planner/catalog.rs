//! Questions about the logical database's tables in `information_schema`, put to one server that has a slot of each.
//!
//! Each of its tables is narrowed to the slots' databases, one for each table of the rules, and where a name of such a
//! database would be seen, the logical one stands in its place: so conditions, order and result speak of the logical
//! database alone, and whatever else is on that server is not there.

use crate::sharding::homes::Homes;
use crate::sharding::planner::splice::Edits;
use crate::sharding::planner::{Action, Refusal, Request, Sql};
use crate::sharding::rules::{ShardingRules, TableId};
use crate::sharding::slots::SlotId;
use crate::sql::Server;
use crate::sql::tree::{
    Body, ColumnName, Condition, ExprKind, ItemKind, Root, Span, TableKind, TableName, Tree,
};

/// Tables about those of a schema: their columns for the schema and, if they have one, the table.
const OF_SCHEMA: [(&str, &str, Option<&str>); 9] = [
    ("TABLES", "TABLE_SCHEMA", Some("TABLE_NAME")),
    ("COLUMNS", "TABLE_SCHEMA", Some("TABLE_NAME")),
    ("STATISTICS", "TABLE_SCHEMA", Some("TABLE_NAME")),
    ("KEY_COLUMN_USAGE", "TABLE_SCHEMA", Some("TABLE_NAME")),
    ("TABLE_CONSTRAINTS", "TABLE_SCHEMA", Some("TABLE_NAME")),
    ("REFERENTIAL_CONSTRAINTS", "CONSTRAINT_SCHEMA", Some("TABLE_NAME")),
    ("CHECK_CONSTRAINTS", "CONSTRAINT_SCHEMA", None),
    ("VIEWS", "TABLE_SCHEMA", Some("TABLE_NAME")),
    ("TRIGGERS", "EVENT_OBJECT_SCHEMA", Some("EVENT_OBJECT_TABLE")),
];

/// Tables that are the same on every server.
const OF_SERVER: [&str; 6] = [
    "CHARACTER_SETS",
    "COLLATIONS",
    "COLLATION_CHARACTER_SET_APPLICABILITY",
    "ENGINES",
    "PLUGINS",
    "KEYWORDS",
];

/// Columns that hold the name of a schema.
const SCHEMAS: [&str; 7] = [
    "TABLE_SCHEMA",
    "CONSTRAINT_SCHEMA",
    "REFERENCED_TABLE_SCHEMA",
    "UNIQUE_CONSTRAINT_SCHEMA",
    "INDEX_SCHEMA",
    "EVENT_OBJECT_SCHEMA",
    "TRIGGER_SCHEMA",
];

/// Columns of TABLES that count what one slot has.
const COUNTS: [&str; 10] = [
    "TABLE_ROWS",
    "AVG_ROW_LENGTH",
    "DATA_LENGTH",
    "MAX_DATA_LENGTH",
    "INDEX_LENGTH",
    "DATA_FREE",
    "AUTO_INCREMENT",
    "CREATE_TIME",
    "UPDATE_TIME",
    "CHECK_TIME",
];

/// What is done with a question about `information_schema` alone; None for any other statement.
pub(super) fn plan(
    rules: &ShardingRules,
    request: &Request<'_>,
    tree: &Tree,
) -> Result<Option<Action>, Refusal> {
    let tables = tables(request, tree);
    if !matches!(tree.root, Root::Query(_))
        || tables.is_empty()
        || !tables.iter().all(|table| is_catalog(request, *table))
    {
        return Ok(None);
    }
    let known = |table: &TableName| {
        let name = table.table.name(request.text);
        OF_SCHEMA.iter().find(|(known, ..)| name.eq_ignore_ascii_case(known.as_bytes()))
    };
    let global = |table: &TableName| {
        let name = table.table.name(request.text);
        OF_SERVER.iter().any(|known| name.eq_ignore_ascii_case(known.as_bytes()))
    };
    if tables.iter().all(global) {
        return Ok(Some(Action::Any { sql: Sql::Client }));
    }
    let homes = rules.homes(SlotId(0)).ok_or(Refusal::Catalog { what: "tables that no shard has all of" })?;
    let mut edits = Edits::default();
    for table in tables.iter().filter(|table| !global(table)) {
        let (name, schema, column) = *known(table).ok_or(Refusal::Catalog { what: "this table" })?;
        let start = table.schema.unwrap_or(table.table).start;
        let narrowed = narrowed(rules, &homes, name, (schema, column));
        let alias = if has_alias(tree, *table) { String::new() } else { format!(" AS `{name}`") };
        edits.replace(Span::new(start, table.table.end), narrowed + &alias);
    }
    is_plain(tree, request)?;
    names(rules, request, tree, &homes, &mut edits)?;
    let slot = homes.slots.first().map_or(SlotId(0), |(slot, _)| *slot);
    Ok(Some(Action::One { slot, sql: Sql::Changed(edits.apply(request.text)) }))
}

fn tables(request: &Request<'_>, tree: &Tree) -> Vec<TableName> {
    let queries: Vec<Span> = tree
        .queries()
        .iter()
        .filter_map(|query| query.with.as_ref())
        .flat_map(|with| with.tables.iter().map(|table| table.name))
        .collect();
    let common = |name: &TableName| {
        name.schema.is_none()
            && queries
                .iter()
                .any(|query| query.name(request.text).eq_ignore_ascii_case(&name.table.name(request.text)))
    };
    let named = tree.tables().iter().filter_map(|table| match &table.kind {
        TableKind::Table { name, .. } if !common(name) => Some(*name),
        _ => None,
    });
    named.collect()
}

fn is_catalog(request: &Request<'_>, table: TableName) -> bool {
    table.schema.is_some_and(|schema| schema.name(request.text).eq_ignore_ascii_case(b"information_schema"))
}

fn has_alias(tree: &Tree, wanted: TableName) -> bool {
    tree.tables()
        .iter()
        .any(|table| matches!(&table.kind, TableKind::Table { name, alias: Some(_), .. } if *name == wanted))
}

/// The rows of a table that are about the slots' tables.
fn narrowed(
    rules: &ShardingRules,
    homes: &Homes,
    table: &str,
    (schema, column): (&str, Option<&str>),
) -> String {
    let of = |(slot, tables): &(SlotId, Vec<TableId>)| {
        let database = quoted(&rules.slot(*slot).database);
        let Some(column) = column else { return format!("{schema} = {database}") };
        let names: Vec<String> = tables.iter().map(|table| quoted(&rules.table(*table).name)).collect();
        format!("{schema} = {database} AND {column} IN ({})", names.join(", "))
    };
    let all: Vec<String> = homes.slots.iter().map(of).collect();
    format!("(SELECT * FROM information_schema.{table} WHERE {})", all.join(" OR "))
}

fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\\', "\\\\").replace('\'', "''"))
}

/// Whether every name of a schema can be found in the text.
fn is_plain(tree: &Tree, request: &Request<'_>) -> Result<(), Refusal> {
    if tree.executable_comment {
        return Err(Refusal::Catalog { what: "an executable comment beside it" });
    }
    for query in tree.queries() {
        let star = match &query.body {
            Body::Select(select) => {
                select.items.iter().any(|item| matches!(item.kind, ItemKind::Star | ItemKind::TableStar(_)))
            }
            Body::Table(_) => true,
            Body::Set(_) | Body::Nested(_) | Body::Values(_) => false,
        };
        if star {
            return Err(Refusal::Catalog { what: "every column of it" });
        }
    }
    for table in tree.tables() {
        if let TableKind::Join(join) = &table.kind
            && matches!(join.condition, Condition::Natural | Condition::Using(_))
        {
            return Err(Refusal::Catalog { what: "a join by USING" });
        }
    }
    for expr in tree.exprs() {
        let ExprKind::Column(name) = &expr.kind else { continue };
        if name.schema.is_some() {
            return Err(Refusal::Catalog { what: "a column with the name of its schema" });
        }
        let column = name.column.name(request.text);
        if COUNTS.iter().any(|count| column.eq_ignore_ascii_case(count.as_bytes())) {
            return Err(Refusal::Catalog { what: "a number of one slot's rows or bytes" });
        }
    }
    Ok(())
}

/// Puts the logical database's name where one of a slot's would be seen.
fn names(
    rules: &ShardingRules,
    request: &Request<'_>,
    tree: &Tree,
    homes: &Homes,
    edits: &mut Edits,
) -> Result<(), Refusal> {
    let databases: Vec<String> =
        homes.slots.iter().map(|(slot, _)| quoted(&rules.slot(*slot).database)).collect();
    let (databases, logical) = (databases.join(", "), quoted(rules.name()));
    for expr in tree.exprs() {
        match &expr.kind {
            ExprKind::Column(name) if is_schema(request, *name) => {
                let written = String::from_utf8_lossy(expr.span.of(request.text)).into_owned();
                edits.replace(expr.span, format!("IF({written} IN ({databases}), {logical}, {written})"));
            }
            ExprKind::Call(call)
                if call.arguments.is_empty()
                    && matches!(call.name.as_deref(), Some("DATABASE" | "SCHEMA")) =>
            {
                edits.replace(expr.span, logical.as_str());
            }
            _ => {}
        }
    }
    for query in tree.queries() {
        let Body::Select(select) = &query.body else { continue };
        for item in &select.items {
            let ItemKind::Expr(expr, None) = item.kind else { continue };
            let title = match &tree.expr(expr).kind {
                // To MySQL they are columns of views, and called as those are; to MariaDB as they are written.
                ExprKind::Column(name) => {
                    let written = String::from_utf8_lossy(&name.column.name(request.text)).into_owned();
                    if matches!(request.mode.server, Server::MySql { .. }) {
                        written.to_uppercase()
                    } else {
                        written
                    }
                }
                _ if edits.touch(item.span) => {
                    let written = item.span.of(request.text);
                    if written.len() > 64 || !written.is_ascii() {
                        return Err(Refusal::Catalog { what: "a long column without an alias" });
                    }
                    String::from_utf8_lossy(written).into_owned()
                }
                _ => continue,
            };
            edits.replace(item.span.after(), format!(" AS `{}`", title.replace('`', "``")));
        }
    }
    Ok(())
}

fn is_schema(request: &Request<'_>, name: ColumnName) -> bool {
    let column = name.column.name(request.text);
    SCHEMAS.iter().any(|known| column.eq_ignore_ascii_case(known.as_bytes()))
}
