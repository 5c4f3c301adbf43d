//! A raw SMTP and LMTP client for tests of servers: says exactly what it is told, reads replies strictly.
//!
//! ```no_run
//! # async fn example() -> std::io::Result<()> {
//! use lab::client::SmtpClient;
//! let mut client = SmtpClient::connect("127.0.0.1:2525".parse().unwrap()).await?;
//! assert_eq!(client.reply().await?.code, 220);
//! assert_eq!(client.command("EHLO client.test").await?.code, 250);
//! let reply = client.mail("a@a.test", &["b@b.test"], b"Subject: x\r\n\r\nhello\r\n").await?;
//! assert_eq!(reply.code, 250, "{reply}");
//! # Ok(()) }
//! ```

use std::io;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use rustls::ClientConfig;
use rustls_pki_types::ServerName;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpStream, UnixStream};
use tokio::time::timeout;
use tokio_rustls::TlsConnector;

use crate::ca::Identity;
use crate::tls;

/// Every wait ends after this time, with an error.
const PATIENCE: Duration = Duration::from_secs(10);
const MAX_REPLY: usize = 1 << 20;

mod reply;

pub use reply::Reply;
use reply::{Last, parse, wrong};

trait Channel: AsyncRead + AsyncWrite + Unpin + Send {}
impl<T: AsyncRead + AsyncWrite + Unpin + Send> Channel for T {}

/// A connection to a server.
pub struct SmtpClient {
    channel: Box<dyn Channel>,
    received: Vec<u8>,
    patience: Duration,
    /// The server's chain after [`SmtpClient::starttls`], DER, leaf first.
    pub server_chain: Vec<Vec<u8>>,
}

impl SmtpClient {
    /// Connects over TCP; the greeting is not read yet.
    ///
    /// # Errors
    /// Those of connecting.
    pub async fn connect(address: SocketAddr) -> io::Result<Self> {
        let stream = bounded(PATIENCE, "connecting", TcpStream::connect(address)).await?;
        // Fails if the server has reset already; the first read will tell.
        let _ = stream.set_nodelay(true);
        Ok(Self::over(stream))
    }

    /// Connects to a unix socket.
    ///
    /// # Errors
    /// Those of connecting.
    pub async fn connect_unix(path: &Path) -> io::Result<Self> {
        Ok(Self::over(
            bounded(PATIENCE, "connecting", UnixStream::connect(path)).await?,
        ))
    }

    /// Connects, expects 220, says EHLO, expects 250.
    ///
    /// # Errors
    /// Those of connecting, or another reply.
    pub async fn smtp(address: SocketAddr) -> io::Result<Self> {
        Self::connect(address)
            .await?
            .greeted("EHLO client.test")
            .await
    }

    /// The same with LHLO.
    ///
    /// # Errors
    /// Those of connecting, or another reply.
    pub async fn lmtp(address: SocketAddr) -> io::Result<Self> {
        Self::connect(address)
            .await?
            .greeted("LHLO client.test")
            .await
    }

    fn over(channel: impl Channel + 'static) -> Self {
        let channel = Box::new(channel);
        Self {
            channel,
            received: Vec::new(),
            patience: PATIENCE,
            server_chain: Vec::new(),
        }
    }

    async fn greeted(mut self, hello: &str) -> io::Result<Self> {
        self.reply().await?.expect(220)?;
        self.command(hello).await?.expect(250)?;
        Ok(self)
    }

    /// Waits this long from now on, in place of 10 seconds.
    pub fn patience(&mut self, patience: Duration) -> &mut Self {
        self.patience = patience;
        self
    }

    /// Reads one reply. Strict: CRLF, one code, `-` or space after it, nothing but printable ASCII.
    ///
    /// # Errors
    /// Time-out, end of the connection, a reply against RFC 5321 §4.2.
    pub async fn reply(&mut self) -> io::Result<Reply> {
        let mut reply: Option<Reply> = None;
        loop {
            let line = self.line().await?;
            let (code, last, text) =
                parse(&line).ok_or_else(|| wrong(format!("malformed reply line {line:?}")))?;
            let reply = reply.get_or_insert(Reply {
                code,
                lines: Vec::new(),
            });
            if reply.code != code {
                return Err(wrong(format!("the code changes within a reply: {line:?}")));
            }
            reply.lines.push(text.to_owned());
            if last == Last::Yes {
                return Ok(reply.clone());
            }
        }
    }

