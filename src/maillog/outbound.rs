//! Mail to others: which session a delivery belongs to, and what it says of its destination.
//!
//! Postfix logs a TLS session without the queue id, and the delivery without the session. They are joined by the
//! process, the peer and the time; a connection that is used again (`conn_use`) by what its peer had last.

use super::channel::Channel;
use super::count::{Problems, Side, Ways};
use super::postfix::{Delivery, Sender, Status, TlsLine, Use, told_by_sealpost};
use super::problem::Problem;
use crate::names::DomainName;
use memchr::{memchr, memrchr};
use std::collections::HashMap;
use std::hash::{BuildHasher as _, RandomState};
use std::net::IpAddr;

/// Which process of which machine.
pub(super) type Process = (u64, u32);

/// Domains that are told apart; mail to further ones is counted, but not by domain.
const MAX_DESTINATIONS: usize = 200_000;
/// Processes and peers that are remembered; all are forgotten when there are more, which costs a few deliveries
/// their session.
pub(super) const MAX_REMEMBERED: usize = 65_536;
/// Troubles of a process that wait for a delivery line.
const MAX_WAITING: usize = 4;
/// Seconds: stamps are cut, and lines are written a little later.
const SLACK: i64 = 3;

/// What is known of a recipients' domain.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Destination {
    /// A-labels, or an address literal.
    pub name: Box<str>,
    /// Recipients whose mail was accepted, by the way it went.
    pub ways: Ways,
    /// Of accepted mail, seconds since 1970.
    pub first: i64,
    pub last: i64,
    pub deferred: u64,
    pub bounced: u64,
    /// Of those deferred or bounced: because of TLS.
    pub blocked: u64,
    pub problems: Problems,
}

/// The session that a process had last.
#[derive(Debug, Clone, Copy)]
struct Session {
    peer: u64,
    channel: Channel,
    at: i64,
    /// Of the message that was sent over it, once there was one.
    queue_id: Option<u64>,
}

#[derive(Debug, Default)]
struct State {
    session: Option<Session>,
    /// Message and peer of the last delivery.
    last: Option<(u64, u64)>,
    waiting: Vec<(Problem, Vec<u8>)>,
}

/// All of it.
#[derive(Debug, Default)]
pub(super) struct Outbound {
    hasher: RandomState,
    processes: HashMap<Process, State>,
    peers: HashMap<u64, Channel>,
    index: HashMap<Box<str>, usize>,
    pub(super) destinations: Vec<Destination>,
    pub(super) side: Side,
    /// Recipients whose domain is none, or one too many.
    pub(super) elsewhere: u64,
    /// Recipients that were handed to a filter or a mailbox of our own.
    pub(super) local: u64,
    /// Recipients that Sealpost delivered.
    pub(super) by_sealpost: u64,
}

/// Where a delivery went.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Relay {
    /// No connection came about.
    None,
    /// This machine.
    Local,
    Remote,
}

impl Outbound {
    pub(super) fn hash(&self, octets: &[u8]) -> u64 {
        self.hasher.hash_one(octets)
    }

    /// What an smtp says.
    pub(super) fn smtp(&mut self, process: Process, at: i64, said: Sender<'_>) {
        match said {
            Sender::Tls(tls) => self.session(process, at, &tls),
            Sender::Problem(problem, words) => self.problem(process, problem, words),
            Sender::Delivery(delivery) => match relay(delivery.relay) {
                Relay::Local => self.handed_over(process, at, &delivery),
                Relay::None => self.refused(process, &delivery),
                Relay::Remote => self.delivery(process, at, &delivery),
            },
        }
    }

    /// What an lmtp says: its mail goes to mailboxes, unless it goes to Sealpost.
    pub(super) fn lmtp(&mut self, process: Process, at: i64, said: Sender<'_>) {
        match said {
            Sender::Delivery(delivery) => self.handed_over(process, at, &delivery),
            Sender::Tls(_) | Sender::Problem(..) => {}
        }
    }

