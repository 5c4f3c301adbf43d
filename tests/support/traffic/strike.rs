//! Finding the moment: whoever waits for a phase hears when somebody reaches it.

use std::sync::{Arc, Mutex};

use tokio::sync::oneshot;

/// What a relay is doing when it dies.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Phase {
    /// It starts.
    Start,
    /// Whatever it is.
    Any,
    /// A client has said MAIL, RCPT or DATA.
    Envelope,
    /// Half of a content is here.
    Content,
    /// A client has sent its final dot.
    Dot,
    /// A host has got a recipient for the first time.
    Attempt,
    /// A host has got the final dot, and is about to say 250.
    Taken,
    /// A host has got a recipient for another time.
    Retry,
    /// A notice is under way.
    Notice,
}

/// Cheap to clone.
#[derive(Clone, Debug, Default)]
pub struct Strike {
    awaited: Arc<Mutex<Option<Awaited>>>,
}

#[derive(Debug)]
struct Awaited {
    phase: Phase,
    /// So many times more than once.
    more: usize,
    reached: oneshot::Sender<()>,
}

impl Strike {
    /// Resolves when a phase is reached for so many times more than once.
    pub async fn wait(&self, phase: Phase, more: usize) {
        let (reached, heard) = oneshot::channel();
        let awaited = Awaited {
            phase,
            more,
            reached,
        };
        *self.awaited.lock().unwrap() = Some(awaited);
        // The sender goes when somebody else waits.
        let _ = heard.await;
    }

    /// Somebody is there.
    pub fn reached(&self, phase: Phase) {
        let mut awaited = self.awaited.lock().unwrap();
        match &mut *awaited {
            Some(wait) if wait.phase == phase && wait.more > 0 => wait.more -= 1,
            Some(wait) if wait.phase == phase => {
                if let Some(wait) = awaited.take() {
                    let _ = wait.reached.send(());
                }
            }
            Some(_) | None => {}
        }
    }
}
