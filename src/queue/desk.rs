//! The queue as an administrator sees and changes it: the store's messages together with what the schedule knows of
//! their destinations, and changes that the schedule is told of.

use super::{QueueFiles, Schedule, Suspension};
use crate::clock;
use crate::store::queue::{
    Change, Changed, Millis, RecipientState, Run, Selection, StoredMessage, StoredRecipient,
    Stretch, UnderWay, Whereabouts,
};
use crate::store::{Store, StoreError};
use std::collections::HashMap;
use std::time::{Duration, Instant, UNIX_EPOCH};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// How long a change goes on before it is for who asks to have the rest done.
const PATIENCE: Duration = Duration::from_secs(5);
/// Messages in one step of a change: accepting mail waits for one at most.
const STEP: u32 = 250;

/// Where the queue is operated. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Desk {
    store: Store,
    schedule: Schedule,
    files: QueueFiles,
    tasks: TaskTracker,
}

/// What can be done with recipients.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Act {
    /// Those that wait are not attempted until they are released.
    Hold,
    /// Those that are held wait again.
    Release,
    /// Those that wait are due now, and their destinations are tried whatever they did before.
    Retry,
    /// They are gone; nobody is told.
    Drop,
}

/// A change that is to be made.
#[derive(Debug, Clone)]
pub struct Order {
    pub act: Act,
    pub selection: Selection,
    /// What an earlier order has left; `None`: all there is now.
    pub rest: Option<Rest>,
}

/// What is left of a change, by numbers of messages.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rest {
    pub after: i64,
    /// Included; what has come later is not concerned.
    pub until: i64,
}

/// What was changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Tally {
    pub messages: u64,
    pub recipients: u64,
    /// `None`: that was all.
    pub rest: Option<Rest>,
}

/// A change that was not made as a whole.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{error} ({} recipients of {} messages had been changed)", .done.recipients, .done.messages)]
pub struct Broken {
    pub done: Tally,
    pub error: StoreError,
}

/// A message as it stands now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Seen {
    /// Without recipients.
    pub message: StoredMessage,
    pub recipients: Vec<SeenRecipient>,
}

/// A recipient as it stands now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SeenRecipient {
    /// While its destination is suspended it says why, and until when, unless it has an answer of its own.
    pub stored: StoredRecipient,
    pub standing: Standing,
}

/// How a recipient stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Standing {
    Waiting,
    Held,
    /// An attempt is under way.
    Active,
}

/// A part of a list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SeenPage {
    pub messages: Vec<Seen>,
    /// After which message to go on; `None`: that was all.
    pub next: Option<i64>,
}

impl Act {
    fn change(self) -> Change {
        match self {
            Self::Hold => Change::Hold,
            Self::Release => Change::Release,
            Self::Retry => Change::Retry(now()),
            Self::Drop => Change::Drop,
        }
    }
}

impl Desk {
    /// Changes are tasks of `tasks`: one that has begun a step ends it, whether somebody waits for it or not.
    pub fn new(store: Store, schedule: Schedule, files: QueueFiles, tasks: TaskTracker) -> Self {
        Self {
            store,
            schedule,
            files,
            tasks,
        }
    }

    /// A part of what is asked for, in the order of arrival. It may be empty although there is more.
    pub async fn page(
        &self,
        selection: Selection,
        after: i64,
        most: u32,
    ) -> Result<SeenPage, StoreError> {
        let until = i64::MAX;
        let stretch = Stretch { after, until, most };
        let page = self.store.queue_page(selection, stretch).await?;
        let mut suspensions = HashMap::new();
        let seen = page.messages.into_iter();
        Ok(SeenPage {
            messages: seen.map(|m| self.see(m, &mut suspensions)).collect(),
            next: page.next,
        })
    }

    pub async fn show(&self, id: &str) -> Result<Option<Seen>, StoreError> {
        let found = self.store.queue_message(id).await?;
        Ok(found.map(|message| self.see(message, &mut HashMap::new())))
    }

    /// How many messages there are.
    pub async fn length(&self) -> Result<u64, StoreError> {
        self.store.queue_length().await
    }

