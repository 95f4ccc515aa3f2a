//! Clients that set for themselves what the server tells of their session.

use crate::support::{Setup, compare, duet};

both! {
    async fn a_client_is_told_what_it_asked_for(server) {
        compare(server, "it_tracking", async |conn| {
            for text in [
                "SET session_track_system_variables = 'sql_mode,time_zone'",
                "SET sql_mode = 'ANSI_QUOTES', time_zone = '+01:00', sql_select_limit = 5",
                "SET autocommit = 1",
                "SET NAMES latin1",
                "SET session_track_state_change = 1",
                "SET @a = 5",
                "CREATE TEMPORARY TABLE x (a INT)",
                "SET session_track_schema = 0",
                "USE mysql",
                "USE it_tracking",
                "SELECT DATABASE(), @@session_track_schema, @@session_track_state_change, @@session_track_system_variables",
                "SET session_track_schema = 1",
                "USE it_tracking",
                "SET session_track_system_variables = DEFAULT",
                "SET time_zone = '+02:00', sql_mode = ''",
                "SELECT \"quoted\"",
                "SET session_track_system_variables = 'no_such'",
                "SET session_track_schema = 7",
            ] {
                conn.query(text).await;
            }
            conn.command(&[0x1F]).await;
            conn.query("SET time_zone = '+03:00', sql_mode = ''").await;
        }).await;
    }

    async fn what_the_server_tells_beyond_the_text_is_believed_counted_and_logged_once(server) {
        server.create_schema("it_witness").await.unwrap();
        let proxy = Setup::new(server).pool("size_max: 1").start().await;
        let login = proxy.login().schema("it_witness");
        let mut a = login.connect().await;
        a.ok("CREATE TABLE t (a INT)").await;
        a.ok("CREATE TRIGGER sets BEFORE INSERT ON t FOR EACH ROW SET SESSION time_zone = '+05:00'").await;
        let count = |proxy: &crate::support::Proxy| proxy.metric("dazzle_tracker_disagreements_total", "");
        assert_eq!(count(&proxy), 0.0);
        for n in [1, 2] {
            a.ok(&format!("INSERT INTO t VALUES ({n})")).await;
            a.ok("SET time_zone = '+06:00'").await;
        }
        a.ok("INSERT INTO t VALUES (3)").await;
        assert_eq!(a.value("SELECT @@time_zone").await, "+05:00");
        assert_eq!(count(&proxy), 3.0);
        let told = proxy.log().matches("the server told of a change that the statement does not show").count();
        assert_eq!(told, 1);
    }

    async fn what_is_set_there_stays_there(server) {
        duet(server, "it_duet_tracking", &[
            "a SET session_track_system_variables = 'sql_mode', session_track_schema = 0",
            "a SET sql_mode = 'ANSI_QUOTES'",
            "a SET NAMES latin1",
            "a USE mysql",
            "a SET autocommit = 0",
            "a SET autocommit = 1",
            "a SELECT \"DATABASE\", DATABASE(), @@character_set_client",
            "a!1F",
            "b SELECT \"b\", DATABASE(), @@character_set_client",
            "a SELECT DATABASE(), @@sql_mode = '', @@character_set_client",
            "b SET time_zone = '+01:00'",
            "A SET session_track_system_variables = ''",
            "A SET time_zone = '+02:00'",
            "a SELECT @@time_zone",
            "a!1F",
            "b SELECT @@time_zone",
        ]).await;
    }
}
