//! What a statement is: its kind and whether it only reads.

/// Whether a statement may be sent to a replica.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Access {
    /// It reads, locks nothing, and calls no function that is known to write.
    Read,
    /// Everything else.
    Write,
}

macro_rules! kinds {
    ($(#[$meta:meta])* $name:ident { $($(#[$doc:meta])+ $variant:ident $(($inner:ty))? = $text:literal,)+ }) => {
        $(#[$meta])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub enum $name { $($(#[$doc])+ $variant $(($inner))?,)+ }

        impl $name {
            /// Its name for logs, metrics and pages.
            #[must_use]
            pub const fn name(self) -> &'static str {
                match self { $(Self::$variant { .. } => $text,)+ }
            }
        }
    };
}

kinds! {
    /// What kind of statement a text is; the first one's if it holds several.
    Kind {
        /// Blanks and comments only.
        Empty = "empty",
        /// SELECT, parenthesised, WITH … SELECT, unions.
        Select = "select",
        /// VALUES ROW(…).
        Values = "values",
        /// TABLE t.
        Table = "table",
        /// INSERT.
        Insert = "insert",
        /// REPLACE.
        Replace = "replace",
        /// UPDATE.
        Update = "update",
        /// DELETE.
        Delete = "delete",
        /// CALL.
        Call = "call",
        /// DO.
        Do = "do",
        /// SET of variables, names, roles, passwords, transaction characteristics.
        Set = "set",
        /// USE.
        Use = "use",
        /// BEGIN, START TRANSACTION.
        Begin = "begin",
        /// COMMIT.
        Commit = "commit",
        /// ROLLBACK of the transaction.
        Rollback = "rollback",
        /// ROLLBACK TO a savepoint.
        RollbackTo = "rollback_to",
        /// SAVEPOINT.
        Savepoint = "savepoint",
        /// RELEASE SAVEPOINT.
        ReleaseSavepoint = "release_savepoint",
        /// XA in all its forms.
        Xa = "xa",
        /// SHOW.
        Show(ShowKind) = "show",
        /// DESCRIBE t, EXPLAIN t.
        Describe = "describe",
        /// EXPLAIN of a statement, which is not executed.
        Explain = "explain",
        /// EXPLAIN ANALYZE, MariaDB's ANALYZE: the statement is executed.
        Analyze = "analyze",
        /// HELP.
        Help = "help",
        /// CREATE TABLE.
        CreateTable = "create_table",
        /// DROP TABLE.
        DropTable = "drop_table",
        /// TRUNCATE.
        Truncate = "truncate",
        /// CREATE, ALTER, DROP, RENAME of anything else.
        Ddl = "ddl",
        /// Users, roles and privileges.
        Account = "account",
        /// LOCK TABLES.
        LockTables = "lock_tables",
        /// UNLOCK TABLES.
        UnlockTables = "unlock_tables",
        /// LOCK INSTANCE FOR BACKUP, MariaDB's BACKUP STAGE and BACKUP LOCK.
        LockInstance = "lock_instance",
        /// UNLOCK INSTANCE, BACKUP STAGE END, BACKUP UNLOCK.
        UnlockInstance = "unlock_instance",
        /// LOAD DATA, LOAD XML.
        Load = "load",
        /// PREPARE.
        Prepare = "prepare",
        /// EXECUTE, EXECUTE IMMEDIATE.
        Execute = "execute",
        /// DEALLOCATE PREPARE, DROP PREPARE.
        Deallocate = "deallocate",
        /// KILL.
        Kill = "kill",
        /// HANDLER.
        Handler = "handler",
        /// FLUSH.
        Flush = "flush",
        /// RESET.
        Reset = "reset",
        /// ANALYZE, CHECK, CHECKSUM, OPTIMIZE, REPAIR TABLE, CACHE INDEX, LOAD INDEX.
        Maintenance = "maintenance",
        /// CHANGE, START, STOP of replication, PURGE BINARY LOGS, BINLOG.
        Replication = "replication",
        /// SHUTDOWN, RESTART, CLONE, INSTALL, UNINSTALL, IMPORT.
        Admin = "admin",
        /// SIGNAL, RESIGNAL.
        Signal = "signal",
        /// GET DIAGNOSTICS.
        GetDiagnostics = "get_diagnostics",
        /// MariaDB's BEGIN NOT ATOMIC, and IF, LOOP … outside of a routine.
        Compound = "compound",
        /// Nothing that is known here.
        Unknown = "unknown",
    }
}

kinds! {
    /// What a SHOW shows.
    ShowKind {
        /// SHOW DATABASES.
        Databases = "databases",
        /// SHOW TABLES, TABLE STATUS, OPEN TABLES, COLUMNS, INDEX, CREATE …, TRIGGERS, EVENTS, routines.
        Schema = "schema",
        /// SHOW VARIABLES.
        Variables = "variables",
        /// SHOW STATUS.
        Status = "status",
        /// SHOW WARNINGS, SHOW ERRORS, SHOW COUNT(*) of them.
        Diagnostics = "diagnostics",
        /// SHOW PROCESSLIST.
        Processlist = "processlist",
        /// SHOW PROFILE, SHOW PROFILES: of this session.
        Profile = "profile",
        /// SHOW GRANTS, SHOW CREATE USER, PRIVILEGES.
        Grants = "grants",
        /// SHOW CHARACTER SET, COLLATION, ENGINES, PLUGINS and what else is the same on every server.
        Server = "server",
        /// SHOW of binary logs, replicas, one engine's status: of one server.
        Instance = "instance",
        /// Nothing that is known here.
        Other = "other",
    }
}
