//! What is the same for every connection to one server: version, collations, the state of a session
//! that has just logged in. Read once, by the first connection.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use crate::backend::image::{DESCRIBED, SessionImage};
use crate::backend::prepared::PreparedAccount;

/// Which server it is; where they differ, this decides.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Flavor {
    /// MySQL, Percona Server.
    MySql,
    /// MariaDB.
    MariaDb,
}

impl Flavor {
    /// From the version text of a greeting.
    #[must_use]
    pub fn of(version: &str) -> Self {
        if version.contains("MariaDB") || version.starts_with("5.5.5-") { Self::MariaDb } else { Self::MySql }
    }
}

/// A collation as the server knows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Collation {
    /// `utf8mb4_general_ci`
    pub name: Box<str>,
    /// `utf8mb4`
    pub charset: Box<str>,
}

/// Facts about one server.
#[derive(Clone, Debug)]
pub struct ServerFacts {
    /// The version text of its greeting.
    pub version: String,
    /// Which server it is.
    pub flavor: Flavor,
    /// A session that has just logged in: charset variables, `autocommit`.
    pub fresh: Arc<SessionImage>,
    /// A session after COM_RESET_CONNECTION: on MySQL what the server's global variables say, whatever the login
    /// named; on MariaDB the same as after the login.
    pub reset: Arc<SessionImage>,
    /// Collations by id.
    pub collations: HashMap<u16, Collation>,
    /// The collation its greeting names: drivers choose theirs by it.
    pub collation: u8,
    /// `max_allowed_packet`, in bytes.
    pub packet_bytes_max: u64,
    /// Whether its column definitions can name types that have none of their own, as MariaDB's JSON.
    pub extended_metadata: bool,
    /// Whether it executes a statement for many rows of parameters at once (COM_STMT_BULK_EXECUTE of MariaDB).
    pub bulk: bool,
    /// Statements that are prepared there, for all connections of this process.
    pub prepared: Arc<PreparedAccount>,
}

/// The variables that every image holds, because a login decides them.
pub const LOGIN_VARIABLES: [&str; 5] =
    ["autocommit", "character_set_client", "character_set_results", "collation_connection", "sql_mode"];

impl ServerFacts {
    /// The image of a session whose client named this collation id in its login. Ids that the server
    /// does not know, or that no client may use (UTF-16 and the like), mean the server's default, as
    /// they do on the server (`thd_init_client_charset`).
    #[must_use]
    pub fn login_image(&self, collation: u16, schema: Option<&[u8]>) -> SessionImage {
        let image = self.fresh.with_schema(schema);
        match self.collations.get(&collation) {
            Some(found) if is_client_charset(&found.charset) => image.with_variables([
                ("character_set_client", found.charset.as_bytes()),
                ("character_set_results", found.charset.as_bytes()),
                ("collation_connection", found.name.as_bytes()),
                (DESCRIBED, found.name.as_bytes()),
            ]),
            _ => image,
        }
    }

    /// The image of a fresh session from the values of [`LOGIN_VARIABLES`], in their order.
    #[must_use]
    pub fn fresh_image(values: &[Option<Vec<u8>>]) -> SessionImage {
        let mut variables: BTreeMap<Box<str>, Box<[u8]>> = LOGIN_VARIABLES
            .iter()
            .zip(values)
            .map(|(name, value)| {
                let value = value.as_deref().unwrap_or_default();
                // `SELECT @@autocommit` says 1 where the tracker says ON.
                let value = match (*name, value) {
                    ("autocommit", b"1") => b"ON".as_slice(),
                    ("autocommit", b"0") => b"OFF".as_slice(),
                    _ => value,
                };
                ((*name).into(), value.into())
            })
            .collect();
        let described = variables.get("collation_connection").cloned();
        variables.extend(described.map(|collation| (DESCRIBED.into(), collation)));
        SessionImage::new(None, variables)
    }
}

