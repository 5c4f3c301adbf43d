//! Whether DNSSEC works, asked at start and then regularly, and told where an administrator looks.

use super::run::StartError;
use crate::admin::Health;
use crate::dns::{Dns, DnssecStatus, DnssecUnavailable, Validation};
use crate::ledger::{Ledger, Probe};
use std::time::Duration;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

/// How often the root is probed while DNSSEC works.
const INTERVAL: Duration = Duration::from_secs(60);
/// How often while it does not: mail waits for it.
const INTERVAL_IN_TROUBLE: Duration = Duration::from_secs(5);
/// How often a trouble that lasts is told again.
const REMINDER: Duration = Duration::from_secs(10 * 60);

/// How an administrator mends it.
const MEND: &str = "use a resolver that passes DNSSEC on, such as Unbound on this machine (dns.servers); \
    or give DANE up: dns.dnssec = \"off\", or dns.dnssec_unavailable = \"without-dane\"";
/// Where nothing is found out about DNSSEC.
const MEND_DNS: &str =
    "see to the servers (dns.servers, else /etc/resolv.conf): they must answer dig . DNSKEY";

/// Probes and tells.
#[derive(Debug)]
pub(super) struct Watch {
    dns: Dns,
    unavailable: DnssecUnavailable,
    ledger: Ledger,
    health: Health,
    /// What was told last, and when.
    told: Option<(DnssecStatus, Instant)>,
}

impl Watch {
    pub(super) fn new(
        dns: Dns,
        unavailable: DnssecUnavailable,
        ledger: Ledger,
        health: Health,
    ) -> Self {
        Self {
            dns,
            unavailable,
            ledger,
            health,
            told: None,
        }
    }

    /// The first probe. Servers that answer without proof are the administrator's to mend, before mail
    /// depends on it; servers that do not answer may come up yet, and a clock may be set.
    pub(super) async fn first(&mut self) -> Result<(), StartError> {
        let status = self.dns.probe().await;
        if let (DnssecStatus::Broken(why), DnssecUnavailable::Defer) = (&status, self.unavailable) {
            return Err(StartError::configuration(format!(
                "dns: DNSSEC does not work: {why}; {MEND}"
            )));
        }
        self.tell(status);
        Ok(())
    }

    /// Probes until `stop`.
    pub(super) async fn run(mut self, stop: CancellationToken) {
        loop {
            let interval = match self.dns.dnssec() {
                DnssecStatus::Off => return,
                DnssecStatus::Works(_) => INTERVAL,
                DnssecStatus::Broken(_) | DnssecStatus::Untimely(_) | DnssecStatus::NoAnswer(_) => {
                    INTERVAL_IN_TROUBLE
                }
            };
            let probed_at = Instant::now();
            tokio::select! {
                () = stop.cancelled() => return,
                () = tokio::time::sleep(interval) => {}
                () = self.doubted(probed_at) => {}
            }
            let probed = tokio::select! {
                () = stop.cancelled() => return,
                status = self.dns.probe() => status,
            };
            self.tell(probed);
        }
    }

    /// An answer looks as if the last probe's finding held no more; but a bogus domain is not to make us
    /// probe all the time.
    async fn doubted(&self, probed_at: Instant) {
        tokio::time::sleep_until(probed_at + INTERVAL_IN_TROUBLE).await;
        self.dns.doubted().await;
    }

    /// Log, readiness and metric, all from the same value.
    fn tell(&mut self, status: DnssecStatus) {
        let Some(probe) = self.show(&status) else {
            return;
        };
        self.ledger.dnssec(probe);
        let now = Instant::now();
        if let Some((last, at)) = &self.told {
            let settled = probe == Probe::Works || now < *at + REMINDER;
            if last == &status && settled {
                return;
            }
        }
        self.log(&status);
        self.told = Some((status, now));
    }

    /// On `/readyz`; `None` where nobody wants DNSSEC.
    fn show(&self, status: &DnssecStatus) -> Option<Probe> {
        let (obstacle, problem) = match (status, self.unavailable) {
            (DnssecStatus::Off, _) => return None,
            (DnssecStatus::Works(_), _) => (None, None),
            (DnssecStatus::NoAnswer(why), _) => {
                let text = format!(
                    "DNS does not answer for the root's keys: {why}; mail that needs DNS is deferred"
                );
                (Some(text), None)
            }
            (DnssecStatus::Broken(why) | DnssecStatus::Untimely(why), DnssecUnavailable::Defer) => {
                let text = format!("DNSSEC does not work: {why}; mail that needs DNS is deferred");
                (Some(text), None)
            }
            (
                DnssecStatus::Broken(why) | DnssecStatus::Untimely(why),
                DnssecUnavailable::WithoutDane,
            ) => {
                let text = format!("DNSSEC does not work: {why}; DANE is not applied");
                (None, Some(text))
            }
        };
        let well = obstacle.is_none() && problem.is_none();
        self.health.block("dnssec", obstacle);
        self.health.note("dnssec", problem);
        Some(if well { Probe::Works } else { Probe::Fails })
    }

    fn log(&self, status: &DnssecStatus) {
        match (status, self.unavailable) {
            (DnssecStatus::Off, _) => {}
            (DnssecStatus::Works(Validation::InProcess), _) => {
                tracing::info!(target: "sealpost::dns", "DNSSEC works, signatures are checked here");
            }
            (DnssecStatus::Works(Validation::Servers), _) => {
                tracing::info!(
                    target: "sealpost::dns",
                    "DNSSEC works, signatures are checked by dns.servers, whose AD bit is believed",
                );
            }
            (DnssecStatus::NoAnswer(why), _) => {
                tracing::error!(
                    target: "sealpost::dns",
                    reason = why.as_str(),
                    mend = MEND_DNS,
                    "DNS does not answer for the root's keys: mail that needs DNS is deferred",
                );
            }
            (DnssecStatus::Broken(why) | DnssecStatus::Untimely(why), DnssecUnavailable::Defer) => {
                tracing::error!(
                    target: "sealpost::dns",
                    reason = why.as_str(),
                    mend = MEND,
                    "DNSSEC does not work: what cannot be proven is deferred",
                );
            }
            (
                DnssecStatus::Broken(why) | DnssecStatus::Untimely(why),
                DnssecUnavailable::WithoutDane,
            ) => {
                tracing::warn!(
                    target: "sealpost::dns",
                    reason = why.as_str(),
                    "DNSSEC does not work: mail goes without DANE, as dns.dnssec_unavailable says",
                );
            }
        }
    }
}
