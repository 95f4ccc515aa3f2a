//! More prepared statements than a server allows, on one whose limit is small.

use crate::support::{Setup, own_lab};

/// What the server allows, for everybody together.
const ALLOWED: usize = 24;

both! {
    async fn all_connections_together_keep_to_what_the_server_allows(server) {
        let lab = own_lab(server.flavor()).await;
        let server = lab.primary();
        server.execute(&[&format!("SET GLOBAL max_prepared_stmt_count = {ALLOWED}")]).await.unwrap();
        let proxy = Setup::new(server).pool("size_max: 3").start().await;
        let mut clients = [proxy.connect().await, proxy.connect().await, proxy.connect().await];
        let mut ids = Vec::new();
        for n in 0..3 * ALLOWED {
            let client = &mut clients[n % 3];
            client.ok("BEGIN").await;
            ids.push((n, client.prepare(&format!("SELECT {n} + 0")).await.unwrap()));
        }
        for (n, id) in ids {
            let reply = clients[n % 3].execute(id, &[]).await;
            assert_eq!(reply.error(), None, "{n}: {reply:?}");
        }
        let open = clients[0].ok("SHOW GLOBAL STATUS LIKE 'Prepared_stmt_count'").await.rows();
        let open: usize = open[0][1].parse().unwrap();
        assert!(open > 3 && open <= ALLOWED, "{open}");
        // Somebody else takes all that the account leaves.
        let mut other = crate::support::Login::new(crate::support::At::Tcp(server.address().to_string())).connect().await;
        while other.prepare("SELECT 1").await.is_ok() {}
        for n in 0..10 {
            let id = clients[n % 3].prepare(&format!("SELECT 'more {n}'")).await.unwrap();
            assert_eq!(clients[n % 3].execute(id, &[]).await.error(), None);
        }
    }
}
