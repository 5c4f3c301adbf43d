//! The sockets.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream, UdpSocket};

use super::answer::{Answer, answer};
use super::{Office, Shared, Transport};
use crate::tasks::Tasks;

const TRIES: usize = 100;

/// UDP and TCP on one port; port 0 takes a free one.
pub(super) async fn bind(address: SocketAddr) -> io::Result<(UdpSocket, TcpListener)> {
    let mut last = io::Error::other("no try made");
    for _ in 0..TRIES {
        let udp = UdpSocket::bind(address).await?;
        match TcpListener::bind(udp.local_addr()?).await {
            Ok(tcp) => return Ok((udp, tcp)),
            Err(error) => last = error,
        }
    }
    Err(last)
}

pub(super) async fn udp(shared: Arc<Shared>, socket: Arc<UdpSocket>, office: Office) {
    let mut tasks = Tasks::default();
    let mut buffer = vec![0; 65_535];
    loop {
        // An ICMP error of an earlier answer is reported here and concerns nobody.
        let Ok((length, peer)) = socket.recv_from(&mut buffer).await else {
            continue;
        };
        match answer(&shared, &buffer[..length], Transport::Udp, office) {
            None => {}
            Some(Answer {
                after: Duration::ZERO,
                octets,
            }) => {
                let _ = socket.send_to(&octets, peer).await;
            }
            Some(Answer { after, octets }) => {
                let socket = Arc::clone(&socket);
                tasks.spawn(async move {
                    tokio::time::sleep(after).await;
                    let _ = socket.send_to(&octets, peer).await;
                });
            }
        }
    }
}

pub(super) async fn tcp(shared: Arc<Shared>, listener: TcpListener, office: Office) {
    let mut tasks = Tasks::default();
    loop {
        let Ok((stream, _)) = listener.accept().await else {
            continue;
        };
        let shared = Arc::clone(&shared);
        tasks.spawn(async move {
            let _ = stream.set_nodelay(true);
            let _ = converse(&shared, stream, office).await;
        });
    }
}

async fn converse(shared: &Shared, mut stream: TcpStream, office: Office) -> io::Result<()> {
    loop {
        let length = stream.read_u16().await?;
        let mut octets = vec![0; usize::from(length)];
        stream.read_exact(&mut octets).await?;
        let Some(Answer { after, octets }) = answer(shared, &octets, Transport::Tcp, office) else {
            // Silence is what the client is to see, not a closed connection.
            std::future::pending::<()>().await;
            return Ok(());
        };
        tokio::time::sleep(after).await;
        let length = u16::try_from(octets.len()).map_err(io::Error::other)?;
        stream
            .write_all(&[&length.to_be_bytes()[..], &octets].concat())
            .await?;
    }
}
