//! Reads the settings of the process: threads, draining, logs, the operators' port.

use crate::config::Config;
use crate::config::document::Section;
use crate::config::frontend::ListenerAddress;
use crate::config::process::{Admin, Logging, Process};
use crate::config::read::{address, kind};

pub(super) fn admin(section: &Section<'_>) -> Admin {
    let admin = Admin { http: section.optional("http", &address::SOCKET_ADDRESS) };
    section.finish();
    admin
}

pub(super) fn process(section: &Section<'_>) -> Process {
    let default = Process::default();
    let process = Process {
        workers: section.setting("workers", &kind::count::<0, 1_024>(), default.workers),
        drain_timeout: section.setting("drain_timeout", &kind::DURATION, default.drain_timeout),
    };
    section.finish();
    process
}

pub(super) fn logging(section: &Section<'_>) -> Logging {
    let default = Logging::default();
    let logging = Logging {
        level: section.setting("level", &kind::LOG_LEVEL, default.level),
        format: section.setting("format", &kind::LOG_FORMAT, default.format),
    };
    section.finish();
    logging
}

/// The operators' port cannot be one that clients connect to.
pub(super) fn check_ports(root: &Section<'_>, config: &Config) {
    let Some(http) = config.admin.http.filter(|http| http.port() != 0) else { return };
    if config.listeners.iter().any(|listener| listener.address == ListenerAddress::Tcp(http)) {
        root.child("admin").problem("http", "a listener has this address already");
    }
}
