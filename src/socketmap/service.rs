//! The I/O shell: accepts clients and answers their requests in turn.

use super::answer::Reports;
use super::lookup::Lookup;
use super::reply::Answer;
use super::wire::{self, MAX_FRAME, Malformed, Parsed};
use crate::discovery::{Discovery, Sts};
use crate::ledger::{Ledger, SessionSummary, SocketmapEvent};
use crate::relay::Relay;
use crate::server::{
    Acceptor, BindError, Passed, Pulse, ServerSettings, Socket, SocketSettings, Sockets,
    is_exhaustion,
};
use futures_util::future::join_all;
use std::io;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};
use tokio::time::{Instant, sleep, timeout, timeout_at};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// Clients at the same time, over all listeners; more wait to be accepted.
pub const MAX_CONNECTIONS: usize = 500;
/// How long a client may say nothing between requests; Postfix hangs up after 10 s.
const IDLE_TIMEOUT: Duration = Duration::from_secs(60);
/// How long a request may take to arrive, from its first octet on.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(10);
/// How long a client may take to take a reply.
const REPLY_TIMEOUT: Duration = Duration::from_secs(10);
/// How long accepting pauses when the process is out of file descriptors or memory.
const EXHAUSTED_PAUSE: Duration = Duration::from_secs(1);

/// Any map of this name tells Postfix what it may report on, as postfix-tlspol has it.
const NAME_WITH_REPORTS: &[u8] = b"QUERYwithTLSRPT";

/// One `[[socketmap]]`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MapSettings {
    pub socket: SocketSettings,
    pub reports: Reports,
}

/// A listener for maps that exists and is not yet served; clients wait in its backlog.
#[derive(Debug)]
pub struct BoundMap {
    sockets: Sockets,
    reports: Reports,
}

impl BoundMap {
    /// Makes the sockets, or finds them among those that were passed. Needs no runtime.
    pub fn bind(settings: &MapSettings, passed: &Passed) -> Result<Self, BindError> {
        Ok(Self {
            sockets: Sockets::bind(&settings.socket, passed)?,
            reports: settings.reports,
        })
    }

    /// Sockets that are open already, for a map.
    pub fn on(sockets: &Sockets, settings: &MapSettings) -> Result<Self, BindError> {
        Ok(Self {
            sockets: sockets.again(&settings.socket)?,
            reports: settings.reports,
        })
    }

    pub fn sockets(&self) -> &Sockets {
        &self.sockets
    }
}

/// What all listeners for maps share. Cheap to clone; there is one per daemon, since it counts the clients.
#[derive(Debug, Clone)]
pub struct Socketmap {
    lookup: Lookup,
    /// `client.networks` also says who may ask.
    settings: watch::Receiver<Arc<ServerSettings>>,
    ledger: Ledger,
    places: Arc<Semaphore>,
    /// Whether they are accepted.
    pulse: Pulse,
}

/// How clients are told to end, and who waits for them.
#[derive(Debug, Clone)]
pub struct Ending {
    /// No new clients; those who wait for no answer are left.
    pub draining: CancellationToken,
    /// All are left.
    pub expired: CancellationToken,
    pub tasks: TaskTracker,
}

impl Socketmap {
    pub fn new(
        relay: Relay,
        discovery: (&Discovery, Sts),
        settings: watch::Receiver<Arc<ServerSettings>>,
        ledger: Ledger,
        pulse: Pulse,
    ) -> Self {
        Self {
            lookup: Lookup::new(relay, discovery, ledger.clone()),
            settings,
            ledger,
            places: Arc::new(Semaphore::new(MAX_CONNECTIONS)),
            pulse,
        }
    }

    /// Serves clients until `ending.draining`; they run on `ending.tasks` and may end later.
    pub async fn serve(&self, listener: &BoundMap, ending: Ending) -> io::Result<()> {
        let acceptors = tokio::select! {
            biased;
            acceptors = listener.sockets.acceptors() => acceptors?,
            () = ending.draining.cancelled() => return Ok(()),
        };
        let loops = acceptors.into_iter().map(|acceptor| {
            let (map, ending) = (self.clone(), ending.clone());
            let draining = ending.draining.clone();
            async move {
                let accepting = map.accept(acceptor, listener.reports, ending);
                let accepting = map.pulse.answer_for(accepting);
                draining.run_until_cancelled(accepting).await;
            }
        });
        join_all(loops).await;
        Ok(())
    }

    async fn accept(&self, acceptor: Acceptor, reports: Reports, ending: Ending) {
        loop {
            let place = Arc::clone(&self.places).acquire_owned().await;
            let Ok(place) = place else { return };
            match acceptor.accept().await {
                Ok((socket, from)) if self.admits(from) => {
                    let client = Client {
                        socket,
                        from,
                        answered: 0,
                        map: self.clone(),
                        reports,
                        received: vec![0; MAX_FRAME],
                        filled: 0,
                    };
                    let serving = client.serve(ending.clone(), place);
                    ending.tasks.spawn(serving);
                }
                Ok(_) => {} // nobody of ours: there is no word for that
                Err(error) if is_exhaustion(&error) => {
                    tracing::warn!(%error, "accepting pauses");
                    sleep(EXHAUSTED_PAUSE).await;
                }
                Err(_) => {} // the client left again
            }
        }
    }

