//! `[queue]`.

use super::reader::Section;
use super::setting::show_duration;
use crate::names::RuleNextHop;
use crate::queue::DsnVia;
use crate::smtp::address::{ForwardPath, Mailbox, PathAndRest};
use std::time::Duration;

const MINUTE: u64 = 60;
/// A reply may take that long to come; nothing is gained by asking sooner.
const LEAST_EXPIRE: Duration = Duration::from_secs(1);

/// `[queue]`, before it is completed with what other sections say.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct QueueConfig {
    pub retry: Vec<Duration>,
    pub expire: Duration,
    /// Zero: never.
    pub delay_warning: Duration,
    pub dsn_via: DsnVia,
    pub postmaster: Option<Mailbox>,
}

pub(super) fn read(root: &mut Section<'_>) -> QueueConfig {
    let mut queue = root.section("queue");
    let retry = [1, 5, 15, 30, 60, 120, 240].map(|m| Duration::from_secs(m * MINUTE));
    let retry = queue.take("retry", retry.to_vec());
    if retry.is_empty() || retry.contains(&Duration::ZERO) {
        queue.object(
            "retry",
            "has no time, or one of zero",
            "write [\"1m\", \"5m\", \"30m\"]",
        );
    }
    let expire = queue.take("expire", Duration::from_secs(5 * 24 * 60 * MINUTE));
    if expire < LEAST_EXPIRE {
        queue.object("expire", "is no time at all", "write a time as \"5d\"");
    }
    let delay_warning = queue.take("delay_warning", Duration::from_secs(4 * 60 * MINUTE));
    if delay_warning >= expire {
        let limit = show_duration(&expire);
        queue.object(
            "delay_warning",
            format!("is not below queue.expire ({limit})"),
            "lower it, or write \"0s\" for no warnings",
        );
    }
    let dsn_via = dsn_via(&mut queue);
    let postmaster = postmaster(&mut queue);
    queue.finish();
    QueueConfig {
        retry,
        expire,
        delay_warning,
        dsn_via,
        postmaster,
    }
}

fn dsn_via(queue: &mut Section<'_>) -> DsnVia {
    let via = queue.take("dsn_via", "[127.0.0.1]:25".to_owned());
    if via == "mx" {
        return DsnVia::Mx;
    }
    match RuleNextHop::parse(&via) {
        Ok(hop) => DsnVia::Hop(hop),
        Err(error) => {
            queue.object(
                "dsn_via",
                format!("is no next hop: {error}"),
                "write \"[127.0.0.1]:25\" or \"mx\"",
            );
            DsnVia::Mx
        }
    }
}

fn postmaster(queue: &mut Section<'_>) -> Option<Mailbox> {
    let address = queue.take("postmaster", String::new());
    if address.is_empty() {
        return None;
    }
    let path = format!("<{address}>");
    match PathAndRest::split(&path).and_then(|path| path.forward()) {
        Ok(ForwardPath::Mailbox(mailbox)) => Some(mailbox),
        Ok(ForwardPath::Postmaster(_)) | Err(_) => {
            queue.object(
                "postmaster",
                "is no address",
                "write \"postmaster@example.com\", or \"\" for nobody",
            );
            None
        }
    }
}
