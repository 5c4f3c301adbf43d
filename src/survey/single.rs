//! One destination, told step by step by `check`: the same facts, found on visits by the policy that is in force.

use super::Survey;
use super::address::{AddressSeen, Door, Probing, Retry};
use super::host::HostKey;
use super::input::Target;
use super::published::told;
use super::record::{Record, Sts};
use crate::discovery::{Looked, Route, RouteHost};
use crate::names::DomainName;
use crate::policy::{HostPolicy, StsFinding};

impl Survey {
    /// Visits an address once, by this policy.
    pub async fn visit(&self, door: Door<'_>, policy: &HostPolicy) -> AddressSeen {
        let probing = Probing {
            survey: self,
            name: door.host,
            door,
            policy,
            connections: 0,
            retry: Retry::No,
        };
        probing.run().await
    }

    /// Takes over what was seen of a host of a route, be it nothing: it is not visited again.
    pub async fn note_host(&self, (route, host): (&Route, &RouteHost), mut seen: Vec<AddressSeen>) {
        let Ok(addresses) = &host.addresses else {
            return;
        };
        seen.sort_by_key(|seen| seen.address);
        let records = self.host_records(route, host).await;
        let key = HostKey::of(route, host, addresses);
        let host = self.describe_host((route, host), addresses, seen, records);
        self.hosts.put(key, host.await);
    }

    /// The record of a domain whose hosts were all noted; with the MTA-STS policy that is in force, and what was
    /// published of it.
    pub async fn tell(
        &self,
        domain: &DomainName,
        (finding, looked): (StsFinding, Option<&Looked>),
    ) -> Record {
        let target = Target {
            domain: domain.clone(),
            group: None,
        };
        let sts = looked.map_or_else(Sts::default, told);
        self.record(&target, async { (finding, sts) }).await
    }
}
