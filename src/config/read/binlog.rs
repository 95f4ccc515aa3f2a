//! Reads how a binary log is followed.

use std::time::Duration;

use crate::config::binlog::{Binlog, FollowMode};
use crate::config::document::Section;
use crate::config::read::{kind, secret};

/// The shortest age of a proof: it is renewed five times meanwhile.
const LAG_MIN: Duration = Duration::from_millis(50);

pub(super) fn binlog(section: &Section<'_>) -> Binlog {
    let default = Binlog::default();
    let follow = section.setting("follow", &kind::FOLLOW_MODE, default.follow);
    if follow != FollowMode::Off {
        section.demand("user", "missing; following needs an account with REPLICATION SLAVE");
        section.demand("password", "missing; write `\"\"` if there is really no password");
    }
    let binlog = Binlog {
        follow,
        user: section.optional("user", &kind::TEXT).unwrap_or_default(),
        password: section.secret("password", secret::secret).unwrap_or(default.password),
        server_id: section.setting("server_id", &kind::count::<0, { u32::MAX }>(), default.server_id),
        lag_max: section.setting("lag_max", &kind::DEADLINE, default.lag_max),
    };
    section.finish();
    if binlog.lag_max < LAG_MIN {
        section.problem("lag_max", format!("must be at least `{}`", kind::show_duration(&LAG_MIN)));
    }
    binlog
}
