//! Where processes run, so that the scheduler's luck is the same for relay and proxy.
//!
//! Load and server share one CPU: the relay's cost varies twofold with which of its peers is awake on
//! its own CPU. With one connection relay and proxy are there too, since only one of the processes has
//! something to do at any time, and waking a sleeping CPU for each hop costs three times the statement
//! (measured: 6 µs on one CPU, 20 µs on two). Otherwise relay and proxy may run anywhere.

use std::fs;
use std::io;

use rustix::process::Pid;
use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};

/// Processes that share one CPU until this is dropped.
pub(crate) struct OneCpu {
    processes: Vec<u32>,
    before: CpuSet,
}

impl OneCpu {
    /// Puts every thread of `processes` on the last CPU that this process may use: the first ones
    /// often serve the machine's interrupts.
    pub(crate) fn share(processes: Vec<u32>) -> io::Result<Self> {
        let before = sched_getaffinity(None)?;
        let mut last = CpuSet::new();
        if let Some(cpu) = (0..CpuSet::MAX_CPU).rev().find(|cpu| before.is_set(*cpu)) {
            last.set(cpu);
        }
        let placed = Self { processes, before };
        placed.allow(&last)?;
        Ok(placed)
    }

    fn allow(&self, cpus: &CpuSet) -> io::Result<()> {
        for process in &self.processes {
            for entry in fs::read_dir(format!("/proc/{process}/task"))? {
                let name = entry?.file_name();
                let thread = name.to_str().and_then(|name| name.parse().ok()).and_then(Pid::from_raw);
                match thread.map(|thread| sched_setaffinity(Some(thread), cpus)) {
                    // A thread may end between the listing and this.
                    None | Some(Ok(()) | Err(rustix::io::Errno::SRCH)) => {}
                    Some(Err(error)) => return Err(error.into()),
                }
            }
        }
        Ok(())
    }
}

impl Drop for OneCpu {
    fn drop(&mut self) {
        // Fails only for a process that has ended.
        let _ = self.allow(&self.before);
    }
}
