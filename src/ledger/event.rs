//! The log event `delivery`: one per recipient, with what every other record of it says.

use super::LogAddresses;
use super::count::{Decided, channel};
use crate::clock;
use crate::delivery::outcome::{DeliveryResult, Outcome, PossibleDuplicate};
use crate::message::{Earlier, Message, Queued};
use crate::smtp::address::{MailDomain, ReversePath, without_addresses};
use crate::smtp::envelope::Recipient;
use crate::tls::{Resumed, TlsSeen};
use sha2::{Digest, Sha256};
use std::borrow::Cow;
use std::fmt::Write as _;
use std::time::Duration;

/// What the event says of the message.
pub(super) struct Mail<'a> {
    pub(super) id: &'a str,
    pub(super) message_id: &'a str,
    pub(super) client_id: Option<&'a str>,
    pub(super) client: &'a str,
    pub(super) from: &'a ReversePath,
    /// Octets.
    pub(super) size: u64,
    pub(super) queued: Option<Queued>,
}

impl<'a> Mail<'a> {
    pub(super) fn of(message: &'a Message) -> Self {
        Self {
            id: message.id.as_str(),
            message_id: &message.message_id,
            client_id: message.origin.client_id.as_deref(),
            client: &message.origin.client,
            from: &message.envelope.from.path,
            size: message.content.size(),
            queued: message.queued,
        }
    }
}

/// Longest text of strangers in one field, in octets: what a reply line may have (RFC 5321
/// §4.5.3.1.5).
pub(super) const MAX_TEXT: usize = 512;
/// Longest Message-ID in the log, in octets.
const MAX_MESSAGE_ID: usize = 200;

/// A level is a constant of its call site: one site each.
macro_rules! at {
    ($level:ident, $($fields:tt)*) => {
        tracing::event!(target: "sealpost::delivery", tracing::Level::$level, $($fields)*, "delivery")
    };
}

macro_rules! delivery_event {
    ($level:ident, $mail:ident, $recipient:ident, $outcome:ident, $elapsed:ident, $addresses:ident) => {{
        let via = $outcome.via.as_deref();
        let seen = via.and_then(channel);
        let decided = Decided::of($outcome);
        at!(
            $level,
            id = $mail.id,
            message_id = filled($mail.message_id, MAX_MESSAGE_ID),
            client_id = $mail.client_id.and_then(|id| filled(id, MAX_TEXT)),
            client = $mail.client,
            from = &*address($mail.from, $addresses),
            to = &*address(&$recipient.mailbox, $addresses),
            domain = &*domain(&$recipient.mailbox.domain),
            mx = via.and_then(|via| via.mx.as_ref()).map(|mx| mx.0.as_str()),
            ip = via.map(|via| tracing::field::display(via.address.ip())),
            port = via.map(|via| via.address.port()),
            source = via.and_then(|via| via.source).map(tracing::field::display),
            policy = decided.policy,
            level = decided.level,
            rule = via.and_then(|via| via.rule_name.as_deref()),
            tls = decided.tls,
            cipher = seen.map(|seen| seen.cipher),
            group = seen.and_then(|seen| seen.group),
            resumed = seen.map(|seen| resumed(seen.resumed)),
            authenticated = decided.authenticated,
            certificate_problem = seen.map(problem).as_deref(),
            result = $outcome.result.as_str(),
            reply = &*reply($outcome, $addresses),
            size = $mail.size,
            attempts = $outcome.attempts,
            elapsed = seconds($elapsed),
            queue_attempt = $mail.queued.map(|queued| queued.attempt),
            queue_age = $mail.queued.map(age),
            possible_duplicate = duplicate($outcome, $mail.queued)
        )
    }};
}

/// Writes the event: what did not arrive is a warning.
pub(super) fn tell(
    mail: &Mail<'_>,
    recipient: &Recipient,
    outcome: &Outcome,
    elapsed: Duration,
    addresses: LogAddresses,
) {
    match outcome.result {
        DeliveryResult::Delivered | DeliveryResult::Queued => {
            delivery_event!(INFO, mail, recipient, outcome, elapsed, addresses);
        }
        DeliveryResult::Deferred | DeliveryResult::Rejected => {
            delivery_event!(WARN, mail, recipient, outcome, elapsed, addresses);
        }
    }
}

/// Seconds, to the millisecond.
pub(super) fn seconds(elapsed: Duration) -> f64 {
    (elapsed.as_secs_f64() * 1000.0).round() / 1000.0
}

pub(super) fn resumed(resumed: Resumed) -> &'static str {
    match resumed {
        Resumed::No => "no",
        Resumed::Yes => "yes",
    }
}

/// Also where an earlier attempt was cut off, which may have succeeded: whatever came of this one, as the attempts
/// that follow it know nothing of that any more.
fn duplicate(outcome: &Outcome, queued: Option<Queued>) -> &'static str {
    let earlier = queued.map_or(Earlier::Settled, |queued| queued.earlier);
    match (outcome.possible_duplicate, earlier) {
        (PossibleDuplicate::No, Earlier::Settled) => "no",
        (PossibleDuplicate::Yes, _) | (_, Earlier::Interrupted) => "yes",
    }
}

/// For how long it has been in the queue, seconds.
fn age(queued: Queued) -> f64 {
    let since = clock::now().duration_since(queued.since);
    seconds(since.unwrap_or_default())
}

/// The reply; hosts like to repeat addresses in it, which then are hidden too.
fn reply(outcome: &Outcome, how: LogAddresses) -> String {
    hide(&outcome.reply.to_string(), how)
}

/// What a host has said, as the administrator wants it in the log.
pub(super) fn hide(text: &str, how: LogAddresses) -> String {
    let text = match how {
        LogAddresses::Plain => text.to_owned(),
        LogAddresses::Hash => without_addresses(text, &[]),
    };
    cut(&text, MAX_TEXT).to_owned()
}

/// What is wrong with the certificate, as a sentence; a certificate's names can be long.
fn problem(seen: &TlsSeen) -> Cow<'static, str> {
    match &seen.problem {
        None => "none".into(),
        Some(problem) => cut(&problem.to_string(), MAX_TEXT).to_owned().into(),
    }
}

/// An address as the administrator wants it in the log; the null reverse path is `<>` either way.
pub(super) fn address(address: &impl ToString, how: LogAddresses) -> String {
    let text = address.to_string();
    if text.is_empty() {
        return "<>".into();
    }
    match how {
        LogAddresses::Plain => text,
        LogAddresses::Hash => {
            let digest = Sha256::digest(text.to_lowercase());
            digest.iter().take(8).fold(String::new(), |mut hex, octet| {
                // Writing to a String cannot fail.
                let _ = write!(hex, "{octet:02x}");
                hex
            })
        }
    }
}

/// The domain as looked up, in A-labels.
pub(super) fn domain(domain: &MailDomain) -> Cow<'_, str> {
    match domain {
        MailDomain::Name { ascii, .. } => ascii.as_str().into(),
        MailDomain::Literal(_) => domain.to_string().into(),
    }
}

fn filled(text: &str, max: usize) -> Option<&str> {
    (!text.is_empty()).then(|| cut(text, max))
}

/// At most `max` octets of a text, whole characters.
pub(super) fn cut(text: &str, max: usize) -> &str {
    let mut end = max.min(text.len());
    while !text.is_char_boundary(end) {
        end -= 1; // 0 is a boundary
    }
    &text[..end]
}
