//! A survey as the configuration wants it, for `check` and `scan`.

use super::check::policies;
use crate::config::Config;
use crate::discovery::Discovery;
use crate::dns::Dns;
use crate::survey::{Depth, Means, OldVersions, Pace, SurveySettings};
use crate::tls::{TlsClient, TlsProbes};
use std::sync::Arc;

/// What a survey asks with; nothing of it is remembered anywhere.
pub(super) async fn means(config: &Config) -> Result<Means, String> {
    let dns = Dns::new(&config.dns, Arc::new(|_, _| {})).map_err(|e| e.to_string())?;
    let tls = TlsClient::new(&config.tls).map_err(|e| e.to_string())?;
    Ok(Means {
        probes: TlsProbes::new().map_err(|e| e.to_string())?,
        discovery: Discovery::new(dns.clone()),
        sts: policies(config, &dns, &tls).await,
        dns,
        tls,
    })
}

pub(super) fn settings(
    config: &Config,
    (depth, old_versions): (Depth, OldVersions),
    pace: Pace,
) -> SurveySettings {
    SurveySettings {
        delivery: config.delivery.clone(),
        discovery: config.discovery.clone(),
        policy: config.policy.clone(),
        depth,
        old_versions,
        pace,
    }
}
