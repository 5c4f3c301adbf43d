//! Whether the listeners accept: each answers when it is asked. It is the daemon's watchdog that asks.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use tokio::sync::{Notify, watch};

/// The pulse of all accept loops. Cheap to clone.
#[derive(Debug, Clone, Default)]
pub struct Pulse {
    shared: Arc<Shared>,
}

#[derive(Debug, Default)]
struct Shared {
    /// How often it was asked.
    question: watch::Sender<u64>,
    /// To which question each loop's last answer was.
    answers: Mutex<Vec<Weak<AtomicU64>>>,
    answered: Notify,
    /// A loop panicked: what it accepted from is closed.
    lost: AtomicBool,
}

/// What an accept loop answers with. It may end at any time, but not by a panic.
#[derive(Debug)]
pub(super) struct Heart {
    question: watch::Receiver<u64>,
    answer: Arc<AtomicU64>,
    shared: Arc<Shared>,
}

impl Pulse {
    /// Returns when every loop that runs has answered; never if one was lost.
    pub async fn beat(&self) {
        let shared = &self.shared;
        let mut asked = 0;
        shared.question.send_modify(|question| {
            *question += 1;
            asked = *question;
        });
        loop {
            let answered = shared.answered.notified();
            if shared.lost.load(Ordering::Acquire) {
                return std::future::pending().await;
            }
            if shared.all_answered(asked) {
                return;
            }
            answered.await;
        }
    }

    /// Answers for an accept loop, until it ends or is dropped.
    pub async fn answer_for<T>(&self, accepting: impl Future<Output = T>) -> T {
        let mut heart = self.heart();
        tokio::pin!(accepting);
        loop {
            tokio::select! {
                biased;
                () = heart.answer() => {}
                ended = &mut accepting => return ended,
            }
        }
    }

    pub(super) fn heart(&self) -> Heart {
        let question = self.shared.question.subscribe();
        let answer = Arc::new(AtomicU64::new(*question.borrow()));
        self.shared.answers().push(Arc::downgrade(&answer));
        Heart {
            question,
            answer,
            shared: Arc::clone(&self.shared),
        }
    }
}

impl Shared {
    fn answers(&self) -> MutexGuard<'_, Vec<Weak<AtomicU64>>> {
        self.answers.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn all_answered(&self, asked: u64) -> bool {
        let mut answers = self.answers();
        answers.retain(|answer| answer.strong_count() > 0);
        let mut running = answers.iter().filter_map(Weak::upgrade);
        running.all(|answer| answer.load(Ordering::Acquire) >= asked)
    }
}

impl Heart {
    /// Answers the next question; dropped before, it has lost nothing.
    pub(super) async fn answer(&mut self) {
        let Ok(question) = self
            .question
            .wait_for(|q| *q > self.answer.load(Ordering::Relaxed))
            .await
        else {
            return std::future::pending().await; // nobody asks any more
        };
        self.answer.store(*question, Ordering::Release);
        self.shared.answered.notify_waiters();
    }
}

impl Drop for Heart {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.shared.lost.store(true, Ordering::Release);
        }
        self.answer.store(u64::MAX, Ordering::Release);
        self.shared.answered.notify_waiters();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;
    use tokio::time::timeout;

    async fn beats(pulse: &Pulse) -> bool {
        timeout(Duration::from_millis(50), pulse.beat())
            .await
            .is_ok()
    }

    #[tokio::test]
    async fn it_beats_while_every_loop_answers() {
        let pulse = Pulse::default();
        assert!(beats(&pulse).await, "there is no loop");
        let (mut one, mut other) = (pulse.heart(), pulse.heart());
        assert!(!beats(&pulse).await, "none answers");
        one.answer().await;
        assert!(!beats(&pulse).await, "one answers");
        for _ in 0..3 {
            let both = async { tokio::join!(one.answer(), other.answer()) };
            let (beaten, _) = tokio::join!(beats(&pulse), both);
            assert!(beaten);
        }
        drop(other);
        let (beaten, ()) = tokio::join!(beats(&pulse), one.answer());
        assert!(beaten, "who has ended is not asked");
    }

    #[tokio::test]
    async fn it_beats_for_a_loop_that_is_answered_for() {
        let pulse = Pulse::default();
        let (end, ended) = tokio::sync::oneshot::channel();
        let answering = pulse.answer_for(ended);
        tokio::pin!(answering);
        for _ in 0..3 {
            tokio::select! {
                _ = &mut answering => panic!("it has ended"),
                beaten = beats(&pulse) => assert!(beaten),
            }
        }
        assert!(!beats(&pulse).await, "nobody runs it");
        end.send("done").unwrap();
        assert_eq!(answering.await, Ok("done"));
        assert!(beats(&pulse).await, "it has ended");
        let panics = std::panic::AssertUnwindSafe(pulse.answer_for(async { panic!("on purpose") }));
        assert!(futures_util::FutureExt::catch_unwind(panics).await.is_err());
        assert!(!beats(&pulse).await);
    }

    #[tokio::test]
    async fn it_stops_when_a_loop_panics() {
        let pulse = Pulse::default();
        let heart = pulse.heart();
        let panicked = std::thread::spawn(move || {
            let _heart = heart;
            panic!("on purpose");
        });
        assert!(panicked.join().is_err());
        assert!(!beats(&pulse).await);
    }
}
