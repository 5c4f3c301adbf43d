//! The Internet and the daemon, put together.

use std::time::Duration;

use lab::Internet;
use lab::ca::Ca;
use lab::client::{Reply, SmtpClient};
use lab::dns::DnsServer;
use lab::mx::{Mx, Script};
use lab::sts::{PolicyHost, PolicyScript};

use super::config::merge;
use super::daemon::Daemon;

/// A small message with a marker that can be looked for on the wire.
pub const CONTENT: &[u8] = b"From: sender@client.test\r\nTo: someone\r\nSubject: secret-marker\r\n\
    Message-ID: <1@client.test>\r\n\r\nhello\r\n.a line with a dot\r\n";

/// Longer than any delivery that a test waits for.
const PATIENCE: Duration = Duration::from_secs(60);

/// A running daemon and everything around it.
pub struct World {
    pub daemon: Daemon,
    pub net: Internet,
    config: String,
}

/// What a [`World`] will be like.
#[derive(Default)]
pub struct WorldBuilder {
    steps: Vec<Step>,
    config: Vec<String>,
    dnssec: Dnssec,
}

/// Whether the daemon validates.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
enum Dnssec {
    #[default]
    Validate,
    Off,
}

enum Step {
    Domain(String, Script),
    Host(String, Script),
    HostV6(String, Script),
    Sts(String, String, String),
    PolicyHost(String, PolicyScript),
    PolicyHostOfMany(Vec<String>, PolicyScript),
    Certified(String, Box<dyn FnOnce(&Ca) -> Script + Send>),
    Net(Box<dyn FnOnce(&Internet) + Send>),
    Config(Box<dyn FnOnce(&Internet) -> String + Send>),
}

impl WorldBuilder {
    /// The daemon knows nothing of DNSSEC. Else it validates, from the root of this Internet on, in which all zones are
    /// unsigned that are not declared to be signed.
    pub fn without_dnssec(mut self) -> Self {
        self.dnssec = Dnssec::Off;
        self
    }

    /// A domain with one MX host, `mx.DOMAIN`.
    pub fn domain(mut self, domain: &str, script: Script) -> Self {
        self.steps.push(Step::Domain(domain.to_owned(), script));
        self
    }

    /// The same with a script that needs the certification authority:
    /// `.certified("a.test", |ca| Script::with_identity(ca.issue(&Cert::new(["other.test"]))))`.
    pub fn certified(
        mut self,
        domain: &str,
        script: impl FnOnce(&Ca) -> Script + Send + 'static,
    ) -> Self {
        self.steps
            .push(Step::Certified(domain.to_owned(), Box::new(script)));
        self
    }

    /// A domain with several hosts: name, preference, behaviour.
    pub fn domain_with(mut self, domain: &str, hosts: Vec<(&str, u16, Script)>) -> Self {
        for (host, preference, script) in hosts {
            let (domain, name) = (domain.to_owned(), host.to_owned());
            self = self.host(host, script).net(move |net| {
                net.dns.mx(&domain, preference, &name);
            });
        }
        self
    }

    /// A host with an A record that no MX record names yet.
    pub fn host(mut self, name: &str, script: Script) -> Self {
        self.steps.push(Step::Host(name.to_owned(), script));
        self
    }

    /// A host with an AAAA record, found as `NAME#v6`; for tests that have checked [`ipv6`] before.
    pub fn host_v6(mut self, name: &str, script: Script) -> Self {
        self.steps.push(Step::HostV6(name.to_owned(), script));
        self
    }

    /// An MTA-STS record with this id, and a policy host with this policy. The domain's MX hosts are not made by it.
    pub fn sts(mut self, domain: &str, id: &str, policy: impl Into<String>) -> Self {
        let step = Step::Sts(domain.to_owned(), id.to_owned(), policy.into());
        self.steps.push(step);
        self
    }

    /// A policy host, but no MTA-STS record.
    pub fn policy_host(mut self, domain: &str, script: impl Into<PolicyScript>) -> Self {
        let step = Step::PolicyHost(domain.to_owned(), script.into());
        self.steps.push(step);
        self
    }

    /// One policy host for all these domains, but no MTA-STS records.
    pub fn policy_host_of_many(
        mut self,
        domains: Vec<String>,
        script: impl Into<PolicyScript>,
    ) -> Self {
        let step = Step::PolicyHostOfMany(domains, script.into());
        self.steps.push(step);
        self
    }

    /// Records and faults.
    pub fn dns(self, change: impl FnOnce(&DnsServer) + Send + 'static) -> Self {
        self.net(move |net| change(&net.dns))
    }

    /// Anything else, before the daemon starts.
    pub fn net(mut self, change: impl FnOnce(&Internet) + Send + 'static) -> Self {
        self.steps.push(Step::Net(Box::new(change)));
        self
    }