    fn state(&mut self, process: Process) -> &mut State {
        if self.processes.len() >= MAX_REMEMBERED && !self.processes.contains_key(&process) {
            self.processes.clear();
        }
        self.processes.entry(process).or_default()
    }

    fn session(&mut self, process: Process, at: i64, tls: &TlsLine<'_>) {
        if relay(tls.peer) == Relay::Local {
            return;
        }
        if tls.use_ == Use::New {
            self.side.connected(tls);
        }
        let peer = self.hash(tls.peer);
        self.remember(peer, tls.channel);
        self.state(process).session = Some(Session {
            peer,
            channel: tls.channel,
            at,
            queue_id: None,
        });
    }

    fn remember(&mut self, peer: u64, channel: Channel) {
        if self.peers.len() >= MAX_REMEMBERED && !self.peers.contains_key(&peer) {
            self.peers.clear();
        }
        self.peers.insert(peer, channel);
    }

    fn problem(&mut self, process: Process, problem: Problem, words: &[u8]) {
        let waiting = &mut self.state(process).waiting;
        let words = words.get(..words.len().min(1000)).unwrap_or_default();
        match waiting.iter_mut().find(|(known, _)| *known == problem) {
            // The library's words say more than Postfix's.
            Some((_, kept)) if kept.starts_with(b"SSL_connect") => *kept = words.to_vec(),
            Some(_) => {}
            None => {
                waiting.push((problem, words.to_vec()));
                waiting.truncate(MAX_WAITING);
            }
        }
    }

    fn delivery(&mut self, process: Process, at: i64, delivery: &Delivery<'_>) {
        let peer = self.hash(delivery.relay);
        let message = self.hash(delivery.queue_id);
        let known = self.peers.get(&peer).copied();
        let state = self.state(process);
        let began = at - delivery.took - SLACK;
        let session = state.session.as_mut().filter(|session| {
            let of_this = session.queue_id.is_none_or(|id| id == message);
            session.peer == peer && of_this && session.at >= began
        });
        let again = state.last == Some((message, peer));
        state.last = Some((message, peer));
        let channel = match (session, delivery.uses) {
            (Some(session), _) => {
                session.queue_id = Some(message);
                session.channel
            }
            (None, 2..) => known.unwrap_or(Channel::Plaintext),
            (None, _) => {
                if conversed(delivery) {
                    if !again {
                        self.side.connections.add(Channel::Plaintext);
                    }
                    self.remember(peer, Channel::Plaintext);
                }
                Channel::Plaintext
            }
        };
        let channel = match channel {
            Channel::Tls(version, trust) => Channel::Tls(version, trust.at_level(delivery.level)),
            Channel::Plaintext => channel,
        };
        if delivery.status != Status::Sent {
            self.refused(process, delivery);
            return;
        }
        if !again {
            self.side.message(at, channel);
        }
        self.accepted(at, delivery, channel);
        self.tell_waiting(process, delivery, None);
    }

    /// To this machine: to Sealpost, which says what it did, or to something else.
    fn handed_over(&mut self, process: Process, at: i64, delivery: &Delivery<'_>) {
        if delivery.status != Status::Sent {
            return;
        }
        let Some(channel) =
            told_by_sealpost(delivery.reply).filter(|_| relay(delivery.relay) == Relay::Local)
        else {
            self.local += 1;
            return;
        };
        let once = (
            self.hash(delivery.queue_id),
            self.hash(mx_of(delivery.reply)),
        );
        let state = self.state(process);
        let again = state.last == Some(once);
        state.last = Some(once);
        self.by_sealpost += 1;
        if !again {
            self.side.message(at, channel);
        }
        self.accepted(at, delivery, channel);
    }

    fn accepted(&mut self, at: i64, delivery: &Delivery<'_>, channel: Channel) {
        self.side.recipients += 1;
        let Some(number) = self.destination(delivery.recipient) else {
            self.elsewhere += 1;
            return;
        };
        let destination = &mut self.destinations[number];
        if destination.ways.total() == 0 {
            (destination.first, destination.last) = (at, at);
        }
        destination.first = destination.first.min(at);
        destination.last = destination.last.max(at);
        destination.ways.add(channel);
    }

