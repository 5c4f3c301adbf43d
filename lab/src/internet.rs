//! A small Internet on loopback: one DNS server, one certification authority, any number of MX hosts that share a
//! port, and the configuration that makes a relay live in it.

use std::collections::BTreeMap;
use std::io;
use std::net::SocketAddr;
use std::path::Path;

use crate::ca::Ca;
use crate::dns::DnsServer;
use crate::mx::{Mx, Script};
use crate::net::Ports;

/// Last octets of the addresses that a relay in this Internet listens on; hosts are numbered from 1.
const SMTP: u8 = 251;
const LMTP: u8 = 252;
const ADMIN: u8 = 253;

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

    /// The same on `[::1]` with an AAAA record; one per Internet. `[::1]` is an address of this machine's own
    /// interface: a relay that looks it up by MX must think that it is itself.
    ///
    /// # Errors
    /// If the host cannot listen.
    pub async fn host_v6(&mut self, name: &str, script: Script) -> io::Result<&Mx> {
        self.ports.release_v6();
        self.host_at(name, self.ports.v6(), script).await
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
        self.hosts.insert(name.to_owned(), mx);
        Ok(&self.hosts[name])
    }

    /// The host of this name, or the one that [`Internet::domain`] made for this domain.
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

    /// The configuration of a relay in this Internet, as TOML.
    pub fn config(&self, state_dir: &Path) -> String {
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
custody = "client"

[dns]
servers = ["{dns}"]
dnssec = "off"

[tls]
roots = ["{roots}"]

[outbound]
port = {port}
blocked_networks = []

[admin]
listen = "{admin}"

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
