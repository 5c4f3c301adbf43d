//! The I/O shell around one session: reads lines and content, writes replies, hands messages over.
//!
//! Replies to pipelined commands leave together, in one write, when there is nothing left to read
//! or something to wait for (RFC 2920 §3.2). Every wait on the client is bounded; what is awaited is
//! said where it is.

mod handover;

use super::input::Input;
use super::listener::TlsSlot;
use super::receiving::{Complete, Pace, Receiving};
use super::session::{ContentFault, Ended, Event, Next, Session};
use super::stream::Stream;
use super::{ServerContext, Shutdown};
use crate::ledger::{Ledger, Refusal};
use crate::message::MessageId;
use crate::smtp::command::{Chunk, Last};
use crate::smtp::dot::{DotDecoder, LineEnds, Progress};
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::time::{Instant, sleep_until, timeout};
use tokio_util::sync::CancellationToken;

/// Replies gathered before they are written although more commands are at hand, octets.
const MAX_GATHERED: usize = 16 * 1024;
/// The handshake after STARTTLS.
const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(60);
/// How long a client is listened to after its last reply, so that closing does not destroy it.
const LINGER: Duration = Duration::from_secs(1);

/// A session with its socket.
#[derive(Debug)]
pub(super) struct Connection {
    stream: Stream,
    input: Input,
    out: Vec<u8>,
    session: Session,
    /// The message of which chunks have come.
    receiving: Option<Receiving>,
    complete: Option<Complete>,
    messages: u64,
    surroundings: Surroundings,
}

/// What a session has around it.
#[derive(Debug)]
pub(super) struct Surroundings {
    pub(super) context: ServerContext,
    pub(super) tls: Option<Arc<TlsSlot>>,
    pub(super) shutdown: Shutdown,
}

impl Connection {
    pub(super) fn new(stream: Stream, session: Session, surroundings: Surroundings) -> Self {
        Self {
            stream,
            input: Input::new(),
            out: Vec::new(),
            session,
            receiving: None,
            complete: None,
            messages: 0,
            surroundings,
        }
    }

    /// The whole session; says how it ended.
    pub(super) async fn run(&mut self) -> Ended {
        let mut next = self.session.input(Event::Connected, &mut self.out);
        let ended = loop {
            next = match self.perform(next).await {
                Ok(next) => next,
                Err(ended) => break ended,
            };
        };
        self.close(ended).await;
        ended
    }

    pub(super) fn messages(&self) -> u64 {
        self.messages
    }

    pub(super) fn ledger(&self) -> Ledger {
        self.surroundings.context.ledger.clone()
    }

    async fn perform(&mut self, next: Next) -> Result<Next, Ended> {
        match next {
            Next::ReadLine => self.read_command().await,
            Next::NewRecipient => {
                if let Some(recipient) = self.session.newest_recipient() {
                    self.surroundings.context.submit.expect(recipient);
                }
                Ok(Next::ReadLine)
            }
            Next::SecondRecipient => {
                self.ledger().second_recipient(&self.session.client_name());
                Ok(Next::ReadLine)
            }
            Next::ReceiveContent => self.receive_content().await,
            Next::ReceiveChunk(chunk) => self.receive_chunk(chunk).await,
            Next::SkipChunk(chunk, say) => {
                self.read_chunk(chunk, None).await?;
                Ok(self.tell(Event::ChunkRefused(say)))
            }
            Next::Deliver => self.deliver().await,
            Next::StartTls => self.start_tls().await,
            Next::Close(ended) => {
                self.flush().await?;
                Err(ended)
            }
        }
    }

    fn tell(&mut self, event: Event<'_>) -> Next {
        self.session.input(event, &mut self.out)
    }

