//! Reads where results are shared with other processes.

use std::time::Duration;

use crate::config::cache::Redis;
use crate::config::document::{Kind, Section};
use crate::config::read::address::SERVER_ADDRESS;
use crate::config::read::{kind, secret};

/// The longest a look-up may take: beyond it the database is asked sooner.
const TIMEOUT_MAX: Duration = Duration::from_millis(100);

/// The beginning of keys: plain, so that it can be looked for and named in rights.
const PREFIX: Kind<String> = Kind {
    read: |node| {
        let prefix = kind::word(node)?;
        let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.' | ':');
        if prefix.len() <= 64 && prefix.chars().all(plain) {
            Ok(prefix.to_owned())
        } else {
            Err("must be 1 to 64 letters of ASCII, digits, `_`, `-`, `.` or `:`".to_owned())
        }
    },
    show: String::clone,
};

/// `None` without an address: nothing is shared.
pub(super) fn redis(section: &Section<'_>) -> Option<Redis> {
    let default = Redis::default();
    let address = section.optional("address", &SERVER_ADDRESS);
    let redis = Redis {
        address: address.clone().unwrap_or_default(),
        user: section.optional("user", &kind::TEXT).unwrap_or_default(),
        password: section.secret("password", secret::secret).unwrap_or(default.password),
        database: section.setting("database", &kind::count::<0, 65_535>(), default.database),
        prefix: section.setting("prefix", &PREFIX, default.prefix),
        secret: section.secret("secret", secret::secret).unwrap_or(default.secret),
        timeout: section.setting("timeout", &kind::DEADLINE, default.timeout),
        connections_max: section.setting(
            "connections_max",
            &kind::count::<1, 1_000>(),
            default.connections_max,
        ),
    };
    let given = ["user", "password", "database", "prefix", "secret", "timeout", "connections_max"];
    if given.iter().any(|key| section.gives(key)) {
        section.demand("address", "missing; without it nothing is shared");
    }
    section.finish();
    if redis.timeout > TIMEOUT_MAX {
        section.problem("timeout", format!("must be at most `{}`", kind::show_duration(&TIMEOUT_MAX)));
    }
    if !redis.user.is_empty() && redis.password.reveal().is_empty() {
        section.problem("user", "has no password");
    }
    address.map(|_| redis)
}
