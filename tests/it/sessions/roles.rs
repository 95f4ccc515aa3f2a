//! SET ROLE and SET DEFAULT ROLE: what a session's privileges are stays with it, and leaves with it.

use dazzle::lab::{Flavor, Server};

use crate::support::{Setup, USER, duet};

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
            "a SELECT CURRENT_ROLE()",
            "A SELECT CURRENT_ROLE()",
            "a SET ROLE it_writer",
            "a SELECT CURRENT_ROLE(), 1",
            "a SET ROLE NONE",
            "a SELECT CURRENT_ROLE()",
            "a SET ROLE it_reader",
            // COM_RESET_CONNECTION.
            "a!1f",
            "a SELECT CURRENT_ROLE()",
        ]).await;
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
