//! What a running Dazzle tells on its operators' port: which rules it goes by, which statements it has seen.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use serde::Deserialize;
use serde::de::DeserializeOwned;

use crate::config::{Config, ConfigFile};
use crate::server::today;
use crate::sharding::{RuleSet, ShardingRules, load};

/// For each answer.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(10);

/// Bytes of an answer at most: ten thousand digests of the longest texts that are kept.
const ANSWER_BYTES_MAX: u64 = 256 * 1024 * 1024;

/// Statements that are asked for.
const DIGESTS_MAX: u32 = 10_000;

/// A configuration, the rules that it names, and the Dazzle that runs it.
pub(super) struct Running {
    pub(super) config: Config,
    /// What the files say now.
    pub(super) rules: RuleSet,
    address: Option<SocketAddr>,
}

/// A logical database as the process knows it.
#[derive(Debug, Deserialize)]
pub(super) struct Revision {
    pub(super) name: String,
    pub(super) revision: u64,
    pub(super) content: String,
}

/// A statement that the process has seen.
#[derive(Debug, Deserialize)]
pub(super) struct Seen {
    pub(super) text: String,
    pub(super) count: u64,
}

#[derive(Deserialize)]
struct Revisions {
    rules: Vec<Revision>,
}

#[derive(Deserialize)]
struct Digests {
    digests: Vec<Seen>,
}

impl Running {
    /// Reads the configuration and its rules; asks nobody yet.
    pub(super) fn of(config: &Path) -> Result<Self, String> {
        let config = ConfigFile::new(config).load().map_err(|error| error.to_string())?;
        let rules = load(&config, today())
            .rules
            .map_err(|errors| errors.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n"))?;
        Ok(Self { address: config.admin.http, config, rules })
    }

    /// The rules of a logical database that statements go by now; None if there are none. What the process runs must
    /// be what its files say, because it tells the revision alone.
    pub(super) fn rules_of(&self, name: &str) -> Result<Option<Arc<ShardingRules>>, String> {
        let runs = self.revisions()?.into_iter().find(|revision| revision.name.eq_ignore_ascii_case(name));
        let file = self.rules.named(name);
        match (runs, file) {
            (None, _) => Ok(None),
            (Some(runs), Some(file)) if runs.is(file) => Ok(Some(Arc::clone(file))),
            (Some(runs), Some(file)) => Err(format!(
                "revision {} of `{name}` runs, and its file is another one (revision {}): see the log of Dazzle for why",
                runs.revision,
                file.revision()
            )),
            (Some(runs), None) => {
                Err(format!("revision {} of `{name}` runs, and its file is gone", runs.revision))
            }
        }
    }

    /// Every logical database that runs.
    pub(super) fn revisions(&self) -> Result<Vec<Revision>, String> {
        self.ask::<Revisions>("/rules").map(|answer| answer.rules)
    }

    /// The statements that took most of the time.
    pub(super) fn seen(&self) -> Result<Vec<Seen>, String> {
        self.ask::<Digests>(&format!("/digests?top={DIGESTS_MAX}")).map(|answer| answer.digests)
    }

    fn ask<T: DeserializeOwned>(&self, path: &str) -> Result<T, String> {
        let address =
            self.address.ok_or("the configuration has no admin.http, where Dazzle could be asked")?;
        let body = get(address, path).map_err(|error| format!("Dazzle at {address}: {error}"))?;
        serde_json::from_slice(&body).map_err(|error| format!("Dazzle at {address}: {path}: {error}"))
    }
}

impl Revision {
    /// Whether it is the revision that a file says.
    pub(super) fn is(&self, rules: &ShardingRules) -> bool {
        self.revision == rules.revision() && self.content == format!("{:016x}", rules.content())
    }
}

/// The body of a page.
fn get(address: SocketAddr, path: &str) -> std::io::Result<Vec<u8>> {
    let mut stream = TcpStream::connect_timeout(&address, ANSWER_TIMEOUT)?;
    stream.set_read_timeout(Some(ANSWER_TIMEOUT))?;
    stream.set_write_timeout(Some(ANSWER_TIMEOUT))?;
    write!(stream, "GET {path} HTTP/1.1\r\nHost: dazzle\r\nConnection: close\r\n\r\n")?;
    let mut answer = Vec::new();
    stream.take(ANSWER_BYTES_MAX).read_to_end(&mut answer)?;
    let wrong = || std::io::Error::other("the answer is not understood");
    let end = memchr::memmem::find(&answer, b"\r\n\r\n").ok_or_else(wrong)?;
    if !answer.starts_with(b"HTTP/1.1 200") {
        return Err(std::io::Error::other(format!("{path} is not answered")));
    }
    Ok(answer.split_off(end + 4))
}
