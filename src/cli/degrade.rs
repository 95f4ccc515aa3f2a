//! `dazzle degrade`: switches statements off for a while, and on again, through the operators' port.

use std::fmt::Write as _;
use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use clap::{Args, Subcommand, ValueEnum};

use crate::config::ConfigFile;

/// For the whole exchange with the port.
const PATIENCE: Duration = Duration::from_secs(10);

/// Switch statements off for a while.
///
/// What is off is refused at once (1203, DZ0502) and comes back by itself when its time is over. What is stale is
/// answered from what the cache has kept. Talks to
/// admin.http of a running dazzle on this machine.
#[derive(Debug, Args)]
pub(super) struct Degrade {
    #[command(subcommand)]
    command: Command,
    /// The configuration file, which names the operators' port
    #[arg(short, long, value_name = "FILE", default_value = "dazzle.yaml", global = true)]
    config: PathBuf,
    /// The operators' port, in place of the file's
    #[arg(long, value_name = "HOST:PORT", global = true)]
    admin: Option<SocketAddr>,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Switch something off, or on again
    Set(Box<Set>),
    /// Show doors, breakers, rules and switches, as JSON
    Show,
}

#[derive(Debug, Args)]
struct Set {
    /// The switch's name. If it is a rule's and nothing else is given, the statements of that rule are meant
    name: String,
    /// What they become
    state: Wanted,
    /// When it reverts by itself: 90s, 30m, 2h
    #[arg(long, value_name = "TIME", default_value = "30m")]
    ttl: String,
    /// Statements that name this table
    #[arg(long, value_name = "NAME")]
    table: Vec<String>,
    /// Statements of this user
    #[arg(long, value_name = "NAME")]
    user: Vec<String>,
    /// Statements of this application
    #[arg(long, value_name = "NAME")]
    application: Vec<String>,
    /// Statements to servers of this cluster, be it as a shard
    #[arg(long, value_name = "NAME")]
    cluster: Vec<String>,
    /// Statements of this digest
    #[arg(long, value_name = "HEX")]
    digest: Vec<String>,
    /// Statements of this kind: read, write, select …
    #[arg(long, value_name = "KIND")]
    kind: Vec<String>,
    /// Statements whose normalised text is this; `*` stands for anything
    #[arg(long, value_name = "TEXT")]
    pattern: Vec<String>,
    /// Statements of this tier and of those below it (2 to 4)
    #[arg(long, value_name = "N")]
    tier: Option<u32>,
    /// Let so many of them run at once, in place of none
    #[arg(long, value_name = "N")]
    concurrency: Option<u32>,
    /// Why, for the log and for /protection
    #[arg(long, value_name = "TEXT")]
    reason: Option<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Wanted {
    /// Refused
    Off,
    /// Answered from what the cache has kept, be it old; refused is only what is not kept
    Stale,
    /// As ever
    On,
}

pub(super) fn run(arguments: &Degrade) -> ExitCode {
    let address = match arguments.admin.map_or_else(|| address_in(&arguments.config), Ok) {
        Ok(address) => address,
        Err(why) => return failed(&why),
    };
    let (method, path) = match &arguments.command {
        Command::Show => ("GET", "/protection".to_owned()),
        Command::Set(set) if set.state == Wanted::On => {
            ("DELETE", format!("/switches/{}", encoded(&set.name)))
        }
        Command::Set(set) => ("POST", set.path()),
    };
    match exchange(address, method, &path) {
        Ok((200, body)) => {
            println!("{}", body.trim_end());
            ExitCode::SUCCESS
        }
        Ok((_, body)) => failed(body.trim_end()),
        Err(error) => failed(&format!("{address}: {error}")),
    }
}

fn failed(why: &str) -> ExitCode {
    eprintln!("dazzle degrade: {why}");
    ExitCode::FAILURE
}

fn address_in(file: &std::path::Path) -> Result<SocketAddr, String> {
    let config = ConfigFile::new(file).load().map_err(|error| error.to_string())?;
    config.admin.http.ok_or_else(|| format!("{}: admin.http is not set", file.display()))
}

impl Set {
    fn path(&self) -> String {
        let lists = [
            ("table", &self.table),
            ("user", &self.user),
            ("application", &self.application),
            ("cluster", &self.cluster),
            ("digest", &self.digest),
            ("kind", &self.kind),
            ("pattern", &self.pattern),
        ];
        let mut path = format!("/switches/{}?ttl={}", encoded(&self.name), encoded(&self.ttl));
        let mut add = |key: &str, value: &str| {
            let _ = write!(path, "&{key}={}", encoded(value));
        };
        for (key, values) in lists {
            values.iter().for_each(|value| add(key, value));
        }
        let numbers = [("tier", self.tier), ("concurrency", self.concurrency)];
        for (key, number) in numbers {
            if let Some(number) = number {
                add(key, &number.to_string());
            }
        }
        if self.state == Wanted::Stale {
            add("state", "stale");
        }
        if let Some(reason) = &self.reason {
            add("reason", reason);
        }
        path
    }
}

/// As a part of an address.
fn encoded(text: &str) -> String {
    text.bytes().fold(String::new(), |mut all, byte| {
        if byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.') {
            all.push(char::from(byte));
        } else {
            let _ = write!(all, "%{byte:02X}");
        }
        all
    })
}

/// One request; status and body of its answer.
fn exchange(address: SocketAddr, method: &str, path: &str) -> io::Result<(u16, String)> {
    let mut stream = TcpStream::connect_timeout(&address, PATIENCE)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.set_write_timeout(Some(PATIENCE))?;
    write!(
        stream,
        "{method} {path} HTTP/1.1\r\nHost: {address}\r\nX-Dazzle-Operator: degrade\r\nContent-Length: 0\r\n\
         Connection: close\r\n\r\n"
    )?;
    let mut answer = String::new();
    stream.take(16 << 20).read_to_string(&mut answer)?;
    let nonsense = || io::Error::new(io::ErrorKind::InvalidData, "the answer is no HTTP");
    let (head, body) = answer.split_once("\r\n\r\n").ok_or_else(nonsense)?;
    let status = head.split(' ').nth(1).and_then(|status| status.parse().ok()).ok_or_else(nonsense)?;
    Ok((status, body.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_survives_any_text() {
        assert_eq!(encoded("a b&c=é/"), "a%20b%26c%3D%C3%A9%2F");
    }
}
