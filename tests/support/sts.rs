//! Worlds with MTA-STS policies.

use lab::sts::policy;

use super::daemon::{Daemon, Log};
use super::dane::said;
use super::world::{World, WorldBuilder};
use lab::mx::Script;
use lab::sts::PolicyScript;

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

/// A host without STARTTLS, for [`WorldBuilder::in_clear`].
const CLEAR: &str = "clear.test";

/// A world of domains whose mail arrives in the clear unless a policy is enforced.
pub fn clear_world() -> WorldBuilder {
    World::new().host(CLEAR, Script::no_starttls())
}

impl WorldBuilder {
    /// A domain whose MX host, `mx.DOMAIN`, has no STARTTLS: whether its mail arrives tells whether a policy that lists
    /// the host was in force. In a [`clear_world`].
    pub fn in_clear(self, domain: &str) -> Self {
        let domain = domain.to_owned();
        self.net(move |net| {
            let host = format!("mx.{domain}");
            net.dns.mx(&domain, 10, &host);
            net.dns.address_of(&host, net.mx(CLEAR).address().ip());
        })
    }

    /// The same with an MTA-STS record and a policy host of its own that behaves so.
    pub fn published(self, domain: &str, script: impl Into<PolicyScript>) -> Self {
        let name = domain.to_owned();
        self.in_clear(domain)
            .policy_host(domain, script)
            .net(move |net| {
                net.sts_record(&name, "v=STSv1; id=1;");
            })
    }
}

/// What comes of mail to a domain of a [`clear_world`] that nobody wrote to before.
#[derive(Clone, Copy, Debug)]
pub enum Contact {
    /// The policy is in force.
    Enforced,
    /// There is a policy, and it enforces nothing.
    Unenforced,
    /// No policy was fetched, for a reason of this type (RFC 8460 §4.3.2.2) that the log has in these words.
    Failed(&'static str, &'static str),
}

impl Contact {
    fn lookup(self) -> &'static str {
        match self {
            Self::Enforced | Self::Unenforced => "fetched",
            Self::Failed(..) => "fetch_failed",
        }
    }

    fn fetch(self) -> &'static str {
        match self {
            Self::Enforced | Self::Unenforced => "ok",
            Self::Failed(result, _) => result,
        }
    }
}

impl World {
    /// Writes to a domain of [`WorldBuilder::published`] for the first time: reply, metrics, log, and what its policy
    /// host has seen.
    pub async fn first_contact(&self, domain: &str, contact: Contact, requests: usize) {
        let before = self.daemon.metrics().await;
        let reply = self.send(&format!("x@{domain}")).await;
        let after = self.daemon.metrics().await;
        let counted = |name: &str, labels: &[(&str, &str)]| -> f64 {
            after.get(name, labels) - before.get(name, labels)
        };
        let in_clear = match contact {
            Contact::Enforced => {
                assert_eq!(said(&reply), (451, "4.7.4"), "{domain}: {reply}");
                let words = format!("mta-sts policy of {domain}: mx.{domain}[");
                assert!(reply.contains(&words), "{domain}: {reply}");
                0.0
            }
            Contact::Unenforced | Contact::Failed(..) => {
                assert_eq!(said(&reply), (250, "2.0.0"), "{domain}: {reply}");
                1.0
            }
        };
        for (name, labels, count) in [
            ("plaintext_total", &[("cause", "no_starttls")][..], in_clear),
            ("mta_sts_fetches_total", &[], 1.0),
            ("mta_sts_fetches_total", &[("result", contact.fetch())], 1.0),
            ("policy_lookups_total", &[("source", "mta-sts")], 1.0),
            (
                "policy_lookups_total",
                &[("source", "mta-sts"), ("result", contact.lookup())],
                1.0,
            ),
        ] {
            let got = counted(name, labels);
            assert_eq!(got, count, "{domain}: {name} {labels:?}");
        }
        if let Contact::Failed(result, words) = contact {
            let reason = self.fetch_failure(domain);
            assert_eq!(reason["result"], result, "{domain}: {reason}");
            let why = reason["reason"].as_str().unwrap();
            assert!(why.contains(words), "{domain}: {why}");
        }
        let host = self.sts(domain);
        assert!(host.wait_for_closed().await, "{domain}");
        assert_eq!(host.requests().len(), requests, "{domain}");
        assert_eq!(host.violations(), Vec::<String>::new(), "{domain}");
    }

    /// What the log says of the fetch of this domain's policy that failed.
    pub fn fetch_failure(&self, domain: &str) -> Log {
        let is_it = |line: &Log| {
            let of = |name: &str| Daemon::field(line, name).and_then(|value| value.as_str());
            of("message") == Some("policy cannot be fetched") && of("domain") == Some(domain)
        };
        let line = self.daemon.log().into_iter().find(is_it);
        line.unwrap_or_else(|| panic!("{domain}: nothing in the log"))
    }

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
