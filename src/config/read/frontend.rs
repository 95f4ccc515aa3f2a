//! Reads the settings towards clients: listeners, users, TLS, deadlines, limits.

use std::path::PathBuf;
use std::time::Duration;

use crate::config::document::{Section, did_you_mean};
use crate::config::frontend::{ClientTls, Limits, Listener, ListenerAddress, Timeouts, TlsMode, User};
use crate::config::read::{Surroundings, address, kind, secret};
use crate::config::secret::Password;

/// MySQL's own bounds on `max_allowed_packet`.
const PACKET_BYTES: std::ops::RangeInclusive<u64> = 1 << 10..=1 << 30;

pub(super) fn listeners<'a>(root: &Section<'a>) -> Vec<(Section<'a>, Listener)> {
    let mut listeners: Vec<(Section<'a>, Listener)> = Vec::new();
    for section in root.items("listeners") {
        let Some(listener) = listener(&section) else { continue };
        let any_port = matches!(listener.address, ListenerAddress::Tcp(address) if address.port() == 0);
        if let Some((first, _)) = listeners.iter().find(|(_, other)| other.address == listener.address)
            && !any_port
        {
            let line = first.position("address").line;
            section.problem("address", format!("another listener has this address, in line {line}"));
        }
        listeners.push((section, listener));
    }
    listeners
}

fn listener(section: &Section<'_>) -> Option<Listener> {
    let address = section.required("address", &address::LISTENER_ADDRESS);
    let tls = section.setting("tls", &kind::TLS_MODE, TlsMode::default());
    let proxy_protocol = section.list("proxy_protocol", &address::NETWORK);
    section.finish();
    let address = address?;
    if matches!(address, ListenerAddress::Unix(_)) {
        if tls == TlsMode::Required {
            section.problem("tls", "a unix socket never uses TLS: it is secure without");
        }
        if !proxy_protocol.is_empty() {
            section.problem("proxy_protocol", "only a TCP listener can tell networks apart");
        }
    }
    let proxy_protocol = proxy_protocol.into_iter().map(|(_, network)| network).collect();
    Some(Listener { address, tls, proxy_protocol })
}

/// Whether a client can come in through TLS or a unix socket.
pub(super) fn can_be_secure(listener: &Listener) -> bool {
    listener.tls != TlsMode::Disabled || matches!(listener.address, ListenerAddress::Unix(_))
}

pub(super) fn user(name: &str, section: &Section<'_>, surroundings: &Surroundings<'_>) -> User {
    section.demand("password", "missing; write `\"\"` if there is really no password");
    let password = section.secret("password", secret::password);
    let known = password.is_some();
    let user = User {
        password: password.unwrap_or(Password::Empty),
        cluster: cluster_of(section, surroundings),
        schema: section.optional("schema", &kind::TEXT),
        server_user: section.optional("server_user", &kind::TEXT),
        server_password: section.secret("server_password", secret::secret),
        connections_max: section.setting("connections_max", &kind::count::<0, { u32::MAX }>(), 0),
        leases_max: section.setting("leases_max", &kind::count::<0, { u32::MAX }>(), 0),
        dedicated: section.setting("dedicated", &kind::count::<0, 100_000>(), 0),
        pinned_max: section.setting("pinned_max", &kind::DURATION, Duration::ZERO),
        require_tls: section.setting("require_tls", &kind::SWITCH, false),
        hints: section.list("hints", &kind::HINT).into_iter().map(|(_, hint)| hint).collect(),
    };
    section.finish();
    if name.is_empty() || name.contains('\0') {
        section.wrong("the name of a user must not be empty or hold a NUL character");
    }
    if known {
        check_identity(section, &user, surroundings);
    }
    if user.leases_max != 0 && user.dedicated > user.leases_max {
        let message = format!("must not exceed leases_max ({})", user.leases_max);
        section.problem("dedicated", message);
    }
    if user.require_tls && !surroundings.secure_listener {
        section.problem(
            "require_tls",
            "no listener has TLS or is a unix socket, so this user could never log in",
        );
    }
    user
}

fn cluster_of(section: &Section<'_>, surroundings: &Surroundings<'_>) -> String {
    let clusters = &surroundings.clusters;
    let cluster = match clusters.keys().next() {
        Some(only) if clusters.len() == 1 => section.setting("cluster", &kind::TEXT, (*only).to_owned()),
        _ => section.required("cluster", &kind::TEXT).unwrap_or_default(),
    };
    let wrong = !cluster.is_empty() && !clusters.is_empty() && !clusters.contains_key(cluster.as_str());
    if wrong {
        let hint = did_you_mean(&cluster, clusters.keys().copied());
        section.problem("cluster", format!("there is no cluster `{cluster}`{hint}"));
    }
    cluster
}

/// A verifier can check a login but not make one: the servers need a password from somewhere else.
fn check_identity(section: &Section<'_>, user: &User, surroundings: &Surroundings<'_>) {
    let Some(cluster) = surroundings.clusters.get(user.cluster.as_str()) else { return };
    let password = if user.server_user.is_some() || section.gives("server_password") {
        section.gives("server_password")
    } else {
        cluster.server_password.is_some()
    };
    if !password && matches!(user.password, Password::Verifier(_)) {
        let message = "a verifier cannot log in to the servers; give server_password here, \
                       or server_user and server_password in the cluster";
        section.problem("password", message);
    }
}

pub(super) fn tls(section: &Section<'_>, listeners: &[(Section<'_>, Listener)]) -> ClientTls {
    let certificate = section.pem("certificate", &kind::PATH, "CERTIFICATE");
    let directory = section.setting("directory", &kind::PATH, PathBuf::from("dazzle-tls"));
    let mut tls = ClientTls {
        directory: certificate.is_none().then(|| section.report().resolve(&directory)),
        key: section.pem("key", &kind::PATH, "PRIVATE KEY"),
        client_ca: section.pem("client_ca", &kind::PATH, "CERTIFICATE"),
        client_certificate_required: section.setting("client_certificate_required", &kind::SWITCH, false),
        certificate,
        content: 0,
    };
    tls.content = section.report().content([&tls.certificate, &tls.key, &tls.client_ca]);
    section.finish();
    check_pair(section);
    if section.gives("certificate") && section.gives("directory") {
        section.problem("directory", "has no use beside certificate: nothing is made");
    }
    if tls.client_certificate_required {
        if !section.gives("client_ca") {
            section.problem("client_certificate_required", "needs client_ca, to verify certificates against");
        }
        let plain = listeners.iter().find(|(_, listener)| listener.tls == TlsMode::Disabled);
        if let Some((listener, _)) = plain.filter(|(_, listener)| !can_be_secure(listener)) {
            listener.problem("tls", "`disabled` contradicts tls.client_certificate_required");
        }
    }
    tls
}

