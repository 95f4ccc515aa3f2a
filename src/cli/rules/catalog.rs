//! What the servers' `information_schema` says about the tables of some rules.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use mysql_async::prelude::Queryable;
use mysql_async::{Conn, OptsBuilder, Row};
use tokio::runtime::Builder;
use tokio::time::timeout;

use crate::config::{Cluster, Config};
use crate::sharding::{Shard, ShardId, ShardingRules, SlotId};

/// For the login and each question to one server.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(30);

/// A column as a server has it.
#[derive(Clone, Debug, Default)]
pub(super) struct Column {
    pub(super) data_type: String,
    pub(super) column_type: String,
    pub(super) unsigned: bool,
    pub(super) collation: Option<String>,
    /// Characters at most, or bytes of a binary type.
    pub(super) length: Option<u64>,
    /// Of a second's fraction.
    pub(super) digits: Option<u64>,
    pub(super) nullable: bool,
    /// AUTO_INCREMENT.
    pub(super) counted: bool,
}

/// Tables by slot and name in lower case.
#[derive(Clone, Debug, Default)]
pub(super) struct Catalog {
    tables: BTreeMap<(SlotId, String), TableFacts>,
    /// Databases by cluster, both in lower case.
    databases: BTreeSet<(String, String)>,
}

#[derive(Clone, Debug, Default)]
struct TableFacts {
    columns: BTreeMap<String, Column>,
    unique: BTreeMap<String, Vec<String>>,
}

impl Catalog {
    /// Whether the slot has the table.
    pub(super) fn has(&self, slot: SlotId, table: &str) -> bool {
        self.tables.contains_key(&(slot, table.to_lowercase()))
    }

    /// Whether the cluster has the database, with tables or without.
    pub(super) fn has_database(&self, cluster: &str, database: &str) -> bool {
        self.databases.contains(&(cluster.to_lowercase(), database.to_lowercase()))
    }

    /// A column, if it exists.
    pub(super) fn column(&self, slot: SlotId, table: &str, column: &str) -> Option<&Column> {
        self.tables.get(&(slot, table.to_lowercase()))?.columns.get(&column.to_lowercase())
    }

    /// All columns of a table, by name.
    pub(super) fn columns(&self, slot: SlotId, table: &str) -> impl Iterator<Item = (&str, &Column)> {
        let facts = self.tables.get(&(slot, table.to_lowercase())).into_iter();
        facts.flat_map(|facts| facts.columns.iter().map(|(name, column)| (name.as_str(), column)))
    }

    /// The table's unique keys with their columns.
    pub(super) fn unique_keys(&self, slot: SlotId, table: &str) -> impl Iterator<Item = (&str, &[String])> {
        let facts = self.tables.get(&(slot, table.to_lowercase())).into_iter();
        facts.flat_map(|facts| facts.unique.iter().map(|(name, columns)| (name.as_str(), columns.as_slice())))
    }

    /// Takes in a table.
    #[cfg(test)]
    pub(super) fn add_table(&mut self, slot: SlotId, table: &str) {
        self.facts(slot, table);
    }

    /// Takes in a column.
    pub(super) fn add_column(&mut self, slot: SlotId, table: &str, name: &str, column: Column) {
        self.facts(slot, table).columns.insert(name.to_lowercase(), column);
    }

    /// Takes in a column of a unique key.
    pub(super) fn add_unique(&mut self, slot: SlotId, table: &str, key: &str, column: &str) {
        self.facts(slot, table).unique.entry(key.to_owned()).or_default().push(column.to_lowercase());
    }

    fn facts(&mut self, slot: SlotId, table: &str) -> &mut TableFacts {
        self.tables.entry((slot, table.to_lowercase())).or_default()
    }
}

/// Asks the primary of every shard.
pub(super) fn read(config: &Config, rules: &ShardingRules) -> Result<Catalog, String> {
    let runtime = Builder::new_current_thread().enable_all().build().map_err(|error| error.to_string())?;
    runtime.block_on(async {
        let mut catalog = Catalog::default();
        for shard in rules.shards() {
            let cluster = config.clusters.get(&*shard.cluster).ok_or_else(|| {
                format!(
                    "the configuration has no cluster `{}`, which shard `{}` is",
                    shard.cluster, shard.name
                )
            })?;
            let slots: BTreeMap<String, SlotId> = (0..rules.slots().len())
                .map(|index| SlotId(index as u16))
                .filter(|slot| rules.shard_of(*slot).name == shard.name)
                .map(|slot| (rules.slot(slot).database.to_lowercase(), slot))
                .collect();
            match timeout(ANSWER_TIMEOUT, ask(shard, cluster, &slots, &mut catalog)).await {
                Ok(answer) => answer.map_err(|error| format!("shard `{}`: {error}", shard.name))?,
                Err(_) => return Err(format!("shard `{}` did not answer in time", shard.name)),
            }
        }
        Ok(catalog)
    })
}

