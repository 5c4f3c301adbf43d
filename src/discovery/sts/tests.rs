//! What needs a store that is slow, or a row that is old: the rest is tried on the running daemon.

use super::resident::Saved;
use super::*;
use crate::dns::testing::{Responder, ResponseCode, domain as name, response_to};
use crate::mta_sts::{Mode, Policy, Preload};
use crate::store::StoredPolicy;
use crate::tls::{Roots, TlsSettings};
use tokio::time::sleep;

fn domain(text: &str) -> PolicyDomain {
    PolicyDomain(name(text))
}

/// A policy of a week that was fetched a while ago, and is due.
fn row(domain: &str, mode: &str) -> StoredPolicy {
    const WEEK: u64 = 604_800;
    StoredPolicy {
        domain: domain.into(),
        id: "1".into(),
        mode: mode.into(),
        policy: format!("version: STSv1\nmode: {mode}\nmx: mx.{domain}\nmax_age: {WEEK}\n"),
        fetched: now() - 1000,
        expires: now() - 1000 + WEEK,
        used: now(),
        refresh: now() - 1,
    }
}

struct World {
    _directory: tempfile::TempDir,
    store: Store,
    server: Responder,
    sts: Sts,
    tasks: TaskTracker,
}

impl World {
    /// The DNS is silent for names that begin with s, and knows no others.
    async fn new(patience: Duration) -> Self {
        let server = Responder::start(|query, _| {
            let asked = query.queries[0].name().to_string();
            if asked.contains("_mta-sts.s") {
                return Vec::new();
            }
            vec![response_to(query, ResponseCode::NXDomain).to_vec().unwrap()]
        })
        .await;
        let directory = tempfile::tempdir().unwrap();
        let store = Store::open(&directory.path().join("s.db")).unwrap();
        let tls = TlsSettings {
            roots: Roots::Mozilla,
            client_certificate: None,
        };
        let settings = StsSettings {
            tls: TlsClient::new(&tls).unwrap(),
            port: 443,
            address_preference: AddressPreference::Any,
            blocked_networks: Vec::new(),
            refresh: Published::Honor,
        };
        let sts = Sts::new(
            server.dns(patience),
            Some(store.clone()),
            settings,
            Arc::new(Unobserved),
            TaskTracker::new(),
        );
        Self {
            _directory: directory,
            store,
            server,
            sts,
            tasks: TaskTracker::new(),
        }
    }

    async fn put(&self, rows: impl IntoIterator<Item = StoredPolicy>) {
        for row in rows {
            self.store.put_sts_policy(row).await.unwrap();
        }
    }

    /// Refreshes until this is so.
    async fn refresh_until(&self, is_so: impl AsyncFn() -> bool) {
        let stop = CancellationToken::new();
        let refreshing = self.tasks.spawn(self.sts.clone().refresh_all(stop.clone()));
        let until = Instant::now() + Duration::from_secs(30);
        while !is_so().await {
            assert!(Instant::now() < until, "{:?}", self.server.asked());
            sleep(Duration::from_millis(20)).await;
        }
        stop.cancel();
        refreshing.await.unwrap();
    }

    fn was_asked_for(&self, domain: &str) -> bool {
        let name = format!("_mta-sts.{domain}");
        self.server
            .asked()
            .iter()
            .any(|asked| asked.contains(&name))
    }
}

fn long() -> Instant {
    Instant::now() + Duration::from_secs(60)
}

/// A disk that hangs may have a policy: mail waits, and nothing is forgotten.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_slow_disk_makes_no_policy_void() {
    let world = World::new(Duration::from_secs(1)).await;
    world.put([row("a.test", "enforce")]).await;
    let stalled = world.store.clone();
    let stall = world
        .tasks
        .spawn(async move { stalled.stall(Duration::from_secs(4)).await });
    sleep(Duration::from_millis(100)).await;
    let found = world.sts.find(&domain("a.test"), long()).await;
    assert_eq!(found.source, StsSource::StoreFailed, "{found:?}");
    assert!(found.finding.is_uncertain());
    world.refresh_until(async || stall.is_finished()).await;
    let found = world.sts.find(&domain("a.test"), long()).await;
    assert_eq!(found.source, StsSource::Cached, "{found:?}");
    assert!(world.store.sts_policy("a.test").await.unwrap().is_some());
}

