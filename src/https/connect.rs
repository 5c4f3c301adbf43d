//! TCP: staggered attempts over the addresses, of which the first connection wins (RFC 8305 §5).

use super::HttpsFailure;
use super::failure::Trail;
use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use std::net::SocketAddr;
use std::time::Duration;
use tokio::net::TcpStream;
use tokio::time::{Instant, sleep_until, timeout_at};

/// After so long without an answer the next address is tried beside the others.
const STAGGER: Duration = Duration::from_millis(300);
/// How long one address may take.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// The first connection. Whoever won or failed is no candidate any more; an attempt that was under way
/// starts anew if it is needed after all.
pub(super) async fn race(
    candidates: &mut Vec<SocketAddr>,
    until: Instant,
    trail: &mut Trail,
) -> Option<(SocketAddr, TcpStream)> {
    let mut waiting = candidates.clone().into_iter();
    let mut dialing = FuturesUnordered::new();
    let mut next = Instant::now();
    loop {
        if Instant::now() >= next
            && let Some(address) = waiting.next()
        {
            dialing.push(dial(address, until));
            next = Instant::now() + STAGGER;
        }
        tokio::select! {
            Some((address, dialed)) = dialing.next() => {
                candidates.retain(|candidate| *candidate != address);
                match dialed {
                    Ok(stream) => return Some((address, stream)),
                    Err(failure) => trail.add(failure),
                }
                next = Instant::now();
            }
            () = sleep_until(next), if waiting.len() > 0 => {}
            else => return None,
        }
    }
}

async fn dial(
    address: SocketAddr,
    until: Instant,
) -> (SocketAddr, Result<TcpStream, HttpsFailure>) {
    let limit = until.min(Instant::now() + CONNECT_TIMEOUT);
    let dialed = match timeout_at(limit, TcpStream::connect(address)).await {
        Ok(Ok(stream)) => Ok(stream),
        Ok(Err(error)) => Err(HttpsFailure::of_connect(address, &error)),
        Err(_) => Err(HttpsFailure::ConnectTimeout),
    };
    (address, dialed)
}