    /// Configuration over the usual one: keys replace, tables merge, rules are added.
    pub fn config(mut self, toml: &str) -> Self {
        self.config.push(toml.to_owned());
        self
    }

    /// The same where it depends on ports or files.
    pub fn config_with(mut self, toml: impl FnOnce(&Internet) -> String + Send + 'static) -> Self {
        self.steps.push(Step::Config(Box::new(toml)));
        self
    }

    /// Starts everything and waits until the daemon is ready.
    pub async fn start(self) -> World {
        let (net, config) = self.prepare().await;
        let daemon = Daemon::start(config.clone()).await;
        World {
            daemon,
            net,
            config,
        }
    }

    /// Everything but the daemon, and its configuration (where `STATE` stands for the daemon's directory).
    pub async fn prepare(mut self) -> (Internet, String) {
        let mut net = Internet::new().await.unwrap();
        for step in self.steps {
            self.config.extend(step.take(&mut net).await);
        }
        let state = std::path::Path::new("STATE");
        let base = match self.dnssec {
            Dnssec::Validate => net.config_validating(state),
            Dnssec::Off => net.config(state),
        };
        let config = self
            .config
            .iter()
            .fold(base, |config, extra| merge(&config, extra));
        (net, config)
    }
}

impl Step {
    /// Does it; the configuration that comes of it, if any.
    async fn take(self, net: &mut Internet) -> Option<String> {
        match self {
            Self::Domain(name, script) => {
                net.domain(&name, script).await.unwrap();
            }
            Self::Certified(name, script) => {
                let script = script(&net.ca);
                net.domain(&name, script).await.unwrap();
            }
            Self::Host(name, script) => {
                net.host(&name, script).await.unwrap();
            }
            Self::HostV6(name, script) => {
                net.host_v6(&name, script).await.unwrap();
            }
            Self::Sts(domain, id, policy) => {
                net.sts(&domain, &id, policy).await.unwrap();
            }
            Self::PolicyHost(domain, script) => {
                net.policy_host(&domain, script).await.unwrap();
            }
            Self::PolicyHostOfMany(domains, script) => {
                let domains = domains.iter().map(String::as_str).collect::<Vec<_>>();
                net.policy_host_of_many(&domains, script).await.unwrap();
            }
            Self::Net(change) => change(net),
            Self::Config(toml) => return Some(toml(net)),
        }
        None
    }
}

/// Whether hosts with IPv6 are possible here (they need root); says so on stderr if not.
pub fn ipv6() -> bool {
    let tried = lab::Ports::new().and_then(|ports| ports.next_v6());
    if let Err(error) = &tried {
        eprintln!("skipped, hosts with IPv6 are not possible here: {error}");
    }
    tried.is_ok()
}

impl World {
    /// An empty one.
    #[expect(
        clippy::new_ret_no_self,
        reason = "tests read as sentences that begin with the world"
    )]
    pub fn new() -> WorldBuilder {
        WorldBuilder::default()
    }

    /// The host of this name, or of this domain.
    pub fn mx(&self, name: &str) -> &Mx {
        self.net.mx(name)
    }

    /// The policy host of this domain.
    pub fn sts(&self, domain: &str) -> &PolicyHost {
        self.net.sts_of(domain)
    }

    /// An SMTP session with the daemon, EHLO said.
    pub async fn smtp(&self) -> SmtpClient {
        let mut client = SmtpClient::smtp(self.daemon.smtp.unwrap()).await.unwrap();
        client.patience(PATIENCE);
        client
    }

    /// An LMTP session with the daemon, LHLO said.
    pub async fn lmtp(&self) -> SmtpClient {
        let mut client = SmtpClient::lmtp(self.daemon.lmtp.unwrap()).await.unwrap();
        client.patience(PATIENCE);
        client
    }

    /// Sends [`CONTENT`] to one recipient over SMTP in a session of its own: the final reply.
    pub async fn send(&self, to: &str) -> Reply {
        let mut client = self.smtp().await;
        let reply = client
            .mail("sender@client.test", &[to], CONTENT)
            .await
            .unwrap();
        client.command("QUIT").await.unwrap();
        reply
    }

    /// Sends [`CONTENT`] to any number of recipients over LMTP in a session of its own: a reply for each.
    pub async fn send_lmtp(&self, to: &[&str]) -> Vec<Reply> {
        let mut client = self.lmtp().await;
        let replies = client
            .lmtp_mail("sender@client.test", to, CONTENT)
            .await
            .unwrap();
        client.command("QUIT").await.unwrap();
        replies
    }

    /// The configuration in force, before what [`World::reload`] changed.
    pub fn config(&self) -> &str {
        &self.config
    }

    /// Changes the configuration as [`WorldBuilder::config`] would have, and sends SIGHUP.
    pub fn reload(&self, extra: &str) {
        self.daemon.reload(&merge(&self.config, extra));
    }
}
