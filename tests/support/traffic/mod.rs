//! Mail that can be told apart, sent again and again until it is answered for, to hosts that misbehave in part, while
//! the relay dies again and again; and what came of it.
//!
//! [`hosts`] is the Internet around it, [`Strike`] finds the moment, [`Deaths`] kills and starts, [`Account`] tells
//! whether every 250 was kept.

mod account;
mod deaths;
mod hosts;
mod strike;

pub use account::{Account, Duplicates};
pub use deaths::{Deaths, set_custody};
pub use hosts::{SENDERS, hosts};
pub use strike::{Phase, Strike};

use std::collections::BTreeMap;
use std::io;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use fastrand::Rng;
use lab::client::{SmtpClient, stuffed};
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;

/// After a connection that could not be made or was lost.
const RECONNECT: Duration = Duration::from_millis(10);
/// After a reply that asks to try again.
const LATER: Duration = Duration::from_millis(30);
/// A session waits so long at most between two messages.
const PACE: u64 = 120;
/// Longer than all hosts are slow together.
const LAST_MESSAGE: Duration = Duration::from_secs(60);

/// A message, and how far its client has come.
#[derive(Clone, Debug)]
pub struct Sent {
    pub recipients: Vec<String>,
    /// Octets of its content.
    pub size: usize,
    /// Transactions in which a relay that has died may have had all of it.
    pub times: usize,
    pub answer: Answer,
}

/// What the client was told at last.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Answer {
    /// Nothing that ends it.
    None,
    /// 250.
    Taken,
    /// 5xx.
    Refused,
}

/// Sessions that send.
pub struct Traffic {
    shared: Arc<Shared>,
    sessions: JoinSet<()>,
}

struct Shared {
    to: SocketAddr,
    strike: Strike,
    next: AtomicU64,
    sent: Mutex<BTreeMap<u64, Sent>>,
    ending: CancellationToken,
}

/// A number, unless it is empty or not set.
pub fn from_environment(name: &str) -> Option<u64> {
    let value = std::env::var(name).ok().filter(|value| !value.is_empty())?;
    let number = value.parse();
    Some(number.unwrap_or_else(|_| panic!("{name} is no number: {value}")))
}

impl Traffic {
    /// Begins so many sessions.
    pub fn begin(sessions: usize, to: SocketAddr, strike: &Strike, random: &mut Rng) -> Self {
        let shared = Arc::new(Shared {
            to,
            strike: strike.clone(),
            next: AtomicU64::new(1),
            sent: Mutex::default(),
            ending: CancellationToken::new(),
        });
        let mut running = JoinSet::new();
        for _ in 0..sessions {
            running.spawn(Arc::clone(&shared).session(random.fork()));
        }
        Self {
            shared,
            sessions: running,
        }
    }

    /// Ends when every session has an answer for its last message; everything that was sent, by its number.
    pub async fn end(mut self) -> BTreeMap<u64, Sent> {
        self.shared.ending.cancel();
        let ended = async { while self.sessions.join_next().await.is_some() {} };
        let in_time = timeout(LAST_MESSAGE, ended).await;
        assert!(in_time.is_ok(), "sessions without an answer");
        self.shared.sent().clone()
    }
}

impl Shared {
    fn sent(&self) -> MutexGuard<'_, BTreeMap<u64, Sent>> {
        self.sent.lock().unwrap()
    }

    async fn session(self: Arc<Self>, mut random: Rng) {
        let mut connection = None;
        while !self.ending.is_cancelled() {
            let number = self.next.fetch_add(1, Ordering::Relaxed);
            let recipients = hosts::recipients(number, &mut random);
            let message = Sent {
                recipients,
                size: size(&mut random),
                times: 0,
                answer: Answer::None,
            };
            self.sent().insert(number, message.clone());
            let answer = self.until_answered(&mut connection, number, &message).await;
            self.sent().get_mut(&number).unwrap().answer = answer;
            if random.u8(..8) == 0 {
                connection = None;
            }
            sleep(Duration::from_millis(random.u64(..PACE))).await;
        }
    }

    async fn until_answered(
        &self,
        connection: &mut Option<SmtpClient>,
        number: u64,
        message: &Sent,
    ) -> Answer {
        loop {
            let answered = match connection.take() {
                Some(client) => self.transaction(client, number, message).await,
                None => match SmtpClient::smtp(self.to).await {
                    Ok(client) => self.transaction(client, number, message).await,
                    Err(error) => Err(error),
                },
            };
            match answered {
                Ok((client, code)) => {
                    *connection = Some(client);
                    match code {
                        250 => return Answer::Taken,
                        500.. => return Answer::Refused,
                        _ => sleep(LATER).await,
                    }
                }
                Err(_) => sleep(RECONNECT).await,
            }
        }
    }

    /// One transaction: the reply to the dot, or the first refusal before it.
    async fn transaction(
        &self,
        mut client: SmtpClient,
        number: u64,
        message: &Sent,
    ) -> io::Result<(SmtpClient, u16)> {
        client.patience(LAST_MESSAGE);
        let mut lines = vec![format!("MAIL FROM:<{}>", sender(number))];
        let rcpt = |address: &String| format!("RCPT TO:<{address}>");
        lines.extend(message.recipients.iter().map(rcpt));
        lines.push("DATA".to_owned());
        for line in &lines {
            client.send(format!("{line}\r\n")).await?;
            self.strike.reached(Phase::Envelope);
            let code = client.reply().await?.code;
            if code >= 400 {
                client.command("RSET").await?;
                // Nothing that comes before the dot says that it is for ever.
                return Ok((client, code.min(499)));
            }
        }
        let content = stuffed(&content(number, message.size));
        let (first, rest) = content.split_at(content.len() / 2);
        client.send(first).await?;
        self.strike.reached(Phase::Content);
        self.sent().get_mut(&number).unwrap().times += 1;
        client.send(rest).await?;
        self.strike.reached(Phase::Dot);
        let code = client.reply().await?.code;
        Ok((client, code))
    }
}

fn sender(number: u64) -> String {
    format!("m{number}@{SENDERS}")
}

/// The number of the message that an address belongs to.
fn number(address: &str) -> Option<u64> {
    let (local, _) = address.split_once('@')?;
    local.strip_prefix('m')?.parse().ok()
}

/// Some above what is kept in the database, and some above what is kept in memory.
fn size(random: &mut Rng) -> usize {
    match random.u8(..100) {
        0..3 => random.usize(270_000..330_000),
        3..12 => random.usize(66_000..100_000),
        _ => random.usize(300..9_000),
    }
}

/// The same for the same number.
fn content(number: u64, size: usize) -> Vec<u8> {
    let mut random = Rng::with_seed(number);
    let mut content = format!(
        "From: <{from}>\r\nTo: <x@good.test>\r\nMessage-ID: <{number}@client.test>\r\n\
         Subject: number {number}\r\n\r\n.begins with a dot\r\n",
        from = sender(number)
    )
    .into_bytes();
    while content.len() < size {
        content.extend((0..76).map(|_| random.alphanumeric() as u8));
        content.extend_from_slice(b"\r\n");
    }
    content
}
