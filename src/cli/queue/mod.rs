//! `sealpost queue`: the messages that the running daemon keeps, asked for and changed over its admin socket.
//!
//! Exit codes: 0 well, 1 no such message, 2 usage or configuration, 3 no answer of the daemon.

mod args;
mod text;

pub use args::{QueueCommand, QueueFilter, QueueWhich, Scope};

pub(super) use args::EXIT;

use super::Output;
use super::print::{Array, Trouble, json, safe};
use crate::admin::client::{Answer, Client, ClientError};
use crate::admin::queue::{
    MAX_PAGE, QueueChanged, QueuePage, QueueRest, QueueSelection, done as done_by,
};
use crate::clock;
use crate::config::Config;
use crate::queue::Act;
use jiff::Timestamp;
use serde::Serialize;
use std::io::{self, Write};
use std::process::ExitCode;
use text::Table;

/// Messages in a list for people, unless they say how many.
const SCREENFUL: u64 = 100;

/// Does what is asked and prints what came of it.
pub(super) fn run(config: &Config, command: &QueueCommand) -> ExitCode {
    let counter = Counter {
        client: Client::new(&config.admin.socket),
        now: Timestamp::try_from(clock::now()).unwrap_or(Timestamp::UNIX_EPOCH),
    };
    let out = &mut io::stdout().lock();
    let done = match command {
        QueueCommand::List {
            filter,
            limit,
            output: Output::Text,
        } => counter.table(&filter.selection(), limit.unwrap_or(SCREENFUL), out),
        QueueCommand::List {
            filter,
            limit,
            output: Output::Json,
        } => counter.array(&filter.selection(), limit.unwrap_or(u64::MAX), out),
        QueueCommand::Show { ids, output } => counter.show(ids, *output, out),
        QueueCommand::Retry(which) => counter.change(Act::Retry, which, out),
        QueueCommand::Hold(which) => counter.change(Act::Hold, which, out),
        QueueCommand::Release(which) => counter.change(Act::Release, which, out),
        QueueCommand::Drop(which) => counter.change(Act::Drop, which, out),
    };
    match done {
        Ok(Success::Whole) => ExitCode::SUCCESS,
        Ok(Success::Partial) => ExitCode::FAILURE,
        // A reader that has gone away, such as `head`, has seen enough.
        Err(Trouble::Output(error)) if error.kind() == io::ErrorKind::BrokenPipe => {
            ExitCode::SUCCESS
        }
        Err(trouble) => {
            complain(&trouble.to_string());
            ExitCode::from(trouble.exit_code())
        }
    }
}

/// Whether every message that was named was there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Success {
    Whole,
    Partial,
}

/// What a change has come to.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
struct Sum {
    messages: u64,
    recipients: u64,
    /// Ids that were named and are not in the queue.
    missing: Vec<String>,
}

/// Where the daemon is asked.
struct Counter {
    client: Client,
    now: Timestamp,
}

impl Counter {
    fn table(
        &self,
        asked: &QueueSelection,
        limit: u64,
        out: &mut impl Write,
    ) -> Result<Success, Trouble> {
        let (mut table, mut listed, mut total) = (Table::default(), 0, None);
        let more = self.pages(asked, limit, |page| {
            listed += page.messages.len() as u64;
            total = total.or(page.total);
            let rows = table.rows(&page.messages, asked, self.now);
            out.write_all(safe(&rows).as_bytes())
        })?;
        out.flush()?;
        match (listed, more, total) {
            (0, _, _) if asked.is_everything() => eprintln!("the queue is empty"),
            (0, _, _) => eprintln!("no such messages in the queue"),
            (_, More::None, _) => {}
            (_, More::Some, Some(total)) if total <= listed => {}
            (_, More::Some, Some(total)) => eprintln!(
                "{} more of {total} are not shown; --limit N shows more, --json all",
                total - listed
            ),
            (_, More::Some, None) => {
                eprintln!("there may be more; --limit N shows more, --json all");
            }
        }
        Ok(Success::Whole)
    }

    fn array(
        &self,
        asked: &QueueSelection,
        limit: u64,
        out: &mut impl Write,
    ) -> Result<Success, Trouble> {
        let mut array = Array::default();
        self.pages(asked, limit, |page| {
            let elements = page.messages.iter().map(json);
            elements
                .into_iter()
                .try_for_each(|element| array.push(out, &element))
        })?;
        array.end(out)?;
        out.flush()?;
        Ok(Success::Whole)
    }

