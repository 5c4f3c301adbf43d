//! What came of the mail: nothing lost, nothing left, and a reason for everything that came twice.

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::fmt;
use std::time::{Duration, Instant};

use serde_json::Value;
use tokio::time::sleep;

use super::super::daemon::Daemon;
use super::super::world::World;
use super::hosts::{HOME, REFUSING, TAKING};
use super::{Answer, Deaths, SENDERS, Sent, Traffic, content, number};

/// How long the rest may take once nobody dies any more.
const DRAINED: Duration = Duration::from_secs(60);
/// A connection may be seen by its host a little after it was made.
const LATE: Duration = Duration::from_millis(500);

/// A message at a host, one for each recipient, that was not refused there.
#[derive(Clone, Debug)]
pub struct Arrival {
    address: String,
    /// By what id the relay had it; none of a notice.
    id: String,
    /// `None`: the connection was lost after the dot.
    reply: Option<u16>,
    /// When its connection began, and when it came.
    between: (Instant, Instant),
    intact: Intact,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Intact {
    Yes,
    No,
}

/// What came of it all.
#[derive(Debug, Default)]
pub struct Account {
    /// Messages with a 250, and with a 5xx.
    pub taken: usize,
    pub refused: usize,
    /// Recipients of the taken that have theirs.
    pub delivered: usize,
    /// Senders of the taken that were told of a refused recipient.
    pub notices: usize,
    pub duplicates: Duplicates,
    pub notices_twice: Duplicates,
    /// What must not be.
    pub faults: Vec<(u64, String)>,
}

/// Arrivals beyond the first, by their reason.
#[derive(Debug, Default)]
pub struct Duplicates {
    /// The relay died before it had written down the host's 250, and said `possible_duplicate` afterwards.
    pub cut_off: usize,
    /// The client got no 250, and sent it again.
    pub sent_again: usize,
    /// The host lost the connection after the dot.
    pub connection_lost: usize,
}

impl Account {
    /// Lets the clients have their answers and the queue run empty while nobody dies any more.
    pub async fn settle(world: &World, traffic: Traffic, deaths: &Deaths) -> Self {
        let sent = traffic.end().await;
        let until = Instant::now() + DRAINED;
        let left = loop {
            let (have, want) = progress(world, &sent).await;
            let left = world.daemon.metric("queue_messages", &[]).await;
            if (have == want && left == 0.0) || Instant::now() > until {
                break left;
            }
            sleep(Duration::from_millis(200)).await;
        };
        let account = Self::of(world, &sent, deaths).await;
        let found = account.show_faults(&world.daemon);
        assert!(account.faults.is_empty(), "{deaths}\n{account}\n{found}");
        assert_eq!(left, 0.0, "messages left in the queue");
        let log = world.daemon.stderr();
        for word in ["panicked", "did not pass its check"] {
            assert!(!log.contains(word), "{word}");
        }
        account
    }

    /// Of all that was sent.
    async fn of(world: &World, sent: &BTreeMap<u64, Sent>, deaths: &Deaths) -> Self {
        let mut account = Self::default();
        let unsure = account.unsure(&world.daemon);
        let mut arrived: BTreeMap<String, Vec<Arrival>> = BTreeMap::new();
        for domain in TAKING.into_iter().chain([REFUSING, HOME]) {
            for arrival in arrivals(world, domain, sent).await {
                let of_address = arrived.entry(arrival.address.clone()).or_default();
                of_address.push(arrival);
            }
        }
        let at = |address: &String| arrived.get(address).map_or(&[][..], Vec::as_slice);
        for (&number, message) in sent {
            account.answer(number, message);
            for address in &message.recipients {
                account.arrived(number, message, (address, at(address)));
                let twice = account.twice(number, message, (at(address), &unsure, deaths));
                account.duplicates.add(&twice);
            }
            let notices = at(&super::sender(number));
            account.notice(number, message, notices);
            let twice = account.twice(number, message, (notices, &unsure, deaths));
            account.notices_twice.add(&twice);
        }
        account
    }

