//! The table of ARCHITECTURE.md: which floor may import which. `error` is open to all.

use crate::source::Source;

/// Every module of the crate with the modules it may import.
const FLOORS: [(&str, &[&str]); 18] = [
    ("error", &[]),
    ("wire", &[]),
    ("sql", &[]),
    ("config", &[]),
    ("telemetry", &["sql", "config"]),
    ("protection", &["sql", "config", "telemetry"]),
    ("cache", &["wire", "sql", "config", "telemetry"]),
    ("merge", &["wire"]),
    ("sharding", &["sql", "merge", "config"]),
    ("backend", &["protection", "wire", "config", "telemetry"]),
    (
        "engine",
        &["backend", "sharding", "merge", "cache", "protection", "telemetry", "wire", "sql", "config"],
    ),
    ("lab", &["config", "telemetry"]),
    (
        "admin",
        &[
            "engine",
            "backend",
            "sharding",
            "merge",
            "cache",
            "protection",
            "telemetry",
            "wire",
            "sql",
            "config",
        ],
    ),
    ("frontend", &["engine", "protection", "wire", "config", "telemetry"]),
    ("server", EVERYTHING),
    ("cli", EVERYTHING),
    ("main", EVERYTHING),
    ("lib", EVERYTHING),
];

/// The top floor.
const EVERYTHING: &[&str] = &[
    "wire",
    "sql",
    "config",
    "telemetry",
    "protection",
    "cache",
    "merge",
    "sharding",
    "backend",
    "engine",
    "lab",
    "admin",
    "frontend",
    "server",
    "cli",
];

/// Paths `crate::floor` that go up or sideways.
pub(crate) fn imports(file: &Source) -> Vec<String> {
    let inside = file.path.strip_prefix("src/").unwrap_or(&file.path);
    let floor = inside.split('/').next().unwrap_or_default().trim_end_matches(".rs");
    let Some((_, allowed)) = FLOORS.iter().find(|(name, _)| *name == floor) else {
        return vec![format!("1: `{floor}` is no floor of ARCHITECTURE.md")];
    };
    let mut offences = Vec::new();
    for (number, line) in file.shipped.lines().enumerate() {
        for path in line.split("crate::").skip(1) {
            let end = path.find(|c: char| !(c.is_alphanumeric() || c == '_')).unwrap_or(path.len());
            let target = &path[..end];
            let known = FLOORS.iter().any(|(name, _)| *name == target);
            if known && target != floor && target != "error" && !allowed.contains(&target) {
                offences.push(format!("{}: `{floor}` may not import `{target}`", number + 1));
            }
        }
    }
    offences
}

#[test]
fn an_import_that_goes_up_is_found() {
    let check = |path: &str, text: &str, expected: &[&str]| {
        assert_eq!(imports(&Source::new(path, text)), expected, "{path}: {text}");
    };
    check("src/wire/packet.rs", "use crate::config::Limits;", &["1: `wire` may not import `config`"]);
    check(
        "src/backend/pool.rs",
        "\nfn f() { crate::engine::run() }",
        &["2: `backend` may not import `engine`"],
    );
    check("src/novelty.rs", "", &["1: `novelty` is no floor of ARCHITECTURE.md"]);
    check("src/wire/packet.rs", "use crate::error::Blame;\nuse crate::wire::Reader;", &[]);
    check("src/wire/packet.rs", "// crate::config\n#[cfg(test)]\nmod tests { use crate::config::X; }", &[]);
    check("src/engine/mod.rs", "use crate::backend::Pool;", &[]);
    check("src/server.rs", "use crate::frontend::Session;", &[]);
}