    /// Page by page: there may be a million messages.
    fn pages(
        &self,
        asked: &QueueSelection,
        limit: u64,
        mut print: impl FnMut(&QueuePage) -> io::Result<()>,
    ) -> Result<More, Trouble> {
        let (mut after, mut left) = (None, limit);
        loop {
            let wanted = u32::try_from(left).map_or(MAX_PAGE, |left| left.min(MAX_PAGE));
            let page = self.client.queue(asked, after, wanted)?;
            print(&page)?;
            left = left.saturating_sub(page.messages.len() as u64);
            match page.next {
                Some(_) if left == 0 => return Ok(More::Some),
                // One that does not advance would go on for ever.
                Some(next) if after.is_none_or(|after| next > after) => after = Some(next),
                Some(_) | None => return Ok(More::None),
            }
        }
    }

    fn show(
        &self,
        ids: &[String],
        output: Output,
        out: &mut impl Write,
    ) -> Result<Success, Trouble> {
        let mut success = Success::Whole;
        for id in ids {
            let (object, words) = match self.client.queue_message(id)? {
                Answer::Found(message) => (json(&message), text::shown(&message, self.now)),
                Answer::Missing(missing) => {
                    complain(&format!("{}: {}", missing.id, missing.error));
                    success = Success::Partial;
                    (json(&missing), String::new())
                }
            };
            match output {
                Output::Json => writeln!(out, "{object}")?,
                Output::Text => out.write_all(safe(&words).as_bytes())?,
            }
            out.flush()?;
        }
        Ok(success)
    }

    fn change(
        &self,
        act: Act,
        which: &QueueWhich,
        out: &mut impl Write,
    ) -> Result<Success, Trouble> {
        let selections = which.selections().ok_or_else(|| {
            let wrong = "which messages? Give ids, --domain, --sender, --state, --older-than or --newer-than, or \
                --all for everything";
            Trouble::Usage(wrong.to_owned())
        })?;
        let mut sum = Sum::default();
        let ended = selections
            .iter()
            .try_for_each(|selection| self.change_all(act, selection, &mut sum));
        let words = text::changed(done_by(act), sum.messages, sum.recipients);
        match which.output {
            // Half a result is for people only.
            _ if ended.is_err() && sum.recipients > 0 => complain(&words),
            _ if ended.is_err() => {}
            Output::Json => writeln!(out, "{}", json(&sum))?,
            Output::Text => writeln!(out, "{words}")?,
        }
        ended?;
        out.flush()?;
        if sum.recipients == 0 && sum.missing.is_empty() && which.output == Output::Text {
            complain(text::unchanged(act));
        }
        Ok(match sum.missing.is_empty() {
            true => Success::Whole,
            false => Success::Partial,
        })
    }

    /// Until nothing of it is left.
    fn change_all(
        &self,
        act: Act,
        selection: &QueueSelection,
        sum: &mut Sum,
    ) -> Result<(), ClientError> {
        let mut rest: Option<QueueRest> = None;
        loop {
            let changed: QueueChanged = match self.client.queue_change(act, selection, rest)? {
                Answer::Found(changed) => changed,
                // Dropped by the first part of this change.
                Answer::Missing(_) if rest.is_some() => return Ok(()),
                Answer::Missing(missing) => {
                    complain(&format!("{}: {}", missing.id, missing.error));
                    sum.missing.push(missing.id);
                    return Ok(());
                }
            };
            sum.messages += changed.messages;
            sum.recipients += changed.recipients;
            match (changed.rest, rest) {
                // One that does not advance would go on for ever.
                (Some(next), before) if before.is_none_or(|before| next.after > before.after) => {
                    let so_far = text::changed(done_by(act), sum.messages, sum.recipients);
                    eprintln!("{so_far} so far");
                    rest = Some(next);
                }
                (Some(_) | None, _) => return Ok(()),
            }
        }
    }
}

/// Whether a list was cut off.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum More {
    None,
    Some,
}

fn complain(problem: &str) {
    eprintln!("sealpost: queue: {}", safe(problem));
}

#[cfg(test)]
mod tests;
