//! The decision: facts, rules and defaults in, a verdict with its reason out.

use super::facts::{Demand, HostFacts};
use super::level::Level;
use super::requirement::{HostPolicy, TlsVersion};
use super::rules::Rules;

/// What to do with one host.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum HostVerdict {
    Use(HostPolicy),
}

/// Decides what a connection to `host` must prove for mail of `demand`.
pub fn for_host(
    demand: &Demand,
    host: &HostFacts,
    rules: &Rules,
    default: Level,
    min_version: TlsVersion,
) -> HostVerdict {
    let _ = (demand, host, rules, default, min_version);
    unimplemented!("agreed signature; comes with the policy branch")
}
