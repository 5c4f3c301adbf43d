//! A socketmap client of our own.

use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpStream, UnixStream};

/// Longer than any answer that a test waits for.
const PATIENCE: Duration = Duration::from_secs(60);

pub trait Octets: AsyncRead + AsyncWrite + Unpin + Send {}
impl<T: AsyncRead + AsyncWrite + Unpin + Send> Octets for T {}

/// A client, as Postfix is one.
pub struct MapClient {
    pub stream: Box<dyn Octets>,
}

impl MapClient {
    pub async fn tcp(at: SocketAddr) -> Self {
        let stream = TcpStream::connect(at).await.unwrap();
        Self {
            stream: Box::new(stream),
        }
    }

    pub async fn unix(path: &Path) -> Self {
        let stream = UnixStream::connect(path).await.unwrap();
        Self {
            stream: Box::new(stream),
        }
    }

    pub async fn send(&mut self, octets: &[u8]) {
        self.stream.write_all(octets).await.unwrap();
    }

    /// The next reply; `None` when the daemon has hung up.
    pub async fn reply(&mut self) -> Option<String> {
        tokio::time::timeout(PATIENCE, self.read())
            .await
            .expect("an answer in time")
    }

    pub async fn read(&mut self) -> Option<String> {
        let mut length = 0;
        loop {
            match self.stream.read_u8().await {
                Ok(digit @ b'0'..=b'9') => length = length * 10 + usize::from(digit - b'0'),
                Ok(b':') => break,
                Ok(other) => panic!("{other} in the length of a reply"),
                Err(_) => return None,
            }
        }
        let mut reply = vec![0; length + 1];
        self.stream.read_exact(&mut reply).await.unwrap();
        assert_eq!(reply.pop(), Some(b','));
        Some(String::from_utf8(reply).unwrap())
    }

    /// The reply, if the daemon is still there.
    pub async fn send_and_hear(&mut self, octets: &[u8]) -> Option<String> {
        self.stream.write_all(octets).await.ok()?;
        self.reply().await
    }

    pub async fn ask(&mut self, map: &str, key: &str) -> String {
        self.send(&request(map, key)).await;
        self.reply().await.expect("the daemon answers")
    }
}

pub fn request(map: &str, key: &str) -> Vec<u8> {
    let payload = format!("{map} {key}");
    format!("{}:{payload},", payload.len()).into_bytes()
}
