//! Every kind of password, however a client begins to prove it, over every transport.

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
}
