//! Two proxies that share results through one Redis, and what becomes of that when it dies, stalls or lies.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use dazzle::lab::{Redis, Server};
use tokio::io::AsyncReadExt;
use tokio::net::TcpListener;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep};

use crate::hot_reads::is_hit;
use crate::staleness::write;
use crate::support::{Conn, Parameter, Part, Proxy, Setup, asked_for, eventually};

const READ: &str = "SELECT n FROM ware WHERE id = 1";

/// Without the program the stories are not told, but where CI=true.
async fn redis() -> Option<Redis> {
    if !Redis::available() {
        assert!(std::env::var("CI").is_err(), "redis-server is missing: run scripts/servers");
        eprintln!("NOT TESTED: redis-server is missing on this machine: run scripts/servers");
        return None;
    }
    Some(Redis::start().await.unwrap())
}

fn settings(address: &str, ttl: &str, more: &str) -> String {
    format!(
        "cache: {{rules: [{{name: wares, tables: [ware], ttl: {ttl}}}], redis: {{address: \"{address}\", secret: s3cret, {more}}}}}"
    )
}

async fn tables(server: &Server, schema: &str) {
    server.create_schema(schema).await.unwrap();
    server
        .execute(&[
            format!("CREATE TABLE {schema}.ware (id INT PRIMARY KEY, n INT)"),
            format!("INSERT INTO {schema}.ware VALUES (1, 0), (2, 0), (3, 0)"),
        ])
        .await
        .unwrap();
}

/// A proxy that knows the server's tables and has reached Redis.
async fn member(server: &Server, schema: &str, settings: &str) -> Proxy {
    let proxy = Setup::new(server).top(settings).start().await;
    let mut conn = proxy.login().schema(schema).connect().await;
    eventually("the server's tables are known", async || is_hit(&proxy, &mut conn, READ).await).await;
    for id in 1..=3 {
        puts(&proxy, &mut conn, id).await;
    }
    proxy
}

/// A name that no statement had before.
fn new_name() -> String {
    static NUMBER: AtomicU64 = AtomicU64::new(0);
    format!("n AS a{}", NUMBER.fetch_add(1, Ordering::Relaxed))
}

fn outcome(proxy: &Proxy, name: &str) -> f64 {
    proxy.metric("dazzle_cache_redis_total", &format!("outcome=\"{name}\""))
}

fn from_fleet(proxy: &Proxy) -> f64 {
    proxy.metric("dazzle_cache_reads_total", "outcome=\"fleet\"")
}

/// Reads a row by texts that nobody has sent before, until the result of one has been put; that text.
async fn puts(proxy: &Proxy, conn: &mut Conn, id: u32) -> String {
    let mut read = String::new();
    eventually("a result is put", async || {
        let before = outcome(proxy, "put");
        read = format!("SELECT {} FROM ware WHERE id = {id}", new_name());
        conn.ok(&read).await;
        let deadline = Instant::now() + Duration::from_millis(200);
        while outcome(proxy, "put") == before && Instant::now() < deadline {
            sleep(Duration::from_millis(1)).await;
        }
        outcome(proxy, "put") > before
    })
    .await;
    read
}

/// What one reads the other finds.
async fn crosses(one: &Proxy, conn: &mut Conn, other: &Proxy, others: &mut Conn) {
    eventually("a result crosses", async || {
        let read = puts(one, conn, 2).await;
        let found = from_fleet(other);
        others.ok(&read).await;
        from_fleet(other) > found
    })
    .await;
}

