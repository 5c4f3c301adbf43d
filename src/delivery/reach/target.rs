//! One host as a goal: what is asked of it, and under which names it is remembered.

use crate::delivery::connection::{LoopCheck, Mode};
use crate::delivery::failure::Blame;
use crate::delivery::health::{Subject, TlsSubject};
use crate::delivery::pool::{Limits, PoolKey};
use crate::delivery::settings::DeliverySettings;
use crate::discovery::ImplicitTls;
use crate::message::Message;
use crate::names::{DomainName, MxHost};
use crate::policy::{Encryption, HostPolicy};
use crate::tls::TlsClient;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;
use tokio::time::Instant;

/// See [`Target::fair_time`].
const FAIR_TIME: Duration = Duration::from_secs(10);
/// One host, as far as reaching it goes.
#[derive(Debug, Clone, Copy)]
pub(in crate::delivery) struct Target<'a> {
    pub host: Option<&'a MxHost>,
    pub policy: &'a HostPolicy,
    pub implicit_tls: ImplicitTls,
    pub message: &'a Message,
    pub settings: &'a DeliverySettings,
    pub tls: &'a TlsClient,
    /// Stands for the next hop where slots are shared and source addresses chosen.
    pub next_hop: u64,
    pub loops: LoopCheck,
    pub mode: Mode,
    pub reuse: Reuse,
    pub until: Instant,
}

/// Whether a kept connection will do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::delivery) enum Reuse {
    Allowed,
    /// A kept one has just turned out to be dead.
    No,
}

impl Target<'_> {
    pub(super) fn requires_tls(&self) -> bool {
        self.policy.enforce.encryption == Encryption::Mandatory
    }

    pub(super) fn limits(&self) -> Limits {
        Limits {
            total: self.settings.max_connections,
            per_address: self.settings.max_connections_per_mx,
            idle: self.settings.idle_connection_timeout,
        }
    }

    pub(super) fn hostname(&self) -> &DomainName {
        self.message
            .origin
            .hostname
            .as_ref()
            .unwrap_or(&self.settings.hostname)
    }

    /// The source address: of the right family, always the same one for a next hop.
    pub(super) fn source(&self, to: IpAddr) -> Option<IpAddr> {
        let listener = &self.message.origin.bind;
        let bind = if listener.is_empty() {
            &self.settings.bind
        } else {
            listener
        };
        let family: Vec<IpAddr> = bind
            .iter()
            .copied()
            .filter(|from| from.is_ipv4() == to.is_ipv4())
            .collect();
        let count = u64::try_from(family.len()).unwrap_or(1).max(1);
        family
            .get(usize::try_from(self.next_hop % count).unwrap_or(0))
            .copied()
    }

    pub(super) fn key(&self, address: SocketAddr) -> PoolKey {
        PoolKey {
            address,
            host: self.host.cloned(),
            implicit_tls: self.implicit_tls,
            enforce: Arc::clone(&self.policy.enforce),
            audits: Arc::clone(&self.policy.audits),
            encryption: match self.mode {
                Mode::Tls => self.policy.enforce.encryption,
                Mode::PlaintextFallback => Encryption::Never,
            },
            tls_required: self.message.tls_required,
            source: self.source(address.ip()),
            hostname: self.hostname().clone(),
            loops: self.loops,
            tls: self.tls.clone(),
        }
    }

    /// What may be known to be down: the address, and its TLS if TLS is tried.
    pub(super) fn subjects(&self, key: &PoolKey) -> impl Iterator<Item = Subject> + use<> {
        let tls = match self.mode {
            Mode::Tls => Some(self.subject(key, Blame::Tls)),
            Mode::PlaintextFallback => None,
        };
        std::iter::once(self.subject(key, Blame::Address)).chain(tls)
    }

    pub(super) fn subject(&self, key: &PoolKey, blame: Blame) -> Subject {
        let tls = (blame == Blame::Tls).then(|| TlsSubject {
            host: self.host.cloned(),
            requirement: Arc::clone(&self.policy.enforce),
        });
        Subject {
            address: key.address,
            source: key.source,
            hostname: key.hostname.clone(),
            tls,
        }
    }

    /// How long an attempt must have been given before its time-out says something of the host. The
    /// first of several hosts gets half of `reach_timeout`, less what DNS and connecting took.
    pub(super) fn fair_time(&self) -> Duration {
        let settings = self.settings;
        FAIR_TIME
            .min(settings.connect_timeout)
            .min(settings.reach_timeout / 4)
    }
}
