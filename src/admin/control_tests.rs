//! The socket and its answers, over the wire.

use super::super::client::{Answer, Client};
use super::*;
use crate::discovery::{
    AddressPreference, FetchFailure, Refreshed, Sign, StsObserver, StsSettings,
};
use crate::dns::testing::Responder;
use crate::ledger::LogAddresses;
use crate::mta_sts::RecordFault;
use crate::store::{Store, StoreError, StoredPolicy};
use crate::tls::{Roots, TlsClient, TlsSettings};
use std::sync::Arc;
use tempfile::TempDir;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::UnixStream;
use tokio_util::task::TaskTracker;

/// Hears nothing.
#[derive(Debug)]
struct Deaf;

impl StsObserver for Deaf {
    fn fetched(
        &self,
        _: &PolicyDomain,
        _: Result<&crate::mta_sts::Policy, &FetchFailure>,
        _: Duration,
    ) {
    }
    fn record_invalid(&self, _: &PolicyDomain, _: RecordFault) {}
    fn refreshed(&self, _: &PolicyDomain, _: Refreshed) {}
    fn suspicion(&self, _: &PolicyDomain, _: Sign) {}
    fn entries(&self, _: u64) {}
    fn store(&self, _: Option<&StoreError>) {}
    fn rolled_back(&self, _: &Path) {}
}

/// A socket that is served, of a daemon that remembers some policies. No domain has a record.
pub(in crate::admin) struct Served {
    directory: TempDir,
    stop: CancellationToken,
    serving: TaskTracker,
    _dns: Responder,
}

impl Served {
    async fn with(policies: impl IntoIterator<Item = StoredPolicy>) -> Self {
        Self::bounded(policies, None, BOUNDS).await
    }

    /// Of a daemon that remembers nothing, with a queue or without.
    pub(in crate::admin) async fn operating(desk: Option<Desk>) -> Self {
        Self::bounded([], desk, BOUNDS).await
    }

    async fn bounded(
        policies: impl IntoIterator<Item = StoredPolicy>,
        desk: Option<Desk>,
        bounds: Bounds,
    ) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let store = Store::open(&directory.path().join("db")).unwrap();
        for policy in policies {
            store.put_sts_policy(policy).await.unwrap();
        }
        let serving = TaskTracker::new();
        let (sts, dns) = policies_of(store, serving.clone()).await;
        let ledger = Ledger::new(LogAddresses::Plain);
        let socket = ControlSocket::bind(&directory.path().join("s")).unwrap();
        let stop = CancellationToken::new();
        let listener = Bounded::new(socket.listener, bounds, stop.clone());
        let file = socket._file;
        serving.spawn(async move {
            serve_bounded(listener, router(Control { sts, desk, ledger })).await;
            drop(file);
        });
        Self {
            directory,
            stop,
            serving,
            _dns: dns,
        }
    }

    async fn connect(&self) -> UnixStream {
        let socket = self.directory.path().join("s");
        UnixStream::connect(socket).await.unwrap()
    }

    /// Status and body.
    pub(in crate::admin) async fn ask(&self, line: &str) -> (String, String) {
        let mut stream = self.connect().await;
        let request = format!("{line} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.unwrap();
        let (head, body) = answer.split_once("\r\n\r\n").unwrap();
        (head["HTTP/1.1 ".len()..][..3].to_owned(), body.to_owned())
    }

    /// The same through the client, which blocks.
    pub(in crate::admin) async fn client<T: Send + 'static>(
        &self,
        ask: impl FnOnce(&Client) -> T + Send + 'static,
    ) -> T {
        let client = Client::new(&self.directory.path().join("s"));
        let asking = tokio::task::spawn_blocking(move || ask(&client));
        asking.await.unwrap()
    }

    pub(in crate::admin) async fn end(self) {
        self.stop.cancel();
        self.serving.close();
        self.serving.wait().await;
        assert!(!self.directory.path().join("s").exists());
    }
}

