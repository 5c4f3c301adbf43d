//! The queue in words. What strangers have written stands in one line, without what could move a cursor or turn a
//! line around.

use crate::admin::queue::{QueueEntry, QueueRecipient, QueueSelection, QueueState};
use crate::cli::print::span;
use crate::queue::Act;
use jiff::Timestamp;
use std::fmt::Write;

/// Characters of the sender's column; longer ones push the recipient.
const SENDER: std::ops::RangeInclusive<usize> = 12..=36;
/// Characters of a reply in the table: what matters comes first, and `show` has it all.
const REPLY: usize = 150;

/// A table that is written a page at a time.
#[derive(Debug, Default)]
pub(super) struct Table {
    /// Of the sender's column, by the first page; `None`: nothing is written yet.
    width: Option<usize>,
}

impl Table {
    pub(super) fn rows(
        &mut self,
        messages: &[QueueEntry],
        asked: &QueueSelection,
        now: Timestamp,
    ) -> String {
        let mut out = String::new();
        let senders = messages
            .iter()
            .map(|message| sender(message).chars().count());
        let Some(longest) = senders.max() else {
            return out;
        };
        let width = *self.width.get_or_insert_with(|| {
            let width = longest.clamp(*SENDER.start(), *SENDER.end());
            let titles = ["ID", "AGE", "SIZE", "STATE", "NEXT", "SENDER", "RECIPIENTS"];
            row(&mut out, width, titles);
            width
        });
        for message in messages {
            message_rows(&mut out, width, message, (asked, now));
        }
        out
    }
}

fn message_rows(
    out: &mut String,
    width: usize,
    message: &QueueEntry,
    (asked, now): (&QueueSelection, Timestamp),
) {
    let next = match message.next_attempt {
        Some(next) => upcoming(next, now),
        None => "-".to_owned(),
    };
    let first = message.recipients.iter().find(|one| is_asked(one, asked));
    let first = first.or(message.recipients.first());
    let others = message.recipients.len().saturating_sub(1);
    let held = message.recipients.iter().filter(|one| is_held(one)).count();
    let mut recipients = first.map_or_else(String::new, |first| line(&first.address));
    // Writing to a String cannot fail.
    if others > 0 {
        let _ = write!(recipients, " +{others}");
    }
    if held > 0 && message.state != QueueState::Held {
        let _ = write!(recipients, " ({held} held)");
    }
    let columns = [
        &line(&message.id),
        &span(message.received, now),
        &size(message.size),
        message.state.as_str(),
        &next,
        &sender(message),
        &recipients,
    ];
    row(out, width, columns);
    let reply = first.and_then(|first| first.reply.as_ref());
    let mut any = message
        .recipients
        .iter()
        .filter_map(|one| one.reply.as_ref());
    if let Some(reply) = reply.or_else(|| any.next()) {
        let _ = writeln!(out, "    {}", beginning(&line(reply)));
    }
}

fn beginning(reply: &str) -> String {
    match reply.char_indices().nth(REPLY) {
        None => reply.to_owned(),
        Some((end, _)) => format!("{} ...", reply.get(..end).unwrap_or(reply)),
    }
}

fn is_held(recipient: &QueueRecipient) -> bool {
    recipient.status == QueueState::Held
}

/// Whether a recipient is one for whom a message is listed.
fn is_asked(recipient: &QueueRecipient, asked: &QueueSelection) -> bool {
    let domain = asked.domain.as_ref();
    let of_domain = domain.is_none_or(|domain| *domain == recipient.domain);
    let held = is_held(recipient);
    let in_state = match asked.state {
        None => true,
        Some(QueueState::Held) => held,
        Some(QueueState::Waiting | QueueState::Active) => !held,
    };
    of_domain && in_state
}

fn row(out: &mut String, width: usize, columns: [&str; 7]) {
    let [id, age, size, state, next, sender, recipients] = columns;
    let line =
        format!("{id:16}  {age:7} {size:>8}  {state:7} {next:10} {sender:width$}  {recipients}");
    let _ = writeln!(out, "{}", line.trim_end());
}

