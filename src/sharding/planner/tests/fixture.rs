//! The rules that the planner's tests have: users with orders and items, shops with dishes, months of history, and
//! tables that every slot has.

use std::collections::HashMap;

use crate::sharding::key::{BitField, Date, Integer, Key, KeyId, KeyType};
use crate::sharding::placement::{
    Algorithm, Every, Gene, Hash, HashFunction, Interval, Placement, PlacementId, Step,
};
use crate::sharding::rules::{
    KeyColumn, PlacedTable, Policies, Shard, ShardId, ShardingRules, Slot, Table, TableId, TableKind, Unique,
    Writes,
};
use crate::sharding::slots::SlotId;

pub(super) const USER: KeyId = KeyId(0);
const ORDER: KeyId = KeyId(1);
const SHOP: KeyId = KeyId(2);
const CREATED: KeyId = KeyId(3);

/// Slots 0 to 3 by user, 4 and 5 by shop, 6 and 7 by month.
const SLOTS: usize = 8;

const HASH: Hash = Hash { function: HashFunction::Xxh64V1, bits: 14 };

fn hashed(name: &str, key: KeyId, also_from: Vec<Gene>, [first, count]: [u32; 2]) -> Placement {
    let cells = (0..1 << 14).map(|bucket| SlotId((first + HASH.slot_of_bucket(bucket, count)) as u16));
    let step = Step { key, algorithm: Algorithm::Hash(HASH), also_from };
    Placement::new(name, vec![step], cells.collect(), SLOTS)
}

fn placed(placement: u16, family: u32, columns: &[(&str, KeyId)]) -> PlacedTable {
    let columns = columns.iter().map(|(column, key)| KeyColumn { column: (*column).into(), key: *key });
    PlacedTable {
        placement: PlacementId(placement),
        columns: columns.collect(),
        family: TableId(family),
        generate: Vec::new(),
        copy_of: None,
        writes: Writes::Allowed,
        unique: Unique::Global,
    }
}

fn tables() -> Vec<Table> {
    let mut tables = Vec::new();
    let mut table = |name: &str, kind| tables.push(Table { name: name.into(), kind });
    table("users", TableKind::Placed(placed(0, 0, &[("id", USER)])));
    table("orders", TableKind::Placed(placed(0, 0, &[("user_id", USER), ("order_id", ORDER)])));
    table("items", TableKind::Placed(placed(0, 0, &[("order_id", ORDER)])));
    table("shops", TableKind::Placed(placed(1, 3, &[("id", SHOP)])));
    table("dishes", TableKind::Placed(placed(1, 3, &[("shop_id", SHOP)])));
    table("history", TableKind::Placed(placed(2, 5, &[("created_at", CREATED)])));
    let fed = PlacedTable { writes: Writes::Refused, ..placed(1, 6, &[("shop_id", SHOP)]) };
    table("orders_by_shop", TableKind::Placed(fed));
    table("city", TableKind::Reference { source: SlotId(0) });
    table("app_config", TableKind::Single(SlotId(0)));
    tables
}

pub(super) fn rules(policies: Policies) -> ShardingRules {
    let bigint = KeyType::Integer(Integer { bits: 64, unsigned: false });
    let key = |name: &str, key_type, bits| Key { name: name.into(), key_type, bits };
    let field = BitField { name: "user_hash".into(), offset: 0, length: 14 };
    let gene = Gene { key: ORDER, field: field.clone(), numbers: None };
    let from = Date::new(2026, 1, 1).unwrap();
    let month = Step {
        key: CREATED,
        algorithm: Algorithm::Interval(Interval::new(Every::Month, from, 4)),
        also_from: Vec::new(),
    };
    let labels = ["user/0", "user/1", "user/2", "user/3", "shop/0", "shop/1", "month/0", "month/1"];
    let slots = labels.iter().enumerate().map(|(at, label)| Slot {
        label: (*label).into(),
        shard: ShardId((at % 2) as u16),
        database: format!("waimai_{at:02}").into(),
    });
    let tables = tables();
    let ids = tables.iter().enumerate().map(|(at, table)| (table.name.clone(), TableId(at as u32)));
    ShardingRules {
        owners: Vec::new(),
        name: "waimai".into(),
        revision: 1,
        content: 0,
        policies,
        shards: ["north", "south"].map(|name| Shard { name: name.into(), cluster: name.into() }).into(),
        slots: slots.collect(),
        keys: vec![
            key("user", bigint.clone(), Vec::new()),
            key("order", bigint.clone(), vec![field]),
            key("shop", bigint, Vec::new()),
            key("created", KeyType::DateTime { digits: 0 }, Vec::new()),
        ],
        placements: vec![
            hashed("by_user", USER, vec![gene], [0, 4]),
            hashed("by_shop", SHOP, Vec::new(), [4, 2]),
            Placement::new("by_month", vec![month], vec![SlotId(6), SlotId(6), SlotId(7), SlotId(7)], SLOTS),
        ],
        sequences: Vec::new(),
        retired: Vec::new(),
        table_ids: ids.collect::<HashMap<_, _>>(),
        tables,
    }
}
