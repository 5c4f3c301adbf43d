//! The pool's promises: bounds, fairness, and that nothing is shared that is not equal.

use super::*;
use crate::delivery::outcome::{Channel, PlaintextCause};
use crate::delivery::wire::{Stream, Wire};
use crate::policy::{Authentication, ClientCertificate, PolicySource, TlsFailure, TlsVersion};
use crate::smtp::extensions::Extensions;
use crate::tls::{Roots, TlsClient, TlsSeen, TlsSettings};
use std::sync::LazyLock;
use tokio::net::{TcpListener, TcpStream};

#[derive(Debug)]
struct Deaf;

impl Observer for Deaf {
    fn handshake(&self, _: &TlsSeen, _: Duration) {}
    fn tls_failure(&self, _: &TlsFailure, _: PolicySource, _: crate::delivery::Enforced) {}
    fn would_block(&self, _: &crate::delivery::WouldBlock<'_>) {}
    fn connections(&self, _: usize, _: usize) {}
}

/// One for all keys; a reload makes another.
static TLS: LazyLock<TlsClient> = LazyLock::new(tls);

fn tls() -> TlsClient {
    let settings = TlsSettings {
        roots: Roots::Mozilla,
        client_certificate: None,
    };
    TlsClient::new(&settings).unwrap()
}

const LIMITS: Limits = Limits {
    total: 3,
    per_address: 2,
    idle: Duration::from_secs(30),
};

fn pool() -> Pool {
    Pool::new(LIMITS, Arc::new(Deaf))
}

fn key(last_octet: u8, host: &str) -> Arc<PoolKey> {
    Arc::new(PoolKey {
        address: SocketAddr::from(([192, 0, 2, last_octet], 25)),
        host: Some(MxHost(DomainName::parse(host).unwrap())),
        implicit_tls: ImplicitTls::No,
        enforce: Arc::new(TlsRequirement {
            encryption: Encryption::Opportunistic,
            authentication: Authentication::None,
            dane: None,
            mta_sts: None,
            min_version: TlsVersion::V1_2,
            client_certificate: ClientCertificate::Withhold,
        }),
        audits: [].into(),
        encryption: Encryption::Opportunistic,
        tls_required: TlsRequired::Unsaid,
        source: None,
        hostname: DomainName::parse("relay.example").unwrap(),
        loops: LoopCheck::Greeting,
        tls: TLS.clone(),
    })
}

async fn open(pool: &Pool, key: &Arc<PoolKey>, hop: u64) -> Option<Slot> {
    let until = Instant::now() + Duration::from_millis(20);
    match pool.acquire(key, hop, LIMITS, until).await? {
        Grant::Open(slot) => Some(slot),
        Grant::Reuse(_) => panic!("nothing was kept"),
    }
}

/// A ready connection to a listener that says nothing; the peer's end comes with it.
async fn ready(slot: Slot, key: &Arc<PoolKey>) -> (Ready, TcpStream) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let ours = TcpStream::connect(listener.local_addr().unwrap())
        .await
        .unwrap();
    let (theirs, _) = listener.accept().await.unwrap();
    let session = ClearToSend {
        wire: Wire::new(Stream::Plain(ours)),
        offered: Extensions::default(),
        channel: Channel::Plaintext(PlaintextCause::NoStarttls),
    };
    (
        Ready {
            session,
            key: Arc::clone(key),
            slot,
            uses: 1,
        },
        theirs,
    )
}

#[tokio::test]
async fn slots_are_bounded_by_address_and_in_all() {
    let pool = pool();
    let (a, b) = (key(1, "a.example"), key(2, "b.example"));
    let first = open(&pool, &a, 1).await.unwrap();
    let _second = open(&pool, &a, 1).await.unwrap();
    assert!(open(&pool, &a, 1).await.is_none(), "two at one address");
    let _third = open(&pool, &b, 1).await.unwrap();
    assert!(open(&pool, &b, 1).await.is_none(), "three in all");
    drop(first);
    assert!(open(&pool, &b, 1).await.is_some());
}

#[tokio::test]
async fn who_waits_is_served_next_hop_by_next_hop() {
    let pool = pool();
    let a = key(1, "a.example");
    let mut held = vec![
        open(&pool, &a, 0).await.unwrap(),
        open(&pool, &a, 0).await.unwrap(),
    ];
    let mut waiting = Vec::new();
    for hop in [7, 7, 7, 8] {
        let (result, _) = pool.shared.lock().acquire(&a, hop, LIMITS, &pool.shared);
        waiting.push((hop, result.unwrap_err()));
    }
    let mut order = Vec::new();
    for _ in 0..4 {
        drop(held.pop());
        let at = waiting
            .iter_mut()
            .position(|(_, grant)| !grant.is_empty())
            .unwrap();
        let (hop, grant) = waiting.remove(at);
        order.push(hop);
        let Grant::Open(slot) = grant.await.unwrap() else {
            panic!("nothing was kept")
        };
        held.push(slot);
    }
    assert_eq!(order, [7, 8, 7, 7]);
}

