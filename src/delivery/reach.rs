//! From a host's addresses to a connection that is clear to send: a kept one, else a new one by
//! staggered attempts over the addresses that are not known to be down.

mod target;
mod trail;

pub(super) use target::{Reuse, Target};
pub(super) use trail::{Freshness, Unreached};

use super::connection::{Plan, establish};
use super::failure::{Blame, Failure};
use super::health::{Health, Probe, Standing};
use super::observer::Observer;
use super::outcome::Channel;
use super::pool::{Grant, Pool, PoolKey, Ready, Slot};
use super::tls_memory::TlsMemory;
use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;
use tokio::net::{TcpSocket, TcpStream};
use tokio::time::{Instant, sleep_until, timeout_at};
use trail::Trail;

/// After so long without an answer the next address is tried beside the first (RFC 8305 §8).
const STAGGER: Duration = Duration::from_millis(300);
/// How long a delivery waits for a slot.
const SLOT_WAIT: Duration = Duration::from_secs(30);

/// What reaching hosts shares between deliveries.
#[derive(Debug, Clone)]
pub(super) struct Reacher {
    pub pool: Pool,
    pub health: Health,
    pub tls_memory: TlsMemory,
    pub observer: Arc<dyn Observer>,
}

struct Candidate {
    key: Arc<PoolKey>,
    _probes: Vec<Probe>,
}

enum Won {
    Kept(Box<Ready>),
    Fresh(TcpStream, Slot),
}

impl Reacher {
    /// A connection to one of the addresses, which satisfies the policy.
    pub(super) async fn reach(
        &self,
        target: &Target<'_>,
        addresses: &[SocketAddr],
    ) -> Result<Ready, Unreached> {
        let keys: Vec<_> = addresses.iter().map(|&a| Arc::new(target.key(a))).collect();
        if target.reuse == Reuse::Allowed
            && let Some(kept) = keys.iter().find_map(|key| self.pool.idle(key))
        {
            return Ok(kept);
        }
        let mut trail = Trail::default();
        let mut candidates = self.candidates(target, keys, &mut trail);
        while !candidates.is_empty() && Instant::now() < target.until {
            let share = share(target.until, candidates.len());
            let (candidate, won) = match self.race(&mut candidates, target, share).await {
                Ok(won) => won,
                Err(failures) => {
                    for (key, failure) in failures {
                        self.blame(target, &key, &failure);
                        trail.add(key.address, failure, Freshness::Now);
                    }
                    continue;
                }
            };
            let key = Arc::clone(&candidate.key);
            let began = Instant::now();
            match self.ready(won, &key, target, share).await {
                Ok(ready) => {
                    self.praise(target, &ready);
                    return Ok(ready);
                }
                Err(failure) if failure.is_time_out() && began.elapsed() < target.fair_time() => {
                    trail.add(key.address, failure, Freshness::Remembered);
                }
                Err(failure) => {
                    self.blame(target, &key, &failure);
                    trail.add(key.address, failure, Freshness::Now);
                }
            }
        }
        let first = addresses.first().copied();
        Err(trail.end(first))
    }

