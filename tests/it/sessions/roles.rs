//! SET ROLE and SET DEFAULT ROLE: what a session's privileges are stays with it, and leaves with it.

use dazzle::lab::{Flavor, Server};

use crate::support::{PASSWORD, Setup, USER, duet};

/// Roles that the tests' user has and does not use.
async fn grant_roles(server: &Server) {
    let mut statements: Vec<String> = Vec::new();
    for role in ["it_reader", "it_writer"] {
        statements.push(format!("CREATE ROLE IF NOT EXISTS {role}"));
        statements.push(format!("GRANT {role} TO '{USER}'@'%'"));
    }
    statements.push("CREATE ROLE IF NOT EXISTS it_stranger".to_owned());
    server.execute(&statements).await.unwrap();
}

both! {
    async fn a_role_stays_with_the_session_that_took_it(server) {
        grant_roles(server).await;
        let set_default = match server.flavor() {
            Flavor::MariaDb => "a SET DEFAULT ROLE NONE",
            Flavor::MySql => "a SET DEFAULT ROLE NONE TO CURRENT_USER()",
        };
        duet(server, "it_duet_roles", &[
            "a SELECT CURRENT_ROLE()",
            // What fails leaves nothing behind.
            "a SET ROLE it_stranger",
            "b SELECT CURRENT_ROLE()",
            "a SET ROLE nowhere",
            "b SELECT 1",
            set_default,
            "b SELECT CURRENT_ROLE()",
            "a SET ROLE it_reader",
            "b SELECT CURRENT_ROLE()",
            "a SELECT CURRENT_ROLE()",
            "A SELECT CURRENT_ROLE()",
            "B SET ROLE it_writer",
            "a SELECT CURRENT_ROLE(), 1",
            "b SELECT CURRENT_ROLE(), 2",
            "a SET ROLE it_writer",
            "b SET ROLE NONE",
            "a SELECT CURRENT_ROLE(), 1",
            "b SELECT CURRENT_ROLE(), 2",
            "a SET ROLE NONE",
            "b SET ROLE it_reader",
            "a SELECT CURRENT_ROLE()",
            "a SET ROLE it_reader",
            "b SELECT CURRENT_ROLE()",
            // COM_RESET_CONNECTION.
            "a!1f",
            "b SET ROLE NONE",
            "a SELECT CURRENT_ROLE()",
            "b BEGIN",
            "b SET ROLE it_writer",
            "b ROLLBACK",
            "a SELECT CURRENT_ROLE()",
            "b SELECT CURRENT_ROLE()",
        ]).await;
    }

    async fn roles_of_every_kind_are_carried(server) {
        if server.flavor() == Flavor::MariaDb {
            return;
        }
        grant_roles(server).await;
        duet(server, "it_duet_all_roles", &[
            "a SET ROLE ALL",
            "b SELECT CURRENT_ROLE()",
            "a SELECT CURRENT_ROLE()",
            "b SET ROLE ALL EXCEPT it_writer",
            "a SELECT CURRENT_ROLE()",
            "b SELECT CURRENT_ROLE()",
            "a SET sql_mode = 'ANSI_QUOTES'",
            "a SET ROLE 'it_reader', `it_writer`@`%`",
            "b SELECT CURRENT_ROLE()",
            "a SELECT CURRENT_ROLE()",
            "a SET sql_mode = ''",
            "b SET ROLE DEFAULT",
            "a SELECT CURRENT_ROLE()",
            "b SELECT CURRENT_ROLE()",
        ]).await;
    }

    async fn a_role_that_a_routine_takes_is_not_left_to_others(server) {
        grant_roles(server).await;
        duet(server, "it_duet_role_routine", &[
            "a CREATE PROCEDURE takes() SQL SECURITY INVOKER BEGIN SET ROLE it_reader; END",
            "a CALL takes()",
            "a SELECT CURRENT_ROLE()",
            "a!1f",
            "b SELECT CURRENT_ROLE()",
            "a SELECT CURRENT_ROLE()",
            "b PREPARE q FROM 'SET ROLE it_writer'",
            "b EXECUTE q",
            "b SELECT CURRENT_ROLE()",
            "b!1f",
            "a SELECT CURRENT_ROLE()",
            "b SELECT CURRENT_ROLE()",
        ]).await;
    }

    async fn another_user_has_other_roles(server) {
        grant_roles(server).await;
        let proxy = Setup::new(server).pool("size_max: 1, queue_timeout: 5s").start().await;
        let (mut a, mut b) = (proxy.connect().await, proxy.connect().await);
        let before = a.value("SELECT COALESCE(CURRENT_ROLE(), 'none')").await;
        a.ok("SET ROLE it_reader").await;
        b.ok("SET ROLE it_writer").await;
        assert!(a.value("SELECT CURRENT_ROLE()").await.contains("it_reader"));
        a.change_user(USER, PASSWORD, None).await.unwrap();
        assert_eq!(a.value("SELECT COALESCE(CURRENT_ROLE(), 'none')").await, before);
        assert!(b.value("SELECT CURRENT_ROLE()").await.contains("it_writer"));
    }

    async fn nobody_inherits_a_role(server) {
        grant_roles(server).await;
        let proxy = Setup::new(server).pool("size_max: 1, queue_timeout: 5s").start().await;
        let (mut a, mut b) = (proxy.connect().await, proxy.connect().await);
        let before = b.value("SELECT COALESCE(CURRENT_ROLE(), 'none')").await;
        a.ok("SET ROLE it_reader").await;
        assert!(a.value("SELECT CURRENT_ROLE()").await.contains("it_reader"));
        a.quit().await;
        assert_eq!(b.value("SELECT COALESCE(CURRENT_ROLE(), 'none')").await, before);
    }
}
