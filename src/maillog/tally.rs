//! All that a log says, added up.

use super::count::Side;
use super::inbound::Inbound;
use super::line::{Line, Service};
use super::outbound::{Destination, Outbound};
use super::postfix;
use super::reader::Lines;
use super::stamp::Era;

/// Adds up lines, of several files one after the other.
#[derive(Debug, Default)]
pub struct Tally {
    outbound: Outbound,
    inbound: Inbound,
    pub(super) lines: Lines,
    /// What is earlier is left out; seconds since 1970.
    since: Option<i64>,
    first: Option<i64>,
    last: Option<i64>,
}

/// What came of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Summary {
    pub lines: Lines,
    /// The time that the lines of mail cover; seconds since 1970.
    pub first: Option<i64>,
    pub last: Option<i64>,
    pub outbound: Side,
    /// From other servers.
    pub inbound: Side,
    /// From users, who log in.
    pub submitted: Side,
    /// The most mail first.
    pub destinations: Vec<Destination>,
    /// Recipients without a domain, or of one too many.
    pub elsewhere: u64,
    /// Recipients handed to filters and mailboxes of our own.
    pub handed_over: u64,
    /// Recipients that Sealpost delivered.
    pub by_sealpost: u64,
    /// Messages that came from this machine.
    pub from_here: u64,
}

impl Tally {
    /// Leaves out what is earlier than `since`.
    pub fn since(since: Option<i64>) -> Self {
        Self {
            since,
            ..Self::default()
        }
    }

    pub(super) fn line(&mut self, line: &Line<'_>, era: Era) {
        match line.service {
            Service::Smtp | Service::Lmtp => {
                if let Some(said) = postfix::sender(line.text)
                    && let Some(at) = self.time(line, era)
                {
                    let process = (self.outbound.hash(line.host), line.pid);
                    if line.service == Service::Smtp {
                        self.outbound.smtp(process, at, said);
                    } else {
                        self.outbound.lmtp(process, at, said);
                    }
                }
            }
            Service::Smtpd | Service::Submission => {
                if let Some(said) = postfix::receiver(line.text)
                    && let Some(at) = self.time(line, era)
                {
                    let process = (self.outbound.hash(line.host), line.pid);
                    self.inbound.smtpd(process, at, line.service, said);
                }
            }
        }
    }

    /// When a line that matters was written; `None`: it is too old, or has no sound stamp.
    fn time(&mut self, line: &Line<'_>, era: Era) -> Option<i64> {
        let Some(at) = line.stamp.seconds(era) else {
            self.lines.unreadable += 1;
            return None;
        };
        if self.since.is_some_and(|since| at < since) {
            self.lines.older += 1;
            return None;
        }
        self.lines.used += 1;
        self.first = Some(self.first.map_or(at, |first| first.min(at)));
        self.last = Some(self.last.map_or(at, |last| last.max(at)));
        Some(at)
    }

    pub fn finish(mut self) -> Summary {
        self.inbound.end_all();
        let mut destinations = self.outbound.destinations;
        destinations.sort_by(|a, b| {
            let weight = |d: &Destination| (d.ways.total(), d.deferred + d.bounced);
            weight(b).cmp(&weight(a)).then(a.name.cmp(&b.name))
        });
        Summary {
            lines: self.lines,
            first: self.first,
            last: self.last,
            outbound: self.outbound.side,
            inbound: self.inbound.from_servers,
            submitted: self.inbound.from_users,
            destinations,
            elsewhere: self.outbound.elsewhere,
            handed_over: self.outbound.local,
            by_sealpost: self.outbound.by_sealpost,
            from_here: self.inbound.local,
        }
    }
}

impl Summary {
    /// Whether the log tells of TLS to others at all; if not (`smtp_tls_loglevel = 0`), nothing is known of it.
    pub fn tells_outbound(&self) -> bool {
        let complained = || {
            self.destinations
                .iter()
                .any(|d| d.problems.iter().next().is_some())
        };
        self.by_sealpost > 0 || self.outbound.connections.tls() > 0 || complained()
    }

    /// The same for mail from others.
    pub fn tells_inbound(&self) -> bool {
        let sides = [&self.inbound, &self.submitted];
        sides
            .iter()
            .any(|side| side.connections.tls() > 0 || side.failures > 0)
    }

    /// Whether there is no mail in it.
    pub fn is_empty(&self) -> bool {
        let sides = [&self.outbound, &self.inbound, &self.submitted];
        let silent = |side: &&Side| side.messages.total() + side.connections.total() == 0;
        sides.iter().all(silent) && self.destinations.is_empty()
    }
}