    /// The next command. Its time counts from here, however slowly its octets drip in; between chunks
    /// the pace of their message holds.
    async fn read_command(&mut self) -> Result<Next, Ended> {
        self.settle();
        if self.out.len() >= MAX_GATHERED {
            self.flush().await?;
        }
        let deadline = match &self.receiving {
            Some(receiving) => receiving.pace.deadline(),
            None => Instant::now() + self.session.patience(),
        };
        loop {
            // Also one who always has more to say: in the end no transaction begins.
            if self.leave().is_cancelled() {
                return Ok(self.tell(Event::Draining));
            }
            if let Some(line) = self.input.next_line() {
                self.renew_settings();
                let room = self.surroundings.context.submit.room();
                self.session.know(room);
                let line = line.map(|at| self.input.line(at));
                return Ok(self.session.input(Event::Line(line), &mut self.out));
            }
            self.flush().await?;
            let leave = self.leave().clone();
            let event = tokio::select! {
                biased;
                () = leave.cancelled() => Event::Draining,
                read = self.input.fill(&mut self.stream) => match read {
                    Ok(0) | Err(_) => return Err(Ended::ClientGone),
                    Ok(_) => continue,
                },
                () = sleep_until(deadline) => Event::Idle,
            };
            return Ok(self.tell(event));
        }
    }

    /// When the session is to end between commands: a transaction has the grace.
    fn leave(&self) -> &CancellationToken {
        let shutdown = &self.surroundings.shutdown;
        match self.session.in_transaction() {
            true => &shutdown.expired,
            false => &shutdown.draining,
        }
    }

    /// Between commands: what belongs to a message that came to nothing is dropped.
    fn settle(&mut self) {
        if !self.session.in_chunks() {
            self.receiving = None;
        }
        if !self.session.in_transaction() {
            self.input.narrow();
        }
    }

    /// A transaction that has begun keeps the settings that it began with.
    fn renew_settings(&mut self) {
        let settings = &mut self.surroundings.context.settings;
        if !self.session.in_transaction() && settings.has_changed().unwrap_or(false) {
            let settings = Arc::clone(&settings.borrow_and_update());
            self.session.reconfigure(settings);
        }
    }

    async fn receive_content(&mut self) -> Result<Next, Ended> {
        self.flush().await?;
        let mut receiving = self.new_message();
        let mut decoder = DotDecoder::default();
        let mut piece = Vec::new();
        loop {
            if self.input.unread().is_empty() {
                self.more_content(&receiving.pace).await?;
            }
            piece.clear();
            let decoded = decoder.decode(self.input.unread(), &mut piece);
            self.input.consume(decoded.used);
            receiving.pace.count(decoded.used);
            receiving.take(&piece).await;
            if decoded.progress == Progress::Ended {
                return Ok(self.content_read(receiving, decoder.line_ends()).await);
            }
        }
    }

    async fn receive_chunk(&mut self, chunk: Chunk) -> Result<Next, Ended> {
        let mut receiving = match self.receiving.take() {
            Some(receiving) => receiving,
            None => self.new_message(),
        };
        self.read_chunk(chunk, Some(&mut receiving)).await?;
        if chunk.last == Last::Yes {
            let line_ends = receiving.line_ends.line_ends();
            return Ok(self.content_read(receiving, line_ends).await);
        }
        if let Some(fault) = receiving.fault() {
            let next = self.tell(Event::ChunkFaulty(fault));
            self.record_refused(receiving.id(), "", receiving.size());
            return Ok(next);
        }
        self.receiving = Some(receiving);
        Ok(self.tell(Event::ChunkStored))
    }

    fn new_message(&self) -> Receiving {
        let spool = &self.surroundings.context.spool;
        Receiving::new(&self.session, spool, Pace::new(self.session.patience()))
    }

    /// Reads a chunk to its end; without a receiver it is dropped.
    async fn read_chunk(
        &mut self,
        chunk: Chunk,
        mut receiving: Option<&mut Receiving>,
    ) -> Result<(), Ended> {
        let mut dropped = Pace::new(self.session.patience());
        let mut left = chunk.size;
        while left > 0 {
            if self.input.unread().is_empty() {
                self.flush().await?;
                let pace = receiving.as_ref().map_or(&dropped, |r| &r.pace);
                self.more_content(pace).await?;
            }
            let unread = self.input.unread();
            let length = usize::try_from(left).map_or(unread.len(), |n| n.min(unread.len()));
            match &mut receiving {
                Some(receiving) => {
                    receiving.pace.count(length);
                    receiving.line_ends.push(&unread[..length]);
                    receiving.take(&unread[..length]).await;
                }
                None => dropped.count(length),
            }
            self.input.consume(length);
            left -= length as u64;
        }
        Ok(())
    }