    /// Makes a change, or as much of it as can be made in some seconds; if nobody waits for it any more, it ends
    /// with its step. Whatever comes of it, `tell` hears once what was changed.
    pub async fn change(
        &self,
        order: Order,
        tell: impl FnOnce(Tally) + Send + 'static,
    ) -> Result<Tally, Broken> {
        let interest = CancellationToken::new();
        let _waiting = interest.clone().drop_guard();
        let desk = self.clone();
        let changing = self.tasks.spawn(async move {
            let mut done = Tally::default();
            let ended = desk.steps(order, &interest, &mut done).await;
            tell(done);
            ended.map(|()| done).map_err(|error| Broken { done, error })
        });
        changing.await.unwrap_or_else(|_| {
            let (done, error) = (Tally::default(), StoreError::Closed);
            Err(Broken { done, error })
        })
    }

    async fn steps(
        &self,
        order: Order,
        interest: &CancellationToken,
        done: &mut Tally,
    ) -> Result<(), StoreError> {
        let began = Instant::now();
        let Rest { mut after, until } = match order.rest {
            Some(rest) => rest,
            None => Rest {
                after: 0,
                until: self.store.queue_newest().await?,
            },
        };
        loop {
            let most = STEP;
            let stretch = Stretch { after, until, most };
            let change = order.act.change();
            let selection = order.selection.clone();
            let changed = self.store.queue_change(selection, change, stretch).await?;
            done.messages += changed.messages;
            done.recipients += changed.recipients;
            self.take_effect(order.act, &changed).await;
            done.rest = changed.next.map(|after| Rest { after, until });
            match done.rest {
                Some(rest) if began.elapsed() < PATIENCE && !interest.is_cancelled() => {
                    after = rest.after;
                }
                Some(_) | None => return Ok(()),
            }
        }
    }

    async fn take_effect(&self, act: Act, changed: &Changed) {
        for due in &changed.due {
            if act == Act::Retry {
                self.schedule.resume(&due.destination);
            }
            self.schedule.due(&due.destination, due.next);
        }
        for emptied in &changed.emptied {
            match emptied.content {
                Whereabouts::File => self.files.remove(&emptied.id).await,
                Whereabouts::Database => {}
            }
        }
    }

    fn see(
        &self,
        mut message: StoredMessage,
        suspensions: &mut HashMap<String, Option<Suspension>>,
    ) -> Seen {
        let recipients = std::mem::take(&mut message.recipients);
        let recipients = recipients.into_iter().map(|stored| {
            let standing = standing(&stored, self.store.run());
            let name = &stored.destination;
            let suspension = match standing {
                Standing::Held | Standing::Active => None,
                Standing::Waiting => match suspensions.get(name) {
                    Some(known) => known.as_ref(),
                    None => {
                        let now = self.schedule.suspension(name);
                        suspensions.entry(name.clone()).or_insert(now).as_ref()
                    }
                },
            };
            let stored = match suspension {
                Some(suspension) => suspended(stored, suspension),
                None => stored,
            };
            SeenRecipient { stored, standing }
        });
        Seen {
            recipients: recipients.collect(),
            message,
        }
    }
}

/// An attempt that another run has begun was cut off.
fn standing(recipient: &StoredRecipient, run: Run) -> Standing {
    match (recipient.state, recipient.progress.under_way) {
        (RecipientState::Held, _) => Standing::Held,
        (RecipientState::Waiting, UnderWay::In(begun)) if begun == run => Standing::Active,
        (RecipientState::Waiting, UnderWay::In(_) | UnderWay::No) => Standing::Waiting,
    }
}

fn suspended(mut recipient: StoredRecipient, suspension: &Suspension) -> StoredRecipient {
    let progress = &mut recipient.progress;
    progress.next = progress.next.max(suspension.until);
    progress
        .reply
        .get_or_insert_with(|| suspension.reply.clone());
    recipient
}

fn now() -> Millis {
    let since = clock::now().duration_since(UNIX_EPOCH);
    u64::try_from(since.unwrap_or_default().as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
impl Desk {
    /// With nothing beside the store.
    pub(crate) fn of(store: Store) -> Self {
        let concurrency = super::Concurrency {
            total: 1,
            per_destination: 1,
        };
        let files = QueueFiles::beside(&std::env::temp_dir().join("none.db"));
        Self::new(store, Schedule::new(concurrency), files, TaskTracker::new())
    }
}

#[cfg(test)]
#[path = "desk_tests.rs"]
mod tests;
