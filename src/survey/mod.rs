//! Surveys domains: the same discovery, decision and connection as in delivery, and never a MAIL command.
//!
//! What is found out about one domain is a [`record::Record`]: a line of `sealpost scan --format json`. Each MX host
//! is visited once, however many domains share it, with a policy that takes whatever there is; what a domain's own
//! policy makes of it is then judged without another connection. What could not be tested is never "no TLS".
//! What many records come to is a [`stats::Survey`].
//!
//! Not seen are: 0-RTT, which no SMTP client sends; client-initiated renegotiation, which rustls does not do; the
//! hash of the signature over a key exchange in TLS 1.2.

mod address;
pub mod compare;
mod deep;
mod domain;
mod findings;
mod gate;
mod host;
mod input;
mod judge;
pub mod lines;
mod once;
mod published;
pub mod record;
mod settings;
mod single;
pub mod stats;
mod tlsa;
mod words;

pub use address::{AddressSeen, Door};
pub use input::{BadLine, Input, Tally, Target};
pub use judge::flow_of_deferral;
pub use settings::{Depth, OldVersions, Pace, SurveySettings};

use crate::discovery::{Discovery, Sts};
use crate::dns::Dns;
use crate::tls::{TlsClient, TlsProbes};
use futures_util::StreamExt as _;
use futures_util::stream;
use gate::Gate;
use host::{HostKey, HostSeen};
use once::{Most, Once};
use record::{FORMAT, Record};
use std::sync::Arc;
use tokio::sync::mpsc;
use tokio_util::task::TaskTracker;

/// Hosts that are remembered: half of these to all of them, and longest those that many domains share.
const HOSTS: Most<HostSeen> = Most {
    values: 20_000,
    weight: 100 << 20,
    weigh: HostSeen::weight,
};

/// A survey, with what it has found out so far.
#[derive(Debug)]
pub struct Survey {
    settings: SurveySettings,
    dns: Dns,
    discovery: Discovery,
    sts: Sts,
    tls: TlsClient,
    probes: TlsProbes,
    gate: Gate,
    hosts: Once<HostKey, HostSeen>,
}

/// What a survey asks with.
#[derive(Debug)]
pub struct Means {
    pub dns: Dns,
    pub discovery: Discovery,
    pub sts: Sts,
    pub tls: TlsClient,
    pub probes: TlsProbes,
}

impl Survey {
    pub fn new(means: Means, settings: SurveySettings) -> Self {
        Self {
            gate: Gate::new(&settings.pace),
            settings,
            dns: means.dns,
            discovery: means.discovery,
            sts: means.sts,
            tls: means.tls,
            probes: means.probes,
            hosts: Once::new(HOSTS),
        }
    }

    /// Surveys all that comes, so many at a time, and hands the records on in the order in which they are ready;
    /// ends when no more come, or when nobody takes them any more.
    pub async fn run(self: Arc<Self>, targets: mpsc::Receiver<Target>, told: mpsc::Sender<Record>) {
        let tasks = TaskTracker::new();
        let at_once = self.settings.pace.domains.max(1);
        let targets = stream::unfold(targets, async |mut targets| {
            let next = targets.recv().await?;
            Some((next, targets))
        });
        let records = targets
            .map(|target| {
                let (survey, of) = (Arc::clone(&self), target.clone());
                let task = tasks.spawn(async move { survey.domain(&target).await });
                async move { task.await.unwrap_or_else(|_| Self::given_up(&of)) }
            })
            .buffer_unordered(at_once);
        let mut records = std::pin::pin!(records);
        while let Some(record) = records.next().await {
            if told.send(record).await.is_err() {
                return;
            }
        }
    }

    /// Of a task that has panicked: one domain's trouble is not the others'.
    fn given_up(target: &Target) -> Record {
        Record {
            format: FORMAT,
            domain: target.domain.to_string(),
            group: target.group.clone(),
            reason: Some("the survey of this domain broke off".to_owned()),
            ..Record::default()
        }
    }
}
