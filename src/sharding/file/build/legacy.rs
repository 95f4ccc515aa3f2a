//! Functions of other products: their names and the parameters that their own configuration gives them.

use crate::config::document::{did_you_mean, join};
use crate::sharding::file::build::Builder;
use crate::sharding::file::model::{At, LegacyRule};
use crate::sharding::placement::{Function, Legacy, ring, segments};

/// Every function with its parameters; one that ends in `?` may be left out.
const FUNCTIONS: [(&str, &[&str]); 12] = [
    ("kingshard/hash", &["count"]),
    ("gaea/hash", &["count"]),
    ("gaea/mod", &["count"]),
    ("mycat/mod", &["count"]),
    ("mycat/long", &["partitionCount", "partitionLength"]),
    ("mycat/string", &["partitionCount", "partitionLength", "hashSlice?"]),
    ("mycat/murmur", &["count", "seed?", "virtualBucketTimes?"]),
    ("shardingsphere/mod", &["sharding-count"]),
    ("shardingsphere/hash_mod", &["sharding-count"]),
    ("zebra/hash", &["dbNumber", "tableNumberPerDb", "useDefaultOrder?"]),
    ("zebra/crc32", &["count", "divisor?"]),
    ("groovy/modulo", &["databases", "tables", "databaseDivisor?", "tableDivisor?", "of?"]),
];

/// Points of a ring at most: what a look-up searches and a file makes us compute.
const POINTS_MAX: u32 = 200_000;

/// The function of a rule.
pub(super) fn legacy(builder: &Builder<'_>, rule: &LegacyRule, path: &str) -> Option<Legacy> {
    let Some((name, known)) = FUNCTIONS.iter().find(|(name, _)| *name == rule.function.value) else {
        let names = FUNCTIONS.map(|(name, _)| name);
        let hint = did_you_mean(&rule.function.value, names);
        let message = format!("there is no function `{}`: {}{hint}", rule.function.value, names.join(", "));
        builder.problem(rule.function.at, join(path, "function"), message);
        return None;
    };
    let parameters = Parameters { builder, rule, path: join(path, "parameters") };
    parameters.check(known)?;
    let count = |key| parameters.number(key, 1, 65_536);
    let (function, count) = match *name {
        "kingshard/hash" => (Function::KingshardHash, count("count")?),
        "gaea/hash" => (Function::GaeaHash, count("count")?),
        "gaea/mod" | "mycat/mod" => (Function::AbsoluteModulo, count("count")?),
        "mycat/long" => {
            let (segments, count) = parameters.segments()?;
            (Function::MycatLong(segments), count)
        }
        "mycat/string" => {
            let (segments, count) = parameters.segments()?;
            let (start, end) = parameters.slice()?;
            (Function::MycatString { segments, start, end }, count)
        }
        "mycat/murmur" => {
            let count = count("count")?;
            let seed = parameters.or("seed", 0, 0, u32::MAX)?;
            let points = parameters.or("virtualBucketTimes", 160, 1, POINTS_MAX / count.min(POINTS_MAX))?;
            (Function::MycatMurmur { seed, ring: ring(seed, count, points) }, count)
        }
        "shardingsphere/mod" => (Function::ShardingSphereMod, count("sharding-count")?),
        "shardingsphere/hash_mod" => {
            // A driver sends a BIGINT as a Long and a smaller type as an Integer.
            let key = builder.keys.iter().find(|key| *key.name == *rule.key.value)?;
            let long = key.key_type.to_string().starts_with("bigint");
            (Function::ShardingSphereHashMod { long }, count("sharding-count")?)
        }
        "zebra/hash" => {
            let databases = parameters.number("dbNumber", 1, 65_536)?;
            let tables = parameters.number("tableNumberPerDb", 1, 65_536 / databases)?;
            let tables_first = parameters.given("useDefaultOrder").is_none_or(|order| order.value != "false");
            (Function::ZebraHash { databases, tables, tables_first }, databases * tables)
        }
        "groovy/modulo" => parameters.modulo()?,
        _ => {
            let divisor = parameters.or("divisor", 1, 1, u32::MAX)?;
            (Function::ZebraCrc32 { divisor }, count("count")?)
        }
    };
    takes(builder, rule, &function, path)?;
    Some(Legacy { function, count })
}

