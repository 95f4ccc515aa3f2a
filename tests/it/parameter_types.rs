//! Parameters whose type only the bound value tells: MySQL settles it with a statement's first execution, and
//! no session may see what another one bound.

use dazzle::lab::Server;

use crate::support::{At, Conn, Login, Parameter, Reply, Setup};

/// What two sessions see that prepare the same texts and bind different types in turns.
async fn two_sessions(at: &At) -> Vec<Reply> {
    let login = Login::new(at.clone());
    let mut conns: [Conn; 2] = [login.connect().await, login.connect().await];
    let mut seen = Vec::new();
    for sql in ["SELECT ?", "SELECT ?, 7", "SELECT IFNULL(?, 'none'), 1 + ?", "SELECT ? UNION SELECT 'x'"] {
        let parameters = sql.matches('?').count();
        let mut ids = Vec::new();
        for conn in &mut conns {
            ids.push(conn.prepare(sql).await.unwrap());
        }
        for round in 0..4 {
            // The types go along with the first execution only.
            let number = vec![Parameter::int(5 + round); parameters];
            seen.push(conns[0].execute_with(ids[0], 0, &number, round == 0).await);
            let text = vec![Parameter::text(format!("text {round}").as_bytes()); parameters];
            seen.push(conns[1].execute_with(ids[1], 0, &text, round == 0).await);
        }
        let null = vec![Parameter::null(); parameters];
        seen.push(conns[0].execute(ids[0], &null).await);
        seen.push(conns[1].execute(ids[1], &null).await);
        seen.push(conns[1].execute(ids[1], &vec![Parameter::text(b"again"); parameters]).await);
    }
    seen
}

async fn compare(server: &Server, pool: &str) {
    let proxy = Setup::new(server).pool(pool).start().await;
    let direct = two_sessions(&At::Tcp(server.address().to_string())).await;
    let proxied = two_sessions(&proxy.at()).await;
    for (n, (direct, proxied)) in direct.iter().zip(&proxied).enumerate() {
        assert_eq!(direct.packets, proxied.packets, "execution {n}");
    }
}

both! {
    async fn are_each_session_s_own_on_one_connection(server) {
        compare(server, "size_max: 1, queue_timeout: 20s").await;
    }

    async fn are_each_session_s_own_on_several_connections(server) {
        compare(server, "size_max: 3").await;
    }
}