/// Policies that are kept in a store, of a daemon that asks a DNS without records.
pub(in crate::admin) async fn policies_of(store: Store, tasks: TaskTracker) -> (Sts, Responder) {
    let tls = TlsSettings {
        roots: Roots::Mozilla,
        client_certificate: None,
    };
    let dns = Responder::zone(Vec::new()).await;
    let settings = StsSettings {
        tls: TlsClient::new(&tls).unwrap(),
        port: 443,
        address_preference: AddressPreference::Any,
        blocked_networks: Vec::new(),
        refresh: crate::policy::Published::Honor,
    };
    let asked = dns.dns(Duration::from_secs(5));
    let sts = Sts::new(asked, Some(store), settings, Arc::new(Deaf), tasks);
    (sts, dns)
}

fn policy(domain: &str) -> StoredPolicy {
    let fetched = now() - 60;
    StoredPolicy {
        domain: domain.to_owned(),
        id: "1".to_owned(),
        mode: "enforce".to_owned(),
        policy: "version: STSv1\nmode: enforce\nmx: *.b.test\nmax_age: 86400\n".to_owned(),
        fetched,
        expires: fetched + 86_400,
        used: fetched,
        refresh: fetched + 43_200,
    }
}

fn domain(text: &str) -> PolicyDomain {
    PolicyDomain(DomainName::parse(text).unwrap())
}

#[tokio::test]
async fn requests_and_their_answers() {
    let served = Served::with([policy("a.test"), policy("xn--bcher-kva.test")]).await;
    let long = "x".repeat(254);
    let huge = "x".repeat(100_000);
    for (line, status, said) in [
        ("GET /policies", "200", "\"next\":null"),
        ("GET /policies?limit=1", "200", "\"next\":\"a.test\""),
        ("GET /policies?after=a.test", "200", "[{\"domain\":\"xn--"),
        (
            "GET /policies?after=z",
            "200",
            "{\"policies\":[],\"next\":null}",
        ),
        ("GET /policies?limit=0", "400", "limit is not 1 to 1000"),
        ("GET /policies?limit=1001", "400", "limit is not"),
        ("GET /policies?limit=-1", "400", "limit is not"),
        ("GET /policies?sort=mode", "400", "after=DOMAIN&limit=N"),
        ("GET /policies?after", "400", "after=DOMAIN&limit=N"),
        (&format!("GET /policies?after={long}"), "400", "no domain"),
        (&format!("GET /policies?after={huge}"), "414", ""),
        ("GET /policies/a.test", "200", "\"mx\":[\"*.b.test\"]"),
        ("GET /policies/A.Test.", "200", "\"live\":true"),
        ("GET /policies/b%C3%BCcher.test", "200", "\"max_age\":86400"),
        ("GET /policies/b.test", "404", "no policy is remembered"),
        ("GET /policies/a..test", "400", "a label is empty"),
        ("GET /policies/%ff", "400", "{\"error\":\"Invalid"),
        ("GET /policies/a%20b", "400", "a character"),
        ("POST /policies/b.test/refresh", "200", "no MTA-STS record"),
        ("GET /policies/b.test/refresh", "405", "cannot be done"),
        ("PUT /policies/a.test", "405", "cannot be done"),
        ("DELETE /policies", "405", "cannot be done"),
        ("DELETE /policies/b.test", "404", "no policy is remembered"),
        ("DELETE /policies/a.test", "200", "\"forgotten\":true"),
        ("DELETE /policies/a.test", "404", "no policy is remembered"),
        ("GET /policies/a.test", "404", "no policy is remembered"),
        ("GET /metrics", "404", "nothing of this name"),
        ("GET /", "404", "nothing of this name"),
    ] {
        let line_shown = &line[..line.len().min(60)];
        let (got, body) = served.ask(line).await;
        assert_eq!(got, status, "{line_shown}: {body}");
        assert!(body.contains(said), "{line_shown}: {body}");
    }
    served.end().await;
}