    /// Sends a line and reads a reply.
    ///
    /// # Errors
    /// See [`SmtpClient::reply`].
    pub async fn command(&mut self, line: &str) -> io::Result<Reply> {
        self.send(format!("{line}\r\n")).await?;
        self.reply().await
    }

    /// Sends all lines in one write, then reads as many replies.
    ///
    /// # Errors
    /// See [`SmtpClient::reply`].
    pub async fn pipeline(&mut self, lines: &[&str]) -> io::Result<Vec<Reply>> {
        self.send(
            lines
                .iter()
                .map(|line| format!("{line}\r\n"))
                .collect::<String>(),
        )
        .await?;
        let mut replies = Vec::with_capacity(lines.len());
        for _ in lines {
            replies.push(self.reply().await?);
        }
        Ok(replies)
    }

    /// Sends octets as they are.
    ///
    /// # Errors
    /// Time-out, end of the connection.
    pub async fn send(&mut self, octets: impl AsRef<[u8]>) -> io::Result<()> {
        let sent = async {
            self.channel.write_all(octets.as_ref()).await?;
            self.channel.flush().await
        };
        bounded(self.patience, "sending", sent).await
    }

    /// MAIL and RCPTs one by one, DATA, the content (stuffed here), the dot: the reply to the dot, or the first
    /// refusal before it, after which RSET is said.
    ///
    /// # Errors
    /// See [`SmtpClient::reply`].
    pub async fn mail(&mut self, from: &str, rcpts: &[&str], content: &[u8]) -> io::Result<Reply> {
        if let Some(refusal) = self.envelope(from, rcpts).await? {
            return Ok(refusal);
        }
        self.send(stuffed(content)).await?;
        self.reply().await
    }

    /// The same over LMTP (RFC 2033): one reply per recipient. A refusal before the dot stands for all.
    ///
    /// # Errors
    /// See [`SmtpClient::reply`].
    pub async fn lmtp_mail(
        &mut self,
        from: &str,
        rcpts: &[&str],
        content: &[u8],
    ) -> io::Result<Vec<Reply>> {
        if let Some(refusal) = self.envelope(from, rcpts).await? {
            return Ok(vec![refusal; rcpts.len()]);
        }
        self.send(stuffed(content)).await?;
        let mut replies = Vec::with_capacity(rcpts.len());
        for _ in rcpts {
            replies.push(self.reply().await?);
        }
        Ok(replies)
    }

    async fn envelope(&mut self, from: &str, rcpts: &[&str]) -> io::Result<Option<Reply>> {
        let mut lines = vec![format!("MAIL FROM:<{from}>")];
        lines.extend(rcpts.iter().map(|rcpt| format!("RCPT TO:<{rcpt}>")));
        lines.push("DATA".to_owned());
        for line in &lines {
            let reply = self.command(line).await?;
            if reply.code >= 400 {
                self.command("RSET").await?.expect(250)?;
                return Ok(Some(reply));
            }
        }
        Ok(None)
    }

    /// One chunk (RFC 3030) and its reply; `last` is `" LAST"` or empty.
    ///
    /// # Errors
    /// See [`SmtpClient::reply`].
    pub async fn bdat(&mut self, chunk: &[u8], last: &str) -> io::Result<Reply> {
        let command = format!("BDAT {}{last}\r\n", chunk.len()).into_bytes();
        self.send([command, chunk.to_vec()].concat()).await?;
        self.reply().await
    }

    /// STARTTLS, expects 220, shakes hands without judging the server's certificate. EHLO is the caller's.
    ///
    /// # Errors
    /// Another reply, octets after the 220, a failed handshake.
    pub async fn starttls(self, server_name: &str) -> io::Result<Self> {
        self.starttls_with(server_name, tls_config(None)).await
    }

