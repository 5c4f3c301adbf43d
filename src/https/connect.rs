//! TCP: staggered attempts over the addresses, of which the first connection wins (RFC 8305 §5).

use super::failure::Trail;
use super::{Admission, HttpsFailure};
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

/// A connection, and the leave to have it.
pub(super) struct Won<P> {
    pub(super) address: SocketAddr,
    pub(super) stream: TcpStream,
    pub(super) _pass: P,
}

/// The first connection. Whoever won or failed is no candidate any more; an attempt that was under way
/// starts anew if it is needed after all.
pub(super) async fn race<A: Admission>(
    candidates: &mut Vec<SocketAddr>,
    until: Instant,
    admission: &A,
    trail: &mut Trail,
) -> Option<Won<A::Pass>> {
    let mut waiting = candidates.clone().into_iter();
    let mut dialing = FuturesUnordered::new();
    let mut next = Instant::now();
    loop {
        if Instant::now() >= next
            && let Some(address) = waiting.next()
        {
            dialing.push(dial(address, until, admission));
            next = Instant::now() + STAGGER;
        }
        tokio::select! {
            Some((address, dialed)) = dialing.next() => {
                candidates.retain(|candidate| *candidate != address);
                match dialed {
                    Ok(won) => return Some(won),
                    Err(failure) => trail.add(failure),
                }
                next = Instant::now();
            }
            () = sleep_until(next), if waiting.len() > 0 => {}
            else => return None,
        }
    }
}

async fn dial<A: Admission>(
    address: SocketAddr,
    until: Instant,
    admission: &A,
) -> (SocketAddr, Result<Won<A::Pass>, HttpsFailure>) {
    let pass = match timeout_at(until, admission.admit(address.ip())).await {
        Ok(Some(pass)) => pass,
        Ok(None) | Err(_) => return (address, Err(HttpsFailure::NotAdmitted)),
    };
    let limit = until.min(Instant::now() + CONNECT_TIMEOUT);
    let dialed = match timeout_at(limit, TcpStream::connect(address)).await {
        Ok(Ok(stream)) => Ok(Won {
            address,
            stream,
            _pass: pass,
        }),
        Ok(Err(error)) => Err(HttpsFailure::of_connect(address, &error)),
        Err(_) => Err(HttpsFailure::ConnectTimeout),
    };
    (address, dialed)
}
