//! The addresses of one host.

use super::addresses::{Addresses, Looked, is_used, merge};
use super::{AddressPreference, HostFailure};
use crate::dns::{Dns, Family, LookupFailure};
use crate::names::DomainName;
use std::time::Duration;
use tokio::time::timeout;

/// How long the second family is waited for once the first has addresses. Its lookup goes on and is
/// there for the next delivery.
const SECOND_FAMILY: Duration = Duration::from_secs(2);

/// Looks up the families in use. Each lookup is bounded by the resolver's time-out.
pub(super) async fn look_up(
    dns: &Dns,
    host: &DomainName,
    preference: AddressPreference,
) -> Result<Addresses, HostFailure> {
    match (
        is_used(Family::V4, preference),
        is_used(Family::V6, preference),
    ) {
        (true, false) => only(dns, host, Family::V4).await,
        (false, true) => only(dns, host, Family::V6).await,
        (true, true) | (false, false) => both(dns, host).await,
    }
}

async fn both(dns: &Dns, host: &DomainName) -> Result<Addresses, HostFailure> {
    let v4 = dns.addresses(host, Family::V4);
    let v6 = dns.addresses(host, Family::V6);
    tokio::pin!(v4, v6);
    let (v4, v6) = tokio::select! {
        first = &mut v4 => {
            let second = second(&first, v6).await;
            (first, second)
        }
        first = &mut v6 => {
            let second = second(&first, v4).await;
            (second, first)
        }
    };
    merge(v4, v6)
}

async fn second(first: &Looked, lookup: impl Future<Output = Looked>) -> Looked {
    match first {
        Ok(answer) if !answer.records.is_empty() => timeout(SECOND_FAMILY, lookup)
            .await
            .unwrap_or(Err(LookupFailure::TimedOut)),
        Ok(_) | Err(_) => lookup.await,
    }
}

/// One family only; the other is asked for nothing but the reason.
async fn only(dns: &Dns, host: &DomainName, family: Family) -> Result<Addresses, HostFailure> {
    let answer = dns.addresses(host, family).await?;
    let other = match family {
        Family::V4 => Family::V6,
        Family::V6 => Family::V4,
    };
    if answer.records.is_empty() {
        let unused = dns.addresses(host, other).await?;
        return Err(if unused.records.is_empty() {
            HostFailure::NoAddress
        } else {
            HostFailure::FamilyNotUsed
        });
    }
    let (v4, v6) = match family {
        Family::V4 => (answer.records.clone(), Vec::new()),
        Family::V6 => (Vec::new(), answer.records.clone()),
    };
    Ok(Addresses {
        v4,
        v6,
        canonical: answer.canonical.clone(),
        proof: answer.proof,
        first_alias: answer.first_alias,
    })
}
