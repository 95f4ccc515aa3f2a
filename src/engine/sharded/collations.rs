//! How a server compares texts: which collations' weights can be merged, found out by asking it.

use std::fmt::Write;
use std::sync::Arc;

use crate::backend::{BackendConn, BackendError};
use crate::engine::sharded::database::LogicalDatabase;
use crate::merge::{Collations, Pad};

/// Character sets whose collations are merged: those that everybody uses, and that tests cover.
const CHARSETS: [&str; 5] = ["utf8mb4", "utf8mb3", "utf8", "latin1", "ascii"];

/// Collations asked about at once.
const AT_ONCE: usize = 40;

/// The collations of a logical database's servers, asked of `conn` if nobody has asked before.
pub(crate) async fn collations(
    database: &LogicalDatabase,
    conn: &mut BackendConn,
) -> Result<Arc<Collations>, BackendError> {
    if let Some(known) = database.collations.load_full() {
        return Ok(known);
    }
    let measured = Arc::new(measure(conn).await?);
    database.collations.store(Some(Arc::clone(&measured)));
    Ok(measured)
}

async fn measure(conn: &mut BackendConn) -> Result<Collations, BackendError> {
    let of_text = "SELECT COLLATION_NAME, CHARACTER_SET_NAME FROM information_schema.COLLATION_CHARACTER_SET_APPLICABILITY";
    let full = "SELECT FULL_COLLATION_NAME, CHARACTER_SET_NAME FROM information_schema.COLLATION_CHARACTER_SET_APPLICABILITY";
    // MariaDB has the names that COLLATION() gives in a column of its own.
    let listed = match conn.ask(full).await {
        Err(BackendError::Server(_)) => conn.ask(of_text).await?,
        listed => listed?,
    };
    let text = |cell: Option<&Option<Vec<u8>>>| {
        cell.cloned().flatten().and_then(|text| String::from_utf8(text).ok()).unwrap_or_default()
    };
    let plain = |name: &str| name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
    let names: Vec<(String, String)> = listed
        .iter()
        .map(|row| (text(row.first()), text(row.get(1))))
        .filter(|(name, charset)| plain(name) && CHARSETS.contains(&charset.as_str()))
        .collect();
    let mut known = vec![(b"binary".to_vec(), Pad::default())];
    for some in names.chunks(AT_ONCE) {
        match conn.ask(&question(some)).await {
            Ok(rows) => known.extend(rows.iter().filter_map(|row| understood(row))),
            // One of them cannot be used in a text of its character set.
            Err(BackendError::Server(_)) => {
                for one in some {
                    match conn.ask(&question(std::slice::from_ref(one))).await {
                        Ok(rows) => known.extend(rows.iter().filter_map(|row| understood(row))),
                        Err(BackendError::Server(_)) => {}
                        Err(error) => return Err(error),
                    }
                }
            }
            Err(error) => return Err(error),
        }
    }
    Ok(Collations::new(known))
}

/// For each collation: its name, the weights of a blank, whether a text's weights are those of its
/// characters one after the other, whether blanks at the end matter.
fn question(collations: &[(String, String)]) -> String {
    let mut sql = String::new();
    for (name, charset) in collations {
        let text = |text: &str| format!("CONVERT('{text}' USING {charset}) COLLATE {name}");
        let weights = |of: &str| format!("WEIGHT_STRING({})", text(of));
        let union = if sql.is_empty() { "" } else { " UNION ALL " };
        let _ = write!(
            sql,
            "{union}SELECT '{name}', HEX({blank}), CONCAT(HEX({a}), HEX({blank}), HEX({b})) = HEX({whole}), {x} = {y}",
            blank = weights(" "),
            a = weights("a"),
            b = weights("b"),
            whole = weights("a b"),
            x = text("a"),
            y = text("a "),
        );
    }
    sql
}

/// A collation that can be merged: one of single weights, or one that does not pad and has its levels one
/// after the other (`utf8mb4_0900_*`).
fn understood(row: &[Option<Vec<u8>>]) -> Option<(Vec<u8>, Pad)> {
    let [Some(name), Some(blank), Some(flat), Some(pads)] = row else { return None };
    let (flat, pads) = (flat == b"1", pads == b"1");
    if pads {
        let weights = unhex(blank).filter(|weights| flat && !weights.is_empty())?;
        return Some((name.clone(), Pad { weights: weights.into() }));
    }
    let levels = memchr::memmem::find(name, b"_0900_").is_some();
    (flat || levels).then(|| (name.clone(), Pad::default()))
}

fn unhex(digits: &[u8]) -> Option<Vec<u8>> {
    let digit = |byte: &u8| char::from(*byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
    digits.chunks(2).map(|pair| Some(digit(pair.first()?)? << 4 | digit(pair.get(1)?)?)).collect()
}