    /// The same with a configuration from [`tls_config`], such as one that is kept, so that sessions are resumed.
    ///
    /// # Errors
    /// Likewise.
    pub async fn starttls_with(
        mut self,
        server_name: &str,
        config: Arc<ClientConfig>,
    ) -> io::Result<Self> {
        self.command("STARTTLS").await?.expect(220)?;
        if !self.received.is_empty() {
            return Err(wrong("octets after the 220 to STARTTLS".to_owned()));
        }
        self.handshake(server_name, config).await
    }

    /// The TLS handshake alone, such as on a port with implicit TLS.
    ///
    /// # Errors
    /// A failed handshake.
    pub async fn handshake(self, server_name: &str, config: Arc<ClientConfig>) -> io::Result<Self> {
        let name = ServerName::try_from(server_name.to_owned()).map_err(io::Error::other)?;
        let shaken = TlsConnector::from(config).connect(name, self.channel);
        let tls = bounded(self.patience, "shaking hands", shaken).await?;
        let chain = tls.get_ref().1.peer_certificates().unwrap_or_default();
        let server_chain = chain.iter().map(|der| der.to_vec()).collect();
        Ok(Self {
            server_chain,
            patience: self.patience,
            ..Self::over(tls)
        })
    }

    /// Reads until the server closes: what it still said.
    ///
    /// # Errors
    /// Time-out.
    pub async fn until_closed(&mut self) -> io::Result<Vec<u8>> {
        let mut rest = std::mem::take(&mut self.received);
        match bounded(
            self.patience,
            "waiting for the end",
            self.channel.read_to_end(&mut rest),
        )
        .await
        {
            Err(error) if error.kind() == io::ErrorKind::TimedOut => Err(error),
            // A reset, or an end without close_notify, is an end as well.
            Ok(_) | Err(_) => Ok(rest),
        }
    }

    async fn line(&mut self) -> io::Result<String> {
        loop {
            if let Some(end) = memchr::memchr(b'\n', &self.received) {
                let line = self.received.drain(..=end).collect::<Vec<_>>();
                let text = line
                    .strip_suffix(b"\r\n")
                    .ok_or_else(|| wrong("bare LF".to_owned()))?;
                return String::from_utf8(text.to_vec()).map_err(io::Error::other);
            }
            if self.received.len() > MAX_REPLY {
                return Err(wrong("an endless reply line".to_owned()));
            }
            self.received.reserve(4096);
            let read = self.channel.read_buf(&mut self.received);
            if bounded(self.patience, "waiting for a reply", read).await? == 0 {
                return Err(io::Error::new(
                    io::ErrorKind::UnexpectedEof,
                    "the server closed",
                ));
            }
        }
    }
}

/// TLS that accepts any certificate and, if it has one, presents its own.
pub fn tls_config(identity: Option<&Identity>) -> Arc<ClientConfig> {
    tls::client_config(identity)
}

/// Dots doubled, a final CRLF if there is none, the final dot. Bare CR and LF stay.
pub fn stuffed(content: &[u8]) -> Vec<u8> {
    let mut wire = Vec::with_capacity(content.len() + 16);
    for line in content.split_inclusive(|octet| *octet == b'\n') {
        if line.starts_with(b".") {
            wire.push(b'.');
        }
        wire.extend_from_slice(line);
    }
    if !wire.is_empty() && !wire.ends_with(b"\r\n") {
        wire.extend_from_slice(b"\r\n");
    }
    wire.extend_from_slice(b".\r\n");
    wire
}

async fn bounded<T>(
    patience: Duration,
    what: &str,
    future: impl Future<Output = io::Result<T>>,
) -> io::Result<T> {
    let late = |_| io::Error::new(io::ErrorKind::TimedOut, format!("time-out {what}"));
    timeout(patience, future).await.map_err(late)?
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn content_is_stuffed() {
        for (content, wire) in [
            (&b""[..], &b".\r\n"[..]),
            (b"a\r\n", b"a\r\n.\r\n"),
            (b"a", b"a\r\n.\r\n"),
            (b".\r\n", b"..\r\n.\r\n"),
            (b"a\r\n.b\r\n", b"a\r\n..b\r\n.\r\n"),
        ] {
            assert_eq!(stuffed(content), wire, "{content:?}");
        }
    }
}
