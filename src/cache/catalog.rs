//! What the names of a server's tables stand for: which of them are plain tables, so that a result is all theirs,
//! and a write of one changes no other.
//!
//! It is asked of the server, through an account of a client's; an account that may not see every trigger cannot
//! vouch for writes. What is known is believed for a while, and not beyond a change of definitions that passes here.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use arc_swap::ArcSwap;
use parking_lot::Mutex;
use tokio::time::Instant;

use crate::cache::keys::KeyColumn;

/// It is asked anew after this time,
const FRESH: Duration = Duration::from_secs(10);

/// and not believed any more after this.
const BELIEVED: Duration = Duration::from_secs(30);

/// Between two questions of the same account.
const PAUSE: Duration = Duration::from_millis(500);

/// Servers and accounts that are known at once.
const CATALOGS_MAX: usize = 1_024;

/// Whose knowledge it is.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct CatalogKey {
    /// The server.
    pub server: Box<str>,
    /// The account there; `None`: anybody's.
    pub account: Option<Box<str>>,
}

/// See the module's text. Names are in lower case, without schemas: one that is not plain in one schema is plain in none.
#[derive(Debug)]
pub struct Catalog {
    /// Whether it knows of every view, trigger and foreign key.
    complete: bool,
    /// Names whose writes change other tables, or that are not tables.
    entangled: HashSet<Box<str>>,
    /// Names whose rows' writes change rows of other tables without a word in the binary log.
    parents: HashSet<Box<str>>,
    /// Names that are not tables, or whose rows are not all that a read of them depends on.
    unfit: HashSet<Box<str>>,
    /// The keys of the tables that rules name.
    keys: HashMap<Box<str>, Option<KeyColumn>>,
    /// Where these stand in their tables, by table and schema.
    places: HashMap<Box<str>, Option<KeyPlace>>,
    at: Instant,
    /// Since then the places are known to be these.
    placed_at: Instant,
}

/// Where the key of a table stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KeyPlace {
    /// Its number among the columns, from 0.
    pub column: usize,
    /// How many columns there are.
    pub columns: usize,
}

