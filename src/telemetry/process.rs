//! Metrics of this process, under the names that Prometheus' own libraries use.

use std::fmt;
use std::fs;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use rustix::process::Resource;
use rustix::time::ClockId;

use crate::telemetry::exposition::Sink;

/// Writes what the kernel knows of this process. What it does not tell is left out.
pub(super) fn write(sink: &mut Sink<'_>) -> fmt::Result {
    let version: &[(&str, &str)] = &[("version", env!("CARGO_PKG_VERSION"))];
    sink.gauges("dazzle_build_info", "The running version", &[(version, 1.0)])?;
    let cpu = rustix::time::clock_gettime(ClockId::ProcessCPUTime);
    let cpu = cpu.tv_sec as f64 + cpu.tv_nsec as f64 / 1e9;
    sink.gauges("process_cpu_seconds", "User and system CPU time spent", &[(&[], cpu)])?;
    let mut gauge = |name, help, number: Option<f64>| match number {
        Some(number) => sink.gauges(name, help, &[(&[], number)]),
        None => Ok(()),
    };
    gauge("process_resident_memory_bytes", "Resident memory", resident_bytes())?;
    let descriptors = rustix::process::getrlimit(Resource::Nofile).current;
    gauge("process_max_fds", "Limit of open file descriptors", descriptors.map(|n| n as f64))?;
    let started = start_time().map(|time| time.as_secs_f64());
    gauge("process_start_time_seconds", "Start of the process since the epoch", started)
}

fn resident_bytes() -> Option<f64> {
    let statm = fs::read_to_string("/proc/self/statm").ok()?;
    let pages: u64 = statm.split_ascii_whitespace().nth(1)?.parse().ok()?;
    Some((pages * rustix::param::page_size() as u64) as f64)
}

/// When the process started, since 1970: now less the time since boot that it has lived.
fn start_time() -> Option<Duration> {
    let stat = fs::read_to_string("/proc/self/stat").ok()?;
    // Field 22, after the command name, which is the only one that may hold spaces or parentheses.
    let (_, fields) = stat.rsplit_once(") ")?;
    let ticks: u64 = fields.split_ascii_whitespace().nth(19)?.parse().ok()?;
    let started = Duration::from_millis(ticks * 1000 / rustix::param::clock_ticks_per_second());
    let boot = rustix::time::clock_gettime(ClockId::Boottime);
    let since_boot = Duration::new(boot.tv_sec.try_into().ok()?, boot.tv_nsec.try_into().ok()?);
    let age = since_boot.checked_sub(started)?;
    SystemTime::now().duration_since(UNIX_EPOCH).ok()?.checked_sub(age)
}
