//! Worlds with MTA-STS policies.

use lab::sts::policy;

use super::world::{World, WorldBuilder};
use lab::mx::Script;

/// A week, in seconds.
pub const WEEK: u64 = 604_800;

/// a.test, whose policy in this mode lists its host mx.a.test.
pub fn with_policy(mode: &str, script: Script) -> WorldBuilder {
    World::new()
        .domain("a.test", script)
        .sts("a.test", "1", policy(mode, &["mx.a.test"], WEEK))
}

/// The same with these patterns.
pub fn listing(mode: &str, mx: &[&str]) -> WorldBuilder {
    World::new()
        .domain("a.test", Script::default())
        .sts("a.test", "1", policy(mode, mx, WEEK))
}

impl World {
    /// `policy_lookups_total` of MTA-STS with this result.
    pub async fn sts_lookups(&self, result: &str) -> f64 {
        let labels = [("source", "mta-sts"), ("result", result)];
        self.daemon.metric("policy_lookups_total", &labels).await
    }

    /// `mta_sts_fetches_total` with this result.
    pub async fn sts_fetches(&self, result: &str) -> f64 {
        let labels = [("result", result)];
        self.daemon.metric("mta_sts_fetches_total", &labels).await
    }

    /// `mta_sts_downgrade_suspicions_total` with this sign.
    pub async fn sts_suspicions(&self, sign: &str) -> f64 {
        let name = "mta_sts_downgrade_suspicions_total";
        self.daemon.metric(name, &[("sign", sign)]).await
    }

    /// Mail has gone to a.test over an authenticated channel: its policy is known.
    pub async fn make_contact(&self) {
        let reply = self.send("x@a.test").await;
        assert!(reply.code == 250 && reply.contains("webpki)"), "{reply}");
    }
}
