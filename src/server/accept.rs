//! Accepting: one loop per socket, one task per session.

use super::admission::{self, Place, Room};
use super::connection::{Connection, Surroundings};
use super::listener::{BoundListener, TlsSlot};
use super::pulse::Heart;
use super::replies::Say;
use super::session::{Client, Role, Session, Standing};
use super::sockets::{Acceptor, EXHAUSTED_PAUSE, Ending, is_exhaustion};
use super::stream::{Socket, Stream};
use super::{ServerContext, Shutdown};
use crate::ledger::SessionSummary;
use futures_util::FutureExt;
use futures_util::future::join_all;
use std::io;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::time::{Instant, sleep, timeout};

/// How long accepting pauses at `client.max_sessions` before clients are answered 421.
const FULL_PAUSE: Duration = Duration::from_secs(10);
/// Clients answered 421 after one such pause, and at the end, at most.
const MAX_DISMISSALS: usize = 1024;
/// How long a client may take that is only told to go.
const REFUSAL_TIMEOUT: Duration = Duration::from_secs(5);

impl BoundListener {
    /// Serves clients until `shutdown.draining`; sessions run on `shutdown.sessions` and may end
    /// later. The sockets are closed with the listener.
    pub async fn serve(&self, context: ServerContext, shutdown: Shutdown) -> io::Result<()> {
        if let Some(slot) = &self.tls {
            context.certificates.add(slot);
        }
        let acceptors = tokio::select! {
            biased;
            acceptors = self.sockets.acceptors() => acceptors?,
            () = shutdown.draining.cancelled() => return Ok(()),
        };
        let mut loops = Vec::new();
        for acceptor in acceptors {
            let accepting = Accepting {
                acceptor,
                role: Arc::clone(&self.role),
                tls: self.tls.clone(),
                context: context.clone(),
                shutdown: shutdown.clone(),
            };
            loops.push(async move {
                accepting.run(accepting.context.pulse.heart()).await;
                // Who waits at a socket that is only replaced is served by the one that comes after.
                if self.sockets.ending() == Ending::Closed {
                    accepting.dismiss_waiting(Say::ShuttingDown, || false);
                }
            });
        }
        join_all(loops).await;
        Ok(())
    }
}

struct Accepting {
    acceptor: Acceptor,
    role: Arc<Role>,
    tls: Option<Arc<TlsSlot>>,
    context: ServerContext,
    shutdown: Shutdown,
}

impl Accepting {
    /// Until `shutdown.draining`; nobody who was accepted is left without a word.
    async fn run(&self, mut heart: Heart) {
        while let Some((socket, from)) = self.unless_draining(&mut heart, self.next()).await {
            // Another listener's clients may have taken the last place meanwhile.
            let max = self.context.settings.borrow().max_sessions;
            let room = self.context.admission.wait_for_room(max, FULL_PAUSE);
            if self.unless_draining(&mut heart, room).await.is_none() {
                return self.refuse(socket, Say::ShuttingDown);
            }
            self.begin(socket, from);
        }
    }

    async fn unless_draining<T>(
        &self,
        heart: &mut Heart,
        work: impl Future<Output = T>,
    ) -> Option<T> {
        tokio::pin!(work);
        loop {
            tokio::select! {
                biased;
                () = self.shutdown.draining.cancelled() => return None,
                // Also where the next client is always there already.
                () = heart.answer() => {}
                done = &mut work => return Some(done),
            }
        }
    }

    /// The next client for whom there is room.
    async fn next(&self) -> (Socket, Option<IpAddr>) {
        loop {
            let max = self.context.settings.borrow().max_sessions;
            let admission = &self.context.admission;
            if admission.wait_for_room(max, FULL_PAUSE).await == Room::Full {
                let enough = || admission.room(max) == Room::Free;
                self.dismiss_waiting(Say::TooManySessions, enough);
                continue;
            }
            match self.acceptor.accept().await {
                Ok(accepted) => return accepted,
                Err(error) if is_exhaustion(&error) => {
                    tracing::warn!(%error, "accepting pauses");
                    let freed = admission.freed();
                    let _ = timeout(EXHAUSTED_PAUSE, freed).await;
                    // A session that ended may not have closed its socket at this very moment.
                    sleep(Duration::from_millis(10)).await;
                }
                Err(_) => {} // the client left again: nobody to serve
            }
        }
    }

    /// Those who wait to be accepted are told why they are not, rather than left to time out.
    fn dismiss_waiting(&self, why: Say, enough: impl Fn() -> bool) {
        for _ in 0..MAX_DISMISSALS {
            if enough() {
                return;
            }
            let Some(Ok((socket, _))) = self.acceptor.accept().now_or_never() else {
                return;
            };
            self.refuse(socket, why);
        }
    }

    fn begin(&self, socket: Socket, from: Option<IpAddr>) {
        let settings = Arc::clone(&self.context.settings.borrow());
        let client = admission::client(from, &settings);
        let Some(place) = self.context.admission.admit(client, &settings) else {
            let why = match client.standing {
                Standing::Allowed => Say::TooManySessions,
                Standing::Stranger => Say::NotAllowed,
            };
            return self.refuse(socket, why);
        };
        let session = Session::new(Arc::clone(&self.role), settings, client);
        let surroundings = Surroundings {
            context: self.context.clone(),
            tls: self.tls.clone(),
            shutdown: self.shutdown.clone(),
        };
        let stream = Stream::Clear(socket);
        let connection = Connection::new(stream, session, surroundings);
        let protocol = self.role.protocol.as_str();
        self.shutdown
            .sessions
            .spawn(session_task(connection, client, protocol, place));
    }

    fn refuse(&self, mut socket: Socket, why: Say) {
        let reply = why.reply().to_wire();
        let Some(leave) = self.context.admission.refusal() else {
            return socket.say_and_close(&reply);
        };
        self.shutdown.sessions.spawn(async move {
            let _leave = leave;
            let farewell = async {
                socket.write_all(&reply).await?;
                socket.shutdown().await?;
                let mut dropped = [0; 512];
                while socket.read(&mut dropped).await? > 0 {}
                io::Result::Ok(())
            };
            let _ = timeout(REFUSAL_TIMEOUT, farewell).await;
        });
    }
}

/// One session from greeting to end. A panic in it ends this task and nothing else.
async fn session_task(
    mut connection: Connection,
    client: Client,
    protocol: &'static str,
    place: Place,
) {
    let _place = place;
    let ledger = connection.ledger();
    let _counted = ledger.session(protocol);
    let started = Instant::now();
    let ended = connection.run().await;
    ledger.session_ended(&SessionSummary {
        protocol,
        client: client
            .address
            .map_or_else(|| "unix".to_owned(), |ip| ip.to_string()),
        messages: connection.messages(),
        elapsed: started.elapsed(),
        ended: ended.as_str(),
    });
}
