//! The queue, asked for at the other end of the socket.

use super::super::client::{Answer, Cause, Client, ClientError};
use super::super::control::QUICK;
use super::{QueueChanged, QueueEntry, QueueMissing, QueuePage, QueueRest, QueueSelection};
use crate::queue::Act;

impl Client {
    /// Messages after this one, in the order of arrival; `None`: from the first.
    pub fn queue(
        &self,
        selection: &QueueSelection,
        after: Option<i64>,
        limit: u32,
    ) -> Result<QueuePage, ClientError> {
        let after = after.map_or_else(String::new, |after| format!("after={after}&"));
        let path = format!("/queue?{}{after}limit={limit}", selection.to_query());
        let answer: Answer<_, QueueMissing> = self.ask("GET", &path, QUICK)?;
        self.found(answer)
    }

    pub fn queue_message(&self, id: &str) -> Result<Answer<QueueEntry, QueueMissing>, ClientError> {
        self.ask("GET", &format!("/queue/{id}"), QUICK)
    }

    /// As much of a change as is made at once. A selection of nothing in particular is everything.
    pub fn queue_change(
        &self,
        act: Act,
        selection: &QueueSelection,
        rest: Option<QueueRest>,
    ) -> Result<Answer<QueueChanged, QueueMissing>, ClientError> {
        let verb = match act {
            Act::Hold => "hold",
            Act::Release => "release",
            Act::Retry => "retry",
            Act::Drop => "drop",
        };
        let selected = match selection.is_everything() {
            true => "all=yes&".to_owned(),
            false => selection.to_query(),
        };
        let rest = rest.map_or_else(String::new, |rest| {
            format!("after={}&until={}", rest.after, rest.until)
        });
        self.ask("POST", &format!("/queue/{verb}?{selected}{rest}"), QUICK)
    }

    fn found<T>(&self, answer: Answer<T, QueueMissing>) -> Result<T, ClientError> {
        match answer {
            Answer::Found(found) => Ok(found),
            Answer::Missing(_) => Err(self.error(Cause::Garbage("there is no queue at all"))),
        }
    }
}