    /// Of which arrivals the log says that they may not be the only one. Between two deliveries of the same it does.
    fn unsure(&mut self, daemon: &Daemon) -> HashSet<String> {
        let mut unsure = HashSet::new();
        let mut sure = HashSet::new();
        for line in daemon.deliveries() {
            let text = |name| Daemon::field(&line, name).and_then(Value::as_str);
            let (Some(id), Some(to)) = (text("id"), text("to")) else {
                continue;
            };
            let key = match to.ends_with(SENDERS) {
                true => to.to_owned(),
                false => format!("{id} {to}"),
            };
            match (text("result"), text("possible_duplicate")) {
                (_, Some("yes")) => {
                    unsure.insert(key);
                    sure.remove(&format!("{id} {to}"));
                }
                (Some("delivered"), _) if !sure.insert(format!("{id} {to}")) => {
                    let what = format!("{id}: logged as delivered twice, and never as perhaps");
                    self.fault(number(to).unwrap_or(0), what);
                }
                _ => {}
            }
        }
        unsure
    }

    fn answer(&mut self, number: u64, message: &Sent) {
        match message.answer {
            Answer::Taken => self.taken += 1,
            Answer::Refused => self.refused += 1,
            Answer::None => self.fault(number, "no answer".to_owned()),
        }
    }

    /// Whether a recipient has it who should.
    fn arrived(&mut self, number: u64, message: &Sent, (address, arrivals): (&str, &[Arrival])) {
        let refuses = address.ends_with(REFUSING);
        if refuses && !arrivals.is_empty() {
            self.fault(number, format!("{address} has what it refused"));
        }
        if message.answer == Answer::Taken && !refuses {
            match has_it(arrivals) {
                true => self.delivered += 1,
                false => self.fault(number, format!("LOST: {address}, {message:?}")),
            }
        }
        if arrivals.iter().any(|arrival| arrival.intact == Intact::No) {
            self.fault(number, format!("not what was sent: {arrivals:?}"));
        }
    }

    /// Whether the sender knows of who was refused.
    fn notice(&mut self, number: u64, message: &Sent, notices: &[Arrival]) {
        let due = message.answer == Answer::Taken && has_refusing(message);
        match (due, has_it(notices)) {
            (true, true) => self.notices += 1,
            (true, false) => self.fault(number, "refused, and nobody was told".to_owned()),
            (false, _) => {}
        }
    }

    /// Why it came more than once.
    fn twice(
        &mut self,
        number: u64,
        message: &Sent,
        (arrivals, unsure, deaths): (&[Arrival], &HashSet<String>, &Deaths),
    ) -> Duplicates {
        let ids: BTreeSet<&str> = arrivals.iter().map(|a| a.id.as_str()).collect();
        if ids.len() > message.times {
            let what = format!("under more ids than it was sent: {arrivals:?}");
            self.fault(number, what);
        }
        let mut duplicates = Duplicates {
            sent_again: ids.len().saturating_sub(1),
            ..Duplicates::default()
        };
        for id in ids {
            let of_id = arrivals.iter().filter(|arrival| arrival.id == id);
            let mut of_id: Vec<&Arrival> = of_id.collect();
            of_id.sort_by_key(|arrival| arrival.between.1);
            let unsure = of_id.iter().any(|a| unsure.contains(&key(a)));
            for pair in of_id.windows(2) {
                let between = (pair[0].between.0, pair[1].between.1);
                let died = |at: &Instant| *at + LATE >= between.0 && *at <= between.1;
                if pair[0].reply.is_none() {
                    duplicates.connection_lost += 1;
                } else if unsure && deaths.times.iter().any(died) {
                    duplicates.cut_off += 1;
                } else {
                    self.fault(number, format!("twice without a reason: {of_id:?}"));
                }
            }
        }
        duplicates
    }

    pub fn add(&mut self, more: &Self) {
        self.taken += more.taken;
        self.refused += more.refused;
        self.delivered += more.delivered;
        self.notices += more.notices;
        self.duplicates.add(&more.duplicates);
        self.notices_twice.add(&more.notices_twice);
    }

    fn fault(&mut self, number: u64, what: String) {
        self.faults.push((number, what));
    }

