//! A long queue, written into the store itself.

use bytes::Bytes;
use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use sealpost::clock;
use sealpost::store::queue::{HostReached, Millis, NewMessage, NewRecipient, Progress};
use sealpost::store::{Store, StoreError};
use std::io;
use std::path::Path;
use std::time::{Duration, UNIX_EPOCH};

/// Where nobody answers.
pub const DEAD: &str = "dead.test";
/// Hosts that all other destinations share.
pub const HOSTS: u64 = 100;
/// Messages that are written at once, and how often that is under way.
const BATCH: u64 = 500;
const WRITERS: usize = 8;
const SIZE: usize = 1024;
/// When what has failed before is attempted again, and when all is given up.
const PAUSE: Duration = Duration::from_secs(60 * 60);
const EXPIRE: Duration = Duration::from_secs(5 * 24 * 60 * 60);

/// How much of it there is.
#[derive(Debug, Clone, Copy)]
pub struct Long {
    pub messages: u64,
    /// Of them, those for [`DEAD`].
    pub dead: u64,
    pub destinations: u64,
}

impl Long {
    /// The part of a host that a destination lies below.
    pub fn zone(host: u64) -> String {
        format!("s{host}.bulk.test")
    }

    fn destination(self, number: u64) -> String {
        if number < self.dead {
            return DEAD.to_owned();
        }
        let destination = number % self.destinations;
        format!("d{destination}.{}", Self::zone(destination % HOSTS))
    }

    fn message(self, number: u64, now: Millis) -> NewMessage {
        let destination = self.destination(number);
        let next = match number < self.dead {
            true => now,
            false => now + millis(PAUSE),
        };
        let mut content = format!("Subject: message {number}\r\n\r\n").into_bytes();
        content.resize(SIZE - 2, b'x');
        content.extend_from_slice(b"\r\n");
        NewMessage {
            id: format!("b{number:015}"),
            sender: "sender@source.test".to_owned(),
            size: SIZE as u64,
            received: now,
            expires: now + millis(EXPIRE),
            details: "{}".to_owned(),
            content: Some(Bytes::from(content)),
            recipients: vec![NewRecipient {
                address: format!("user{number}@{destination}"),
                destination,
                notify: None,
                orcpt: None,
                progress: Progress {
                    next,
                    attempts: 1,
                    reached: HostReached::No,
                    last: Some(now),
                    reply: Some("451 4.4.1 nobody answers".to_owned()),
                    warn: Some(now + millis(EXPIRE)),
                    ..Progress::default()
                },
            }],
        }
    }

    /// Writes it.
    pub async fn fill(self, path: &Path) -> io::Result<()> {
        let store = Store::open(path).map_err(io::Error::other)?;
        let now = now();
        stream::iter((0..self.messages).step_by(BATCH as usize))
            .map(|first| {
                let end = (first + BATCH).min(self.messages);
                let batch = (first..end).map(|number| self.message(number, now));
                store.keep(batch.collect())
            })
            .buffer_unordered(WRITERS)
            .try_for_each(|_| async { Ok::<_, StoreError>(()) })
            .await
            .map_err(io::Error::other)?;
        store.close().await;
        Ok(())
    }

    /// Makes all of it due.
    pub async fn release(self, path: &Path) -> io::Result<()> {
        let store = Store::open(path).map_err(io::Error::other)?;
        let now = now();
        stream::iter(self.dead..self.dead + self.destinations)
            .map(|number| {
                let (store, destination) = (store.clone(), self.destination(number));
                async move { store.recovered(&destination, now).await }
            })
            .buffer_unordered(256)
            .try_for_each(|_| async { Ok::<_, StoreError>(()) })
            .await
            .map_err(io::Error::other)?;
        store.close().await;
        Ok(())
    }
}

fn now() -> Millis {
    let now = clock::now().duration_since(UNIX_EPOCH);
    millis(now.unwrap_or_default())
}

fn millis(time: Duration) -> Millis {
    Millis::try_from(time.as_millis()).unwrap_or(Millis::MAX)
}