fn takes(builder: &Builder<'_>, rule: &LegacyRule, function: &Function, path: &str) -> Option<()> {
    let key = builder.keys.iter().find(|key| *key.name == *rule.key.value)?;
    if function.takes(&key.key_type) {
        return Some(());
    }
    let message = format!(
        "`{}` cannot place `{}` ({}): it needs a whole number, or a string whose collation tells upper from \
         lower case, as `utf8mb4_bin` does",
        rule.function.value, key.name, key.key_type
    );
    builder.problem(rule.key.at, join(path, "key"), message);
    None
}

struct Parameters<'p> {
    builder: &'p Builder<'p>,
    rule: &'p LegacyRule,
    path: String,
}

impl Parameters<'_> {
    fn given(&self, name: &str) -> Option<&At<String>> {
        self.rule.parameters.0.iter().find(|(known, _)| known.value == name).map(|(_, value)| value)
    }

    /// No parameter too many, none too few.
    fn check(&self, known: &[&str]) -> Option<()> {
        let names = || known.iter().map(|name| name.trim_end_matches('?'));
        let mut right = true;
        for (name, _) in &self.rule.parameters.0 {
            if !names().any(|known| known == name.value) {
                let hint = did_you_mean(&name.value, names());
                let message = format!("`{}` has no such parameter{hint}", self.rule.function.value);
                self.builder.problem(name.at, join(&self.path, &name.value), message);
                right = false;
            }
        }
        for name in known.iter().filter(|name| !name.ends_with('?') && self.given(name).is_none()) {
            self.builder.problem(self.rule.function.at, join(&self.path, name), "missing");
            right = false;
        }
        right.then_some(())
    }

    fn number(&self, name: &str, min: u32, max: u32) -> Option<u32> {
        let given = self.given(name)?;
        let number = given.value.parse().ok().filter(|number| (min..=max).contains(number));
        if number.is_none() {
            let message = format!("must be a whole number from {min} to {max}");
            self.builder.problem(given.at, join(&self.path, name), message);
        }
        number
    }

    fn or(&self, name: &str, default: u32, min: u32, max: u32) -> Option<u32> {
        match self.given(name) {
            Some(_) => self.number(name, min, max),
            None => Some(default),
        }
    }

    /// `value.intdiv(databaseDivisor) % databases`, and the same for tables.
    fn modulo(&self) -> Option<(Function, u32)> {
        let databases = self.number("databases", 1, 65_536)?;
        let tables = self.number("tables", 1, 65_536 / databases)?;
        let crc32 = match self.given("of") {
            None => false,
            Some(of) if of.value == "value" => false,
            Some(of) if of.value == "crc32" => true,
            Some(of) => {
                self.builder.problem(of.at, join(&self.path, "of"), "must be `value` or `crc32`");
                return None;
            }
        };
        let function = Function::GroovyModulo {
            databases: [self.or("databaseDivisor", 1, 1, u32::MAX)?, databases],
            tables: [self.or("tableDivisor", 1, 1, u32::MAX)?, tables],
            crc32,
        };
        Some((function, databases * tables))
    }

    fn segments(&self) -> Option<(Box<[u32]>, u32)> {
        let list = |name| -> Option<Vec<u32>> {
            self.given(name)?.value.split(',').map(|part| part.trim().parse().ok()).collect()
        };
        let found = list("partitionCount").zip(list("partitionLength"));
        let segments = found.and_then(|(counts, lengths)| segments(&counts, &lengths));
        if segments.is_none() {
            let at = self.given("partitionLength").map_or(self.rule.function.at, |given| given.at);
            let message = "count times length, added up, must be 1024, as in `2,1` and `256,512`";
            self.builder.problem(at, join(&self.path, "partitionLength"), message);
        }
        segments
    }

    /// `8`, `-4`, `2:6`, `-4:`: MyCat's own forms; the first eight without it.
    fn slice(&self) -> Option<(i64, i64)> {
        let Some(given) = self.given("hashSlice") else { return Some((0, 8)) };
        let number = |text: &str| match text.trim() {
            "" => Some(0),
            text => text.parse::<i32>().ok().map(i64::from),
        };
        let slice = match given.value.split_once(':') {
            Some((start, end)) => number(start).zip(number(end)),
            None => number(&given.value).map(|length| if length >= 0 { (0, length) } else { (length, 0) }),
        };
        if slice.is_none() {
            self.builder.problem(
                given.at,
                join(&self.path, "hashSlice"),
                "must be as in `0:8`, `-4:` or `8`",
            );
        }
        slice
    }
}
