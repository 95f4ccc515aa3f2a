//! The server's own accounts through the proxy: `users: from_server`.

use dazzle::lab::{Account, AuthPlugin, Flavor, Lab, LabOptions, Require, Server};
use dazzle::wire::Capabilities;
use rustix::process::Signal;
use tokio::task::JoinSet;

use crate::support::{At, Conn, Login, PASSWORD, Proxy, Setup, USER, eventually, own_lab};

/// A proxy that lets the server's accounts in, with an account of its own that may read them.
async fn setup(server: &Server) -> Setup {
    server.create_account(&Account::new(server.flavor(), "acc_reader", "secret")).await.unwrap();
    Setup::new(server)
        .cluster("users: from_server")
        .cluster("accounts: {user: acc_reader, password: secret, refresh: 300ms}")
}

/// An account that may do nothing yet.
async fn account(server: &Server, name: &str, password: &str) {
    let by = by(server, password);
    let name = if name.contains('@') { name.to_owned() } else { format!("'{name}'@'%'") };
    server
        .execute(&[format!("DROP USER IF EXISTS {name}"), format!("CREATE USER {name} {by}")])
        .await
        .unwrap();
}

fn by(server: &Server, password: &str) -> String {
    match server.flavor() {
        Flavor::MariaDb => format!("IDENTIFIED BY '{password}'"),
        Flavor::MySql => format!("IDENTIFIED WITH caching_sha2_password BY '{password}'"),
    }
}

/// A schema of its own that the account may read, with a table that tells whose it is.
async fn schema(server: &Server, name: &str) {
    server.create_schema(name).await.unwrap();
    server
        .execute(&[
            format!("CREATE TABLE {name}.t (owner VARCHAR(40))"),
            format!("INSERT INTO {name}.t VALUES ('{name}')"),
            format!("GRANT SELECT ON {name}.* TO '{name}'@'%'"),
        ])
        .await
        .unwrap();
}

/// The error of a login, if it fails; 0 for a connection that was closed.
async fn refused(login: &Login) -> Option<u16> {
    login.try_connect().await.err().map(|error| error.code())
}

/// What the error of a login says.
async fn told(login: &Login) -> String {
    login.try_connect().await.err().map(|error| error.text().to_owned()).unwrap_or_default()
}

fn direct(server: &Server) -> Login {
    Login::new(At::Tcp(server.address().to_string()))
}

/// The session is told `code` and then ends.
async fn is_expelled(conn: &mut Conn, code: u16) {
    eventually("the session's end", async || match conn.query_or_end("SELECT 1").await {
        Some(reply) if reply.error().is_none() => false,
        Some(reply) => {
            assert_eq!(reply.error(), Some(code), "{reply:?}");
            true
        }
        None => true,
    })
    .await;
    assert!(conn.query_or_end("SELECT 1").await.is_none(), "the session is over");
}

async fn start(server: &Server) -> Proxy {
    setup(server).await.start().await
}