    /// Waits for more of the content, within its pace and the shutdown's grace.
    async fn more_content(&mut self, pace: &Pace) -> Result<(), Ended> {
        self.input.widen();
        let expired = &self.surroundings.shutdown.expired;
        let event = tokio::select! {
            biased;
            () = expired.cancelled() => Event::Draining,
            read = self.input.fill(&mut self.stream) => match read {
                Ok(0) | Err(_) => return Err(Ended::ClientGone),
                Ok(_) => return Ok(()),
            },
            () = sleep_until(pace.deadline()) => Event::Idle,
        };
        let Next::Close(ended) = self.tell(event) else {
            return Err(Ended::Abuse); // both events close
        };
        self.flush().await?;
        Err(ended)
    }

    async fn content_read(&mut self, receiving: Receiving, line_ends: LineEnds) -> Next {
        let (id, size) = (receiving.id().clone(), receiving.size());
        let complete = receiving.complete(line_ends).await;
        let facts = complete.as_ref().map(|complete| &complete.facts);
        let event = Event::Content(facts.map_err(|fault| *fault));
        let next = self.session.input(event, &mut self.out);
        let message_id = facts.map_or("", |facts| &facts.message_id);
        self.record_refused(&id, message_id, size);
        self.complete = complete.ok().filter(|_| next == Next::Deliver);
        next
    }

    fn record_refused(&mut self, id: &MessageId, message_id: &str, size: u64) {
        if let Some(refused) = self.session.take_refused() {
            self.ledger().refused(&Refusal {
                id,
                message_id,
                client_id: refused.client_id.as_deref(),
                client: &self.session.client_name(),
                envelope: &refused.envelope,
                size,
                reply: &refused.reply,
            });
        }
    }

    /// RFC 3207 §4: nothing that was read before the handshake is looked at after it.
    async fn start_tls(&mut self) -> Result<Next, Ended> {
        self.flush().await?;
        self.input.clear();
        let Some(tls) = self.surroundings.tls.as_ref().map(|slot| slot.current()) else {
            return Err(Ended::TlsFailed);
        };
        let Stream::Clear(socket) = std::mem::replace(&mut self.stream, Stream::Gone) else {
            return Err(Ended::TlsFailed);
        };
        match timeout(HANDSHAKE_TIMEOUT, tls.accept(socket)).await {
            Ok(Ok(stream)) => self.stream = Stream::Tls(Box::new(stream)),
            Ok(Err(_)) | Err(_) => return Err(Ended::TlsFailed),
        }
        Ok(self.tell(Event::Secured))
    }

    async fn flush(&mut self) -> Result<(), Ended> {
        if self.out.is_empty() {
            return Ok(());
        }
        let write = async {
            self.stream.write_all(&self.out).await?;
            self.stream.flush().await
        };
        match timeout(self.session.patience(), write).await {
            Ok(Ok(())) => {}
            Ok(Err(_)) => return Err(Ended::ClientGone),
            Err(_) => return Err(Ended::TimedOut),
        }
        self.out.clear();
        self.out.shrink_to(MAX_GATHERED);
        Ok(())
    }

    /// A socket that is closed with octets unread in it is reset, and our last reply with it.
    async fn close(&mut self, ended: Ended) {
        if ended == Ended::ClientGone {
            return;
        }
        let leave = async {
            self.stream.shutdown().await?;
            let mut dropped = [0; 1024];
            while self.stream.read(&mut dropped).await? > 0 {}
            std::io::Result::Ok(())
        };
        let _ = timeout(LINGER, leave).await;
    }
}
