//! Every kind of password, however a client begins to prove it, over every transport.

use dazzle::lab::Account;
use dazzle::wire::Capabilities;

use crate::support::{Guess, Login, Setup};

/// `secret` as mysql.user stores it for `mysql_native_password`.
const NATIVE: &str = "*14E65567ABDB5135D0CFD9A70B3032C179A49EE7";

/// `secret` as a MySQL 9.7 stores it for `caching_sha2_password`, in hexadecimal digits.
const SHA2: &str = "24412430303524741F253C46127565677C4B13661754602037753E4E3950386E713174415550765236364F4C564D674477\
                    574572665A2E685A375564793255416A512F585137";

/// Names of users, how the file has their passwords, and the passwords.
fn users() -> [(&'static str, String, &'static str); 4] {
    [
        ("log_plain", "secret".to_owned(), "secret"),
        ("log_empty", "\"\"".to_owned(), ""),
        ("log_native", format!("{{native: \"{NATIVE}\"}}"), "secret"),
        ("log_sha2", format!("{{sha2_hex: \"{SHA2}\"}}"), "secret"),
    ]
}

/// The same login over TCP, TLS and a unix socket.
fn over_all(login: &Login, unix: &Login) -> [Login; 3] {
    let to = |other: Login| Login { guess: login.guess, capabilities: login.capabilities, ..other };
    [login.clone(), login.clone().tls(), to(unix.clone())]
}

both! {
    async fn every_password_is_proved_by_every_client(server) {
        let setup = users().iter().fold(Setup::new(server), |setup, (name, password, _)| {
            setup.users(&format!("{name}: {{password: {password}, server_user: it, server_password: secret}}"))
        });
        let proxy = setup.start().await;
        for (name, _, password) in users() {
            for guess in [Guess::Native, Guess::Sha2, Guess::Clear, Guess::NoPlugins] {
                let as_guessed = |password: &str, login: Login| {
                    let login = Login { guess: Some(guess), ..login.user(name, password) };
                    if guess == Guess::NoPlugins { login.without(Capabilities::PLUGIN_AUTH) } else { login }
                };
                let login = |password: &str| {
                    let unix = as_guessed(password, Login::new(proxy.unix()));
                    over_all(&as_guessed(password, proxy.login()), &unix)
                };
                // What a client without plugins sends says nothing about such a password.
                let works = !(guess == Guess::NoPlugins && name == "log_sha2");
                // The first proof of `caching_sha2_password` is in full, the second is fast.
                for round in 0..2 {
                    for (transport, login) in login(password).iter().enumerate() {
                        let outcome = login.try_connect().await;
                        assert_eq!(
                            outcome.is_ok(),
                            works,
                            "{name} {guess:?} {transport} {round}: {:?}",
                            outcome.err()
                        );
                        if let Ok(mut conn) = outcome {
                            assert_eq!(conn.value("SELECT 1").await, "1");
                        }
                    }
                }
                for (transport, login) in login("wrong").iter().enumerate() {
                    let code = login.try_connect().await.err().map(|error| error.code());
                    assert!(code == Some(1045) || !works, "{name} {guess:?} {transport}: {code:?}");
                }
            }
        }
    }

    async fn the_pool_proves_its_password_to_a_server_that_has_forgotten_it(server) {
        let account = Account::new(server.flavor(), "it_full", "secret");
        server.create_account(&account).await.unwrap();
        server.create_schema("it_full").await.unwrap();
        let tcp = server.address().to_string();
        let ways = [
            // The password by the server's public key, in TLS, and over a socket that nobody listens at.
            (tcp.clone(), "disabled"),
            (tcp, "required"),
            (server.socket().display().to_string(), "disabled"),
        ];
        for (primary, tls) in ways {
            let mut setup = Setup::new(server)
                .pool("size_max: 1, queue_timeout: 5s")
                .cluster(&format!("tls: {{mode: {tls}}}"))
                .users("it_full: {password: secret}")
                .users("it_wrong: {password: secret, server_user: it_full, server_password: wrong}");
            setup.primary = primary;
            server.execute(&["FLUSH PRIVILEGES"]).await.unwrap();
            let proxy = setup.start().await;
            let mut conn = proxy.login().user("it_full", "secret").connect().await;
            for _ in 0..2 {
                let list = "SELECT ID FROM information_schema.PROCESSLIST WHERE USER = 'it_full'";
                let id = conn.value(list).await;
                server.execute(&["FLUSH PRIVILEGES", &format!("KILL {id}")]).await.unwrap();
                assert_ne!(conn.value(list).await, id);
                // A connection leaves a schema by another login.
                let mut other = proxy.login().user("it_full", "secret").schema("it_full").connect().await;
                assert_eq!(other.value("SELECT DATABASE()").await, "it_full");
                server.execute(&["FLUSH PRIVILEGES"]).await.unwrap();
                assert_eq!(conn.value("SELECT DATABASE() IS NULL").await, "1");
                other.quit().await;
            }
            conn.quit().await;
            server.execute(&["FLUSH PRIVILEGES"]).await.unwrap();
            // The server is known, so the login needs no connection yet; the first statement does.
            let mut wrong = proxy.login().user("it_wrong", "secret").connect().await;
            assert!(wrong.query("SELECT 1").await.error().is_some(), "{tls}");
        }
    }
}