both! {
    async fn what_one_has_read_another_finds_and_a_write_through_either_ends_it(server) {
        let Some(redis) = redis().await else { return };
        let schema = "it_fleet";
        tables(server, schema).await;
        let settings = settings(&redis.address(), "1h", "timeout: 50ms");
        let (a, b) = (member(server, schema, &settings).await, member(server, schema, &settings).await);
        let (mut on_a, mut on_b) =
            (a.login().schema(schema).connect().await, b.login().schema(schema).connect().await);
        crosses(&a, &mut on_a, &b, &mut on_b).await;
        // As the execution of a prepared statement, too.
        let sql = "SELECT n + 1 FROM ware WHERE id = ?";
        let (one, other) = (on_a.prepare(sql).await.unwrap(), on_b.prepare(sql).await.unwrap());
        let found = from_fleet(&b);
        let put = outcome(&a, "put");
        on_a.execute(one, &[Parameter::int(3)]).await;
        eventually("it is put", async || outcome(&a, "put") > put).await;
        let reply = on_b.execute(other, &[Parameter::int(3)]).await;
        assert_eq!((reply.error(), from_fleet(&b) - found), (None, 1.0));
        assert!(matches!(reply.parts.last(), Some(Part::Rows { .. })));
        // What A has put is not found by B after a write through B, nor after one through A.
        for (round, writer) in [&mut on_b, &mut on_a].into_iter().enumerate() {
            let read = format!("SELECT n AS r{round} FROM ware WHERE id = 2");
            let put = outcome(&a, "put");
            a.login().schema(schema).connect().await.ok(&read).await;
            eventually("it is put", async || outcome(&a, "put") > put).await;
            writer.ok(&format!("UPDATE ware SET n = {} WHERE id = 2", round + 7)).await;
            let value = b.login().schema(schema).connect().await.value(&read).await;
            assert_eq!(value, (round + 7).to_string());
        }
        assert!(outcome(&a, "told") >= 1.0 && outcome(&b, "told") >= 1.0);
        let shown = on_b.ok("SHOW CACHE").await.rows();
        assert!(shown[0].last().unwrap().parse::<u64>().unwrap() >= 2, "{shown:?}");
        assert!(b.http("/cache").1.contains("\"is_asked\":true"));
    }

    async fn nobody_finds_in_redis_what_a_writer_elsewhere_knows_to_be_old(server) {
        let Some(redis) = redis().await else { return };
        let schema = "it_fleet_race";
        tables(server, schema).await;
        let settings = settings(&redis.address(), "1h", "timeout: 100ms");
        let proxies = Arc::new([member(server, schema, &settings).await, member(server, schema, &settings).await]);
        let told: Arc<[AtomicU64; 3]> = Arc::default();
        let rounds = asked_for("DAZZLE_IT_OPERATIONS", 9_000) / 30;
        let mut tasks = JoinSet::new();
        for writer in 0..3_usize {
            let (proxies, told) = (Arc::clone(&proxies), Arc::clone(&told));
            tasks.spawn(async move {
                let mut conn = proxies[writer % 2].login().schema(schema).connect().await;
                for n in 1..=rounds {
                    let update = format!("UPDATE ware SET n = {n} WHERE id = {}", writer + 1);
                    write(&mut conn, &update, n % 3 == 0).await;
                    told[writer].store(n, Ordering::SeqCst);
                }
            });
        }
        // Two readers ask the same texts, each of them once: the one on the other proxy a little later, so that what it
        // finds it finds in Redis.
        let ahead: Arc<[AtomicU64; 2]> = Arc::default();
        for reader in 0..4_usize {
            let (proxies, told, ahead) = (Arc::clone(&proxies), Arc::clone(&told), Arc::clone(&ahead));
            let (pair, first) = (reader / 2, reader % 2 == 0);
            tasks.spawn(async move {
                let proxy = &proxies[(reader + pair) % 2];
                let mut conn = proxy.login().schema(schema).connect().await;
                for step in 0..5 * rounds {
                    while !first && ahead[pair].load(Ordering::SeqCst) < step + 3 {
                        tokio::task::yield_now().await;
                    }
                    let row = (step % 3) as usize;
                    let before = told[row].load(Ordering::SeqCst);
                    let read = format!("SELECT n AS s{pair}_{step} FROM ware WHERE id = {}", row + 1);
                    let seen = conn.value(&read).await.parse::<u64>().unwrap();
                    assert!(seen >= before, "{seen} after {before} was told");
                    if first {
                        ahead[pair].store(step + 1, Ordering::SeqCst);
                    }
                }
                ahead[pair].store(u64::MAX, Ordering::SeqCst);
            });
        }
        while let Some(done) = tasks.join_next().await {
            done.unwrap();
        }
        let late: f64 = proxies.iter().map(|proxy| outcome(proxy, "untold")).sum();
        assert_eq!(late, 0.0, "every write was told in time, or nothing is proved");
        assert!(proxies.iter().map(from_fleet).sum::<f64>() > 0.0, "nothing came from redis");
    }

    async fn a_dead_redis_costs_nobody_an_error_and_is_asked_again_when_it_is_back(server) {
        let Some(redis) = redis().await else { return };
        let schema = "it_fleet_dead";
        tables(server, schema).await;
        let settings = settings(&redis.address(), "1h", "timeout: 20ms");
        let (a, b) = (member(server, schema, &settings).await, member(server, schema, &settings).await);
        let (mut on_a, mut on_b) =
            (a.login().schema(schema).connect().await, b.login().schema(schema).connect().await);
        redis.kill();
        eventually("it is given up", async || {
            on_a.ok(&format!("SELECT {} FROM ware WHERE id = 1", new_name())).await;
            on_a.ok("UPDATE ware SET n = n + 1 WHERE id = 3").await;
            a.metric("dazzle_cache_redis_asked", "") == 0.0
        })
        .await;
        let asked = outcome(&a, "late") + outcome(&a, "failed");
        for _ in 0..300 {
            on_a.ok(&format!("SELECT {} FROM ware WHERE id = 1", new_name())).await;
        }
        let probes = outcome(&a, "late") + outcome(&a, "failed") - asked;
        assert!(probes < 20.0, "{probes} of 300 look-ups were sent");
        assert!(a.metric("dazzle_cache_redis_untold", "") > 0.0, "nobody was told of the write");
        redis.start_again().await.unwrap();
        eventually("it is asked again, and told", async || {
            on_b.ok(&format!("SELECT {} FROM ware WHERE id = 1", new_name())).await;
            [&a, &b].iter().all(|proxy| {
                proxy.metric("dazzle_cache_redis_asked", "") == 1.0
                    && proxy.metric("dazzle_cache_redis_untold", "") == 0.0
            })
        })
        .await;
        crosses(&a, &mut on_a, &b, &mut on_b).await;
    }

    async fn what_a_redis_that_stood_still_missed_is_not_found_when_it_goes_on(server) {
        let Some(redis) = redis().await else { return };
        let schema = "it_fleet_frozen";
        tables(server, schema).await;
        let settings = settings(&redis.address(), "1h", "timeout: 20ms");
        let (a, b) = (member(server, schema, &settings).await, member(server, schema, &settings).await);
        let (mut on_a, mut on_b) =
            (a.login().schema(schema).connect().await, b.login().schema(schema).connect().await);
        let put = outcome(&a, "put");
        assert_eq!(on_a.value("SELECT n AS frozen FROM ware WHERE id = 1").await, "0");
        eventually("it is put", async || outcome(&a, "put") > put).await;
        redis.freeze();
        on_b.ok("UPDATE ware SET n = 5 WHERE id = 1").await;
        assert_eq!(on_b.value("SELECT n AS frozen FROM ware WHERE id = 1").await, "5");
        redis.thaw();
        eventually("all is told", async || b.metric("dazzle_cache_redis_untold", "") == 0.0).await;
        let mut anew = b.login().schema(schema).connect().await;
        anew.ok("SET time_zone = '+01:00'").await;
        on_a.ok("SET time_zone = '+01:00'").await;
        assert_eq!(anew.value("SELECT n AS frozen FROM ware WHERE id = 1").await, "5");
    }

    async fn what_others_have_put_into_redis_is_ignored(server) {
        let Some(redis) = redis().await else { return };
        let schema = "it_fleet_poison";
        tables(server, schema).await;
        let settings = settings(&redis.address(), "1h", "timeout: 50ms");
        let (a, b) = (member(server, schema, &settings).await, member(server, schema, &settings).await);
        let client = redis::Client::open(format!("redis://{}/", redis.address())).unwrap();
        let mut direct = client.get_multiplexed_async_connection().await.unwrap();
        let reads: Vec<String> = (0..8).map(|n| format!("SELECT n AS p{n} FROM ware WHERE id = 1")).collect();
        let put = outcome(&a, "put");
        let mut on_a = a.login().schema(schema).connect().await;
        for read in &reads {
            on_a.ok(read).await;
        }
        eventually("all are put", async || outcome(&a, "put") >= put + 8.0).await;
        let all: Vec<String> = redis::cmd("KEYS").arg("*").query_async(&mut direct).await.unwrap();
        let results: Vec<&String> = all.iter().filter(|key| !key.ends_with(":tokens")).collect();
        let first: Vec<u8> = redis::cmd("GET").arg(results[0]).query_async(&mut direct).await.unwrap();
        for (n, key) in results.iter().enumerate() {
            let mut value: Vec<u8> = redis::cmd("GET").arg(*key).query_async(&mut direct).await.unwrap();
            match n % 5 {
                0 => value.truncate(value.len() / 2),
                1 => *value.last_mut().unwrap() ^= 1,
                2 => value = b"OK".to_vec(),
                3 => value.clone_from(&first),
                _ => {
                    redis::cmd("DEL").arg(*key).exec_async(&mut direct).await.unwrap();
                    redis::cmd("LPUSH").arg(*key).arg("x").exec_async(&mut direct).await.unwrap();
                    continue;
                }
            }
            let mut set = redis::cmd("SET");
            set.arg(*key).arg(value).arg("PX").arg(3_600_000).exec_async(&mut direct).await.unwrap();
        }
        let mut on_b = b.login().schema(schema).connect().await;
        for read in &reads {
            assert_eq!(on_b.value(read).await, "0");
        }
        assert!(outcome(&b, "poisoned") >= 1.0);
        assert_eq!(b.metric("dazzle_cache_redis_asked", ""), 1.0, "that says nothing about redis itself");
        // Tokens of another kind: nothing is found, and nothing is wrong.
        redis::cmd("FLUSHALL").exec_async(&mut direct).await.unwrap();
        for read in &reads {
            on_b.ok(&read.replace("p", "q")).await;
        }
        on_b.ok("UPDATE ware SET n = 1 WHERE id = 1").await;
        assert_eq!(on_b.value(&reads[0]).await, "1");
    }

    async fn a_redis_that_answers_late_delays_a_few_reads_a_little_and_then_none(server) {
        let schema = "it_fleet_late";
        tables(server, schema).await;
        // It accepts, reads, and never answers.
        let silent = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = silent.local_addr().unwrap().to_string();
        tokio::spawn(async move {
            while let Ok((mut stream, _)) = silent.accept().await {
                tokio::spawn(async move {
                    let mut bytes = [0; 1024];
                    while stream.read(&mut bytes).await.is_ok_and(|n| n > 0) {}
                });
            }
        });
        let proxy = Setup::new(server).top(&settings(&address, "1h", "timeout: 1ms")).start().await;
        let mut conn = proxy.login().schema(schema).connect().await;
        eventually("the server's tables are known", async || is_hit(&proxy, &mut conn, READ).await).await;
        for _ in 0..100 {
            conn.ok(&format!("SELECT {} FROM ware WHERE id = 1", new_name())).await;
        }
        let asked = proxy.metric("dazzle_cache_redis_seconds_count", "");
        assert_eq!(asked, 0.0, "it never was quick, so nobody waits for it");
        assert_eq!(proxy.metric("dazzle_cache_redis_asked", ""), 0.0);
    }

    async fn a_redis_that_stands_still_costs_a_few_reads_their_time_and_then_nothing(server) {
        let Some(redis) = redis().await else { return };
        let schema = "it_fleet_slow";
        tables(server, schema).await;
        let proxy = member(server, schema, &settings(&redis.address(), "1h", "timeout: 10ms")).await;
        let mut conn = proxy.login().schema(schema).connect().await;
        redis.freeze();
        let before = outcome(&proxy, "late");
        let began = Instant::now();
        while proxy.metric("dazzle_cache_redis_asked", "") == 1.0 {
            conn.ok(&format!("SELECT {} FROM ware WHERE id = 1", new_name())).await;
        }
        let waited = began.elapsed();
        let late = outcome(&proxy, "late") - before;
        assert!(late <= 10.0, "{late} waited");
        assert!(waited < Duration::from_secs(5), "{waited:?}");
        let asked = proxy.metric("dazzle_cache_redis_seconds_count", "");
        for _ in 0..200 {
            conn.ok(&format!("SELECT {} FROM ware WHERE id = 1", new_name())).await;
        }
        assert_eq!(proxy.metric("dazzle_cache_redis_seconds_count", ""), asked, "nobody asks");
        redis.thaw();
        sleep(Duration::from_millis(1)).await;
    }
}
