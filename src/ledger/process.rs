//! What the process itself takes, under the names that every exporter uses. It is looked up when it is asked for.

use crate::clock;
use nix::sys::resource::{Resource, UsageWho, getrlimit, getrusage};
use nix::sys::time::TimeVal;
use prometheus::core::{Collector, Desc};
use prometheus::proto::MetricFamily;
use prometheus::{Counter, Gauge, IntGauge};
use std::fs;
use std::time::UNIX_EPOCH;

/// Shared by its clones.
#[derive(Debug, Clone)]
pub(super) struct Process {
    cpu: Counter,
    open_descriptors: IntGauge,
    max_descriptors: IntGauge,
    resident: IntGauge,
    virtual_size: IntGauge,
    start: Gauge,
}

impl Process {
    /// It begins now, or did so a moment ago.
    pub(super) fn new() -> prometheus::Result<Self> {
        let process = Self {
            cpu: Counter::new(
                "process_cpu_seconds_total",
                "Total user and system CPU time spent in seconds",
            )?,
            open_descriptors: IntGauge::new("process_open_fds", "Number of open file descriptors")?,
            max_descriptors: IntGauge::new(
                "process_max_fds",
                "Maximum number of open file descriptors",
            )?,
            resident: IntGauge::new(
                "process_resident_memory_bytes",
                "Resident memory size in bytes",
            )?,
            virtual_size: IntGauge::new(
                "process_virtual_memory_bytes",
                "Virtual memory size in bytes",
            )?,
            start: Gauge::new(
                "process_start_time_seconds",
                "Start time of the process since the unix epoch in seconds",
            )?,
        };
        let now = clock::now().duration_since(UNIX_EPOCH);
        process.start.set(now.unwrap_or_default().as_secs_f64());
        Ok(process)
    }

    /// What cannot be found out stays as it was.
    fn look(&self) {
        if let Ok(usage) = getrusage(UsageWho::RUSAGE_SELF) {
            let used = seconds(usage.user_time()) + seconds(usage.system_time());
            // Two scrapes at once may look in either order.
            self.cpu.inc_by((used - self.cpu.get()).max(0.0));
        }
        if let Ok(entries) = fs::read_dir("/proc/self/fd") {
            // One of them is the directory itself.
            let open = entries.count().saturating_sub(1);
            self.open_descriptors
                .set(i64::try_from(open).unwrap_or(i64::MAX));
        }
        if let Ok((soft, _)) = getrlimit(Resource::RLIMIT_NOFILE) {
            self.max_descriptors
                .set(i64::try_from(soft).unwrap_or(i64::MAX));
        }
        let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
        for (field, gauge) in [("VmRSS:", &self.resident), ("VmSize:", &self.virtual_size)] {
            if let Some(kibibytes) = amount(&status, field) {
                gauge.set(kibibytes.saturating_mul(1024));
            }
        }
    }

    fn all(&self) -> [&dyn Collector; 6] {
        [
            &self.cpu,
            &self.open_descriptors,
            &self.max_descriptors,
            &self.resident,
            &self.virtual_size,
            &self.start,
        ]
    }
}

impl Collector for Process {
    fn desc(&self) -> Vec<&Desc> {
        self.all().into_iter().flat_map(Collector::desc).collect()
    }

    fn collect(&self) -> Vec<MetricFamily> {
        self.look();
        let all = self.all();
        all.into_iter().flat_map(Collector::collect).collect()
    }
}

fn seconds(time: TimeVal) -> f64 {
    time.tv_sec() as f64 + time.tv_usec() as f64 / 1e6
}

/// The number of a line such as `VmRSS: 12345 kB` (proc_pid_status(5)).
fn amount(status: &str, field: &str) -> Option<i64> {
    let line = status.lines().find_map(|line| line.strip_prefix(field))?;
    line.split_whitespace().next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_process_has_memory_and_descriptors() {
        let process = Process::new().unwrap();
        process.look();
        assert!(process.cpu.get() >= 0.0);
        assert!(process.resident.get() > 1 << 20);
        assert!(process.virtual_size.get() >= process.resident.get());
        let open = process.open_descriptors.get();
        assert!(
            (3..=process.max_descriptors.get()).contains(&open),
            "{open}"
        );
    }
}
