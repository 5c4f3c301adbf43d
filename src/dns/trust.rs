//! What is trusted at a name: the walk from the trust anchor down to it, one DS question for each label,
//! to the keys of the zone that it belongs to or to a delegation that is proven to be unsigned
//! (RFC 4035 §5). What is found is kept; whoever needs the same step waits for the same answer.

use super::cache::{Asker, Cache, Entry, Outcome, Pending};
use super::upstream::{Told, Upstream};
use super::validate::names::{labels, last};
use super::validate::{
    Anchor, Anchors, Budget, Flaw, Fork, RrSet, Verified, WallClock, Way, ZoneKeys,
};
use super::wire::Reply;
use super::{FAILURE, LookupFailure, POSITIVE};
use crate::clock;
use hickory_resolver::proto::op::Query;
use hickory_resolver::proto::rr::{Name, RecordType};
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::time::timeout_at;

/// Names whose standing is kept.
const CAPACITY: usize = 32_768;

/// Steps of the walk that one lookup may have to ask for; an address of IPv6 has 34 labels.
const MAX_STEPS: u32 = 40;

/// Knows anchors, and what follows from them.
pub(super) struct Trust {
    pub(super) upstream: Arc<Upstream>,
    anchors: Anchors,
    grounds: Arc<Cache<Name, Arc<Ground>>>,
}

/// What is trusted at a name.
#[derive(Debug)]
pub(super) struct Ground {
    pub standing: Standing,
    pub expires: Instant,
}

#[derive(Debug, Clone)]
pub(super) enum Standing {
    /// The name belongs to the zone of these keys.
    Secure(Arc<ZoneKeys>, Beneath),
    /// It is proven that no signatures are to be expected here and below.
    Insecure,
}

/// Whether names below have to be asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Beneath {
    Something,
    /// They do not exist, or are made of wildcards or DNAME records: they belong to the same zone.
    Nothing,
}

/// What one lookup may spend.
pub(super) struct Work {
    pub budget: Budget,
    pub deadline: tokio::time::Instant,
    steps: u32,
}

impl Work {
    pub(super) fn until(deadline: tokio::time::Instant) -> Self {
        Self {
            budget: Budget::new(),
            deadline,
            steps: MAX_STEPS,
        }
    }
}

impl Trust {
    pub(super) fn new(upstream: Arc<Upstream>, anchors: Anchors) -> Arc<Self> {
        Arc::new(Self {
            upstream,
            anchors,
            grounds: Cache::new(CAPACITY),
        })
    }

    pub(super) fn anchors(&self) -> &Anchors {
        &self.anchors
    }

    /// Walks from the deepest anchor above `name` down to it, or to the first unsigned delegation.
    pub(super) async fn ground(
        self: &Arc<Self>,
        name: &Name,
        work: &mut Work,
    ) -> Result<Arc<Ground>, LookupFailure> {
        let Some(anchor) = self.anchors.above(name) else {
            return Ok(Arc::new(Ground {
                standing: Standing::Insecure,
                expires: Instant::now() + POSITIVE.1,
            }));
        };
        let mut ground = self.step(&anchor.zone, None, work).await?;
        for count in labels(&anchor.zone) + 1..=labels(name) {
            if !matches!(ground.standing, Standing::Secure(_, Beneath::Something)) {
                break;
            }
            ground = self.step(&last(name, count), Some(ground), work).await?;
        }
        Ok(ground)
    }

    /// The ground at a name, given that of its parent; `None` for an anchor. It is found out in a task of
    /// its own: others wait for it too, and have more time left than who came first.
    async fn step(
        self: &Arc<Self>,
        at: &Name,
        above: Option<Arc<Ground>>,
        work: &mut Work,
    ) -> Outcome<Arc<Ground>> {
        match self.grounds.enter(at, Instant::now()) {
            Entry::Known(outcome) => outcome,
            Entry::Asked(pending) => wait(pending, work).await,
            Entry::Ask(asker, pending) => {
                let Some(left) = work.steps.checked_sub(1) else {
                    return Err(bogus(at, RecordType::DS, Flaw::TooMuchWork));
                };
                work.steps = left;
                let trust = Arc::clone(self);
                let at = at.clone();
                let step = async move { trust.find_out(&at, above, asker).await };
                self.upstream.lookups.spawn(step);
                wait(pending, work).await
            }
        }
    }

