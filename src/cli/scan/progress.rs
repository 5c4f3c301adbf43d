//! How far a scan is, on stderr and only for somebody who looks at it.

use super::output::Origin;
use crate::survey::record::{Class, Record};
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressState, ProgressStyle};
use std::fmt::Write;
use std::io::{self, IsTerminal as _};

pub(super) struct Progress {
    bar: Option<ProgressBar>,
    untested: u64,
    /// Records that were there before: part of what is done, and no measure of the speed.
    before: u64,
}

impl Progress {
    /// Nobody is told.
    pub(super) fn hidden() -> Self {
        Self {
            bar: None,
            untested: 0,
            before: 0,
        }
    }

    /// `total`: how many domains there will be, if that is known.
    pub(super) fn new(total: Option<u64>) -> Self {
        let bar = io::stderr().is_terminal().then(|| {
            let target = ProgressDrawTarget::stderr_with_hz(5);
            let bar = ProgressBar::with_draw_target(total, target);
            let of = match total {
                Some(_) => "{wide_bar} {human_pos}/{human_len}",
                None => "{spinner} {human_pos} domains",
            };
            let left = match total {
                Some(_) => "  {eta} left",
                None => "",
            };
            let style = ProgressStyle::with_template(&format!("{of}  {{rate}}{left}{{msg}}"));
            // The template is a constant of this file.
            if let Ok(style) = style {
                bar.set_style(style.progress_chars("█▌ ").with_key("rate", rate));
            }
            bar
        });
        Self {
            bar,
            untested: 0,
            before: 0,
        }
    }

    pub(super) fn count(&mut self, record: &Record, origin: Origin) {
        let Some(bar) = &self.bar else {
            return;
        };
        self.untested += u64::from(record.class == Class::CouldNotTest);
        match origin {
            Origin::Network => bar.inc(1),
            Origin::File => {
                self.before += 1;
                return;
            }
        }
        if self.before > 0 {
            bar.inc(std::mem::take(&mut self.before));
            bar.reset_eta();
        }
        if self.untested > 0 {
            bar.set_message(format!("  {} not tested", self.untested));
        }
    }

    /// Writes something to where the bar may be as well.
    pub(super) fn aside<T>(&self, write: impl FnOnce() -> T) -> T {
        match &self.bar {
            Some(bar) => bar.suspend(write),
            None => write(),
        }
    }

    pub(super) fn finish(&self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }
}

fn rate(state: &ProgressState, out: &mut dyn Write) {
    // Nothing is lost if it cannot be drawn.
    let _ = write!(out, "{:.0}/s", state.per_sec());
}