impl Catalog {
    /// The question. `tables` are those that rules name, `keys` the keys, as `table.column`.
    #[must_use]
    pub fn question<'a>(
        tables: impl Iterator<Item = &'a str>,
        keys: impl Iterator<Item = (&'a str, &'a str)>,
    ) -> String {
        // A name is a rule's, of letters, digits and `_`, `$`, `-`.
        fn list(names: impl Iterator<Item = String>) -> String {
            let names: Vec<String> = names.map(|name| format!("'{name}'")).collect();
            if names.is_empty() { "''".to_owned() } else { names.join(",") }
        }
        let named = list(tables.map(str::to_owned));
        let (keyed, keys): (Vec<_>, Vec<_>) =
            keys.map(|(table, column)| (table.to_owned(), format!("{table}.{column}"))).unzip();
        let (keyed, keys) = (list(keyed.into_iter()), list(keys.into_iter()));
        let is_key = format!(
            "IF(LOWER(TABLE_NAME) IN ({keyed}),LOWER(CONCAT(TABLE_NAME,'.',COLUMN_NAME)) IN ({keys}),COLUMN_KEY='PRI')"
        );
        let own = "('information_schema','performance_schema','mysql','sys','ndbinfo')";
        let rules = "('CASCADE','SET NULL','SET DEFAULT')";
        let grantee = "CONCAT('''',SUBSTRING_INDEX(CURRENT_USER(),'@',1),'''@''',\
                       SUBSTRING_INDEX(CURRENT_USER(),'@',-1),'''')";
        format!(
            "(SELECT 'kind' AS what,TABLE_NAME AS name FROM information_schema.TABLES \
               WHERE TABLE_SCHEMA NOT IN {own} AND (TABLE_TYPE<>'BASE TABLE' OR ENGINE IS NULL \
               OR ENGINE NOT IN ('InnoDB','MyISAM','Aria','ROCKSDB'))) \
             UNION ALL (SELECT 'trigger',EVENT_OBJECT_TABLE FROM information_schema.TRIGGERS) \
             UNION ALL (SELECT 'parent',REFERENCED_TABLE_NAME FROM information_schema.REFERENTIAL_CONSTRAINTS \
               WHERE UPDATE_RULE IN {rules} OR DELETE_RULE IN {rules}) \
             UNION ALL (SELECT 'column',TABLE_NAME FROM information_schema.COLUMNS \
               WHERE LOWER(TABLE_NAME) IN ({named}) AND (EXTRA LIKE '%VIRTUAL%' OR DATA_TYPE='time')) \
             UNION ALL (SELECT 'place',CONCAT(COUNT(*),'/',MAX(IF({is_key},ORDINAL_POSITION,0)),'/',\
               LOWER(TABLE_NAME),'/',TABLE_SCHEMA) FROM information_schema.COLUMNS \
               WHERE LOWER(TABLE_NAME) IN ({named}) AND TABLE_SCHEMA NOT IN {own} GROUP BY TABLE_SCHEMA,TABLE_NAME) \
             UNION ALL (SELECT 'key',CONCAT(LOWER(TABLE_NAME),' ',IFNULL(GROUP_CONCAT(IF({is_key},\
               CONCAT_WS('|',COLUMN_NAME,DATA_TYPE,COLUMN_TYPE LIKE '%unsigned%',EXTRA),NULL)),'')) \
               FROM information_schema.COLUMNS \
               WHERE LOWER(TABLE_NAME) IN ({named}) AND TABLE_SCHEMA NOT IN {own} GROUP BY TABLE_SCHEMA,TABLE_NAME) \
             UNION ALL (SELECT 'sees',PRIVILEGE_TYPE FROM information_schema.USER_PRIVILEGES \
               WHERE GRANTEE={grantee} AND PRIVILEGE_TYPE IN ('SELECT','TRIGGER')) \
             UNION ALL (SELECT 'null','' FROM DUAL WHERE @@GLOBAL.sql_auto_is_null=1) \
             UNION ALL (SELECT 'end','') LIMIT 10000000"
        )
    }

    /// What the answer says; `None` if it is not whole.
    #[must_use]
    pub fn read(rows: &[Vec<Option<Vec<u8>>>], now: Instant) -> Option<Self> {
        let (entangled, parents, unfit) = (HashSet::new(), HashSet::new(), HashSet::new());
        let (keys, places, placed_at) = (HashMap::new(), HashMap::new(), now);
        let mut catalog =
            Self { complete: false, entangled, parents, unfit, keys, places, at: now, placed_at };
        let (mut whole, mut sees) = (false, 0);
        for row in rows {
            let [Some(what), name] = row.as_slice() else { return None };
            let name = String::from_utf8_lossy(name.as_deref().unwrap_or_default()).to_lowercase();
            match what.as_slice() {
                b"kind" => {
                    catalog.unfit.insert(name.as_str().into());
                    catalog.entangled.insert(name.into());
                }
                b"parent" => {
                    catalog.parents.insert(name.as_str().into());
                    catalog.entangled.insert(name.into());
                }
                b"trigger" => drop(catalog.entangled.insert(name.into())),
                b"column" => drop(catalog.unfit.insert(name.into())),
                b"key" => catalog.learn_key(&name),
                b"place" => catalog.learn_place(&name),
                b"sees" => sees += 1,
                // `WHERE id IS NULL` may mean the last generated id.
                b"null" => return None,
                b"end" => whole = true,
                _ => return None,
            }
        }
        catalog.complete = sees == 2;
        whole.then_some(catalog)
    }

    /// A table of one schema, and its key: `table column|type|unsigned|extra`. Without exactly one it has none.
    fn learn_key(&mut self, told: &str) {
        let Some((table, key)) = told.split_once(' ') else { return };
        let key = match *key.split('|').collect::<Vec<_>>() {
            [name, data_type, unsigned, extra] => KeyColumn::of(name, data_type, unsigned == "1", extra),
            _ => None,
        };
        let of_all = self.keys.entry(table.into()).or_insert_with(|| key.clone());
        if *of_all != key {
            *of_all = None;
        }
    }

    /// Where a key stands, from 1, or 0 without any: `columns/place/table/schema`.
    fn learn_place(&mut self, told: &str) {
        let Some((columns, rest)) = told.split_once('/') else { return };
        let Some((place, table)) = rest.split_once('/') else { return };
        let column = place.parse().ok().and_then(|place: usize| place.checked_sub(1));
        let place = column.zip(columns.parse().ok()).map(|(column, columns)| KeyPlace { column, columns });
        let known = self.places.entry(table.into()).or_insert(place);
        // Two names that only differ in case.
        if *known != place {
            *known = None;
        }
    }

    /// Where the key of a table stands, and since when that is known. Names are in lower case.
    #[must_use]
    pub fn key_place(&self, schema: &str, table: &str) -> Option<(KeyPlace, Instant)> {
        let place = *self.places.get(format!("{table}/{schema}").as_str())?;
        place.filter(|_| self.complete).map(|place| (place, self.placed_at))
    }

    /// The keys of tables, in every schema the same; nothing if the account may not see everything.
    pub(super) fn keys(&self) -> impl Iterator<Item = (&str, Option<&KeyColumn>)> {
        let told = self.keys.iter().filter(|_| self.complete);
        told.map(|(table, key)| (&**table, key.as_ref()))
    }

    /// Whether a result of these names follows from the rows of tables of these names alone.
    #[must_use]
    pub fn are_fit(&self, names: &[Box<str>]) -> bool {
        !names.iter().any(|name| self.unfit.contains(name))
    }

    /// Whether writes of these names certainly change nothing else.
    #[must_use]
    pub fn are_plain(&self, names: &[Box<str>]) -> bool {
        self.complete && !names.iter().any(|name| self.entangled.contains(name))
    }

    /// Whether rows of a table of this name, written by whatever, change no rows but those that the log tells of: what
    /// triggers and views write is there under its own table, what a foreign key cascades may not be.
    #[must_use]
    pub fn tells_all(&self, name: &str) -> bool {
        self.complete && !self.parents.contains(name)
    }
}