/// A certificate and its key come together.
pub(super) fn check_pair(section: &Section<'_>) {
    for (one, other) in [("certificate", "key"), ("key", "certificate")] {
        if section.gives(one) && !section.gives(other) {
            section.problem(one, format!("needs {other} beside it"));
        }
    }
}

pub(super) fn timeouts(section: &Section<'_>) -> Timeouts {
    let default = Timeouts::default();
    let timeouts = Timeouts {
        login: section.setting("login", &kind::DEADLINE, default.login),
        idle: section.setting("idle", &kind::DEADLINE, default.idle),
        read: section.setting("read", &kind::DEADLINE, default.read),
        write: section.setting("write", &kind::DEADLINE, default.write),
    };
    section.finish();
    timeouts
}

pub(super) fn limits(section: &Section<'_>) -> Limits {
    let default = Limits::default();
    let statements = kind::count::<0, { u32::MAX }>();
    let limits = Limits {
        connections_max: section.setting(
            "connections_max",
            &kind::count::<1, 10_000_000>(),
            default.connections_max,
        ),
        packet_bytes_max: section.setting("packet_bytes_max", &kind::SIZE, default.packet_bytes_max),
        prepared_statements_max: section.setting(
            "prepared_statements_max",
            &statements,
            default.prepared_statements_max,
        ),
        prepared_bytes_max: section.setting("prepared_bytes_max", &kind::SIZE, default.prepared_bytes_max),
        pin_report: section.setting("pin_report", &kind::DURATION, default.pin_report),
    };
    section.finish();
    if !PACKET_BYTES.contains(&limits.packet_bytes_max) {
        section.problem("packet_bytes_max", "must be from `1KiB` to `1GiB`, as MySQL's max_allowed_packet");
    }
    limits
}
