//! Messages in our custody: written before they are answered for, leased before they are attempted, settled
//! when it is known what became of them.
//!
//! A message has recipients, each with a state of its own; it is gone when its last one is. What of a
//! recipient's way is data of the queue rather than of its scheduling is kept as JSON that is not looked into
//! here.

mod accept;
mod lease;
pub(super) mod operate;
mod rows;
pub(super) mod select;
mod settle;
mod survey;

pub use accept::Placed;
pub use lease::{Lease, RetryAt};
pub use operate::{Change, Changed, QueuePage};
pub use rows::{StoredMessage, StoredRecipient};
pub use select::{Selection, Stretch};
pub use settle::{Emptied, Kept, Provided, Settlement, Whereabouts};
pub use survey::{Due, Totals};

use bytes::Bytes;

/// UNIX milliseconds.
pub type Millis = u64;

/// A message as it comes into custody.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewMessage {
    /// Ours, see [`crate::message::MessageId`].
    pub id: String,
    /// Without brackets; empty for the null reverse path.
    pub sender: String,
    /// Octets.
    pub size: u64,
    pub received: Millis,
    pub expires: Millis,
    /// JSON.
    pub details: String,
    /// `None`: it is in a file, on disk already.
    pub content: Option<Bytes>,
    /// At least one.
    pub recipients: Vec<NewRecipient>,
}

/// One recipient of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewRecipient {
    /// Without brackets.
    pub address: String,
    /// What is scheduled together.
    pub destination: String,
    /// NOTIFY in canonical spelling.
    pub notify: Option<String>,
    /// ORCPT as received.
    pub orcpt: Option<String>,
    pub progress: Progress,
}

/// How far a recipient's delivery has come.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Progress {
    /// When it may be attempted.
    pub next: Millis,
    /// Attempts begun.
    pub attempts: u32,
    pub under_way: UnderWay,
    pub reached: HostReached,
    pub last: Option<Millis>,
    /// Code, enhanced code and text.
    pub reply: Option<String>,
    /// JSON.
    pub host: Option<String>,
    /// When its sender is due a warning.
    pub warn: Option<Millis>,
}

/// Whether an attempt has begun whose end is not written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum UnderWay {
    #[default]
    No,
    /// Who has begun it: if that is not this run of the daemon, it was cut off.
    In(Run),
}

/// One run of the daemon: the time of its start, in UNIX milliseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Run(pub(super) i64);

impl UnderWay {
    pub(super) fn from_column(run: i64) -> Self {
        match run {
            0 => Self::No,
            run => Self::In(Run(run)),
        }
    }

    pub(super) fn to_column(self) -> i64 {
        match self {
            Self::No => 0,
            Self::In(Run(run)) => run,
        }
    }
}

/// Whether the last attempt has reached a host.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum HostReached {
    No,
    /// Also before the first attempt.
    #[default]
    Yes,
}

/// Whether a recipient may be attempted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RecipientState {
    Waiting,
    /// Until it is released.
    Held,
}

const WAITING: i64 = 0;
const HELD: i64 = 1;

impl RecipientState {
    fn from_column(state: i64) -> Self {
        match state {
            HELD => Self::Held,
            _ => Self::Waiting,
        }
    }
}

/// SQLite's integers are signed.
fn column(millis: Millis) -> i64 {
    i64::try_from(millis).unwrap_or(i64::MAX)
}