/// What is known of all servers.
#[derive(Debug, Default)]
pub struct Catalogs {
    known: ArcSwap<HashMap<CatalogKey, Arc<Catalog>>>,
    /// Changes of definitions that passed here.
    changes: AtomicU64,
    /// When each was asked last. Held for a look-up.
    asked: Mutex<HashMap<CatalogKey, Instant>>,
}

/// Something to be asked, and what had changed before.
#[derive(Debug)]
pub struct Asking {
    key: CatalogKey,
    changes: u64,
}

impl Catalogs {
    /// What is known of the server of `key`, by anybody who sees everything, or by this account.
    #[must_use]
    pub fn find(&self, key: &CatalogKey, now: Instant) -> Option<Arc<Catalog>> {
        let known = self.known.load();
        let anybody = CatalogKey { server: key.server.clone(), account: None };
        let believed = |catalog: &&Arc<Catalog>| now.saturating_duration_since(catalog.at) < BELIEVED;
        known.get(&anybody).filter(believed).or_else(|| known.get(key).filter(believed)).cloned()
    }

    /// Whether `found` should be asked anew, and by nobody else meanwhile.
    #[must_use]
    pub fn should_ask(&self, key: &CatalogKey, found: Option<&Catalog>, now: Instant) -> Option<Asking> {
        if found.is_some_and(|catalog| now.saturating_duration_since(catalog.at) < FRESH) {
            return None;
        }
        let mut asked = self.asked.lock();
        if asked.get(key).is_some_and(|last| now.saturating_duration_since(*last) < PAUSE) {
            return None;
        }
        if asked.len() >= CATALOGS_MAX {
            asked.clear();
        }
        asked.insert(key.clone(), now);
        Some(Asking { key: key.clone(), changes: self.changes.load(Ordering::SeqCst) })
    }