    /// A unix socket has its permissions.
    fn admits(&self, from: Option<IpAddr>) -> bool {
        let settings = self.settings.borrow();
        from.is_none_or(|ip| {
            let ip = ip.to_canonical();
            settings
                .networks
                .iter()
                .any(|network| network.contains(&ip))
        })
    }

    async fn reply(&self, request: &[u8], reports: Reports) -> String {
        let started = Instant::now();
        let (key, answer) = match wire::split(request) {
            None => (
                request,
                Answer::Refused("a request is the name of a map, a blank, and a key"),
            ),
            Some((name, key)) => {
                let reports = if name.eq_ignore_ascii_case(NAME_WITH_REPORTS) {
                    Reports::Yes
                } else {
                    reports
                };
                (key, self.lookup.answer(key, reports).await)
            }
        };
        let text = answer.render();
        self.ledger.socketmap(&SocketmapEvent {
            key: &String::from_utf8_lossy(key),
            answer: answer.label(),
            reply: &text,
            elapsed: started.elapsed(),
        });
        text
    }
}

/// One client.
struct Client {
    socket: Socket,
    /// `None`: by a unix socket.
    from: Option<IpAddr>,
    answered: u64,
    map: Socketmap,
    reports: Reports,
    /// Octets that were received and not yet answered; never grows.
    received: Vec<u8>,
    filled: usize,
}

/// Why a client is left, for the debug log.
#[derive(Debug, Clone, Copy)]
enum Left {
    HungUp,
    Idle,
    /// A request did not arrive in time.
    Slow,
    /// A reply was not taken in time.
    Deaf,
    Shutdown,
    Malformed,
}

impl Left {
    fn as_str(self) -> &'static str {
        match self {
            Self::HungUp => "hung_up",
            Self::Idle => "idle",
            Self::Slow => "slow",
            Self::Deaf => "deaf",
            Self::Shutdown => "shutdown",
            Self::Malformed => "malformed",
        }
    }
}

impl From<Malformed> for Left {
    fn from(_: Malformed) -> Self {
        Self::Malformed
    }
}

impl From<io::Error> for Left {
    fn from(_: io::Error) -> Self {
        Self::HungUp
    }
}

impl Client {
    async fn serve(mut self, ending: Ending, place: OwnedSemaphorePermit) {
        const PROTOCOL: &str = "socketmap";
        let ledger = self.map.ledger.clone();
        let _counted = ledger.session(PROTOCOL);
        let started = Instant::now();
        let serving = self.answer_all(&ending.draining);
        let left = match ending.expired.run_until_cancelled(serving).await {
            Some(Err(left)) => left,
            Some(Ok(never)) => match never {},
            None => Left::Shutdown,
        };
        ledger.session_ended(&SessionSummary {
            protocol: PROTOCOL,
            client: self
                .from
                .map_or_else(|| "unix".to_owned(), |ip| ip.to_string()),
            messages: self.answered,
            elapsed: started.elapsed(),
            ended: left.as_str(),
        });
        drop(place);
    }

    async fn answer_all(&mut self, draining: &CancellationToken) -> Result<Never, Left> {
        loop {
            let length = {
                let (payload, length) = self.request(draining).await?;
                let request = self.received.get(payload).unwrap_or_default();
                let reply = wire::frame(&self.map.reply(request, self.reports).await);
                let written = timeout(REPLY_TIMEOUT, self.socket.write_all(&reply)).await;
                written.map_err(|_| Left::Deaf)??;
                length
            };
            self.received.copy_within(length..self.filled, 0);
            self.filled -= length;
            self.answered += 1;
        }
    }

    /// The next request: where its payload is, and how long it is with its frame.
    async fn request(
        &mut self,
        draining: &CancellationToken,
    ) -> Result<(std::ops::Range<usize>, usize), Left> {
        let mut until = Instant::now() + IDLE_TIMEOUT;
        if self.filled > 0 {
            until = Instant::now() + REQUEST_TIMEOUT;
        }
        loop {
            let received = self.received.get(..self.filled).unwrap_or_default();
            if let Parsed::Request { payload, length } = wire::parse(received)? {
                return Ok((payload, length));
            }
            let room = self.received.get_mut(self.filled..).unwrap_or_default();
            let reading = draining.run_until_cancelled(self.socket.read(room));
            let late = if self.filled == 0 {
                Left::Idle
            } else {
                Left::Slow
            };
            let read = timeout_at(until, reading).await.map_err(|_| late)?;
            match read.ok_or(Left::Shutdown)?? {
                0 => return Err(Left::HungUp),
                octets => {
                    if self.filled == 0 {
                        until = Instant::now() + REQUEST_TIMEOUT;
                    }
                    self.filled += octets;
                }
            }
        }
    }
}

/// There is no end but those of [`Left`].
enum Never {}
