//! Where processes run, so that the scheduler's luck does not decide.
//!
//! Measured with the relay against itself: with 64 connections a statement costs 3.9 µs where relay,
//! load and server happen to share a CPU (they take turns in large batches) and 7.8 µs where the relay
//! has its own; with one connection 6 µs on one CPU and 20 µs where each hop wakes a sleeping one. The
//! scheduler keeps to one of the two for seconds at a time.
//!
//! So load and server have the last CPU, and relay and proxy all others, as on a machine of their own.
//! With one connection only one process has something to do at any time: all share the last CPU.

use std::fs;
use std::io;

use rustix::process::Pid;
use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};

/// Processes that are kept to some CPUs until this is dropped.
pub(crate) struct Placement {
    processes: Vec<u32>,
    before: CpuSet,
}

/// The CPUs that this process may use, parted. The last is apart since the first ones often serve the
/// machine's interrupts. On a machine with one CPU both parts are that one.
pub(crate) struct Cpus {
    all: CpuSet,
    last: CpuSet,
    others: CpuSet,
}

impl Cpus {
    pub(crate) fn of_this_process() -> io::Result<Self> {
        let all = sched_getaffinity(None)?;
        let mut last = CpuSet::new();
        let mut others = all;
        if let Some(cpu) = (0..CpuSet::MAX_CPU).rev().find(|cpu| all.is_set(*cpu)) {
            last.set(cpu);
            if all.count() > 1 {
                others.unset(cpu);
            }
        }
        Ok(Self { all, last, others })
    }

    /// Keeps every thread of `processes` to the last CPU.
    pub(crate) fn last(&self, processes: Vec<u32>) -> io::Result<Placement> {
        Placement::new(processes, &self.last, self.all)
    }

    /// Keeps every thread of `processes` to all CPUs but the last.
    pub(crate) fn others(&self, processes: Vec<u32>) -> io::Result<Placement> {
        Placement::new(processes, &self.others, self.all)
    }
}

impl Placement {
    fn new(processes: Vec<u32>, cpus: &CpuSet, before: CpuSet) -> io::Result<Self> {
        let placement = Self { processes, before };
        placement.allow(cpus)?;
        Ok(placement)
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

impl Drop for Placement {
    fn drop(&mut self) {
        // Fails only for a process that has ended.
        let _ = self.allow(&self.before);
    }
}