#[tokio::test]
async fn the_client_understands_every_answer() {
    let expired = StoredPolicy {
        fetched: 1,
        expires: 2,
        ..policy("old.test")
    };
    let strange = StoredPolicy {
        policy: "version: STSv9".to_owned(),
        ..policy("strange.test")
    };
    let served = Served::with([policy("a.test"), expired, strange]).await;
    let page = served.client(|client| client.list("")).await.unwrap();
    let live: Vec<_> = page.policies.iter().map(|p| (&*p.domain, p.live)).collect();
    let expected = [
        ("a.test", true),
        ("old.test", false),
        ("strange.test", false),
    ];
    assert_eq!(live, expected);
    let shown = served.client(|client| client.show(&domain("a.test"))).await;
    let Ok(Answer::Found(shown)) = shown else {
        panic!("{shown:?}")
    };
    assert_eq!(
        (shown.policy, shown.last_failure),
        (page.policies[0].clone(), None)
    );
    let refreshed = served
        .client(|client| client.refresh(&domain("a.test")))
        .await;
    let refreshed = refreshed.unwrap();
    assert_eq!(
        refreshed.record.problem.as_deref(),
        Some("no MTA-STS record")
    );
    assert_eq!((refreshed.policy, refreshed.failure), (None, None));
    assert_eq!(refreshed.kept, Some(page.policies[0].clone()));
    let forgotten = served
        .client(|client| client.forget(&domain("a.test")))
        .await;
    assert!(matches!(forgotten, Ok(Answer::Found(_))), "{forgotten:?}");
    let missing = served
        .client(|client| client.forget(&domain("a.test")))
        .await;
    assert!(matches!(missing, Ok(Answer::Missing(_))), "{missing:?}");
    served.end().await;
}

#[tokio::test]
async fn pages_end_where_they_are_full_or_heavy() {
    let heavy = format!("{}max_age: 1\n", "mx: a.test\n".repeat(5_000));
    let policies = (0..40).map(|i| StoredPolicy {
        policy: format!("version: STSv1\nmode: enforce\n{heavy}"),
        ..policy(&format!("d{i:03}.test"))
    });
    let served = Served::with(policies).await;
    let (mut after, mut pages) = (String::new(), Vec::new());
    loop {
        let asked = after.clone();
        let page = served.client(move |client| client.list(&asked)).await;
        let page = page.unwrap();
        pages.push(page.policies.len());
        match page.next {
            Some(next) => after = next,
            None => break,
        }
    }
    assert_eq!(pages, [20, 20, 0]);
    served.end().await;
}

#[tokio::test]
async fn a_client_that_says_half_a_sentence_gives_its_place_back() {
    let bounds = Bounds {
        connections: 1,
        lifetime: Duration::from_millis(200),
    };
    let served = Served::bounded([], None, bounds).await;
    let mut slow = served.connect().await;
    slow.write_all(b"GET /policies HT").await.unwrap();
    let (status, _) = served.ask("GET /policies").await;
    assert_eq!(status, "200");
    served.end().await;
}

#[test]
fn a_programs_directory_is_made_below_run_and_nowhere_else() {
    let run = tempfile::tempdir().unwrap();
    for socket in ["a/s", "a/t", "b/c/s", "s"] {
        make_directory_in(run.path(), &run.path().join(socket));
    }
    let made: Vec<_> = fs::read_dir(run.path()).unwrap().collect();
    assert_eq!(made.len(), 1, "{made:?}");
    let mode = fs::metadata(run.path().join("a")).unwrap().permissions();
    assert_eq!(mode.mode() & 0o777, RUN_MODE);
    make_directory_in(Path::new("/elsewhere"), &run.path().join("d/s"));
    assert!(!run.path().join("d").exists());
}