    /// The answer, which has come just `now`. One that a change of definitions has overtaken is dropped.
    pub fn learn(&self, asking: &Asking, catalog: Catalog, now: Instant) {
        let mut key = asking.key.clone();
        if catalog.complete {
            key.account = None;
        }
        let mut catalog = Catalog { placed_at: now, ..catalog };
        // Nothing has changed since the answer before.
        if let Some(before) = self.known.load().get(&key).filter(|before| before.places == catalog.places) {
            catalog.placed_at = before.placed_at;
        }
        let catalog = Arc::new(catalog);
        self.known.rcu(|known| {
            let mut next = HashMap::clone(known);
            if self.changes.load(Ordering::SeqCst) == asking.changes {
                if next.len() >= CATALOGS_MAX {
                    next.clear();
                }
                next.insert(key.clone(), Arc::clone(&catalog));
            }
            next
        });
        // A change after the look and before the swap has found nothing to forget.
        if self.changes.load(Ordering::SeqCst) != asking.changes {
            self.known.store(Arc::default());
        }
    }

    /// Definitions change, or have changed: nothing that was known is.
    pub fn forget(&self) {
        self.changes.fetch_add(1, Ordering::SeqCst);
        self.known.store(Arc::default());
        self.asked.lock().clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rows(rows: &[(&str, &str)]) -> Vec<Vec<Option<Vec<u8>>>> {
        rows.iter().map(|(what, name)| vec![Some((*what).into()), Some((*name).into())]).collect()
    }

    fn names(names: &[&str]) -> Vec<Box<str>> {
        names.iter().map(|name| (*name).into()).collect()
    }

    const ALL: [(&str, &str); 7] = [
        ("kind", "Cheap"),
        ("trigger", "orders"),
        ("parent", "users"),
        ("column", "hours"),
        ("sees", "SELECT"),
        ("sees", "TRIGGER"),
        ("end", ""),
    ];

    #[tokio::test]
    async fn names_are_plain_if_nothing_hangs_on_them() {
        let catalog = Catalog::read(&rows(&ALL), Instant::now()).expect("whole");
        let check = |name: &str, fit: bool, plain: bool| {
            assert_eq!(catalog.tells_all(name), name != "users", "{name}");
            let names = names(&["menu", name]);
            assert_eq!((catalog.are_fit(&names), catalog.are_plain(&names)), (fit, plain), "{name}");
        };
        check("menu", true, true);
        check("cheap", false, false);
        check("orders", true, false);
        check("users", true, false);
        check("hours", false, true);
    }

    #[tokio::test]
    async fn the_key_of_a_table_is_that_of_all_schemas() {
        let check = |told: &[&str], expected: Option<&str>| {
            let told = told.iter().map(|told| ("key", *told)).chain(ALL).collect::<Vec<_>>();
            let catalog = Catalog::read(&rows(&told), Instant::now()).expect("whole");
            let keys: Vec<_> = catalog.keys().collect();
            let [("menu", key)] = &*keys else { panic!("{keys:?}") };
            assert_eq!(key.map(|key| &*key.name), expected, "{told:?}");
        };
        check(&["menu Id|int|0|auto_increment"], Some("id"));
        check(&["menu id|int|0|", "Menu id|int|0|"], Some("id"));
        check(&["menu id|int|0|", "menu id|bigint|0|"], None);
        check(&["menu id|int|0|", "menu "], None);
        check(&["menu id|int|0|,name|varchar|0|"], None);
        check(&["menu id|int|0|STORED GENERATED"], None);
        let blind = [("key", "menu id|int|0|"), ("sees", "SELECT"), ("end", "")];
        let catalog = Catalog::read(&rows(&blind), Instant::now()).expect("whole");
        assert_eq!(catalog.keys().count(), 0, "it may not see every schema");
    }

    #[tokio::test]
    async fn a_key_has_a_place_in_each_table_of_its_name() {
        let places = [("place", "3/1/menu/Shop"), ("place", "2/0/menu/bar"), ("place", "2/2/menu/Zoo")];
        let all: Vec<_> = places.into_iter().chain([("place", "2/1/menu/zoo")]).chain(ALL).collect();
        let (catalogs, now) = (Catalogs::default(), Instant::now());
        let key = CatalogKey { server: "s".into(), account: None };
        let learn = |rows_of: &[(&str, &str)], at| {
            let asking = catalogs.should_ask(&key, None, at).expect("nobody asks");
            catalogs.learn(&asking, Catalog::read(&rows(rows_of), at).expect("whole"), at);
            catalogs.find(&key, at).expect("just learnt")
        };
        let known = learn(&all, now);
        let place = KeyPlace { column: 0, columns: 3 };
        assert_eq!(known.key_place("shop", "menu"), Some((place, now)));
        for schema in ["bar", "zoo", "elsewhere"] {
            assert_eq!(known.key_place(schema, "menu"), None, "{schema}");
        }
        let later = now + FRESH;
        assert_eq!(learn(&all, later).key_place("shop", "menu"), Some((place, now)), "as before");
        let later = later + FRESH;
        let moved = KeyPlace { column: 1, columns: 3 };
        let moved_one: Vec<_> = [("place", "3/2/menu/shop")].into_iter().chain(ALL).collect();
        assert_eq!(learn(&moved_one, later).key_place("shop", "menu"), Some((moved, later)));
    }

    #[tokio::test]
    async fn who_does_not_see_everything_vouches_for_no_write() {
        let now = Instant::now();
        let catalog = Catalog::read(&rows(&ALL[1..5]), now);
        assert!(catalog.is_none(), "its end is missing");
        let catalog = Catalog::read(&rows(&[("sees", "SELECT"), ("end", "")]), now).expect("whole");
        assert!(catalog.are_fit(&names(&["menu"])) && !catalog.are_plain(&names(&["menu"])));
        assert!(Catalog::read(&rows(&[("null", ""), ("end", "")]), now).is_none());
        assert!(Catalog::read(&rows(&[("strange", ""), ("end", "")]), now).is_none());
    }

    #[tokio::test]
    async fn what_is_known_ends_with_time_and_with_definitions() {
        let (catalogs, now) = (Catalogs::default(), Instant::now());
        let key = |account: &str| CatalogKey { server: "s".into(), account: Some(account.into()) };
        let asking = catalogs.should_ask(&key("a"), None, now).expect("nobody has asked");
        assert!(catalogs.should_ask(&key("a"), None, now).is_none(), "somebody asks");
        let read = |rows_of: &[(&str, &str)], at| Catalog::read(&rows(rows_of), at).expect("whole");
        catalogs.learn(&asking, read(&[("end", "")], now), now);
        assert!(catalogs.find(&key("a"), now).is_some() && catalogs.find(&key("b"), now).is_none());
        catalogs.learn(&asking, read(&ALL, now), now);
        let found = catalogs.find(&key("b"), now).expect("who sees everything tells all");
        assert!(catalogs.should_ask(&key("b"), Some(&found), now).is_none());
        assert!(catalogs.should_ask(&key("b"), Some(&found), now + FRESH).is_some());
        assert!(catalogs.find(&key("b"), now + BELIEVED).is_none());
        let asking = catalogs.should_ask(&key("c"), None, now).expect("nobody has asked");
        catalogs.forget();
        catalogs.learn(&asking, read(&ALL, now), now);
        assert!(catalogs.find(&key("c"), now).is_none(), "definitions have changed since the question");
    }
}
