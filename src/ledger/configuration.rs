//! What there is to tell of the configuration.

use super::Ledger;
use crate::clock;

impl Ledger {
    /// Starts the series of each named rule at zero, so that alerts can watch a partner before the
    /// first mail; what is known of the certificates under other names is forgotten. Called at start and after each reload.
    pub fn announce_rules<'a>(&self, names: impl IntoIterator<Item = &'a str>) {
        let names: Vec<&str> = names.into_iter().collect();
        for name in &names {
            self.metrics.announce_rule(name);
        }
        self.metrics.rule_certificates.announce(&names);
    }

    /// A reload of the configuration; an error is a sentence with file, line and column.
    pub fn reload(&self, result: Result<(), &str>) {
        let gauge = &self.metrics.config_last_reload_successful;
        match result {
            Ok(()) => {
                gauge.set(1);
                self.metrics.configuration_read(clock::now());
                tracing::info!(target: "sealpost::config", "configuration reloaded");
            }
            Err(problem) => {
                gauge.set(0);
                tracing::error!(
                    target: "sealpost::config",
                    problem,
                    "configuration not reloaded, the old one stays in force",
                );
            }
        }
    }
}