#[tokio::test]
async fn a_kept_connection_serves_equal_keys_only() {
    let pool = pool();
    let (a, other) = (key(1, "a.example"), key(1, "other.example"));
    let slot = open(&pool, &a, 1).await.unwrap();
    let (connection, _peer) = ready(slot, &a).await;
    pool.give_back(connection);
    assert!(pool.idle(&other).is_none());
    let mut plain = (*a).clone();
    plain.encryption = Encryption::Never;
    assert!(pool.idle(&plain).is_none());
    let mut wish = (*a).clone();
    wish.tls_required = TlsRequired::No;
    assert!(pool.idle(&wish).is_none());
    assert!(pool.idle(&a).is_some());
}

#[tokio::test]
async fn a_connection_that_spoke_or_hung_up_is_not_used_again() {
    let pool = pool();
    let a = key(1, "a.example");
    for farewell in [&b"421 4.3.2 closing\r\n"[..], b""] {
        let slot = open(&pool, &a, 1).await.unwrap();
        let (connection, mut peer) = ready(slot, &a).await;
        tokio::io::AsyncWriteExt::write_all(&mut peer, farewell)
            .await
            .unwrap();
        drop(peer);
        connection.session.wire.readable().await;
        pool.give_back(connection);
        assert!(pool.idle(&a).is_none());
    }
}

#[tokio::test]
async fn who_waits_for_another_kind_gets_the_room_of_a_returned_connection() {
    let pool = pool();
    let (a, other) = (key(1, "a.example"), key(1, "other.example"));
    let (first, second) = (
        open(&pool, &a, 1).await.unwrap(),
        open(&pool, &a, 1).await.unwrap(),
    );
    let (connection, _peer) = ready(first, &a).await;
    let (result, _) = pool.shared.lock().acquire(&other, 2, LIMITS, &pool.shared);
    let (same, _) = pool.shared.lock().acquire(&a, 1, LIMITS, &pool.shared);
    pool.give_back(connection);
    let grant = result.unwrap_err().await.unwrap();
    assert!(matches!(grant, Grant::Open(_)));
    let (connection, _peer) = ready(second, &a).await;
    pool.give_back(connection);
    assert!(matches!(same.unwrap_err().await.unwrap(), Grant::Reuse(_)));
}

#[tokio::test]
async fn idle_connections_make_room() {
    let pool = pool();
    let (a, b, c) = (
        key(1, "a.example"),
        key(2, "b.example"),
        key(3, "c.example"),
    );
    let mut peers = Vec::new();
    for key in [&a, &a, &b] {
        let slot = open(&pool, key, 1).await.unwrap();
        let (connection, peer) = ready(slot, key).await;
        peers.push((connection, peer));
    }
    let mut ends = Vec::new();
    for (connection, peer) in peers {
        pool.give_back(connection);
        ends.push(peer);
    }
    let _for_c = open(&pool, &c, 1).await.expect("the oldest idle one goes");
    let state = pool.shared.lock();
    assert_eq!((state.open, state.idle), (3, 2));
}

#[tokio::test]
async fn who_waits_for_room_in_all_is_not_passed_by_a_busy_address() {
    let pool = pool();
    let (a, b, c) = (
        key(1, "a.example"),
        key(2, "b.example"),
        key(3, "c.example"),
    );
    let (first, second) = (
        open(&pool, &a, 1).await.unwrap(),
        open(&pool, &a, 1).await.unwrap(),
    );
    let _third = open(&pool, &c, 3).await.unwrap();
    let (for_b, _) = pool.shared.lock().acquire(&b, 2, LIMITS, &pool.shared);
    let (for_a, _) = pool.shared.lock().acquire(&a, 1, LIMITS, &pool.shared);
    let (mut for_a, for_b) = (for_a.unwrap_err(), for_b.unwrap_err());
    drop(first);
    let _b = for_b.await.expect("b has waited for longer");
    assert!(for_a.is_empty());
    drop(second);
    assert!(matches!(for_a.try_recv(), Ok(Grant::Open(_))));
}

#[tokio::test]
async fn addresses_that_had_to_make_room_are_forgotten() {
    let pool = pool();
    let mut ends = Vec::new();
    for octet in 1..=20 {
        let key = key(octet, "a.example");
        let slot = open(&pool, &key, 1).await.expect("an idle one goes");
        let (connection, peer) = ready(slot, &key).await;
        pool.give_back(connection);
        ends.push(peer);
    }
    let state = pool.shared.lock();
    assert_eq!((state.open, state.lanes.len()), (3, 3));
}

#[tokio::test]
async fn who_gives_up_waiting_leaves_nothing_behind() {
    let pool = pool();
    let a = key(1, "a.example");
    let held = [
        open(&pool, &a, 1).await.unwrap(),
        open(&pool, &a, 1).await.unwrap(),
    ];
    assert!(open(&pool, &a, 2).await.is_none());
    drop(held);
    let state = pool.shared.lock();
    assert_eq!((state.open, state.lanes.len()), (0, 0));
}

#[tokio::test]
async fn idle_connections_expire() {
    let pool = pool();
    let a = key(1, "a.example");
    let slot = open(&pool, &a, 1).await.unwrap();
    let (connection, _peer) = ready(slot, &a).await;
    pool.give_back(connection);
    assert!(pool.expired(Instant::now()).is_empty());
    assert_eq!(pool.expired(Instant::now() + LIMITS.idle).len(), 1);
    assert_eq!(
        pool.shared.lock().open,
        0,
        "the expired one was dropped, and its slot with it"
    );
}
