//! What `/readyz` says: the phase of the daemon's life, and what is wrong with its parts.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Shared by all who know something of the daemon's health. Cheap to clone.
#[derive(Debug, Clone, Default)]
pub struct Health(Arc<Mutex<State>>);

#[derive(Debug, Default)]
struct State {
    phase: Phase,
    problems: BTreeMap<&'static str, String>,
    /// With one of these no mail can be sent.
    obstacles: BTreeMap<&'static str, String>,
}

#[derive(Debug, Clone, Copy, Default)]
enum Phase {
    #[default]
    Starting,
    Serving,
    Draining,
}

/// Whether new mail may be sent here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Readiness {
    Ready,
    NotReady,
}

/// The answer of `/readyz`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Report {
    pub readiness: Readiness,
    /// One line per reason or problem.
    pub lines: Vec<String>,
}

impl Health {
    pub fn set_ready(&self) {
        self.state().phase = Phase::Serving;
    }

    pub fn set_draining(&self) {
        self.state().phase = Phase::Draining;
    }

    /// What is wrong with a part; `None`: nothing any more. The daemon stays ready, but tells.
    pub fn note(&self, component: &'static str, problem: Option<String>) {
        let mut state = self.state();
        match problem {
            Some(problem) => state.problems.insert(component, problem),
            None => state.problems.remove(component),
        };
    }

    /// What keeps a part from working at all; `None`: nothing any more. Until then new mail should go
    /// elsewhere.
    pub fn block(&self, component: &'static str, obstacle: Option<String>) {
        let mut state = self.state();
        match obstacle {
            Some(obstacle) => state.obstacles.insert(component, obstacle),
            None => state.obstacles.remove(component),
        };
    }

    pub fn report(&self) -> Report {
        let state = self.state();
        let (readiness, reason) = match state.phase {
            Phase::Starting => (Readiness::NotReady, "starting"),
            Phase::Serving if !state.obstacles.is_empty() => (Readiness::NotReady, "not ready"),
            Phase::Serving => (Readiness::Ready, "ready"),
            Phase::Draining => (Readiness::NotReady, "draining"),
        };
        let all = state.obstacles.iter().chain(&state.problems);
        let problems = all.map(|(part, problem)| {
            let one_line = problem.replace(|c: char| c.is_control(), " ");
            format!("{part}: {one_line}")
        });
        Report {
            readiness,
            lines: std::iter::once(reason.to_owned()).chain(problems).collect(),
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // Nothing can panic between the changes of a state.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Report {
    pub fn text(&self) -> String {
        self.lines.iter().map(|line| format!("{line}\n")).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn states() {
        let health = Health::default();
        let says = |expected: (Readiness, &str)| {
            let report = health.report();
            assert_eq!((report.readiness, report.text().as_str()), expected);
        };
        says((Readiness::NotReady, "starting\n"));
        health.set_ready();
        says((Readiness::Ready, "ready\n"));
        health.note("store", Some("no space\nleft".into()));
        says((Readiness::Ready, "ready\nstore: no space left\n"));
        health.note("dns", Some("time-out".into()));
        says((
            Readiness::Ready,
            "ready\ndns: time-out\nstore: no space left\n",
        ));
        health.note("store", None);
        health.block("dnssec", Some("broken".into()));
        says((
            Readiness::NotReady,
            "not ready\ndnssec: broken\ndns: time-out\n",
        ));
        health.block("dnssec", None);
        health.set_draining();
        says((Readiness::NotReady, "draining\ndns: time-out\n"));
    }
}
