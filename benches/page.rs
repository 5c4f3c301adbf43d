//! The status page with very many destinations in the history: how long each page takes to answer.
//!
//!     cargo bench --bench page [-- DESTINATIONS]

#![allow(clippy::unwrap_used, reason = "a benchmark that fails says where")]

#[path = "../tests/support/past.rs"]
#[allow(dead_code, unreachable_pub, reason = "it is the tests'")]
mod past;

use past::Past;
use sealpost::admin::{self, Health, Offered, Page, PageParts, PageSettings};
use sealpost::discovery::{AddressPreference, Sts, StsSettings, Unobserved};
use sealpost::dns::{Dns, DnsSettings};
use sealpost::ledger::{Ledger, LogAddresses};
use sealpost::names::DomainName;
use sealpost::policy::{Level, PolicySettings, Published, Rules, TlsVersion};
use sealpost::store::Store;
use sealpost::tls::{Roots, TlsClient, TlsSettings};
use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::{Duration, Instant, UNIX_EPOCH};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

const DESTINATIONS: u64 = 100_000;
/// Of each page.
const REQUESTS: usize = 20;
/// What a page may take.
const TARGET: Duration = Duration::from_millis(200);

fn main() -> ExitCode {
    let number = std::env::args().filter_map(|word| word.parse().ok()).next();
    let runtime = tokio::runtime::Runtime::new().unwrap();
    runtime.block_on(measure(number.unwrap_or(DESTINATIONS)))
}

async fn measure(destinations: u64) -> ExitCode {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("sealpost.db");
    let store = Store::open(&file).unwrap();
    let now = sealpost::clock::now().duration_since(UNIX_EPOCH).unwrap();
    let past = Past {
        destinations,
        hours: 20,
        days: 365,
        now: now.as_secs(),
    };
    let began = Instant::now();
    past.write(&store).await;
    past::policies(&store, destinations / 10, past.now).await;
    let size = store.history_size().await.unwrap();
    println!(
        "{} destinations, {} rows by day, written in {:.1} s",
        size.destinations,
        size.day_rows,
        began.elapsed().as_secs_f64()
    );
    let tasks = TaskTracker::new();
    let stop = CancellationToken::new();
    let address = serve(&store, &file, (&tasks, &stop));
    let one = format!("/destinations/{}", past::name(destinations / 2 + 4));
    let asking = tokio::task::spawn_blocking(move || ask_all(address, &one));
    let met = asking.await.unwrap();
    stop.cancel();
    tasks.close();
    tasks.wait().await;
    store.close().await;
    if met {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    }
}

fn serve(
    store: &Store,
    file: &Path,
    (tasks, stop): (&TaskTracker, &CancellationToken),
) -> SocketAddr {
    let dns = Dns::new(&DnsSettings::default(), Arc::new(|_, _| {})).unwrap();
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
        dns.clone(),
        Some(store.clone()),
        settings,
        Arc::new(Unobserved),
        tasks.clone(),
    );
    let page = Page::new(Health::default());
    page.open(PageParts {
        store: Some(store.clone()),
        file: file.to_owned(),
        sts,
        dns,
        desk: None,
    });
    page.configure(PageSettings {
        offered: Offered::Yes,
        hostname: DomainName::parse("relay.example.net").unwrap(),
        hosts: Vec::new(),
        policy: PolicySettings {
            rules: Rules::default(),
            default: Level::May,
            min_version: TlsVersion::V1_2,
            dane: Published::Honor,
            mta_sts: Published::Honor,
        },
    });
    let listener = admin::bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let address = listener.local_addr().unwrap();
    tasks.spawn(admin::serve(
        listener,
        Ledger::new(LogAddresses::Plain),
        page,
        stop.clone(),
    ));
    address
}

fn ask_all(address: SocketAddr, one: &str) -> bool {
    let mut met = true;
    println!(
        "{:52} {:>9} {:>9} {:>9}",
        "page", "median", "slowest", "octets"
    );
    for path in [
        "/",
        "/api/v1/overview",
        "/destinations",
        "/destinations?sort=name",
        "/destinations?sort=name&order=desc",
        "/destinations?sort=last&order=asc",
        "/destinations?sort=deliveries",
        "/destinations?sort=deliveries&order=asc",
        "/destinations?sort=blocked",
        "/destinations?sort=deliveries&page=1999",
        "/destinations?sort=name&page=1999",
        "/destinations?q=bank&sort=name",
        "/destinations?q=nothing-is-called-so",
        "/destinations?state=blocked&sort=blocked",
        "/destinations?state=downgraded",
        "/api/v1/destinations?limit=500",
        one,
        "/policies",
        "/policies?q=bank",
        "/rules",
    ] {
        let mut times: Vec<(Duration, usize)> = (0..REQUESTS).map(|_| ask(address, path)).collect();
        times.sort_unstable();
        let (median, (slowest, octets)) = (times[REQUESTS / 2].0, times[REQUESTS - 1]);
        let ms = |time: Duration| format!("{:.1} ms", time.as_secs_f64() * 1000.0);
        println!("{path:52} {:>9} {:>9} {octets:>9}", ms(median), ms(slowest));
        met &= slowest < TARGET;
    }
    println!(
        "target: {} ms at most: {}",
        TARGET.as_millis(),
        if met { "met" } else { "MISSED" }
    );
    met
}

fn ask(address: SocketAddr, path: &str) -> (Duration, usize) {
    let began = Instant::now();
    let mut stream = TcpStream::connect(address).unwrap();
    let request = format!("GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).unwrap();
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).unwrap();
    let whole = answer.starts_with(b"HTTP/1.1 200 ");
    assert!(
        whole || path == "/" || path == "/api/v1/overview",
        "{path}: {}",
        String::from_utf8_lossy(&answer)
    );
    (began.elapsed(), answer.len())
}