/// Everything about one message.
pub(super) fn shown(message: &QueueEntry, now: Timestamp) -> String {
    let mut out = format!("{}\n", line(&message.id));
    field(&mut out, "state", message.state.as_str());
    field(&mut out, "sender", &format!("<{}>", line(&message.sender)));
    let octets = format!("{} octets", message.size);
    let rounded = size(message.size);
    let size = match rounded.ends_with(" B") {
        true => octets,
        false => format!("{octets} ({rounded})"),
    };
    field(&mut out, "size", &size);
    field(&mut out, "received", &past(message.received, now));
    let expires = match message.expires > now {
        true => format!("{}, in {}", message.expires, span(now, message.expires)),
        false => past(message.expires, now),
    };
    field(&mut out, "expires", &expires);
    for recipient in &message.recipients {
        describe(&mut out, recipient, now);
    }
    out
}

fn describe(out: &mut String, recipient: &QueueRecipient, now: Timestamp) {
    field(out, "recipient", &format!("<{}>", line(&recipient.address)));
    let status = match (recipient.status, recipient.attempts) {
        (QueueState::Active, attempts) => format!("active, attempt {attempts}"),
        (status, 0) => format!("{status}, not attempted yet"),
        (status, 1) => format!("{status}, attempted once"),
        (status, attempts) => format!("{status}, attempted {attempts} times"),
    };
    field(out, "", &status);
    if let Some(last) = recipient.last_attempt {
        let what = match recipient.status {
            QueueState::Active => "begun",
            QueueState::Waiting | QueueState::Held => "last attempt",
        };
        field(out, "", &format!("{what} {}", past(last, now)));
    }
    if let Some(reply) = &recipient.reply {
        field(out, "", &line(reply));
    }
    if let Some(next) = recipient.next_attempt {
        let next = format!("next attempt {next}, {}", upcoming(next, now));
        field(out, "", &next);
    }
}

/// Why a change has changed nothing.
pub(super) fn unchanged(act: Act) -> &'static str {
    match act {
        Act::Hold => "there is nothing of it that is not held already",
        Act::Release => "nothing of it is held",
        Act::Retry => "nothing of it waits: it is held, being attempted, or not there",
        Act::Drop => "there is nothing of it",
    }
}

/// What a change has done, or that there was nothing to do.
pub(super) fn changed(done: &str, messages: u64, recipients: u64) -> String {
    let count = |n: u64, what: &str| match n {
        1 => format!("1 {what}"),
        n => format!("{n} {what}s"),
    };
    let (recipients, messages) = (count(recipients, "recipient"), count(messages, "message"));
    format!("{done}: {recipients} of {messages}")
}

fn field(out: &mut String, name: &str, value: &str) {
    let _ = writeln!(out, "  {name:<12} {value}");
}

fn sender(message: &QueueEntry) -> String {
    match message.sender.as_str() {
        "" => "<>".to_owned(),
        sender => line(sender),
    }
}

fn past(time: Timestamp, now: Timestamp) -> String {
    format!("{time}, {} ago", span(time, now))
}

fn upcoming(time: Timestamp, now: Timestamp) -> String {
    match time > now {
        true => format!("in {}", span(now, time)),
        false => "now".to_owned(),
    }
}

/// `12 KiB`: the greatest unit of which there are at least two.
fn size(octets: u64) -> String {
    for (unit, length) in [("MiB", 1_u64 << 20), ("KiB", 1 << 10)] {
        if octets >= 2 * length {
            return format!("{} {unit}", octets / length);
        }
    }
    format!("{octets} B")
}

/// A stranger's text in one line.
pub(super) fn line(text: &str) -> String {
    let turns = |c| matches!(c, '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
    let harmless = |c: char| if c.is_control() || turns(c) { '?' } else { c };
    text.chars().map(harmless).collect()
}

#[cfg(test)]
#[path = "text_tests.rs"]
mod tests;
