//! What the status page is made of.

use super::program::Plan;
use super::run::Context;
use crate::admin::{PageParts, PageSettings};
use crate::config::Config;
use crate::discovery::Sts;
use crate::dns::Dns;
use crate::queue::Desk;
use crate::store::Store;

/// From now on the page has something to show.
pub(super) fn open(
    plan: &Plan,
    (dns, sts): (&Dns, &Sts),
    (store, desk): (Option<&Store>, Option<&Desk>),
    context: &Context,
) {
    context.page.open(PageParts {
        store: store.cloned(),
        file: plan.config.store.clone(),
        sts: sts.clone(),
        dns: dns.clone(),
        desk: desk.cloned(),
    });
}

pub(super) fn settings(config: &Config) -> PageSettings {
    PageSettings {
        offered: config.admin.page,
        hostname: config.hostname.clone(),
        hosts: config.admin.hosts.clone(),
        policy: config.policy.clone(),
    }
}
