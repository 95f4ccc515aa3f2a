//! Connection ids: the proxy's own, the same in the greeting, in CONNECTION_ID() and in KILL.

use crate::support::{Login, proxy};

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
}
