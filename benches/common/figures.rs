//! What is measured, and of whom.

use super::postfix;
use clap::ValueEnum;
use std::fmt::{self, Display};

/// Who is measured.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Relay {
    Postfix,
    Sealpost,
}

/// One run. CPU in milliseconds per message.
#[derive(Debug, Clone, Copy)]
pub struct Figures {
    /// Messages per second, from the first command to the last message.
    pub rate: f64,
    pub relay_cpu: f64,
    pub source_cpu: f64,
    pub sink_cpu: f64,
    /// The peak of the whole relay.
    pub pss_mib: f64,
    pub processes: f64,
    /// That the sinks saw.
    pub handshakes: f64,
    /// Of those.
    pub resumed: f64,
}

/// Facts of the machine that figures depend on.
pub fn print_machine() {
    let cores = std::thread::available_parallelism().map_or(0, usize::from);
    let read = |path: &str| std::fs::read_to_string(path).unwrap_or_default();
    let cpuinfo = read("/proc/cpuinfo");
    let model = cpuinfo
        .lines()
        .find_map(|line| line.strip_prefix("model name"));
    let model = model.map_or("?", |model| model.trim_start_matches([':', '\t', ' ']));
    let kernel = read("/proc/sys/kernel/osrelease");
    let postfix = postfix::version();
    println!(
        "{cores} cores, {model}, Linux {}; Postfix {postfix}; Sealpost {}",
        kernel.trim(),
        env!("CARGO_PKG_VERSION")
    );
}

impl Display for Figures {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            rate,
            relay_cpu,
            source_cpu,
            sink_cpu,
            pss_mib,
            processes,
            handshakes,
            resumed,
        } = self;
        write!(
            f,
            "{rate:.0}/s, CPU {relay_cpu:.3} ms (source {source_cpu:.3}, sink {sink_cpu:.3}), \
             {pss_mib:.1} MiB in {processes}, {handshakes} handshakes ({resumed} resumed)"
        )
    }
}

impl Display for Relay {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Postfix => "Postfix ",
            Self::Sealpost => "Sealpost",
        })
    }
}
