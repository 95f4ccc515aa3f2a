//! What it costs to lend a server connection to another session.

use crate::support::Setup;

/// Statements of each session.
const TURNS: usize = 20;

both! {
    async fn a_session_whose_state_differs_costs_one_statement_more(server) {
        server.execute(&["CREATE DATABASE IF NOT EXISTS it_switching"]).await.unwrap();
        let proxy = Setup::new(server).pool("size_max: 1, queue_timeout: 5s").start().await;
        let login = proxy.login().schema("it_switching");
        let (mut a, mut b) = (login.connect().await, login.connect().await);
        for (text, other) in [
            ("SET time_zone = '+01:00'", "SET time_zone = '+02:00'"),
            ("SET sql_mode = 'ANSI_QUOTES', @a = 1, foreign_key_checks = 0", "SET NAMES latin1, @b = 'x'"),
            ("SET autocommit = 0", "SET SESSION TRANSACTION ISOLATION LEVEL READ COMMITTED"),
            ("SET autocommit = 1, group_concat_max_len = 50", "SET lc_time_names = 'de_DE'"),
        ] {
            a.ok(text).await;
            b.ok(other).await;
            let before = questions(&mut a).await;
            for _ in 0..TURNS {
                b.ok("DO 1").await;
                a.ok("DO 1").await;
            }
            let asked = questions(&mut a).await - before - 1;
            assert_eq!(asked, 2 * TURNS + 2 * TURNS, "a statement and a SET each: {text} against {other}");
        }
        let before = questions(&mut a).await;
        for _ in 0..TURNS {
            a.ok("DO 1").await;
        }
        assert_eq!(questions(&mut a).await - before - 1, TURNS, "alone nothing is set");
    }
}

/// Statements that the server's connection has run so far.
async fn questions(conn: &mut crate::support::Conn) -> usize {
    conn.ok("SHOW SESSION STATUS LIKE 'Questions'").await.rows()[0][1].parse().unwrap()
}
