//! Counts, each of bounded size.

use super::channel::Channel;
use super::postfix::TlsLine;
use super::problem::{Problem, words};
use std::collections::{BTreeMap, HashMap};

/// How often mail went which way.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Ways(Vec<(Channel, u64)>);

impl Ways {
    pub(super) fn add(&mut self, channel: Channel) {
        match self.0.iter_mut().find(|(known, _)| *known == channel) {
            Some((_, count)) => *count += 1,
            // There are no more than there are versions and proofs.
            None => self.0.push((channel, 1)),
        }
    }

    pub fn iter(&self) -> impl Iterator<Item = (Channel, u64)> {
        self.0.iter().copied()
    }

    pub fn sum(&self, which: impl Fn(Channel) -> bool) -> u64 {
        let chosen = self.iter().filter(|(channel, _)| which(*channel));
        chosen.map(|(_, count)| count).sum()
    }

    pub fn total(&self) -> u64 {
        self.sum(|_| true)
    }

    pub fn tls(&self) -> u64 {
        self.sum(Channel::is_tls)
    }

    pub fn verified(&self) -> u64 {
        self.sum(Channel::is_verified)
    }
}

/// How often a name was seen.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Names(HashMap<Box<str>, u64>);

impl Names {
    /// There are some hundred ciphers; beyond this somebody invents them.
    const MAX: usize = 512;
    const MAX_NAME: usize = 64;
    const OTHER: &'static str = "other";

    pub(super) fn add(&mut self, name: &[u8]) {
        let harmless = |b: &u8| b.is_ascii_alphanumeric() || b"-_.() ".contains(b);
        let name = std::str::from_utf8(name)
            .ok()
            .filter(|name| name.len() <= Self::MAX_NAME && name.bytes().all(|b| harmless(&b)))
            .unwrap_or(Self::OTHER);
        if let Some(count) = self.0.get_mut(name) {
            *count += 1;
            return;
        }
        let name = if self.0.len() < Self::MAX {
            name
        } else {
            Self::OTHER
        };
        *self.0.entry(name.into()).or_default() += 1;
    }

    /// The most frequent first.
    pub fn sorted(&self) -> Vec<(&str, u64)> {
        let mut names: Vec<(&str, u64)> = self.0.iter().map(|(n, c)| (&**n, *c)).collect();
        names.sort_unstable_by(|a, b| b.1.cmp(&a.1).then(a.0.cmp(b.0)));
        names
    }
}

/// Troubles of a destination: how often each, and what was said last.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Problems(Vec<(Problem, u64, String)>);

impl Problems {
    pub(super) fn add(&mut self, problem: Problem, said: &[u8]) {
        match self.0.iter_mut().find(|(known, ..)| *known == problem) {
            Some((_, count, last)) => {
                *count += 1;
                *last = words(said);
            }
            None => self.0.push((problem, 1, words(said))),
        }
    }

    pub fn iter(&self) -> impl Iterator<Item = (Problem, u64, &str)> {
        self.0.iter().map(|(p, count, said)| (*p, *count, &**said))
    }
}

/// Mail in one direction.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Side {
    pub connections: Ways,
    pub messages: Ways,
    pub recipients: u64,
    /// By connections.
    pub ciphers: Names,
    /// Groups and methods of the key exchange, by connections.
    pub exchanges: Names,
    /// Connections that neither began TLS nor brought a message.
    pub idle: u64,
    /// Handshakes that failed, where it is the other end that began them.
    pub failures: u64,
    /// Messages by the hour (since 1970) as they went: verified, encrypted, in the clear.
    pub hours: BTreeMap<i64, [u64; 3]>,
}

impl Side {
    /// A year, and a little.
    const MAX_HOURS: usize = 9000;

    pub(super) fn connected(&mut self, tls: &TlsLine<'_>) {
        self.connections.add(tls.channel);
        self.ciphers.add(tls.cipher);
        if !tls.exchange.is_empty() {
            self.exchanges.add(tls.exchange);
        }
    }

    pub(super) fn message(&mut self, at: i64, channel: Channel) {
        self.messages.add(channel);
        let hour = at.div_euclid(3600);
        if self.hours.len() >= Self::MAX_HOURS && !self.hours.contains_key(&hour) {
            if self
                .hours
                .first_key_value()
                .is_some_and(|(first, _)| *first > hour)
            {
                return;
            }
            self.hours.pop_first();
        }
        let kind = match (channel.is_verified(), channel.is_tls()) {
            (true, _) => 0,
            (false, true) => 1,
            (false, false) => 2,
        };
        self.hours.entry(hour).or_default()[kind] += 1;
    }
}
