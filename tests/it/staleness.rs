//! The checker: writers and readers of one proxy at once, and no reader sees what a writer knows to be old.
//!
//! `DAZZLE_IT_OPERATIONS=1000000 cargo test --release --test it staleness` runs it for longer.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use tokio::task::JoinSet;

use crate::hot_reads::{kept, reads};
use crate::support::{Conn, asked_for};

/// Runs a write, by itself or in a transaction of its own.
pub(crate) async fn write(conn: &mut Conn, sql: &str, in_transaction: bool) {
    if in_transaction {
        conn.ok("BEGIN").await;
    }
    conn.ok(sql).await;
    if in_transaction {
        conn.ok("COMMIT").await;
    }
}

both! {
    async fn readers_never_see_what_a_writer_knows_to_be_old(server) {
        let proxy = Arc::new(kept(server, "it_hot_race").await);
        server.execute(&["UPDATE it_hot_race.item SET n = 0"]).await.unwrap();
        proxy.connect().await.ok("ANALYZE TABLE it_hot_race.item").await;
        let told: Arc<[AtomicU64; 3]> = Arc::default();
        let mut tasks = JoinSet::new();
        let begun: Arc<[AtomicU64; 3]> = Arc::default();
        // Each writer writes so often, and each reader reads five times as often.
        let rounds = asked_for("DAZZLE_IT_OPERATIONS", 9_900) / 33;
        for writer in 0..3_u64 {
            let (proxy, told, begun) = (Arc::clone(&proxy), Arc::clone(&told), Arc::clone(&begun));
            tasks.spawn(async move {
                let mut conn = proxy.login().schema("it_hot_race").connect().await;
                for n in 1..=rounds {
                    let id = writer + 1;
                    begun[writer as usize].store(n, Ordering::SeqCst);
                    let update = format!("UPDATE item SET n = {n} WHERE id = {id}");
                    write(&mut conn, &update, n % 3 == 0).await;
                    told[writer as usize].store(n, Ordering::SeqCst);
                    if n % 4 == 0 {
                        tokio::task::yield_now().await;
                    }
                }
            });
        }
        for reader in 0..6_u64 {
            let (proxy, told, begun) = (Arc::clone(&proxy), Arc::clone(&told), Arc::clone(&begun));
            tasks.spawn(async move {
                let mut conn = proxy.login().schema("it_hot_race").connect().await;
                let mut last = [0; 3];
                for step in 0..5 * rounds {
                    let row = (reader + step) % 3;
                    let before = told[row as usize].load(Ordering::SeqCst);
                    let seen = conn.value(&format!("SELECT n FROM item WHERE id = {}", row + 1)).await;
                    let seen = seen.parse::<u64>().unwrap();
                    assert!(seen >= before, "{seen} after {before} was told");
                    assert!(seen >= last[row as usize], "{seen} after the same session has read a later one");
                    assert!(seen <= begun[row as usize].load(Ordering::SeqCst), "{seen} was never written");
                    last[row as usize] = seen;
                }
            });
        }
        while let Some(done) = tasks.join_next().await {
            done.unwrap();
        }
        assert!(reads(&proxy, "hit") > 0.0, "nothing came from memory");
    }
}