both! {
    async fn an_account_logs_in_unchanged(server) {
        let name = "acc_login";
        account(server, name, "one").await;
        schema(server, name).await;
        let proxy = start(server).await;
        let login = proxy.login().user(name, "one");
        let who = direct(server).user(name, "one").connect().await.value("SELECT CURRENT_USER()").await;
        // Over a plain socket, over TLS, over a unix socket; the second time each from memory.
        for _ in 0..2 {
            let unix = Login { at: proxy.unix(), ..login.clone() };
            for login in [login.clone(), login.clone().tls(), unix] {
                let mut conn = login.schema(name).connect().await;
                assert_eq!(conn.value("SELECT CURRENT_USER()").await, who);
                assert_eq!(conn.value("SELECT owner FROM t").await, name);
            }
        }
        for (login, code) in [
            (proxy.login().user(name, "wrong"), 1045),
            (proxy.login().user(name, ""), 1045),
            (proxy.login().user("acc_nobody", "one"), 1045),
            (proxy.login().user(name, "one").schema("mysql"), 1044),
        ] {
            assert_eq!(refused(&login).await, Some(code), "{login:?}");
            let server = Login { at: direct(server).at, ..login };
            assert_eq!(refused(&server).await, Some(code), "direct: {server:?}");
        }
        // Whoever may see all schemas is told that there is none of that name.
        server.execute(&[format!("GRANT SELECT ON *.* TO '{name}'@'%'")]).await.unwrap();
        assert_eq!(refused(&proxy.login().user(name, "one").schema("acc_nowhere")).await, Some(1049));
    }

    async fn a_user_of_the_configuration_goes_before_an_account(server) {
        account(server, "acc_both", "of the server").await;
        let setup = setup(server).await.users("acc_both: {password: declared, server_user: it, server_password: secret}");
        let proxy = setup.start().await;
        let mut conn = proxy.login().user("acc_both", "declared").connect().await;
        assert!(conn.value("SELECT CURRENT_USER()").await.starts_with("it@"));
        assert_eq!(refused(&proxy.login().user("acc_both", "of the server")).await, Some(1045));
    }

    async fn an_account_without_a_password(server) {
        account(server, "acc_empty", "").await;
        let proxy = start(server).await;
        let mut conn = proxy.login().user("acc_empty", "").connect().await;
        assert!(conn.value("SELECT CURRENT_USER()").await.starts_with("acc_empty@"));
        assert_eq!(refused(&proxy.login().user("acc_empty", "some")).await, Some(1045));
    }

    async fn another_password_counts_at_once(server) {
        let name = "acc_change";
        account(server, name, "one").await;
        let proxy = start(server).await;
        let (one, two) = (proxy.login().user(name, "one"), proxy.login().user(name, "two"));
        let mut before = one.connect().await;
        before.ok("SELECT 1").await;
        server.execute(&[format!("ALTER USER '{name}'@'%' {}", by(server, "two"))]).await.unwrap();
        assert_eq!(refused(&one).await, Some(1045));
        let mut after = two.connect().await;
        after.ok("SELECT 1").await;
        assert_eq!(refused(&one).await, Some(1045));
        is_expelled(&mut before, 1045).await;
        after.ok("SELECT 1").await;
    }

    async fn a_dropped_account_is_gone_and_its_successor_is_another_one(server) {
        let name = "acc_drop";
        account(server, name, "one").await;
        schema(server, name).await;
        let proxy = start(server).await;
        let one = proxy.login().user(name, "one").schema(name);
        let mut before = one.connect().await;
        assert_eq!(before.value("SELECT owner FROM t").await, name);
        server.execute(&[format!("DROP USER '{name}'@'%'")]).await.unwrap();
        assert_eq!(refused(&one).await, Some(1045));
        // Somebody else gets the name.
        account(server, name, "two").await;
        let mut after = proxy.login().user(name, "two").connect().await;
        let denied = after.fails(&format!("SELECT owner FROM {name}.t")).await;
        assert!(denied == 1142 || denied == 1044, "{denied}");
        is_expelled(&mut before, 1045).await;
    }

    async fn sessions_of_a_dropped_account_end_although_nobody_logs_in(server) {
        let name = "acc_gone";
        account(server, name, "one").await;
        let proxy = start(server).await;
        let mut conn = proxy.login().user(name, "one").connect().await;
        conn.ok("SELECT 1").await;
        server.execute(&[format!("DROP USER '{name}'@'%'")]).await.unwrap();
        is_expelled(&mut conn, 1045).await;
    }

    async fn a_locked_account(server) {
        let name = "acc_lock";
        account(server, name, "one").await;
        let proxy = start(server).await;
        let login = proxy.login().user(name, "one");
        let mut before = login.connect().await;
        before.ok("SELECT 1").await;
        server.execute(&[format!("ALTER USER '{name}'@'%' ACCOUNT LOCK")]).await.unwrap();
        let expected = refused(&direct(server).user(name, "one")).await;
        assert_eq!(refused(&login).await, expected);
        assert_eq!(refused(&proxy.login().user(name, "wrong")).await, Some(1045));
        is_expelled(&mut before, expected.unwrap()).await;
        server.execute(&[format!("ALTER USER '{name}'@'%' ACCOUNT UNLOCK")]).await.unwrap();
        login.connect().await.ok("SELECT 1").await;
    }

    async fn an_expired_password(server) {
        let name = "acc_expired";
        account(server, name, "one").await;
        let proxy = start(server).await;
        let login = proxy.login().user(name, "one");
        let mut before = login.connect().await;
        before.ok("SELECT 1").await;
        server.execute(&[format!("ALTER USER '{name}'@'%' PASSWORD EXPIRE")]).await.unwrap();
        assert_eq!(refused(&login).await, Some(1862));
        // Who can change it is let in to do that.
        let able = login.clone().with(Capabilities::CAN_HANDLE_EXPIRED_PASSWORDS);
        assert_eq!(refused(&able.clone().user(name, "wrong")).await, Some(1045));
        let mut conn = able.connect().await;
        assert_eq!(conn.fails("SELECT 1").await, 1820);
        let change = match server.flavor() {
            Flavor::MySql => "ALTER USER USER() IDENTIFIED BY 'two'",
            Flavor::MariaDb => "SET PASSWORD = PASSWORD('two')",
        };
        conn.ok(change).await;
        assert_eq!(conn.value("SELECT 'allowed'").await, "allowed");
        assert_eq!(refused(&login).await, Some(1045));
        proxy.login().user(name, "two").connect().await.ok("SELECT 1").await;
        assert_eq!(conn.value("SELECT 'still here'").await, "still here");
    }

    async fn roles_and_privileges_reach_sessions(server) {
        let name = "acc_role";
        account(server, name, "one").await;
        server.create_schema(name).await.unwrap();
        server
            .execute(&[
                format!("CREATE TABLE {name}.t (a INT)"),
                "DROP ROLE IF EXISTS acc_reading".to_owned(),
                "CREATE ROLE acc_reading".to_owned(),
                format!("GRANT SELECT ON {name}.* TO acc_reading"),
                format!("GRANT acc_reading TO '{name}'@'%'"),
                default_role(server, name, "acc_reading"),
            ])
            .await
            .unwrap();
        let proxy = start(server).await;
        let login = proxy.login().user(name, "one");
        let select = format!("SELECT COUNT(*) FROM {name}.t");
        let mut conn = login.connect().await;
        assert_eq!(conn.value(&select).await, "0");
        // What one session chooses is nobody else's affair.
        conn.ok("SET ROLE NONE").await;
        assert!(conn.query(&select).await.error().is_some());
        assert_eq!(login.connect().await.value(&select).await, "0");
        conn.quit().await;
        assert_eq!(login.connect().await.value(&select).await, "0");
        server.execute(&[default_role(server, name, "NONE")]).await.unwrap();
        eventually("no role any more", async || login.connect().await.query(&select).await.error().is_some()).await;
        server.execute(&[format!("GRANT SELECT ON {name}.* TO '{name}'@'%'")]).await.unwrap();
        let mut conn = login.clone().schema(name).connect().await;
        conn.ok("SELECT * FROM t").await;
        server.execute(&[format!("REVOKE SELECT ON {name}.* FROM '{name}'@'%'")]).await.unwrap();
        eventually("no privilege any more", async || conn.query("SELECT * FROM t").await.error().is_some()).await;
    }

    async fn nobody_reads_through_another_one_s_connections(server) {
        let names = ["acc_first", "acc_second", "acc_third"];
        for name in names {
            account(server, name, name).await;
            schema(server, name).await;
        }
        let proxy = setup(server).await.pool("size_max: 1, queue_timeout: 60s").start().await;
        let mut clients = JoinSet::new();
        for n in 0..12 {
            let (own, other) = (names[n % 3], names[(n + 1) % 3]);
            let login = proxy.login().user(own, own);
            clients.spawn(async move {
                let mut conn = login.schema(own).connect().await;
                for _ in 0..10 {
                    assert!(conn.value("SELECT CURRENT_USER()").await.starts_with(&format!("{own}@")));
                    assert_eq!(conn.value("SELECT owner FROM t").await, own);
                    assert_eq!(conn.fails(&format!("SELECT owner FROM {other}.t")).await, 1142);
                    assert_eq!(conn.fails(&format!("USE {other}")).await, 1044);
                }
                conn.quit().await;
            });
        }
        while let Some(done) = clients.join_next().await {
            done.unwrap();
        }
    }

    async fn the_user_changes_from_one_account_to_another(server) {
        for name in ["acc_from", "acc_to"] {
            account(server, name, name).await;
            schema(server, name).await;
        }
        let proxy = start(server).await;
        let mut conn = proxy.login().user("acc_from", "acc_from").schema("acc_from").connect().await;
        assert_eq!(conn.value("SELECT owner FROM t").await, "acc_from");
        conn.change_user("acc_to", "acc_to", Some("acc_to")).await.unwrap();
        assert_eq!(conn.value("SELECT owner FROM t").await, "acc_to");
        assert_eq!(conn.fails("SELECT owner FROM acc_from.t").await, 1142);
        let error = conn.change_user("acc_from", "wrong", None).await.unwrap_err();
        assert_eq!(error.code(), 1045);
    }

    async fn the_host_is_the_proxy_s(server) {
        for (name, password) in [("'acc_host'@'127.0.0.1'", "here"), ("'acc_host'@'%'", "elsewhere")] {
            account(server, name, password).await;
        }
        account(server, "'acc_far'@'192.0.2.%'", "far").await;
        let proxy = start(server).await;
        for at in [direct(server).at, proxy.at()] {
            let login = Login { at, ..proxy.login() };
            let mut conn = login.clone().user("acc_host", "here").connect().await;
            assert_eq!(conn.value("SELECT CURRENT_USER()").await, "acc_host@127.0.0.1");
            assert_eq!(refused(&login.clone().user("acc_host", "elsewhere")).await, Some(1045));
            assert_eq!(refused(&login.user("acc_far", "far")).await, Some(1045));
        }
    }

    async fn an_account_that_a_proxy_cannot_stand_in_for(server) {
        let plugin = match server.flavor() {
            Flavor::MariaDb => AuthPlugin::Ed25519,
            Flavor::MySql => AuthPlugin::Sha256,
        };
        let account = Account { plugin, ..Account::new(server.flavor(), "acc_plugin", "secret") };
        server.create_account(&account).await.unwrap();
        let proxy = start(server).await;
        let error = proxy.login().user("acc_plugin", "secret").try_connect().await.err().unwrap();
        assert_eq!(error.code(), 1251, "{error:?}");
        assert!(format!("{error:?}").contains("DZ0301"), "{error:?}");
    }

    async fn an_account_that_must_use_tls(server) {
        let account = Account { require: Require::Ssl, ..Account::new(server.flavor(), "acc_tls", "secret") };
        server.create_account(&account).await.unwrap();
        let proxy = start(server).await;
        let login = proxy.login().user("acc_tls", "secret");
        login.clone().tls().connect().await.ok("SELECT 1").await;
        assert_eq!(refused(&login).await, Some(3159));
    }

    async fn accounts_come_and_go_with_the_configuration(server) {
        account(server, "acc_reload", "one").await;
        let with = setup(server).await;
        let mut without = with.clone();
        without.cluster.clear();
        let proxy = without.start().await;
        let login = proxy.login().user("acc_reload", "one");
        assert_eq!(refused(&login).await, Some(1045));
        proxy.reconfigure(|_| with.clone());
        proxy.signal(Signal::HUP);
        eventually("accounts may log in", async || refused(&login).await.is_none()).await;
        let mut conn = login.connect().await;
        conn.ok("SELECT 1").await;
        // Another pool, the same sessions.
        proxy.reconfigure(|_| with.clone().pool("size_max: 3"));
        proxy.signal(Signal::HUP);
        eventually("the new size", async || proxy.metric("dazzle_pool_size_max", "acc_reload") == 3.0).await;
        conn.ok("SELECT 2").await;
        proxy.reconfigure(|_| without.clone());
        proxy.signal(Signal::HUP);
        eventually("accounts may not log in", async || refused(&login).await == Some(1045)).await;
        eventually("the session has nowhere to go", async || {
            conn.query_or_end("SELECT 3").await.is_none_or(|reply| reply.error().is_some())
        })
        .await;
    }

    async fn accounts_in_use_are_bounded_and_unused_ones_give_way(server) {
        for name in ["acc_one", "acc_two"] {
            account(server, name, name).await;
        }
        let mut setup = setup(server).await.pool("size_max: 2, idle_timeout: 1s");
        setup.cluster[1] = setup.cluster[1].replace('}', ", pools_max: 1}");
        let proxy = setup.start().await;
        let (one, two) = (proxy.login().user("acc_one", "acc_one"), proxy.login().user("acc_two", "acc_two"));
        let mut conn = one.connect().await;
        conn.ok("SELECT 1").await;
        assert_eq!(refused(&two).await, Some(1040));
        conn.quit().await;
        eventually("room", async || refused(&two).await.is_none()).await;
        eventually("no pool that nobody uses", async || {
            !proxy.http("/metrics").1.lines().any(|line| line.starts_with("dazzle_pool") && line.contains("acc_"))
        })
        .await;
        one.connect().await.ok("SELECT 1").await;
    }

    async fn the_server_is_away_and_comes_back(server) {
        let lab = own_lab(server.flavor()).await;
        let server = lab.primary();
        account(server, "acc_away", "one").await;
        let proxy = setup(server).await.cluster("connect_timeout: 1s").start().await;
        let login = proxy.login().user("acc_away", "one");
        let mut conn = login.connect().await;
        conn.ok("SELECT 1").await;
        server.stop().await.unwrap();
        assert_eq!(refused(&login).await, Some(1042));
        server.start().await.unwrap();
        eventually("logins again", async || refused(&login).await.is_none()).await;
        assert_eq!(conn.value("SELECT 2").await, "2");
        assert_eq!(refused(&proxy.login().user("acc_away", "wrong")).await, Some(1045));
    }

    async fn a_client_is_called_what_the_server_would_call_it(server) {
        let arguments = vec!["--skip-name-resolve=OFF".to_owned()];
        let lab = Lab::start(&LabOptions { arguments, ..LabOptions::new(server.flavor()) }).await.unwrap();
        let server = lab.primary();
        server.create_account(&Account::new(server.flavor(), USER, PASSWORD)).await.unwrap();
        account(server, "acc_called@localhost", "one").await;
        let proxy = start(server).await;
        for name in ["acc_called", "acc_nobody"] {
            let told = told(&direct(server).user(name, "wrong")).await;
            // MySQL calls nobody by a name while its host cache is off.
            assert!(server.flavor() == Flavor::MySql || told.contains("'localhost'"), "{told}");
            assert_eq!(self::told(&proxy.login().user(name, "wrong")).await, told);
        }
    }

    async fn a_server_whose_accounts_cannot_be_read(server) {
        account(server, "acc_blind", "secret").await;
        account(server, "acc_seen", "secret").await;
        let mut setup = setup(server).await;
        setup.cluster[1] = "accounts: {user: acc_blind, password: secret}".to_owned();
        let proxy = setup.start().await;
        assert_eq!(refused(&proxy.login().user("acc_seen", "secret")).await, Some(1105));
        proxy.connect().await.ok("SELECT 'declared users are served'").await;
    }
}

