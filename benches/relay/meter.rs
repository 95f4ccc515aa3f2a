//! What a process has cost, as the kernel counts it.

use std::collections::HashMap;
use std::fs;
use std::io;
use std::time::Duration;

/// CPU time of a process and all its threads, so far.
pub(crate) struct Cpu {
    /// Nanoseconds on a CPU, user and system together, of each living thread.
    threads: HashMap<u32, u64>,
    /// The same of the whole process, ended threads too, but in clock ticks (10 ms).
    ticks: u64,
}

impl Cpu {
    pub(crate) fn of(pid: u32) -> io::Result<Self> {
        let mut threads = HashMap::new();
        for entry in fs::read_dir(format!("/proc/{pid}/task"))? {
            let name = entry?.file_name();
            let Some(thread) = name.to_str().and_then(|name| name.parse().ok()) else { continue };
            // A thread may end between the listing and the reading.
            let Ok(text) = fs::read_to_string(format!("/proc/{pid}/task/{thread}/schedstat")) else {
                continue;
            };
            threads.insert(thread, number(&text, 0)?);
        }
        let stat = fs::read_to_string(format!("/proc/{pid}/stat"))?;
        // Behind the command name; utime and stime are fields 14 and 15 of the whole line.
        let fields = stat.rsplit_once(") ").map_or("", |(_, fields)| fields);
        Ok(Self { threads, ticks: number(fields, 11)? + number(fields, 12)? })
    }

    /// What was spent between `before` and this.
    pub(crate) fn since(&self, before: &Self) -> Duration {
        if before.threads.keys().all(|thread| self.threads.contains_key(thread)) {
            let spent =
                self.threads.iter().map(|(thread, now)| now - before.threads.get(thread).unwrap_or(&0));
            return Duration::from_nanos(spent.sum());
        }
        // A thread ended and took its count with it.
        let tick = Duration::from_secs(1) / rustix::param::clock_ticks_per_second() as u32;
        tick * (self.ticks - before.ticks) as u32
    }
}

/// Resident memory of a process in KiB.
pub(crate) fn resident_kib(pid: u32) -> io::Result<u64> {
    let rollup = fs::read_to_string(format!("/proc/{pid}/smaps_rollup"))?;
    let line = rollup.lines().find_map(|line| line.strip_prefix("Rss:")).unwrap_or_default();
    number(line, 0)
}

fn number(text: &str, index: usize) -> io::Result<u64> {
    let field = text.split_ascii_whitespace().nth(index).unwrap_or_default();
    field.parse().map_err(|error| io::Error::other(format!("{field:?} in /proc: {error}")))
}
