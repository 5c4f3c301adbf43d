//! A small Internet on loopback: one DNS server, one certification authority, any number of MX and policy hosts that
//! share a port, and the configuration that makes a relay live in it.

use std::collections::BTreeMap;
use std::io;
use std::net::SocketAddr;
use std::path::Path;

use crate::ca::Ca;
use crate::dns::{DnsServer, RecordType};
use crate::mx::{Mx, Script};
use crate::net::Ports;
use crate::sts::{PolicyHost, PolicyScript};

/// Last octets of the addresses that a relay in this Internet listens on; hosts are numbered from 1.
const SMTP: u8 = 251;
const LMTP: u8 = 252;
const ADMIN: u8 = 253;

/// What the names of hosts with IPv6 end in where they are looked up here.
const V6: &str = "#v6";

/// Everything outside the relay.
#[derive(Debug)]
pub struct Internet {
    /// The resolver.
    pub dns: DnsServer,
    /// Whoever trusts it trusts every host's own certificate.
    pub ca: Ca,
    /// The shared port and the addresses.
    pub ports: Ports,
    hosts: BTreeMap<String, Mx>,
    policy_hosts: Vec<PolicyHost>,
    /// Which of them a domain has.
    policy_host_of: BTreeMap<String, usize>,
}

impl Internet {
    /// An Internet with nobody in it.
    ///
    /// # Errors
    /// If no ports are free.
    pub async fn new() -> io::Result<Self> {
        Ok(Self {
            dns: DnsServer::start().await?,
            ca: Ca::default(),
            ports: Ports::new()?,
            hosts: BTreeMap::new(),
            policy_hosts: Vec::new(),
            policy_host_of: BTreeMap::new(),
        })
    }

    /// A domain with one MX host, `mx.DOMAIN`, that behaves so.
    ///
    /// # Errors
    /// If the host cannot listen.
    pub async fn domain(&mut self, domain: &str, script: Script) -> io::Result<&Mx> {
        let host = format!("mx.{domain}");
        self.dns.mx(domain, 10, &host);
        self.host(&host, script).await
    }

    /// A host with an address of its own and an A record, but no MX record that names it. Unless the script brings
    /// an identity, it has a good certificate for its name.
    ///
    /// # Errors
    /// If the host cannot listen.
    pub async fn host(&mut self, name: &str, script: Script) -> io::Result<&Mx> {
        let address = self.ports.next();
        self.host_at(name, address, script).await
    }

    /// The same with an AAAA record in place of the A record; a name may have both, and then is two hosts.
    ///
    /// # Errors
    /// If the host cannot listen, such as without root: see [`Ports::next_v6`].
    pub async fn host_v6(&mut self, name: &str, script: Script) -> io::Result<&Mx> {
        let address = self.ports.next_v6()?;
        self.host_at(name, address, script).await
    }

    async fn host_at(
        &mut self,
        name: &str,
        address: SocketAddr,
        script: Script,
    ) -> io::Result<&Mx> {
        self.dns.address_of(name, address.ip());
        let identity = match &script.tls.identity {
            Some(identity) => identity.clone(),
            None => self.ca.identity(name),
        };
        let mx = Mx::start_with(name, address, identity, script).await?;
        let mut key = name.to_owned();
        if address.is_ipv6() {
            key.push_str(V6);
        }
        self.hosts.insert(key.clone(), mx);
        Ok(&self.hosts[&key])
    }

    /// Publishes a TLSA record for a host at the shared port, such as `"3 1 1"`, by its certificate; with usage 0 or 2
    /// by the certificate that follows it in its chain, or this Internet's root if none does.
    ///
    /// # Panics
    /// If there is no such host, or as [`DnsServer::tlsa`] does.
    pub fn tlsa(&self, host: &str, parameters: &str) -> &Self {
        let mx = self.mx(host);
        let identity = mx.identity();
        let certificate = if parameters.trim_start().starts_with(['0', '2']) {
            identity.chain.get(1).unwrap_or(self.ca.root())
        } else {
            identity.leaf()
        };
        let port = self.ports.port();
        self.dns.tlsa(mx.name(), port, parameters, certificate);
        self
    }

    /// The host of this name, or the one that [`Internet::domain`] made for this domain. One of
    /// [`Internet::host_v6`] is found under its name with `#v6` at the end.
    ///
    /// # Panics
    /// If there is none.
    pub fn mx(&self, name: &str) -> &Mx {
        let of_domain = || self.hosts.get(&format!("mx.{name}"));
        let host = self.hosts.get(name).or_else(of_domain);
        host.unwrap_or_else(|| panic!("no host {name}; there are {:?}", self.hosts.keys()))
    }

    /// The same, to stop it.
    ///
    /// # Panics
    /// If there is none.
    pub fn mx_mut(&mut self, name: &str) -> &mut Mx {
        let name = if self.hosts.contains_key(name) {
            name.to_owned()
        } else {
            format!("mx.{name}")
        };
        self.hosts.get_mut(&name).expect("there is such a host")
    }

    /// All hosts.
    pub fn hosts(&self) -> impl Iterator<Item = &Mx> {
        self.hosts.values()
    }

    /// Publishes `v=STSv1; id=ID;` for a domain and starts its policy host with this policy (RFC 8461 §3).
    ///
    /// # Errors
    /// If the host cannot listen.
    pub async fn sts(&mut self, domain: &str, id: &str, policy: String) -> io::Result<&PolicyHost> {
        self.sts_record(domain, &format!("v=STSv1; id={id};"));
        self.policy_host(domain, PolicyScript::policy(&policy))
            .await
    }