    /// The addresses that may be tried; what is known of the others goes to the trail.
    fn candidates(
        &self,
        target: &Target<'_>,
        keys: Vec<Arc<PoolKey>>,
        trail: &mut Trail,
    ) -> Vec<Candidate> {
        let now = Instant::now();
        let mut candidates = Vec::new();
        'keys: for key in keys {
            let mut probes = Vec::new();
            for subject in target.subjects(&key) {
                match self
                    .health
                    .standing(&subject, target.settings.known_faults, now)
                {
                    Standing::Good => {}
                    Standing::Probe(probe) => probes.push(probe),
                    Standing::Down(failure) => {
                        trail.remember(key.address, failure);
                        continue 'keys;
                    }
                }
            }
            candidates.push(Candidate {
                key,
                _probes: probes,
            });
        }
        candidates
    }

    /// Staggered attempts; the first connection wins. Failed candidates are taken out.
    async fn race(
        &self,
        candidates: &mut Vec<Candidate>,
        target: &Target<'_>,
        until: Instant,
    ) -> Result<(Candidate, Won), Vec<(Arc<PoolKey>, Failure)>> {
        let mut running = FuturesUnordered::new();
        let mut failed: Vec<(usize, Failure)> = Vec::new();
        let mut started = 0;
        let mut next_start = Instant::now();
        let won = loop {
            if started < candidates.len() && (running.is_empty() || Instant::now() >= next_start) {
                let key = Arc::clone(&candidates[started].key);
                let at = started;
                running.push(async move { (at, self.dial(key, target, until).await) });
                started += 1;
                next_start = Instant::now() + STAGGER;
            }
            tokio::select! {
                result = running.next() => match result {
                    Some((at, Ok(won))) => break Some((at, won)),
                    Some((at, Err(failure))) => failed.push((at, failure)),
                    None if started >= candidates.len() => break None,
                    None => {}
                },
                () = sleep_until(next_start), if started < candidates.len() => {}
            }
        };
        drop(running);
        let keys: Vec<_> = failed
            .iter()
            .map(|(at, _)| Arc::clone(&candidates[*at].key))
            .collect();
        let winner = won.map(|(at, won)| (Arc::clone(&candidates[at].key), won));
        let failures: Vec<_> = keys
            .into_iter()
            .zip(failed.into_iter().map(|(_, failure)| failure))
            .collect();
        let Some((key, won)) = winner else {
            candidates.clear();
            return Err(failures);
        };
        for (key, failure) in &failures {
            self.blame(target, key, failure);
        }
        candidates.retain(|c| !failures.iter().any(|(key, _)| Arc::ptr_eq(key, &c.key)));
        let at = candidates.iter().position(|c| Arc::ptr_eq(&c.key, &key));
        let candidate = match at {
            Some(at) => candidates.remove(at),
            None => Candidate {
                key,
                _probes: Vec::new(),
            },
        };
        Ok((candidate, won))
    }

    async fn dial(
        &self,
        key: Arc<PoolKey>,
        target: &Target<'_>,
        until: Instant,
    ) -> Result<Won, Failure> {
        let patience = until.min(Instant::now() + SLOT_WAIT);
        let limits = target.limits();
        let grant = self
            .pool
            .acquire(&key, target.next_hop, limits, patience)
            .await;
        let slot = match grant.ok_or(Failure::NoSlot)? {
            Grant::Open(slot) => slot,
            Grant::Reuse(mut kept) => {
                if target.reuse == Reuse::Allowed && kept.session.is_quiet() {
                    return Ok(Won::Kept(kept));
                }
                kept.slot
            }
        };
        let began = Instant::now();
        let limit = until.min(began + target.settings.connect_timeout);
        match timeout_at(limit, connect(key.address, key.source)).await {
            Ok(connected) => connected.map(|stream| Won::Fresh(stream, slot)),
            Err(_) => {
                let given = began.elapsed();
                Err(if given < target.fair_time() {
                    Failure::ConnectHurried(given.as_secs())
                } else {
                    Failure::ConnectTimeout(given.as_secs())
                })
            }
        }
    }

    async fn ready(
        &self,
        won: Won,
        key: &Arc<PoolKey>,
        target: &Target<'_>,
        until: Instant,
    ) -> Result<Ready, Failure> {
        let (stream, slot) = match won {
            Won::Kept(kept) => return Ok(*kept),
            Won::Fresh(stream, slot) => (stream, slot),
        };
        let plan = Plan {
            hostname: target.hostname(),
            host: target.host,
            address: key.address,
            policy: target.policy,
            implicit_tls: target.implicit_tls,
            tls: target.tls,
            observer: &*self.observer,
            mode: target.mode,
            loops: target.loops,
        };
        let session = establish(stream, &plan, until).await?;
        Ok(Ready {
            session,
            key: Arc::clone(key),
            slot,
            uses: 0,
        })
    }

    /// Remembers what is the address's own fault.
    pub(super) fn blame(&self, target: &Target<'_>, key: &PoolKey, failure: &Failure) {
        let blame = match failure.blame() {
            Blame::Nobody => return,
            // With TLS required there is no HELO; for others the host may be good.
            Blame::Address if failure.is_ehlo_refusal() && target.requires_tls() => Blame::Tls,
            blame @ (Blame::Address | Blame::Tls) => blame,
        };
        let subject = target.subject(key, blame);
        self.health.failed(subject, failure.clone(), Instant::now());
    }

    fn praise(&self, target: &Target<'_>, ready: &Ready) {
        for subject in target.subjects(&ready.key) {
            self.health.recovered(&subject);
        }
        if matches!(ready.session.channel, Channel::Tls(_)) {
            self.tls_memory
                .succeeded(target.host, ready.key.address.ip());
        }
    }
}

/// Half of the time that is left, while there are others to try: a silent host must not eat it all.
pub fn share(until: Instant, candidates: usize) -> Instant {
    let now = Instant::now();
    let left = until.saturating_duration_since(now);
    if candidates > 1 {
        now + left / 2
    } else {
        until
    }
}

pub(super) async fn connect(
    address: SocketAddr,
    source: Option<IpAddr>,
) -> Result<TcpStream, Failure> {
    let local = |error: std::io::Error| Failure::Local(error_text(&error));
    let socket = match address {
        SocketAddr::V4(_) => TcpSocket::new_v4(),
        SocketAddr::V6(_) => TcpSocket::new_v6(),
    };
    let socket = socket.map_err(local)?;
    if let Some(source) = source {
        socket.bind(SocketAddr::new(source, 0)).map_err(local)?;
    }
    let stream = socket.connect(address).await.map_err(|error| {
        // No port or no memory is left here; the host has not been asked.
        let ours = [
            std::io::ErrorKind::AddrNotAvailable,
            std::io::ErrorKind::OutOfMemory,
        ];
        if ours.contains(&error.kind()) {
            local(error)
        } else {
            Failure::Connect(error_text(&error))
        }
    })?;
    stream.set_nodelay(true).map_err(local)?;
    Ok(stream)
}

/// `connection refused`, without the number that std adds.
fn error_text(error: &std::io::Error) -> String {
    let text = error.to_string();
    match text.split_once(" (os error") {
        Some((words, _)) => words.to_owned(),
        None => text,
    }
}
