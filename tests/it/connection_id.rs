//! Connection ids: the proxy's own, the same in the greeting, in CONNECTION_ID() and in KILL.

use dazzle::lab::Server;
use mysql_async::prelude::Queryable;

use crate::support::{At, Conn, Login, Reply, Setup, eventually, proxy};

/// Waits until the server runs exactly `count` statements with `mark` in their text.
async fn running(server: &Server, mark: &str, count: u32) {
    let mut watch = server.connect().await.unwrap();
    let list = format!(
        "SELECT COUNT(*) FROM information_schema.PROCESSLIST WHERE INFO LIKE '%{mark}%' AND ID <> CONNECTION_ID()"
    );
    eventually("what the server runs", async || {
        watch.query_first::<u32, _>(&list).await.unwrap() == Some(count)
    })
    .await;
}

/// Has one session run a statement that takes long, kills it from another one, and tells what the first saw.
async fn killed(server: &Server, at: At, kill: &str, mark: &str) -> (Conn, Result<Reply, std::io::Error>) {
    let mut victim = Login::new(at.clone()).connect().await;
    let mut killer = Login::new(at).connect().await;
    victim.ok("SELECT 1").await;
    // Ten rows of a minute each: an interrupted SLEEP() alone would count as a result.
    let rows = "(SELECT 1 AS n UNION SELECT 2 UNION SELECT 3 UNION SELECT 4)";
    victim.send_query(&format!("SELECT /* {mark} */ n, SLEEP(60) FROM {rows} AS t")).await;
    running(server, mark, 1).await;
    killer.ok(&format!("{kill} {}", victim.greeting.connection_id)).await;
    let seen = victim.try_reply().await;
    running(server, mark, 0).await;
    assert_eq!(killer.value("SELECT 'alive'").await, "alive");
    (victim, seen)
}

both! {
    async fn a_session_is_told_the_id_that_kill_takes(server) {
        let proxy = proxy(server).await;
        let mut victim = Login::new(proxy.at()).connect().await;
        let mut killer = Login::new(proxy.at()).connect().await;
        let id = victim.value("SELECT CONNECTION_ID()").await;
        assert_eq!(id, victim.greeting.connection_id.to_string());
        // On a server connection that it holds, too.
        victim.ok("BEGIN").await;
        victim.ok("SET @held = 1").await;
        assert_eq!(victim.value("select connection_id();").await, id);
        assert_ne!(killer.value("SELECT CONNECTION_ID()").await, id);
        killer.ok(&format!("KILL {id}")).await;
        victim.send_query("SELECT 1").await;
        assert!(victim.try_reply().await.is_err(), "the killed session is over");
        assert_eq!(killer.value("SELECT 'alive'").await, "alive");
    }

    async fn kill_query_ends_the_statement_and_not_the_session(server) {
        let proxy = proxy(server).await;
        let direct = killed(server, At::Tcp(server.address().to_string()), "KILL QUERY", "direct_query").await;
        let proxied = killed(server, proxy.at(), "KILL QUERY", "proxied_query").await;
        let codes = [direct, proxied].map(|(conn, seen)| (conn, seen.unwrap().error()));
        let [(mut direct, expected), (mut victim, code)] = codes;
        assert_eq!(code, expected);
        assert_eq!(direct.value("SELECT 'alive'").await, victim.value("SELECT 'alive'").await);
    }

    async fn kill_ends_a_session_with_the_statement_it_runs(server) {
        let proxy = proxy(server).await;
        let (mut victim, _) = killed(server, proxy.at(), "KILL", "proxied_connection").await;
        victim.send_query("SELECT 'dead'").await;
        assert!(victim.try_reply().await.is_err(), "the session is over");
    }

    async fn a_late_kill_query_does_not_hit_whoever_comes_next(server) {
        let proxy = Setup::new(server).pool("size_max: 1").start().await;
        let mut victim = proxy.connect().await;
        let mut killer = proxy.connect().await;
        let mut innocent = proxy.connect().await;
        let id = victim.greeting.connection_id;
        for round in 0..40 {
            victim.send_query("SELECT SLEEP(0.003)").await;
            let kill = async {
                killer.ok(&format!("KILL QUERY {id}")).await;
            };
            // In line for the connection that the victim has, and that is about to be killed.
            let next = async {
                assert_eq!(innocent.value(&format!("SELECT {round} + SLEEP(0.002)")).await, round.to_string());
            };
            let ended = async { victim.try_reply().await.unwrap() };
            tokio::join!(kill, next, ended);
        }
        assert_eq!(victim.value("SELECT 'alive'").await, "alive");
    }

    async fn the_id_of_a_server_connection_is_compared_with_that_of_the_server(server) {
        let proxy = proxy(server).await;
        let mut conn = Login::new(proxy.at()).connect().await;
        conn.ok("DO GET_LOCK('it_own_lock', 1)").await;
        assert_eq!(conn.value("SELECT IS_USED_LOCK('it_own_lock') = CONNECTION_ID()").await, "1");
        let list = "SELECT COUNT(*) FROM information_schema.PROCESSLIST WHERE ID = CONNECTION_ID()";
        assert_eq!(conn.value(list).await, "1");
        conn.ok("DO RELEASE_ALL_LOCKS()").await;
    }

    async fn a_killed_session_runs_nothing_that_comes_after_the_kill(server) {
        let proxy = proxy(server).await;
        let mut killer = Login::new(proxy.at()).connect().await;
        for _ in 0..50 {
            let mut victim = Login::new(proxy.at()).connect().await;
            killer.ok(&format!("KILL {}", victim.greeting.connection_id)).await;
            victim.send_query("SELECT 1").await;
            assert!(victim.try_reply().await.is_err(), "a statement ran after the KILL had been answered");
        }
    }
}