/// What memory knows needs no disk.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_slow_disk_does_not_matter_to_what_is_in_memory() {
    let world = World::new(Duration::from_secs(1)).await;
    world.put([row("a.test", "enforce")]).await;
    world.sts.find(&domain("a.test"), long()).await;
    let stalled = world.store.clone();
    let stall = world
        .tasks
        .spawn(async move { stalled.stall(Duration::from_secs(2)).await });
    sleep(Duration::from_millis(100)).await;
    let begun = Instant::now();
    let found = world.sts.find(&domain("a.test"), long()).await;
    assert_eq!(found.source, StsSource::Cached);
    assert!(begun.elapsed() < Duration::from_secs(1) && !stall.is_finished());
}

#[tokio::test]
async fn an_expired_policy_takes_no_preloaded_ones_place() {
    let world = World::new(Duration::from_secs(1)).await;
    let old = StoredPolicy {
        policy: "version: STSv1\nmode: testing\nmx: mx.a.test\nmax_age: 100\n".into(),
        expires: now() - 900,
        ..row("a.test", "testing")
    };
    world.put([old]).await;
    let json = format!(
        r#"{{"timestamp": 1, "expires": {}, "version": "0.1", "policy-aliases": {{}},
            "policies": {{"a.test": {{"mode": "enforce", "mxs": ["mx.a.test"]}}}}}}"#,
        now() + 100_000
    );
    let list = Arc::new(Preload::parse(json.as_bytes()).unwrap());
    let path = "list".into();
    world.sts.preload(vec![PreloadedList { path, list }]).await;
    let found = world.sts.find(&domain("a.test"), long()).await;
    assert_eq!(found.source, StsSource::Preloaded);
    let newer = world
        .sts
        .newer(&domain("a.test"), &found.finding, long())
        .await;
    assert_eq!(newer, Newer::Same);
}

/// Refreshes that wait hold a place each, and no more: those under way are passed over.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn slow_refreshes_starve_no_others() {
    let world = World::new(Duration::from_secs(50)).await;
    let silent = (0..40).map(|n| StoredPolicy {
        refresh: now() - 900,
        ..row(&format!("s{n}.test"), "enforce")
    });
    world.put(silent).await;
    world
        .put((0..200).map(|n| row(&format!("h{n}.test"), "enforce")))
        .await;
    world
        .refresh_until(async || (0..200).all(|n| world.was_asked_for(&format!("h{n}.test"))))
        .await;
}

/// Rows that are older than memory are written again, and rows of another version put off: they block no others.
#[tokio::test]
async fn rows_that_cannot_be_refreshed_block_no_others() {
    let world = World::new(Duration::from_secs(5)).await;
    for n in 0..100 {
        let name = format!("w{n}.test");
        world.put([row(&name, "enforce")]).await;
        let resident = world.sts.resident(&domain(&name)).await.unwrap();
        let known = Known {
            fetched: now(),
            refresh: now() + 3000,
            ..(*resident.known().unwrap()).clone()
        };
        resident.settle(&Arc::new(known), Saved::No);
    }
    let foreign = (0..100).map(|n| StoredPolicy {
        policy: "version: STSv9".into(),
        ..row(&format!("v{n}.test"), "enforce")
    });
    world.put(foreign).await;
    let last = StoredPolicy {
        refresh: now(),
        ..row("z.test", "enforce")
    };
    world.put([last]).await;
    world
        .refresh_until(async || world.was_asked_for("z.test"))
        .await;
    let old = world.store.sts_policies_due(now(), 500).await.unwrap();
    assert!(old.len() <= 1, "{old:?}");
    let written = world.store.sts_policy("w0.test").await.unwrap().unwrap();
    assert!(written.refresh > now() + 1000, "{written:?}");
    let foreign = world.store.sts_policy("v0.test").await.unwrap();
    assert_eq!(
        foreign.unwrap().policy,
        "version: STSv9",
        "it is another version's to read"
    );
}

/// Policies that nobody has used for long are not fetched any more, and stand in nobody's way.
#[tokio::test]
async fn the_unused_are_left_to_expire() {
    let world = World::new(Duration::from_secs(5)).await;
    let unused = StoredPolicy {
        used: now() - 31 * 86_400,
        ..row("a.test", "enforce")
    };
    world.put([unused, row("b.test", "enforce")]).await;
    world
        .refresh_until(async || world.was_asked_for("b.test"))
        .await;
    let put_off = world.store.sts_policy("a.test").await.unwrap().unwrap();
    assert!(put_off.refresh > now() + 3600, "{put_off:?}");
    assert!(!world.was_asked_for("a.test"));
}