/// Charsets that cannot be a client's, because their ASCII takes more than one byte.
fn is_client_charset(charset: &str) -> bool {
    !matches!(charset, "ucs2" | "utf16" | "utf16le" | "utf32")
}

/// Session variables that MySQL is asked to report. `*` would include `statement_id`, which changes
/// with every statement (9.x). Unknown names are ignored by the server with a warning; MariaDB, which
/// has no such variable, is asked for `*`. A variable set by a client that is missing here is read
/// back after the `SET`.
pub const MYSQL_TRACKED: &str = "auto_increment_increment,auto_increment_offset,autocommit,big_tables,\
binlog_direct_non_transactional_updates,binlog_format,binlog_row_image,binlog_row_value_options,\
binlog_rows_query_log_events,block_encryption_mode,bulk_insert_buffer_size,character_set_client,\
character_set_connection,character_set_database,character_set_filesystem,character_set_results,\
character_set_server,collation_connection,collation_database,collation_server,completion_type,\
connection_memory_chunk_size,connection_memory_limit,cte_max_recursion_depth,\
default_collation_for_utf8mb4,default_storage_engine,default_table_encryption,\
default_tmp_storage_engine,default_week_format,div_precision_increment,end_markers_in_json,\
eq_range_index_dive_limit,explain_format,explain_json_format_version,explicit_defaults_for_timestamp,\
foreign_key_checks,generated_random_password_length,group_concat_max_len,group_replication_consistency,\
gtid_next,histogram_generation_max_mem_size,identity,information_schema_stats_expiry,\
innodb_lock_wait_timeout,innodb_parallel_read_threads,innodb_strict_mode,innodb_table_locks,\
insert_id,interactive_timeout,internal_tmp_mem_storage_engine,join_buffer_size,keep_files_on_create,\
last_insert_id,lc_messages,lc_time_names,lock_wait_timeout,long_query_time,low_priority_updates,\
max_error_count,max_execution_time,max_heap_table_size,max_join_size,max_length_for_sort_data,\
max_points_in_geometry,max_seeks_for_key,max_sort_length,max_sp_recursion_depth,\
min_examined_row_limit,myisam_sort_buffer_size,myisam_stats_method,net_read_timeout,net_retry_count,\
net_write_timeout,new,old_alter_table,optimizer_prune_level,optimizer_search_depth,optimizer_switch,\
optimizer_trace,optimizer_trace_features,optimizer_trace_limit,optimizer_trace_max_mem_size,\
optimizer_trace_offset,parser_max_mem_size,preload_buffer_size,print_identified_with_as_hex,profiling,\
profiling_history_size,pseudo_replica_mode,pseudo_slave_mode,pseudo_thread_id,query_alloc_block_size,\
query_prealloc_size,rand_seed1,rand_seed2,range_alloc_block_size,range_optimizer_max_mem_size,\
rbr_exec_mode,read_buffer_size,read_rnd_buffer_size,require_row_format,resultset_metadata,\
select_into_buffer_size,select_into_disk_sync,select_into_disk_sync_delay,set_operations_buffer_size,\
show_create_table_skip_secondary_engine,show_create_table_verbosity,\
show_gipk_in_create_table_and_information_schema,show_old_temporals,sort_buffer_size,\
sql_auto_is_null,sql_big_selects,sql_buffer_result,sql_generate_invisible_primary_key,sql_log_bin,\
sql_log_off,sql_mode,sql_notes,sql_quote_show_create,sql_require_primary_key,sql_safe_updates,\
sql_select_limit,sql_warnings,terminology_use_previous,time_zone,timestamp,tmp_table_size,\
transaction_alloc_block_size,transaction_allow_batching,transaction_isolation,\
transaction_prealloc_size,transaction_read_only,tx_isolation,tx_read_only,unique_checks,\
updatable_views_with_limit,use_secondary_engine,wait_timeout,windowing_use_high_precision,\
xa_detach_on_prepare";
