//! The part for people: first whoever wrote the message, then an administrator (RFC 6522 §3).

use super::lines::{address, literal, paragraph, printable};
use super::status::diagnostic;
use super::{Action, Remote, Report, Returned, Told};
use crate::smtp::date::rfc5322_date;

/// How far what strangers had a hand in is indented, so that no line of it looks like a boundary.
const INDENT: usize = 4;

pub(super) fn text(report: &Report<'_>, returned: Returned) -> String {
    let mut out = String::with_capacity(1024 + 512 * report.recipients.len());
    for_the_sender(&mut out, report, returned);
    for_the_administrator(&mut out, report);
    out
}

fn for_the_sender(out: &mut String, report: &Report<'_>, returned: Returned) {
    let system = format!("This is the mail system at host {}.", report.reporting_mta);
    say(out, &system);
    say(
        out,
        match report.action {
            Action::Failed => "Your message could not be delivered to:",
            Action::Delayed => "Your message has not been delivered yet to:",
            Action::Relayed => "You asked to be told: your message has been passed on for:",
        },
    );
    for told in report.recipients {
        paragraph(out, INDENT, &recipient(report, told));
    }
    out.push_str("\r\n");
    say(out, &what_comes_next(report));
    say(
        out,
        match returned {
            Returned::Full => "A copy of your message is attached.",
            Returned::Headers => "The header of your message is attached.",
        },
    );
}

fn what_comes_next(report: &Report<'_>) -> String {
    match (report.action, report.until) {
        (Action::Failed, _) => {
            "It will not be tried again. The reason stands below; if it is of no \
            help to you, please show this whole notice to your mail administrator."
                .to_owned()
        }
        (Action::Delayed, Some(until)) => format!(
            "You need not do anything, and need not send it again: delivery is tried until {}. If it \
             has not succeeded by then, you will be told.",
            rfc5322_date(until)
        ),
        (Action::Delayed, None) => {
            "You need not do anything, and need not send it again: delivery \
            will be tried again. If it does not succeed in the end, you will be told."
                .to_owned()
        }
        (Action::Relayed, _) => {
            "It was handed to a mail server that does not confirm deliveries. You \
            will hear of it again only if that server cannot deliver it."
                .to_owned()
        }
    }
}

fn for_the_administrator(out: &mut String, report: &Report<'_>) {
    say(out, "The rest is for mail administrators.");
    let message = format!(
        "Message {}, received on {}:",
        printable(report.original_id),
        rfc5322_date(report.arrival)
    );
    paragraph(out, 0, &message);
    for told in report.recipients {
        out.push_str("\r\n");
        paragraph(out, INDENT, &recipient(report, told));
        paragraph(out, 2 * INDENT, &diagnostic(told.diagnostic));
        if let Some(attempt) = attempt(report.action, told) {
            paragraph(out, 2 * INDENT, &attempt);
        }
    }
}

/// Which host was tried, and when.
fn attempt(action: Action, told: &Told<'_>) -> Option<String> {
    let host = told.remote.map(|Remote { name, ip }| match name {
        Some(name) => format!("at {name} {}", literal(ip)),
        None => format!("at {}", literal(ip)),
    });
    let time = told.last_attempt.map(|t| format!("on {}", rfc5322_date(t)));
    let words: Vec<String> = host.into_iter().chain(time).collect();
    let what = match action {
        Action::Failed | Action::Delayed => "last tried",
        Action::Relayed => "handed over",
    };
    (!words.is_empty()).then(|| format!("({what} {})", words.join(" ")))
}

fn recipient(report: &Report<'_>, told: &Told<'_>) -> String {
    let address = address(&told.recipient.mailbox, report.needs_utf8);
    format!("<{address}>")
}

fn say(out: &mut String, text: &str) {
    paragraph(out, 0, text);
    out.push_str("\r\n");
}