    /// A policy host with an address of its own and an A record, `mta-sts.DOMAIN`, but no TXT record. It takes the place
    /// of the one that the domain had. Unless the script brings an identity, it has a good certificate for its name.
    ///
    /// # Errors
    /// If the host cannot listen.
    pub async fn policy_host(
        &mut self,
        domain: &str,
        script: PolicyScript,
    ) -> io::Result<&PolicyHost> {
        let name = policy_host_name(domain);
        let good = self.ca.identity(&name);
        let host = PolicyHost::start(&name, self.ports.next(), good, script).await?;
        Ok(self.house(&[domain], host))
    }

    /// One policy host, at one address, for all these domains; each has a good certificate of its own.
    ///
    /// # Errors
    /// If the host cannot listen.
    pub async fn policy_host_of_many(
        &mut self,
        domains: &[&str],
        script: PolicyScript,
    ) -> io::Result<&PolicyHost> {
        let names = domains.iter().map(|domain| policy_host_name(domain));
        let names = names.collect::<Vec<_>>();
        let names = names.iter().map(String::as_str).collect::<Vec<_>>();
        let host = PolicyHost::start_many(&names, self.ports.next(), &self.ca, script).await?;
        Ok(self.house(domains, host))
    }

    /// Makes a host that of these domains. Those that no domain has any more stop.
    fn house(&mut self, domains: &[&str], host: PolicyHost) -> &PolicyHost {
        let address = host.address().ip();
        let number = self.policy_hosts.len();
        self.policy_hosts.push(host);
        for domain in domains {
            let name = policy_host_name(domain);
            self.dns
                .remove(&name, RecordType::A)
                .address_of(&name, address);
            let old = self.policy_host_of.insert((*domain).to_owned(), number);
            if let Some(old) = old
                && !self.policy_host_of.values().any(|other| *other == old)
            {
                self.policy_hosts[old].stop();
            }
        }
        &self.policy_hosts[number]
    }

    /// The policy host of this domain.
    ///
    /// # Panics
    /// If there is none.
    pub fn sts_of(&self, domain: &str) -> &PolicyHost {
        &self.policy_hosts[self.number_of_policy_host(domain)]
    }

    /// The same, to stop it.
    ///
    /// # Panics
    /// If there is none.
    pub fn sts_of_mut(&mut self, domain: &str) -> &mut PolicyHost {
        let number = self.number_of_policy_host(domain);
        &mut self.policy_hosts[number]
    }

    fn number_of_policy_host(&self, domain: &str) -> usize {
        let number = self.policy_host_of.get(domain);
        *number.unwrap_or_else(|| {
            let known = self.policy_host_of.keys();
            panic!("no policy host of {domain}; there are {known:?}")
        })
    }

    /// Makes this the only TXT record at `_mta-sts.DOMAIN`. For several see [`DnsServer::txt`].
    pub fn sts_record(&self, domain: &str, text: &str) -> &Self {
        let owner = format!("_mta-sts.{domain}");
        self.dns.remove(&owner, RecordType::TXT).txt(&owner, text);
        self
    }

    /// Where a relay with [`Internet::config`] listens for SMTP.
    pub fn relay_smtp(&self) -> SocketAddr {
        self.ports.at(SMTP)
    }

    /// Where it listens for LMTP.
    pub fn relay_lmtp(&self) -> SocketAddr {
        self.ports.at(LMTP)
    }

    /// Where it answers /metrics and /readyz.
    pub fn relay_admin(&self) -> SocketAddr {
        self.ports.at(ADMIN)
    }

    /// The configuration of a relay in this Internet, as TOML. It knows nothing of DNSSEC.
    pub fn config(&self, state_dir: &Path) -> String {
        self.config_with(state_dir, "dnssec = \"off\"")
    }

    /// The same for a relay that validates from this Internet's own root on.
    pub fn config_validating(&self, state_dir: &Path) -> String {
        let anchor = self.dns.trust_anchor_file();
        let anchor = anchor.display();
        let dnssec = format!("dnssec = \"validate\"\ntrust_anchor = \"{anchor}\"");
        self.config_with(state_dir, &dnssec)
    }

    fn config_with(&self, state_dir: &Path, dnssec: &str) -> String {
        format!(
            r#"hostname = "relay.test"
state_dir = "{state}"

[[listen]]
address = "{smtp}"
protocol = "smtp"

[[listen]]
address = "{lmtp}"
protocol = "lmtp"

[relay]

[dns]
servers = ["{dns}"]
{dnssec}

[tls]
roots = ["{roots}"]

[outbound]
port = {port}
mta_sts_port = {port}
blocked_networks = []

[admin]
listen = "{admin}"
socket = "{state}/admin.sock"

[log]
level = "debug"
format = "json"
"#,
            state = state_dir.display(),
            smtp = self.relay_smtp(),
            lmtp = self.relay_lmtp(),
            dns = self.dns.address(),
            roots = self.ca.roots_file().display(),
            port = self.ports.port(),
            admin = self.relay_admin(),
        )
    }
}

/// RFC 8461 §3.3.
fn policy_host_name(domain: &str) -> String {
    format!("mta-sts.{domain}")
}