    async fn find_out(
        &self,
        at: &Name,
        above: Option<Arc<Ground>>,
        asker: Asker<Name, Arc<Ground>>,
    ) {
        let mut work = Work::until(self.upstream.deadline());
        let found = match (&above, self.anchors.above(at)) {
            (Some(above), _) => self.below(at, above, &mut work).await,
            (None, Some(anchor)) => self.anchored(anchor, &mut work).await,
            (None, None) => Err(bogus(at, RecordType::DNSKEY, Flaw::NotTheAnchor)),
        };
        match found {
            Ok((standing, ttl)) => {
                let ttl = Duration::from_secs(ttl.into()).clamp(POSITIVE.0, POSITIVE.1);
                let mut expires = Instant::now() + ttl;
                if let Some(above) = above {
                    expires = expires.min(above.expires);
                }
                asker.settle(Ok(Arc::new(Ground { standing, expires })), expires);
            }
            Err(failure) => asker.settle(Err(failure), Instant::now() + FAILURE),
        }
    }

    /// The keys of an anchor's zone, and for how many seconds.
    async fn anchored(
        &self,
        anchor: &Anchor,
        work: &mut Work,
    ) -> Result<(Standing, u32), LookupFailure> {
        let query = Query::query(anchor.zone.clone(), RecordType::DNSKEY);
        let Work {
            budget, deadline, ..
        } = work;
        let read = |reply: &Reply| match anchor_keys(reply, anchor, budget) {
            Ok((keys, verified)) => Ok(((keys, verified.ttl), Told::Secure)),
            Err(flaw) => Err(bogus(&anchor.zone, RecordType::DNSKEY, flaw)),
        };
        let (keys, ttl) = self.upstream.ask_signed(&query, *deadline, read).await?;
        Ok((Standing::Secure(Arc::new(keys), Beneath::Something), ttl))
    }

    /// What lies at a name below a secure one.
    async fn below(
        &self,
        at: &Name,
        above: &Ground,
        work: &mut Work,
    ) -> Result<(Standing, u32), LookupFailure> {
        let Standing::Secure(zone, _) = &above.standing else {
            return Ok((Standing::Insecure, u32::MAX));
        };
        let query = Query::query(at.clone(), RecordType::DS);
        let Work {
            budget, deadline, ..
        } = work;
        let read = |reply: &Reply| fork(reply, at, zone, budget);
        let fork = self.upstream.ask_signed(&query, *deadline, read).await?;
        let ds = match fork.way {
            Way::Signed(ds) => ds,
            Way::Unsigned => return Ok((Standing::Insecure, fork.ttl)),
            Way::NoCut => {
                let same = Standing::Secure(Arc::clone(zone), Beneath::Something);
                return Ok((same, fork.ttl));
            }
            Way::NothingBelow => {
                let same = Standing::Secure(Arc::clone(zone), Beneath::Nothing);
                return Ok((same, fork.ttl));
            }
        };
        let query = Query::query(at.clone(), RecordType::DNSKEY);
        let read = |reply: &Reply| {
            let found = RrSet::find(&reply.answers, at, RecordType::DNSKEY);
            let keys = found
                .ok_or(Flaw::NoDnskey)
                .and_then(|set| ZoneKeys::vouched(&set, &ds, now(), budget));
            match keys {
                Ok((keys, verified)) => Ok(((keys, verified.ttl), Told::Secure)),
                Err(flaw) => Err(bogus(at, RecordType::DNSKEY, flaw)),
            }
        };
        let (keys, ttl) = self.upstream.ask_signed(&query, *deadline, read).await?;
        let standing = Standing::Secure(Arc::new(keys), Beneath::Something);
        Ok((standing, ttl.min(fork.ttl)))
    }
}

