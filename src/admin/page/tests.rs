use super::*;
use crate::admin::control::tests::policies_of;
use crate::admin::{bind, serve};
use crate::dns::testing::Responder;
use crate::ledger::{Ledger, LogAddresses};
use crate::policy::{
    ClientCertificate, Enforce, Level, OnFailure, Published, Rule, Rules, TlsVersion,
};
use crate::queue::Desk;
use crate::store::StoredPolicy;
use crate::store::history::{
    Clear, Facet, HOUR, HourCount, LastAttempt, LastDelivery, LastRefusal, Sighting, Stands, Way,
};
use crate::store::queue::{NewMessage, NewRecipient, Progress};
use serde_json::Value;
use std::net::SocketAddr;
use tempfile::TempDir;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

mod answers;
mod guarding;

/// What a stranger would write to become a part of the page.
const HOSTILE: &str = "<x onload=\"alert(1)\">'&--></title></style></script>";

/// A page that is served, and what is behind it.
struct Served {
    page: Page,
    store: Store,
    health: Health,
    address: SocketAddr,
    tasks: TaskTracker,
    stop: CancellationToken,
    _directory: TempDir,
    _dns: Responder,
}

/// An answer.
struct Answer {
    status: u16,
    head: String,
    body: String,
}

impl Answer {
    fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_else(|error| panic!("{error}: {}", self.body))
    }
}

impl Served {
    async fn new() -> Self {
        Self::with(vec![]).await
    }

    async fn with(rules: Vec<(&str, Rule)>) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("db");
        let store = Store::open(&file).unwrap();
        let tasks = TaskTracker::new();
        let (sts, dns) = policies_of(store.clone(), tasks.clone()).await;
        let health = Health::default();
        let page = Page::new(health.clone());
        page.open(PageParts {
            store: Some(store.clone()),
            file,
            sts,
            dns: dns.dns(std::time::Duration::from_secs(5)),
            desk: Some(Desk::of(store.clone())),
        });
        page.configure(settings(rules, Offered::Yes));
        health.set_ready();
        let listener = bind("127.0.0.1:0".parse().unwrap()).unwrap();
        let address = listener.local_addr().unwrap();
        let stop = CancellationToken::new();
        let ledger = Ledger::new(LogAddresses::Plain);
        tasks.spawn(serve(listener, ledger, page.clone(), stop.clone()));
        Self {
            page,
            store,
            health,
            address,
            tasks,
            stop,
            _directory: directory,
            _dns: dns,
        }
    }

    async fn get(&self, path: &str) -> Answer {
        self.ask("GET", path, "localhost").await
    }

    async fn json(&self, path: &str) -> Value {
        let answer = self.get(path).await;
        assert_eq!(answer.status, 200, "{path}: {}", answer.body);
        answer.json()
    }

    async fn ask(&self, method: &str, path: &str, host: &str) -> Answer {
        let mut stream = TcpStream::connect(self.address).await.unwrap();
        let request =
            format!("{method} {path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n");
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.unwrap();
        let (head, body) = answer.split_once("\r\n\r\n").unwrap();
        Answer {
            status: head["HTTP/1.1 ".len()..][..3].parse().unwrap(),
            head: head.to_ascii_lowercase(),
            body: body.to_owned(),
        }
    }

    async fn record(&self, sighting: Sighting) {
        let recorded = self.store.record_history(vec![sighting], now());
        recorded.await.unwrap();
    }

    async fn end(self) {
        self.stop.cancel();
        self.tasks.close();
        self.tasks.wait().await;
        self.store.close().await;
    }
}

fn settings(rules: Vec<(&str, Rule)>, offered: Offered) -> PageSettings {
    let mut all = Rules::default();
    for (domain, rule) in rules {
        let domain = DomainName::parse(domain).unwrap();
        all.add_exact(domain, Arc::new(rule)).unwrap();
    }
    PageSettings {
        offered,
        hostname: DomainName::parse("relay.example.net").unwrap(),
        hosts: vec![DomainName::parse("status.example.net").unwrap()],
        policy: PolicySettings {
            rules: all,
            default: Level::May,
            min_version: TlsVersion::V1_2,
            dane: Published::Honor,
            mta_sts: Published::Honor,
        },
    }
}

fn rule(origin: &str, name: Option<&str>) -> Rule {
    Rule {
        origin: origin.to_owned(),
        name: name.map(Arc::from),
        require: Some(Level::Verify),
        match_names: Vec::new(),
        fingerprints: Vec::new(),
        min_version: None,
        published: Published::Honor,
        next_hop: None,
        on_failure: OnFailure::default(),
        enforce: Enforce::DryRun,
        client_certificate: ClientCertificate::default(),
    }
}

fn facet(way: Way) -> Facet {
    let tls = |text: &'static str| if way.is_secured() { text } else { "" }.into();
    Facet {
        way,
        authenticated: tls(if way == Way::Verified { "dane" } else { "none" }),
        version: tls("1.3"),
        cipher: tls("TLS_AES_256_GCM_SHA384"),
        group: tls("X25519"),
        problem: tls("self_signed"),
        key: tls("p256"),
        policy: "default".into(),
        level: "may".into(),
        why: match way {
            Way::Plaintext => "no_starttls",
            Way::Blocked => "certificate-expired",
            Way::Verified | Way::Encrypted | Way::Refused | Way::Deferred => "",
        }
        .into(),
        dry_run: "".into(),
    }
}

/// So many attempts this hour, that came to the same.
fn seen(name: &str, way: Way, count: u64) -> Sighting {
    let at = now();
    let facet = facet(way);
    let refused = !way.is_delivered();
    Sighting {
        name: name.into(),
        first: at,
        last: at,
        counts: vec![HourCount {
            at: at - at % HOUR,
            facet: facet.clone(),
            rule: None,
            count,
        }],
        attempt: LastAttempt {
            facet: facet.clone(),
            rule: None,
        },
        delivery: way.is_delivered().then(|| LastDelivery {
            at,
            facet,
            mx: format!("mx.{name}").into(),
        }),
        refusal: refused.then(|| LastRefusal {
            at,
            words: format!("451 4.7.5 {name} will not: <bob@{name}>"),
            why: (way == Way::Blocked).then_some("certificate-expired"),
        }),
        secured: way.is_secured().then_some(at),
        clear: (way == Way::Plaintext).then_some(Clear {
            first: at,
            last: at,
            cause: "no_starttls",
            before: count,
            after: 0,
            stands: Stands::Yes,
        }),
    }
}

fn policy(domain: &str) -> StoredPolicy {
    let fetched = now() - 7200;
    StoredPolicy {
        domain: domain.to_owned(),
        id: "1".to_owned(),
        mode: "enforce".to_owned(),
        policy: format!("version: STSv1\nmode: enforce\nmx: *.{domain}\nmax_age: 86400\n"),
        fetched,
        expires: fetched + 86_400,
        used: fetched,
        refresh: fetched + 43_200,
    }
}

fn mail(id: &str, address: &str, reply: &str) -> NewMessage {
    let now = now() * 1000;
    NewMessage {
        id: id.to_owned(),
        sender: "alice@example.test".to_owned(),
        size: 3,
        received: now - 60_000,
        expires: now + 86_400_000,
        details: "{}".to_owned(),
        content: None,
        recipients: vec![NewRecipient {
            address: address.to_owned(),
            destination: address.rsplit_once('@').unwrap().1.to_owned(),
            notify: None,
            orcpt: None,
            progress: Progress {
                next: now + 600_000,
                attempts: 2,
                reply: Some(reply.to_owned()),
                ..Progress::default()
            },
        }],
    }
}