/// Executes each statement on the primary of its shard; the first error ends all.
pub(super) fn execute(
    config: &Config,
    rules: &ShardingRules,
    statements: &[(ShardId, String)],
) -> Result<(), String> {
    let runtime = Builder::new_current_thread().enable_all().build().map_err(|error| error.to_string())?;
    runtime.block_on(async {
        for (number, shard) in rules.shards().iter().enumerate() {
            let own: Vec<&str> = statements
                .iter()
                .filter(|(shard, _)| usize::from(shard.0) == number)
                .map(|(_, sql)| sql.as_str())
                .collect();
            let Some(cluster) = config.clusters.get(&*shard.cluster).filter(|_| !own.is_empty()) else {
                continue;
            };
            let run = async {
                let mut connection = Conn::new(options(cluster)).await?;
                for sql in own {
                    connection.query_drop(sql).await?;
                }
                connection.disconnect().await
            };
            match timeout(ANSWER_TIMEOUT, run).await {
                Ok(answer) => answer.map_err(|error| format!("shard `{}`: {error}", shard.name))?,
                Err(_) => return Err(format!("shard `{}` did not answer in time", shard.name)),
            }
        }
        Ok(())
    })
}

async fn ask(
    shard: &Shard,
    cluster: &Cluster,
    slots: &BTreeMap<String, SlotId>,
    catalog: &mut Catalog,
) -> Result<(), mysql_async::Error> {
    let mut connection = Conn::new(options(cluster)).await?;
    let names: Vec<String> = connection.query("SELECT SCHEMA_NAME FROM information_schema.SCHEMATA").await?;
    catalog
        .databases
        .extend(names.into_iter().map(|name| (shard.cluster.to_lowercase(), name.to_lowercase())));
    if slots.is_empty() {
        return connection.disconnect().await;
    }
    let marks = vec!["?"; slots.len()].join(", ");
    let names: Vec<&str> = slots.keys().map(String::as_str).collect();
    let columns = format!(
        "SELECT TABLE_SCHEMA, TABLE_NAME, COLUMN_NAME, DATA_TYPE, COLUMN_TYPE, COLLATION_NAME, \
         CHARACTER_MAXIMUM_LENGTH, DATETIME_PRECISION, IS_NULLABLE, EXTRA \
         FROM information_schema.COLUMNS WHERE LOWER(TABLE_SCHEMA) IN ({marks})"
    );
    let rows: Vec<Row> = connection.exec(columns, names.clone()).await?;
    for row in rows {
        let text = |index| row.get::<Option<String>, _>(index).flatten();
        let (Some(schema), Some(table), Some(name)) = (text(0), text(1), text(2)) else { continue };
        let Some(slot) = slots.get(&schema.to_lowercase()) else { continue };
        let data_type = text(3).unwrap_or_default().to_lowercase();
        let column_type = without_width(&data_type, text(4).unwrap_or_default());
        let column = Column {
            data_type,
            unsigned: column_type.contains("unsigned"),
            column_type,
            collation: text(5),
            length: row.get::<Option<u64>, _>(6).flatten(),
            digits: row.get::<Option<u64>, _>(7).flatten(),
            nullable: text(8).is_some_and(|nullable| nullable == "YES"),
            counted: text(9).is_some_and(|extra| extra.to_lowercase().contains("auto_increment")),
        };
        catalog.add_column(*slot, &table, &name, column);
    }
    let unique = format!(
        "SELECT TABLE_SCHEMA, TABLE_NAME, INDEX_NAME, COLUMN_NAME FROM information_schema.STATISTICS \
         WHERE NON_UNIQUE = 0 AND COLUMN_NAME IS NOT NULL AND LOWER(TABLE_SCHEMA) IN ({marks}) \
         ORDER BY TABLE_SCHEMA, TABLE_NAME, INDEX_NAME, SEQ_IN_INDEX"
    );
    let rows: Vec<(String, String, String, String)> = connection.exec(unique, names).await?;
    for (schema, table, key, column) in rows {
        if let Some(slot) = slots.get(&schema.to_lowercase()) {
            catalog.add_unique(*slot, &table, &key, &column);
        }
    }
    connection.disconnect().await
}

/// Older servers tell a width of whole numbers that says nothing.
fn without_width(data_type: &str, column_type: String) -> String {
    match (data_type.ends_with("int"), column_type.split_once('('), column_type.split_once(')')) {
        (true, Some((head, _)), Some((_, tail))) => format!("{head}{tail}"),
        _ => column_type,
    }
}

/// The cluster's own account on its primary.
pub(super) fn options(cluster: &Cluster) -> OptsBuilder {
    let options = OptsBuilder::default()
        .user(cluster.server_user.clone())
        .pass(cluster.server_password.as_ref().map(|password| password.reveal().to_owned()))
        .prefer_socket(false);
    if cluster.primary.starts_with('/') {
        return options.socket(Some(cluster.primary.clone()));
    }
    let (host, port) = cluster.primary.rsplit_once(':').unwrap_or((&cluster.primary, "3306"));
    let host = host.trim_start_matches('[').trim_end_matches(']').to_owned();
    options.ip_or_hostname(host).tcp_port(port.parse().unwrap_or(3306))
}
