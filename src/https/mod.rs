//! One bounded HTTPS GET, as the fetch of an MTA-STS policy needs it (RFC 8461 §3.3). hyper's client is used
//! here and nowhere else.
//!
//! Redirects are not followed (RFC 8461 §3.3), there are no cookies, no proxies and no second request on a
//! connection. A server that has not proven who it is does not get to see the request. Nothing is spawned:
//! whoever drops the future ends everything that belongs to it.

mod connect;
mod exchange;
mod failure;

pub use failure::HttpsFailure;

use crate::names::DomainName;
use crate::tls::TlsClient;
use connect::Won;
use failure::Trail;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;
use tokio::time::Instant;

/// Addresses that are used, at most.
const MAX_ADDRESSES: usize = 6;

/// What is to be fetched, and what it may cost.
#[derive(Debug, Clone, Copy)]
pub struct Get<'a> {
    /// Sent as SNI and as `Host`; the certificate must carry it.
    pub host: &'a DomainName,
    pub port: u16,
    /// With its leading slash.
    pub path: &'a str,
    /// In the order of trying; the first six are used.
    pub addresses: &'a [IpAddr],
    /// Octets that the body may have.
    pub max_body: usize,
    /// In all, for all addresses.
    pub within: Duration,
}

/// What a server that has proven to be the host has answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Response {
    pub status: u16,
    /// The media type in lower case, without parameters; `None` also where it is none, or more than one.
    pub content_type: Option<String>,
    /// Empty unless the status is 200: nothing else is read.
    pub body: Vec<u8>,
    /// Who answered.
    pub address: IpAddr,
}

/// Who says when an address may be called.
pub trait Admission: Sync {
    /// Leave to call; held as long as the connection lives.
    type Pass: Send;

    /// Waits until the address may be called; `None`: not at all.
    fn admit(&self, address: IpAddr) -> impl Future<Output = Option<Self::Pass>> + Send;
}

/// Fetches. The addresses are tried one after the other until one answers, whatever it answers; where none
/// does, the most telling of their failures is the answer.
pub async fn get<A: Admission>(
    tls: &TlsClient,
    request: &Get<'_>,
    admission: &A,
) -> Result<Response, HttpsFailure> {
    let until = Instant::now() + request.within;
    let mut candidates = candidates(request);
    let mut trail = Trail::default();
    loop {
        let race = connect::race(&mut candidates, until, admission, &mut trail);
        let Some(Won {
            address,
            stream,
            _pass,
        }) = race.await
        else {
            break;
        };
        let share = share(until, candidates.len());
        match exchange::exchange(tls, request, (address, stream), share).await {
            Ok(response) => return Ok(response),
            Err(failure) => trail.add(failure),
        }
    }
    Err(trail.most_telling())
}

fn candidates(request: &Get<'_>) -> Vec<SocketAddr> {
    let mut candidates = Vec::with_capacity(MAX_ADDRESSES);
    for &ip in request.addresses {
        let address = SocketAddr::new(ip, request.port);
        if candidates.len() < MAX_ADDRESSES && !candidates.contains(&address) {
            candidates.push(address);
        }
    }
    candidates
}

/// Half of the time that is left, while there are others to try: a silent server must not eat it all.
fn share(until: Instant, others: usize) -> Instant {
    let now = Instant::now();
    if others == 0 {
        return until;
    }
    now + until.saturating_duration_since(now) / 2
}

#[cfg(test)]
mod tests;
