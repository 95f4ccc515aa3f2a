//! The processes of the bench: each role is this binary again; all end with it, however it ends.

use std::env;
use std::io::{self, BufRead, BufReader, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use rustix::process::{Resource, Rlimit, Signal};

use crate::load;
use crate::relay;
use crate::server;

/// A role that runs; dropping it ends it.
pub(crate) struct Role {
    child: Child,
    input: ChildStdin,
    output: BufReader<ChildStdout>,
}

impl Role {
    /// Starts this binary in a role.
    pub(crate) fn start(arguments: &[&str]) -> io::Result<Self> {
        Self::spawn(
            Command::new(env::current_exe()?).arg("role").arg(std::process::id().to_string()).args(arguments),
        )
    }

    /// Starts another program, by way of this binary, so that it ends with this process.
    pub(crate) fn start_program(program: &Path, arguments: &[&str]) -> io::Result<Self> {
        let program = program.to_str().ok_or(io::Error::other("the program's path is not UTF-8"))?;
        Self::start(&[&["exec", program], arguments].concat())
    }

    fn spawn(command: &mut Command) -> io::Result<Self> {
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn()?;
        let input = child.stdin.take().expect("standard input is a pipe");
        let output = BufReader::new(child.stdout.take().expect("standard output is a pipe"));
        Ok(Self { child, input, output })
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Writes one line to the role.
    pub(crate) fn tell(&mut self, line: &str) -> io::Result<()> {
        writeln!(self.input, "{line}")
    }

    /// The next line that the role prints.
    pub(crate) fn hear(&mut self) -> io::Result<String> {
        let mut line = String::new();
        match self.output.read_line(&mut line)? {
            0 => Err(io::Error::other(format!("process {} ended: {}", self.pid(), self.child.wait()?))),
            _ => Ok(line.trim_end().to_owned()),
        }
    }

    /// The address that a server or relay has told.
    pub(crate) fn address(&mut self) -> io::Result<SocketAddr> {
        self.hear()?.parse().map_err(io::Error::other)
    }

    /// Whether the process has ended.
    pub(crate) fn ended(&mut self) -> io::Result<bool> {
        Ok(self.child.try_wait()?.is_some())
    }
}

impl Drop for Role {
    fn drop(&mut self) {
        // Errors: it has ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Runs in a role: `PARENT ROLE …`.
pub(crate) fn play(arguments: &[String]) -> io::Result<()> {
    let (parent, role) = arguments.split_first().ok_or(io::Error::other("no parent"))?;
    die_with(parent)?;
    let role: Vec<&str> = role.iter().map(String::as_str).collect();
    let parse = |address: &str| address.parse::<SocketAddr>().map_err(io::Error::other);
    let count = |number: &str| number.parse::<usize>().map_err(io::Error::other);
    match role.as_slice() {
        ["exec", program, arguments @ ..] => Err(Command::new(program).args(arguments).exec()),
        ["server"] => server::run(&listen()?),
        ["relay", server] => relay::run(&listen()?, parse(server)?),
        ["load", address, connections, mode, keys] => {
            open_files_max()?;
            let (mode, keys) = (mode.parse().map_err(io::Error::other)?, count(keys)? as u64);
            load::run(parse(address)?, count(connections)?, mode, keys)
        }
        ["idle", address, clients] => {
            open_files_max()?;
            load::idle(parse(address)?, count(clients)?)
        }
        other => Err(io::Error::other(format!("no such role: {other:?}"))),
    }
}

/// The kernel ends this process when its parent ends, whichever way; it stays so behind `exec`.
fn die_with(parent: &str) -> io::Result<()> {
    rustix::process::set_parent_process_death_signal(Some(Signal::KILL))?;
    let now = rustix::process::getppid().map(|pid| pid.as_raw_nonzero().to_string());
    match now.as_deref() == Some(parent) {
        true => Ok(()),
        false => Err(io::Error::other("the parent has ended already")),
    }
}

/// Listens on a port of the kernel's choice and prints it.
fn listen() -> io::Result<TcpListener> {
    open_files_max()?;
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
    println!("{}", listener.local_addr()?);
    Ok(listener)
}

fn open_files_max() -> io::Result<()> {
    let maximum = rustix::process::getrlimit(Resource::Nofile).maximum;
    Ok(rustix::process::setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum })?)
}
