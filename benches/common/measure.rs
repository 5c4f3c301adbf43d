//! One run: what it took, seen from outside.

use super::figures::Figures;
use super::peers::{Accepted, Load, Seen, SinkProcess, SourceProcess, domain};
use super::processes::{Tree, pss};
use lab::dns::DnsServer;
use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// The longest time that a single run may take.
pub const LIMIT: Duration = Duration::from_secs(1200);
/// How often memory is looked at, at most.
const SAMPLING: Duration = Duration::from_millis(250);
/// Looking costs CPU, at Postfix's many processes some hundredths of a second: the wait until the next look is
/// so many times what the last one took.
const SPARSENESS: u32 = 50;

/// The hosts, the source, and names for the hosts.
pub struct Surroundings {
    pub sink: SinkProcess,
    pub source: SourceProcess,
    dns: DnsServer,
}

impl Surroundings {
    pub async fn new(hosts: u16, delay: u64) -> io::Result<Self> {
        let sink = SinkProcess::start(hosts, delay).await?;
        let dns = DnsServer::start().await?;
        for (number, host) in (0..).zip(&sink.addresses) {
            let mx = format!("mx.{}", domain(number));
            dns.mx(&domain(number), 10, &mx).address_of(&mx, host.ip());
        }
        let source = SourceProcess::start()?;
        Ok(Self { sink, source, dns })
    }

    pub fn resolver(&self) -> SocketAddr {
        self.dns.address()
    }

    /// Where the names' trust begins: Sealpost validates what the resolver says.
    pub fn trust_anchor(&self) -> PathBuf {
        self.dns.trust_anchor_file()
    }

    /// The port of all hosts.
    pub fn port(&self) -> u16 {
        self.sink.addresses.first().map_or(0, SocketAddr::port)
    }

    /// Sends, and waits until the relay has accepted all.
    pub async fn send(&mut self, load: &Load) -> io::Result<Accepted> {
        self.source.begin(load)?;
        self.source.end().await
    }
}

/// What is read at the beginning and at the end of a run.
pub struct Watch {
    relay: Vec<Tree>,
    begin: Instant,
    before: [Duration; 3],
    seen: Seen,
    sampler: Sampler,
}

impl Watch {
    /// Begins; `relay` are the roots of all that belongs to what is measured.
    pub async fn begin(around: &mut Surroundings, relay: &[Tree]) -> io::Result<Self> {
        let seen = around.sink.seen().await?;
        let before = cpu(relay, around);
        Ok(Self {
            relay: relay.to_vec(),
            before,
            seen,
            sampler: Sampler::start(relay.to_vec()),
            begin: Instant::now(),
        })
    }

    /// A root that has begun after this has.
    pub fn also(&mut self, relay: Tree) {
        self.relay.push(relay);
        self.sampler.also(relay);
    }

    /// Waits until the sinks have the last message.
    pub async fn end(self, around: &mut Surroundings, messages: u64) -> io::Result<Figures> {
        let all = self.seen.messages + messages;
        if !around.sink.wait(all, LIMIT).await? {
            let arrived = around.sink.seen().await?.messages - self.seen.messages;
            let problem = format!("{arrived} of {messages} messages arrived");
            return Err(io::Error::other(problem));
        }
        self.end_now(around, messages).await
    }

    /// What so many messages have taken until now.
    pub async fn end_now(self, around: &mut Surroundings, messages: u64) -> io::Result<Figures> {
        let seconds = self.begin.elapsed().as_secs_f64();
        let after = cpu(&self.relay, around);
        let seen = around.sink.seen().await?;
        let (pss_kib, processes) = self.sampler.end();
        let per_message = |index: usize| {
            let used = after[index].saturating_sub(self.before[index]);
            used.as_secs_f64() * 1000.0 / messages as f64
        };
        Ok(Figures {
            rate: messages as f64 / seconds,
            relay_cpu: per_message(0),
            source_cpu: per_message(1),
            sink_cpu: per_message(2),
            pss_mib: pss_kib as f64 / 1024.0,
            processes: processes as f64,
            handshakes: (seen.handshakes - self.seen.handshakes) as f64,
            resumed: (seen.resumed - self.seen.resumed) as f64,
        })
    }
}

/// The CPU used so far by relay, source and sink.
fn cpu(relay: &[Tree], around: &Surroundings) -> [Duration; 3] {
    let relay = relay.iter().map(|tree| tree.cpu()).sum();
    [relay, around.source.tree().cpu(), around.sink.tree().cpu()]
}

/// Looks at the relay's memory from time to time.
struct Sampler {
    relay: Arc<Mutex<Vec<Tree>>>,
    stop: Arc<AtomicBool>,
    thread: JoinHandle<(u64, usize)>,
}

impl Sampler {
    fn start(relay: Vec<Tree>) -> Self {
        let relay = Arc::new(Mutex::new(relay));
        let stop = Arc::new(AtomicBool::new(false));
        let (roots, stopped) = (Arc::clone(&relay), Arc::clone(&stop));
        let thread = std::thread::spawn(move || {
            let mut peak = (0, 0);
            loop {
                let begin = Instant::now();
                let roots = lock(&roots).clone();
                let processes = roots.iter().flat_map(|tree| tree.processes());
                let processes = processes.collect::<Vec<_>>();
                let pss = processes.iter().filter_map(|id| pss(*id)).sum::<u64>();
                peak = peak.max((pss, processes.len()));
                if stopped.load(Ordering::Relaxed) {
                    return peak;
                }
                std::thread::park_timeout(SAMPLING.max(SPARSENESS * begin.elapsed()));
            }
        });
        Self {
            relay,
            stop,
            thread,
        }
    }

    fn also(&self, relay: Tree) {
        lock(&self.relay).push(relay);
    }

    /// The peak of the PSS in KiB, and the number of processes then.
    fn end(self) -> (u64, usize) {
        self.stop.store(true, Ordering::Relaxed);
        self.thread.thread().unpark();
        self.thread.join().unwrap_or_default()
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
