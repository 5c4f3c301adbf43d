//! A message that was taken in whole goes to whoever delivers or keeps it, and its replies come back.

use super::{Complete, Connection, ContentFault, Ended, Event, Next};
use crate::relay::InFlight;
use crate::smtp::reply::Reply;
use futures_util::FutureExt;
use std::pin::pin;

impl Connection {
    /// Hands the message over and passes its replies on, each as soon as it and all before it are
    /// known. If the client goes away, the message is withdrawn.
    pub(super) async fn deliver(&mut self) -> Result<Next, Ended> {
        let message = self.complete.take().and_then(|complete| {
            let Complete {
                id,
                facts,
                content,
                received_at,
            } = complete;
            self.session.take_message(facts, content, id, received_at)
        });
        let Some(message) = message else {
            return Ok(self.tell(Event::Content(Err(ContentFault::Store))));
        };
        self.input.narrow();
        self.messages += 1;
        let submit = &self.surroundings.context.submit;
        let mut in_flight = submit.submit(message, self.session.answering());
        for index in 0..self.session.owed() {
            let reply = self.reply(&mut in_flight, index).await?;
            self.tell(Event::Outcome(reply));
        }
        Ok(Next::ReadLine)
    }

    /// Waits for a reply; the relay bounds that time. What the client pipelines meanwhile is kept.
    async fn reply(
        &mut self,
        in_flight: &mut InFlight,
        index: usize,
    ) -> Result<Option<Reply>, Ended> {
        let mut reply = pin!(in_flight.reply(index));
        if let Some(known) = reply.as_mut().now_or_never() {
            return Ok(known);
        }
        self.flush().await?;
        loop {
            tokio::select! {
                biased;
                reply = &mut reply => return Ok(reply),
                read = self.input.fill(&mut self.stream), if self.input.has_room() => {
                    if !read.is_ok_and(|octets| octets > 0) {
                        return Err(Ended::ClientGone);
                    }
                }
            }
        }
    }
}