/// Reads the keys of an anchor's zone from a reply.
pub(super) fn anchor_keys(
    reply: &Reply,
    anchor: &Anchor,
    budget: &mut Budget,
) -> Result<(ZoneKeys, Verified), Flaw> {
    let found = RrSet::find(&reply.answers, &anchor.zone, RecordType::DNSKEY);
    anchor.keys(&found.ok_or(Flaw::NoDnskey)?, now(), budget)
}

fn fork(
    reply: &Reply,
    at: &Name,
    zone: &ZoneKeys,
    budget: &mut Budget,
) -> Result<(Fork, Told), LookupFailure> {
    match Fork::read(reply, at, zone, now(), budget) {
        Ok(fork) => {
            let told = match fork.way {
                Way::Unsigned => Told::Insecure,
                Way::Signed(_) | Way::NoCut | Way::NothingBelow => Told::Secure,
            };
            Ok((fork, told))
        }
        Err(flaw) => Err(bogus(at, RecordType::DS, flaw)),
    }
}

async fn wait(pending: Pending<Arc<Ground>>, work: &Work) -> Outcome<Arc<Ground>> {
    match timeout_at(work.deadline, pending.outcome()).await {
        Ok(outcome) => outcome,
        Err(_) => Err(LookupFailure::TimedOut),
    }
}

pub(super) fn now() -> WallClock {
    WallClock::from(clock::now())
}

/// `mx.example.com. A: no signature`.
pub(super) fn bogus(name: &Name, record_type: RecordType, flaw: Flaw) -> LookupFailure {
    LookupFailure::Bogus(format!("{} {record_type}: {flaw}", name.to_ascii()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dns::exchange::Servers;
    use crate::dns::testing::name;
    use crate::dns::world::World;
    use tokio_util::task::TaskTracker;

    /// `secure zone`, with `nothing` below, or `insecure`; and for how many seconds.
    async fn say(trust: &Arc<Trust>, at: &str) -> (String, u64) {
        let mut work = Work::until(trust.upstream.deadline());
        let ground = trust.ground(&name(at), &mut work).await.unwrap();
        let said = match &ground.standing {
            Standing::Secure(keys, Beneath::Something) => format!("secure {}", keys.zone),
            Standing::Secure(keys, Beneath::Nothing) => format!("secure {} nothing", keys.zone),
            Standing::Insecure => "insecure".into(),
        };
        let left = ground.expires.saturating_duration_since(Instant::now());
        (said, left.as_secs())
    }

    #[tokio::test]
    async fn grounds() {
        let mut world = World::new();
        for record in &mut world.zones[1].records {
            if record.record_type() == RecordType::DNSKEY {
                record.ttl = 100; // of test.
            }
        }
        let served = world.serve(|_, _, _| {}).await;
        let settings = served.settings();
        let upstream = Arc::new(Upstream {
            servers: Servers::new(settings.servers),
            timeout: settings.timeout,
            observer: Arc::new(|_, _| {}),
            lookups: TaskTracker::new(),
        });
        let anchors = Anchors::load(&settings.trust_anchor.unwrap()).unwrap();
        let trust = Trust::new(upstream, anchors);
        for (at, expected, most) in [
            (".", "secure .", 300),
            ("test.", "secure test.", 100),
            ("ec.test.", "secure ec.test.", 100), // no longer than what is above
            ("mx.ec.test.", "secure ec.test.", 60),
            ("x.mx.ec.test.", "secure ec.test. nothing", 60),
            ("b.a.x.mx.ec.test.", "secure ec.test. nothing", 60),
            ("mx.dn.ec.test.", "secure ec.test. nothing", 60),
            ("alias.ec.test.", "secure ec.test.", 100),
            ("plain.test.", "insecure", 60),
            ("mx.plain.test.", "insecure", 60),
            ("child.opt.test.", "insecure", 60),
            ("none.opt.test.", "insecure", 60),
            ("unknown.test.", "insecure", 100),
        ] {
            let (said, left) = say(&trust, at).await;
            assert_eq!(said, expected, "{at}");
            assert!(left <= most && left + 10 > most, "{at}: {left}");
        }
    }
}