fn default_role(server: &Server, name: &str, role: &str) -> String {
    match server.flavor() {
        Flavor::MariaDb => format!("SET DEFAULT ROLE {role} FOR '{name}'@'%'"),
        Flavor::MySql => format!("ALTER USER '{name}'@'%' DEFAULT ROLE {role}"),
    }
}

/// Only MySQL has two passwords at once.
#[tokio::test]
async fn two_passwords_while_one_replaces_the_other() {
    crate::support::run(Flavor::MySql, async |server| {
        let name = "acc_dual";
        account(server, name, "one").await;
        let proxy = start(server).await;
        let (one, two) = (proxy.login().user(name, "one"), proxy.login().user(name, "two"));
        let mut before = one.connect().await;
        before.ok("SELECT 1").await;
        let alter = format!("ALTER USER '{name}'@'%' IDENTIFIED BY 'two' RETAIN CURRENT PASSWORD");
        server.execute(&[alter]).await.unwrap();
        for _ in 0..3 {
            one.connect().await.ok("SELECT 1").await;
            two.connect().await.ok("SELECT 1").await;
        }
        server.execute(&[format!("ALTER USER '{name}'@'%' DISCARD OLD PASSWORD")]).await.unwrap();
        assert_eq!(refused(&one).await, Some(1045));
        let mut after = two.connect().await;
        for _ in 0..3 {
            after.ok("SELECT 1").await;
            // Logged in before, as on the server.
            before.ok("SELECT 1").await;
        }
    })
    .await;
}
