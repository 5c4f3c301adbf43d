//! Against small raw servers that do what they are told, most of it wrong.

mod addresses;
mod answers;
mod bounds;

use super::{Admission, Get, HttpsFailure, Response, get};
use crate::names::DomainName;
use crate::tls::{CertificateFiles, Roots, TlsClient, TlsServer, TlsSettings};
use lab::Ports;
use lab::ca::{Ca, Cert};
use std::net::IpAddr;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;

const HOST: &str = "mta-sts.example.test";
const MAX_BODY: usize = 1000;
/// Long enough for what does not wait, on a machine that has other work.
const LONG: Duration = Duration::from_secs(60);
/// Short enough for a test that waits for its end.
const SHORT: Duration = Duration::from_millis(800);

/// What a server does with a connection, in this order; then it waits until the client is gone.
#[derive(Clone)]
enum Act {
    Tls(Box<TlsServer>),
    /// Reads to the end of a request's head.
    Head,
    Send(Vec<u8>),
    /// Sends this again and again, after this pause each time.
    Repeat(&'static str, Duration),
    /// Ends TLS politely.
    Notify,
    /// Goes at once.
    Leave,
}

#[derive(Default)]
struct Seen {
    connections: AtomicUsize,
    ended: AtomicUsize,
    heads: Mutex<Vec<String>>,
}

/// Loopback addresses, an authority, a client that trusts it, and what the servers saw.
struct World {
    ports: Ports,
    ca: Ca,
    tls: TlsClient,
    seen: Arc<Seen>,
    servers: JoinSet<()>,
}

/// Calls whom it likes.
struct Everybody;

impl Admission for Everybody {
    type Pass = ();

    async fn admit(&self, _: IpAddr) -> Option<()> {
        Some(())
    }
}

impl World {
    fn new() -> Self {
        let ca = Ca::new("root");
        let tls = TlsClient::new(&TlsSettings {
            roots: Roots::Files(vec![ca.roots_file()]),
            client_certificate: None,
        });
        Self {
            ports: Ports::new().unwrap(),
            tls: tls.unwrap(),
            ca,
            seen: Arc::default(),
            servers: JoinSet::new(),
        }
    }

    /// A world with one server, which answers so on every connection.
    async fn answering(answer: &[u8]) -> (Self, IpAddr) {
        let mut world = Self::new();
        let acts = vec![
            world.tls(),
            Act::Head,
            Act::Send(answer.into()),
            Act::Notify,
        ];
        let address = world.serve(acts).await;
        (world, address)
    }

    /// TLS with a good certificate.
    fn tls(&self) -> Act {
        self.tls_with(&self.ca, &Cert::new([HOST]))
    }

    fn tls_with(&self, ca: &Ca, cert: &Cert) -> Act {
        let files = ca.files(&ca.issue(cert));
        let files = CertificateFiles {
            cert: files.cert,
            key: files.key,
        };
        Act::Tls(Box::new(TlsServer::new(&files).unwrap()))
    }

    async fn serve(&mut self, acts: Vec<Act>) -> IpAddr {
        let address = self.ports.next();
        let listener = TcpListener::bind(address).await.unwrap();
        let seen = self.seen.clone();
        self.servers.spawn(async move {
            let mut connections = JoinSet::new();
            while let Ok((stream, _)) = listener.accept().await {
                seen.connections.fetch_add(1, Ordering::SeqCst);
                let (acts, seen) = (acts.clone(), seen.clone());
                connections.spawn(async move {
                    // A client that goes ends the performance.
                    let _ = perform(stream, &acts, &seen).await;
                    seen.ended.fetch_add(1, Ordering::SeqCst);
                });
            }
        });
        address.ip()
    }

    async fn get(&self, addresses: &[IpAddr]) -> Result<Response, HttpsFailure> {
        self.get_within(addresses, LONG).await
    }

    async fn get_within(
        &self,
        addresses: &[IpAddr],
        within: Duration,
    ) -> Result<Response, HttpsFailure> {
        let host = DomainName::parse(HOST).unwrap();
        let began = Instant::now();
        let got = get(
            &self.tls,
            &Get {
                host: &host,
                port: self.ports.port(),
                path: "/.well-known/mta-sts.txt",
                addresses,
                max_body: MAX_BODY,
                within,
            },
            &Everybody,
        )
        .await;
        let took = began.elapsed();
        assert!(took < within + Duration::from_secs(5), "{took:?}: {got:?}");
        got
    }

    fn heads(&self) -> Vec<String> {
        self.seen.heads.lock().unwrap().clone()
    }
}

async fn perform(mut stream: TcpStream, acts: &[Act], seen: &Seen) -> std::io::Result<()> {
    match acts {
        [Act::Tls(tls), rest @ ..] => {
            let mut stream = tls.accept(stream).await?;
            perform_inside(&mut stream, rest, seen).await
        }
        _ => perform_inside(&mut stream, acts, seen).await,
    }
}

async fn perform_inside<S: AsyncRead + AsyncWrite + Unpin>(
    stream: &mut S,
    acts: &[Act],
    seen: &Seen,
) -> std::io::Result<()> {
    for act in acts {
        match act {
            Act::Tls(_) => panic!("TLS comes first"),
            Act::Head => {
                let mut head = Vec::new();
                while !head.ends_with(b"\r\n\r\n") {
                    head.push(stream.read_u8().await?);
                }
                let head = String::from_utf8(head).unwrap();
                seen.heads.lock().unwrap().push(head);
            }
            Act::Send(octets) => {
                stream.write_all(octets).await?;
                stream.flush().await?;
            }
            Act::Repeat(text, pause) => loop {
                stream.write_all(text.as_bytes()).await?;
                stream.flush().await?;
                tokio::time::sleep(*pause).await;
            },
            Act::Notify => stream.shutdown().await?,
            Act::Leave => return Ok(()),
        }
    }
    let mut rest = [0; 64];
    while stream.read(&mut rest).await? > 0 {}
    Ok(())
}

fn ok(head: &str, body: &str) -> Vec<u8> {
    format!("HTTP/1.1 200 OK\r\n{head}\r\n\r\n{body}").into_bytes()
}
