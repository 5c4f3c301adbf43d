//! What was measured, and the table of it.

use crate::common::figures::{Figures, Relay};
use std::fmt::{self, Display};

/// CPU of source and sink, in milliseconds per message, beyond which they take too much of the machine for the
/// rate to be the relay's.
const BUSY_PEERS: f64 = 0.2;

/// What the runs of a table have in common.
#[derive(Debug, Clone, Copy)]
pub enum Scenario {
    Smarthost { destinations: u8 },
    Queue { delay: u64 },
}

/// All runs of a scenario; displayed as medians.
#[derive(Debug)]
pub struct Table {
    scenario: Scenario,
    messages: u64,
    repeats: usize,
    runs: Vec<(Relay, Figures)>,
}

impl Table {
    pub fn new(scenario: Scenario, messages: u64, repeats: usize) -> Self {
        Self {
            scenario,
            messages,
            repeats,
            runs: Vec::new(),
        }
    }

    pub fn add(&mut self, relay: Relay, figures: Figures) {
        self.runs.push((relay, figures));
    }

    fn median(&self, relay: Relay, figure: fn(&Figures) -> f64) -> Option<f64> {
        let runs = self.runs.iter().filter(|(of, _)| *of == relay);
        let mut values = runs.map(|(_, run)| figure(run)).collect::<Vec<_>>();
        values.sort_by(f64::total_cmp);
        let upper = *values.get(values.len() / 2)?;
        let lower = *values.get((values.len() - 1) / 2)?;
        Some((lower + upper) / 2.0)
    }

    fn row(&self, row: &Row) -> String {
        let postfix = self.median(Relay::Postfix, row.figure);
        let sealpost = self.median(Relay::Sealpost, row.figure);
        let ratio = postfix
            .zip(sealpost)
            .map(|(postfix, sealpost)| sealpost / postfix);
        let digits = row.digits;
        let number = |value: Option<f64>, digits: usize| {
            value.map_or("-".to_owned(), |value| format!("{value:.digits$}"))
        };
        let targets = row
            .targets
            .iter()
            .map(|target| target.verdict(ratio, sealpost));
        format!(
            "  {:<32}{:>11}{:>11}{:>9}  {}",
            row.name,
            number(postfix, digits),
            number(sealpost, digits),
            number(ratio, 3),
            targets.collect::<Vec<_>>().join("; ")
        )
    }
}

impl Display for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            messages, repeats, ..
        } = self;
        let (columns, rows) = match self.scenario {
            Scenario::Smarthost { destinations } => {
                write!(f, "A. Smarthost, {destinations} destination(s)")?;
                (["Postfix", "Sealpost"], SMARTHOST)
            }
            Scenario::Queue { delay } => {
                write!(f, "B. Held queue, 100 destinations, {delay} ms per reply")?;
                (["direct", "+Sealpost"], QUEUE)
            }
        };
        writeln!(f, ": {messages} messages, medians of {repeats}")?;
        let [left, right] = columns;
        write!(f, "  {:<32}{left:>11}{right:>11}{:>9}  target", "", "ratio")?;
        for row in rows {
            write!(f, "\n{}", self.row(row).trim_end())?;
        }
        match self.median(Relay::Sealpost, |run| run.source_cpu + run.sink_cpu) {
            Some(peers) if peers > BUSY_PEERS => {
                write!(
                    f,
                    "\n  Source and sink take {peers:.3} ms per message: judge by CPU."
                )
            }
            Some(_) | None => Ok(()),
        }
    }
}

struct Row {
    name: &'static str,
    figure: fn(&Figures) -> f64,
    digits: usize,
    targets: &'static [Target],
}

enum Target {
    RatioAtLeast(f64),
    RatioAtMost(f64),
    AtMost(f64),
}

impl Target {
    fn verdict(&self, ratio: Option<f64>, sealpost: Option<f64>) -> String {
        let (text, met) = match self {
            Self::RatioAtLeast(bound) => (format!(">= {bound}"), ratio.map(|r| r >= *bound)),
            Self::RatioAtMost(bound) => (format!("<= {bound}"), ratio.map(|r| r <= *bound)),
            Self::AtMost(bound) => (format!("<= {bound} MiB"), sealpost.map(|v| v <= *bound)),
        };
        let met = match met {
            None => "not measured",
            Some(true) => "met",
            Some(false) => "NOT MET",
        };
        format!("{text} {met}")
    }
}

const SMARTHOST: &[Row] = &[
    Row {
        name: "messages per second",
        figure: |run| run.rate,
        digits: 0,
        targets: &[Target::RatioAtLeast(8.0)],
    },
    Row {
        name: "CPU of the relay, ms/message",
        figure: |run| run.relay_cpu,
        digits: 3,
        targets: &[Target::RatioAtMost(0.1)],
    },
    Row {
        name: "PSS of the relay at peak, MiB",
        figure: |run| run.pss_mib,
        digits: 1,
        targets: &[Target::RatioAtMost(0.25), Target::AtMost(64.0)],
    },
    SOURCE,
    SINK,
    PROCESSES,
    HANDSHAKES,
    RESUMED,
];

const QUEUE: &[Row] = &[
    Row {
        name: "messages per second",
        figure: |run| run.rate,
        digits: 0,
        targets: &[Target::RatioAtLeast(0.9)],
    },
    Row {
        name: "CPU of all relays, ms/message",
        figure: |run| run.relay_cpu,
        digits: 3,
        targets: &[Target::RatioAtMost(1.1)],
    },
    Row {
        name: "PSS of all relays at peak, MiB",
        figure: |run| run.pss_mib,
        digits: 1,
        targets: &[],
    },
    SINK,
    PROCESSES,
    HANDSHAKES,
    RESUMED,
];

const SOURCE: Row = Row {
    name: "CPU of the source, ms/message",
    figure: |run| run.source_cpu,
    digits: 3,
    targets: &[],
};

const SINK: Row = Row {
    name: "CPU of the sink, ms/message",
    figure: |run| run.sink_cpu,
    digits: 3,
    targets: &[],
};

const PROCESSES: Row = Row {
    name: "processes",
    figure: |run| run.processes,
    digits: 0,
    targets: &[],
};

const HANDSHAKES: Row = Row {
    name: "TLS handshakes at the sinks",
    figure: |run| run.handshakes,
    digits: 0,
    targets: &[],
};

const RESUMED: Row = Row {
    name: "of them resumed",
    figure: |run| run.resumed,
    digits: 0,
    targets: &[],
};