    fn refused(&mut self, process: Process, delivery: &Delivery<'_>) {
        let problem = Problem::of(delivery.reply);
        if let Some(number) = self.destination(delivery.recipient) {
            let destination = &mut self.destinations[number];
            match delivery.status {
                Status::Deferred => destination.deferred += 1,
                Status::Bounced => destination.bounced += 1,
                Status::Sent => {}
            }
            if let Some(problem) = problem {
                destination.blocked += 1;
                destination.problems.add(problem, delivery.reply);
            }
        }
        self.tell_waiting(process, delivery, problem);
    }

    /// What the process complained of before belongs to this recipient; `told` is counted already.
    fn tell_waiting(&mut self, process: Process, delivery: &Delivery<'_>, told: Option<Problem>) {
        let Some(state) = self.processes.get_mut(&process) else {
            return;
        };
        if state.waiting.is_empty() {
            return;
        }
        let waiting = std::mem::take(&mut state.waiting);
        let Some(number) = self.destination(delivery.recipient) else {
            return;
        };
        for (problem, words) in waiting {
            if Some(problem) != told {
                self.destinations[number].problems.add(problem, &words);
            }
        }
    }

    /// The number of the domain of a recipient.
    fn destination(&mut self, recipient: &[u8]) -> Option<usize> {
        let domain = &recipient[memrchr(b'@', recipient)? + 1..];
        let mut lower = [0; DomainName::MAX + 2];
        let lower = lower.get_mut(..domain.len())?;
        lower.copy_from_slice(domain);
        lower.make_ascii_lowercase();
        let text = std::str::from_utf8(lower).ok()?;
        if let Some(number) = self.index.get(text) {
            return Some(*number);
        }
        let name = name(text)?;
        if let Some(number) = self.index.get(&name) {
            return Some(*number);
        }
        if self.destinations.len() >= MAX_DESTINATIONS {
            return None;
        }
        let number = self.destinations.len();
        self.index.insert(name.clone(), number);
        self.destinations.push(Destination {
            name,
            ways: Ways::default(),
            first: 0,
            last: 0,
            deferred: 0,
            bounced: 0,
            blocked: 0,
            problems: Problems::default(),
        });
        Some(number)
    }
}

/// A domain in A-labels, or an address literal.
fn name(text: &str) -> Option<Box<str>> {
    let Some(literal) = text.strip_prefix('[') else {
        return Some(DomainName::parse(text).ok()?.as_str().into());
    };
    let inside = literal.strip_suffix(']')?;
    let address = inside.strip_prefix("ipv6:").unwrap_or(inside);
    let address: IpAddr = address.parse().ok()?;
    Some(format!("[{address}]").into())
}

/// Where a relay is, from `mx.example.net[192.0.2.1]:25`.
fn relay(relay: &[u8]) -> Relay {
    match inside(relay) {
        Some(address) if is_local(address) => Relay::Local,
        Some(_) => Relay::Remote,
        None => Relay::None,
    }
}

/// What stands in the last brackets.
pub(super) fn inside(peer: &[u8]) -> Option<&[u8]> {
    let rest = &peer[memrchr(b'[', peer)? + 1..];
    Some(&rest[..memchr(b']', rest)?])
}

/// Loopback, or a socket's path.
pub(super) fn is_local(address: &[u8]) -> bool {
    address.starts_with(b"127.") || address == b"::1" || address.contains(&b'/')
}

/// Whether the host was asked to take the message, not only greeted.
fn conversed(delivery: &Delivery<'_>) -> bool {
    match delivery.status {
        Status::Sent => true,
        Status::Deferred | Status::Bounced => {
            delivery.reply.starts_with(b"host ") && delivery.reply.ends_with(b" command)")
        }
    }
}

/// Which host a reply of Sealpost's speaks of.
fn mx_of(reply: &[u8]) -> &[u8] {
    &reply[..memchr(b']', reply).unwrap_or(0)]
}
