//! `dazzle demo` as a stranger meets it: it works on both servers, and whatever ends it, nothing is left.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::env;
use std::fs;
use std::io::{BufRead, BufReader};
use std::path::PathBuf;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::Duration;

use dazzle::lab::Flavor;
use rustix::process::{Pid, Signal, kill_process};
use tokio::time::{Instant, sleep};

const SOON: Duration = Duration::from_secs(60);

/// A demo, killed if its test fails.
struct Demo(Child);

impl Drop for Demo {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

impl Demo {
    fn start(arguments: &[&str]) -> Self {
        let mut command = Command::new(env!("CARGO_BIN_EXE_dazzle"));
        command.arg("demo").args(arguments).stdin(Stdio::null()).stdout(Stdio::piped());
        Self(command.spawn().unwrap())
    }

    /// Reads what it prints up to a line that contains `text`.
    fn read_until(&mut self, text: &str) -> String {
        let mut printed = String::new();
        let mut output = BufReader::new(self.0.stdout.as_mut().unwrap());
        loop {
            let mut line = String::new();
            assert!(output.read_line(&mut line).unwrap() > 0, "no `{text}` in\n{printed}");
            printed.push_str(&line);
            if line.contains(text) {
                return printed;
            }
        }
    }

    fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.0), signal).unwrap();
    }

    /// Its lab's folders, while there are any.
    fn folders(&self) -> Vec<PathBuf> {
        let prefix = format!("dazzle-lab-{}-", self.0.id());
        let entries = fs::read_dir(env::temp_dir()).unwrap().flatten();
        entries
            .filter(|entry| entry.file_name().to_string_lossy().starts_with(&prefix))
            .map(|entry| entry.path())
            .collect()
    }

    /// Processes whose command line names its folder: servers, proxy, guard.
    fn processes(&self) -> Vec<String> {
        let name = format!("dazzle-lab-{}-", self.0.id());
        let lines = fs::read_dir("/proc").unwrap().flatten().filter_map(|entry| {
            let line = fs::read(entry.path().join("cmdline")).ok()?;
            Some(String::from_utf8_lossy(&line).replace('\0', " "))
        });
        lines.filter(|line| line.contains(&name)).collect()
    }

    async fn ended(&mut self) -> ExitStatus {
        let deadline = Instant::now() + SOON;
        loop {
            if let Some(status) = self.0.try_wait().unwrap() {
                return status;
            }
            assert!(Instant::now() < deadline, "the demo does not end");
            sleep(Duration::from_millis(10)).await;
        }
    }

    async fn nothing_is_left(&self) {
        let deadline = Instant::now() + SOON;
        while !(self.processes().is_empty() && self.folders().is_empty()) {
            let left = (self.processes(), self.folders());
            assert!(Instant::now() < deadline, "left behind: {left:?}");
            sleep(Duration::from_millis(20)).await;
        }
    }
}

/// Runs `check` with the name of every server that this machine has.
async fn each(check: impl AsyncFn(&'static str)) {
    for flavor in Flavor::installed() {
        check(match flavor {
            Flavor::MariaDb => "mariadb",
            Flavor::MySql => "mysql",
        })
        .await;
    }
}

#[tokio::test]
async fn a_check_passes_and_ends_by_itself() {
    each(async |server| {
        let arguments = ["--check", "--seconds", "2", "--clients", "200", "--pool", "10", "--server", server];
        let mut demo = Demo::start(&arguments);
        let printed = demo.read_until("DZ1509");
        assert!(demo.ended().await.success(), "{server}:\n{printed}");
        assert!(printed.contains("200 connected at once"), "{server}:\n{printed}");
        for shown in ["one slot: by_user/3", "4 of 6 slots", "as one server", "DZ1506", "DZ1508"] {
            assert!(printed.contains(shown), "{server}: no `{shown}` in\n{printed}");
        }
        demo.nothing_is_left().await;
    })
    .await;
}

#[tokio::test]
async fn a_killed_demo_leaves_nothing() {
    each(async |server| {
        let mut demo = Demo::start(&["--check", "--seconds", "600", "--clients", "50", "--server", server]);
        demo.read_until("50 connected");
        let running = demo.processes();
        assert!(running.iter().any(|line| line.contains("dazzle serve")), "{server}: {running:?}");
        assert_eq!(demo.folders().len(), 2, "{server}: one for each shard");
        demo.0.kill().unwrap();
        demo.0.wait().unwrap();
        demo.nothing_is_left().await;
    })
    .await;
}

#[tokio::test]
async fn ctrl_c_and_sigterm_end_a_demo_at_any_time() {
    let last = Flavor::installed().last().copied().unwrap();
    let server = if last == Flavor::MySql { "mysql" } else { "mariadb" };
    for (when, signal, code) in
        [("servers", Signal::TERM, 130), ("50 connected", Signal::INT, 130), ("Ctrl-C ends", Signal::INT, 0)]
    {
        let seconds = if code == 0 { "1" } else { "600" };
        let mut demo = Demo::start(&["--seconds", seconds, "--clients", "50", "--server", server]);
        demo.read_until(when);
        demo.signal(signal);
        assert_eq!(demo.ended().await.code(), Some(code), "{when}");
        demo.nothing_is_left().await;
    }
}