    /// The first faults, with what the log says of their messages.
    fn show_faults(&self, daemon: &Daemon) -> String {
        let mut shown = format!("{} faults\n", self.faults.len());
        let log = daemon.stderr();
        for (number, what) in self.faults.iter().take(5) {
            shown += &format!("message {number}: {what}\n");
            let address = format!("m{number}@");
            let lines = log.lines().filter(|line| line.contains(&address));
            lines.for_each(|line| shown += &format!("    {line}\n"));
        }
        shown
    }
}

/// The log knows a notice by its own id, and a host by that of what it is about.
fn key(arrival: &Arrival) -> String {
    match arrival.address.ends_with(SENDERS) {
        true => arrival.address.clone(),
        false => format!("{} {}", arrival.id, arrival.address),
    }
}

impl Duplicates {
    fn add(&mut self, more: &Self) {
        self.cut_off += more.cut_off;
        self.sent_again += more.sent_again;
        self.connection_lost += more.connection_lost;
    }

    pub fn all(&self) -> usize {
        self.cut_off + self.sent_again + self.connection_lost
    }
}

impl fmt::Display for Account {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "{} messages taken, {} refused; {} recipients have theirs, {} senders were told of refused ones",
            self.taken, self.refused, self.delivered, self.notices
        )?;
        writeln!(f, "arrived once more: {}", self.duplicates)?;
        write!(f, "told once more: {}", self.notices_twice)
    }
}

impl fmt::Display for Duplicates {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} cut off before they were written down, {} sent again by a client without its 250, \
             {} connections lost after the dot",
            self.cut_off, self.sent_again, self.connection_lost
        )
    }
}

/// How many recipients and senders have what they are to have, of all of them.
async fn progress(world: &World, sent: &BTreeMap<u64, Sent>) -> (usize, usize) {
    let mut have = BTreeSet::new();
    for domain in TAKING.into_iter().chain([HOME]) {
        let arrivals = arrivals(world, domain, &BTreeMap::new()).await;
        let taken = arrivals
            .into_iter()
            .filter(|arrival| arrival.reply.is_some());
        have.extend(taken.map(|arrival| arrival.address));
    }
    let mut want = BTreeSet::new();
    for (number, message) in sent {
        if message.answer != Answer::Taken {
            continue;
        }
        for address in &message.recipients {
            want.insert(match address.ends_with(REFUSING) {
                true => super::sender(*number),
                false => address.clone(),
            });
        }
    }
    (want.intersection(&have).count(), want.len())
}

fn has_it(arrivals: &[Arrival]) -> bool {
    arrivals.iter().any(|arrival| arrival.reply.is_some())
}

fn has_refusing(message: &Sent) -> bool {
    let refuses = |address: &String| address.ends_with(REFUSING);
    message.recipients.iter().any(refuses)
}

/// What a host has, or may have. Contents are compared with those of `sent`.
async fn arrivals(world: &World, domain: &str, sent: &BTreeMap<u64, Sent>) -> Vec<Arrival> {
    let mut found = Vec::new();
    // In place: a copy of the record would be a copy of all mail.
    let read = world
        .mx(domain)
        .wait_at_most(Duration::from_secs(1), |record| {
            let took = |code: u16| (200..300).contains(&code);
            let kept = |message: &&lab::mx::Message| message.reply.is_none_or(took);
            for message in record.messages.iter().filter(kept) {
                let began = record.connections[message.connection].began;
                for recipient in &message.recipients {
                    found.push(Arrival {
                        address: recipient.address.clone(),
                        id: id(&message.content).unwrap_or_default(),
                        reply: message.reply,
                        between: (began, message.at),
                        intact: intact(&recipient.address, &message.content, sent),
                    });
                }
            }
            true
        });
    assert!(read.await);
    found
}

fn intact(address: &str, came: &[u8], sent: &BTreeMap<u64, Sent>) -> Intact {
    if address.ends_with(SENDERS) {
        return Intact::Yes;
    }
    let Some(number) = number(address) else {
        return Intact::No;
    };
    match sent.get(&number) {
        Some(message) if !came.ends_with(&content(number, message.size)) => Intact::No,
        Some(_) | None => Intact::Yes,
    }
}

/// From our own Received field; that of a notice is the one of what it is about.
fn id(content: &[u8]) -> Option<String> {
    const MARK: &[u8] = b" (Sealpost) with ESMTP id ";
    let at = memchr::memmem::find(content, MARK)? + MARK.len();
    let length = memchr::memchr(b';', &content[at..])?;
    String::from_utf8(content[at..at + length].to_vec()).ok()
}