/// RFC 8461 §10.2: whatever the record says, or does not say, the policy is fetched.
#[tokio::test]
async fn a_record_that_is_suppressed_keeps_no_policy_from_being_refreshed() {
    let world = World::new(Duration::from_secs(1)).await;
    world
        .put([row("a.test", "enforce"), row("s.test", "testing")])
        .await;
    let hosts = ["mta-sts.a.test", "mta-sts.s.test"];
    world
        .refresh_until(async || {
            let asked = world.server.asked();
            let called = |host: &&str| {
                asked
                    .iter()
                    .any(|asked| asked.contains(*host) && !asked.contains("_mta-sts"))
            };
            hosts.iter().all(called)
        })
        .await;
}

/// Whoever fetches and whoever forgets at the same time leave memory and store with the same answer.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn memory_and_store_agree() {
    let world = World::new(Duration::from_secs(5)).await;
    for n in 0..300 {
        let name = format!("a{n}.test");
        world.put([row(&name, "none")]).await;
        let resident = world.sts.resident(&domain(&name)).await.unwrap();
        let judged = resident.known().unwrap();
        let new = Arc::new(Known {
            policy: Arc::new(Policy {
                mode: Mode::Enforce,
                ..(*judged.policy).clone()
            }),
            fetched: now(),
            ..(*judged).clone()
        });
        let (sts, one) = (world.sts.clone(), Arc::clone(&resident));
        let dropping = world
            .tasks
            .spawn(async move { sts.drop_policy(&one, Some(&judged)).await });
        let (sts, one) = (world.sts.clone(), Arc::clone(&resident));
        let bringing = world.tasks.spawn(async move { sts.keep(&one, &new).await });
        dropping.await.unwrap().unwrap();
        bringing.await.unwrap();
        let stored = world.store.sts_policy(&name).await.unwrap();
        let stored = stored.map(|row| row.mode);
        // The new policy is never what was taken back.
        assert_eq!(stored.as_deref(), Some("enforce"), "{n}");
        let known = resident.known().unwrap();
        assert_eq!(known.policy.mode, Mode::Enforce, "{n}");
    }
}

/// With `policy.mta_sts = false` nobody is called without being asked.
#[tokio::test]
async fn switched_off_nothing_is_refreshed() {
    let world = World::new(Duration::from_secs(5)).await;
    world.put([row("a.test", "enforce")]).await;
    let off = StsSettings {
        refresh: Published::Ignore,
        ..(**world.sts.shared.settings.load()).clone()
    };
    world.sts.replace(off.clone());
    let stop = CancellationToken::new();
    let refreshing = world
        .tasks
        .spawn(world.sts.clone().refresh_all(stop.clone()));
    sleep(Duration::from_millis(2500)).await;
    assert!(!world.was_asked_for("a.test"));
    stop.cancel();
    refreshing.await.unwrap();
    world.sts.replace(StsSettings {
        refresh: Published::Honor,
        ..off
    });
    world
        .refresh_until(async || world.was_asked_for("a.test"))
        .await;
}

/// Whoever is idle is put off, and fetched anew as soon as there is mail again.
#[tokio::test]
async fn an_idle_policy_that_is_used_again_is_fetched() {
    let world = World::new(Duration::from_secs(5)).await;
    let unused = StoredPolicy {
        used: now() - 31 * 86_400,
        refresh: now() + 86_400,
        ..row("a.test", "enforce")
    };
    world.put([unused]).await;
    let until = long();
    while !world
        .server
        .asked()
        .iter()
        .any(|asked| asked.contains(" mta-sts.a.test") || asked.starts_with("mta-sts.a.test"))
    {
        let found = world.sts.find(&domain("a.test"), long()).await;
        assert_eq!(found.source, StsSource::Cached);
        assert!(Instant::now() < until, "{:?}", world.server.asked());
        sleep(Duration::from_millis(50)).await;
    }
}

/// A store that could not forget in time may do so later: what is in force all the same is written once more.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_not_forgotten_in_time_is_kept() {
    let world = World::new(Duration::from_secs(5)).await;
    world.put([row("a.test", "enforce")]).await;
    let resident = world.sts.resident(&domain("a.test")).await.unwrap();
    let stalled = world.store.clone();
    let lock = world
        .tasks
        .spawn(async move { stalled.stall_writes(Duration::from_millis(3500)).await });
    sleep(Duration::from_millis(200)).await;
    assert!(world.sts.forget(&domain("a.test")).await.is_err());
    assert!(resident.live(now()).is_some());
    lock.await.unwrap();
    let until = long();
    loop {
        world.sts.find(&domain("a.test"), long()).await;
        let stored = world.store.sts_policy("a.test").await.unwrap();
        if stored.is_some() && resident.saved() == Saved::Yes {
            break;
        }
        assert!(Instant::now() < until, "{stored:?}");
        sleep(Duration::from_millis(50)).await;
    }
}
