//! An HTTPS client that says exactly what it is told. Every wait of it is bounded.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use lab::client::tls_config;
use lab::sts::PolicyHost;
use rustls::ClientConfig;
use rustls_pki_types::{CertificateDer, ServerName};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

pub(crate) const NAME: &str = "mta-sts.a.test";
const PATIENCE: Duration = Duration::from_secs(10);

pub(crate) struct Client {
    stream: TlsStream<TcpStream>,
    received: Vec<u8>,
}

pub(crate) struct Response {
    pub(crate) status: u16,
    pub(crate) head: String,
    pub(crate) body: String,
}

/// How a connection ended.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum End {
    /// With close_notify.
    InOrder,
    /// Without.
    Cut,
}

/// A correct request for the policy of this name.
pub(crate) fn request(name: &str) -> String {
    format!("GET /.well-known/mta-sts.txt HTTP/1.1\r\nHost: {name}\r\n\r\n")
}

/// The response to a correct request in a connection of its own.
pub(crate) async fn fetch(host: &PolicyHost) -> Response {
    let mut client = Client::asking(host).await;
    client.response().await.unwrap()
}

pub(crate) async fn tcp(address: SocketAddr) -> io::Result<TcpStream> {
    within(TcpStream::connect(address)).await
}

async fn within<T>(work: impl Future<Output = io::Result<T>>) -> io::Result<T> {
    timeout(PATIENCE, work).await?
}

impl Client {
    /// A handshake for [`NAME`].
    pub(crate) async fn connect(address: SocketAddr) -> io::Result<Self> {
        Self::connect_for(address, NAME, tls_config(None)).await
    }

    pub(crate) async fn connect_for(
        address: SocketAddr,
        name: &str,
        config: Arc<ClientConfig>,
    ) -> io::Result<Self> {
        let socket = tcp(address).await?;
        let name = ServerName::try_from(name.to_owned()).unwrap();
        let stream = within(TlsConnector::from(config).connect(name, socket)).await?;
        Ok(Self {
            stream,
            received: Vec::new(),
        })
    }

    /// One that has said a correct request.
    pub(crate) async fn asking(host: &PolicyHost) -> Self {
        let mut client = Self::connect(host.address()).await.unwrap();
        client.say(request(NAME)).await;
        client
    }

    pub(crate) async fn say(&mut self, octets: impl AsRef<[u8]>) {
        within(async {
            self.stream.write_all(octets.as_ref()).await?;
            self.stream.flush().await
        })
        .await
        .unwrap();
    }

    pub(crate) fn chain(&self) -> Vec<CertificateDer<'static>> {
        let chain = self.stream.get_ref().1.peer_certificates();
        let chain = chain.unwrap_or_default().iter();
        chain.map(|der| der.clone().into_owned()).collect()
    }

    pub(crate) fn version(&self) -> Option<rustls::ProtocolVersion> {
        self.stream.get_ref().1.protocol_version()
    }

    /// A response with a Content-Length; the connection stays.
    pub(crate) async fn response(&mut self) -> io::Result<Response> {
        let end = loop {
            if let Some(end) = find(&self.received, b"\r\n\r\n") {
                break end + 4;
            }
            self.more().await?;
        };
        let head = String::from_utf8(self.received.drain(..end).collect()).unwrap();
        let length = head
            .lines()
            .find_map(|l| l.strip_prefix("Content-Length: "));
        let length = length.unwrap().parse::<usize>().unwrap();
        while self.received.len() < length {
            self.more().await?;
        }
        let body = self.received.drain(..length).collect();
        Ok(Response {
            status: head[9..12].parse().unwrap(),
            head,
            body: String::from_utf8(body).unwrap(),
        })
    }

    /// So many octets.
    pub(crate) async fn octets(&mut self, n: usize) -> io::Result<Vec<u8>> {
        while self.received.len() < n {
            self.more().await?;
        }
        Ok(self.received.drain(..n).collect())
    }

    /// Everything until the connection ends.
    pub(crate) async fn rest(&mut self) -> (String, End) {
        let end = loop {
            match self.more().await {
                Ok(()) => {}
                Err(error) if error.kind() == io::ErrorKind::ConnectionAborted => {
                    break End::InOrder;
                }
                Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => break End::Cut,
                Err(error) => panic!("{error}"),
            }
        };
        let text = std::mem::take(&mut self.received);
        (String::from_utf8(text).unwrap(), end)
    }

    /// Whether nothing comes for a while.
    pub(crate) async fn hears_nothing(&mut self) -> bool {
        timeout(Duration::from_millis(200), self.more())
            .await
            .is_err()
    }

    async fn more(&mut self) -> io::Result<()> {
        match within(self.stream.read_buf(&mut self.received)).await? {
            0 => Err(io::ErrorKind::ConnectionAborted.into()),
            _ => Ok(()),
        }
    }
}

fn find(octets: &[u8], needle: &[u8]) -> Option<usize> {
    octets.windows(needle.len()).position(|w| w == needle)
}
