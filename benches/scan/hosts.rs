//! The hosts and their DNS, as a process of its own.

use crate::common::peers::{Peer, address, lines, numbers, runtime};
use lab::Ports;
use lab::ca::Ca;
use lab::dns::DnsServer;
use lab::sink::Sink;
use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;

/// They end with this value.
#[derive(Debug)]
pub struct Hosts {
    peer: Peer,
    resolver: String,
    trust_anchor: String,
    roots: String,
    /// In the order of their numbers.
    pub addresses: Vec<SocketAddr>,
}

/// What they have seen.
#[derive(Debug, Clone, Copy)]
pub struct Seen {
    pub connections: u64,
    pub handshakes: u64,
    pub resumed: u64,
}

pub fn domain(number: usize) -> String {
    format!("d{number}.test")
}

pub fn mx(number: usize) -> String {
    format!("mx.{}", domain(number))
}

impl Hosts {
    pub async fn start(hosts: u16, delay: u64) -> io::Result<Self> {
        let mut peer = Peer::start(&["hosts", &hosts.to_string(), &delay.to_string()])?;
        let [resolver, trust_anchor, roots] = [
            peer.answer().await?,
            peer.answer().await?,
            peer.answer().await?,
        ];
        let addresses = peer.answer().await?;
        let addresses = addresses
            .split(' ')
            .map(str::parse)
            .collect::<Result<_, _>>();
        Ok(Self {
            peer,
            resolver,
            trust_anchor,
            roots,
            addresses: addresses.map_err(io::Error::other)?,
        })
    }

    pub async fn seen(&mut self) -> io::Result<Seen> {
        self.peer.tell("seen")?;
        let numbers = numbers(&self.peer.answer().await?)?;
        let &[connections, handshakes, resumed] = numbers.as_slice() else {
            return Err(io::Error::other("the hosts do not count"));
        };
        Ok(Seen {
            connections,
            handshakes,
            resumed,
        })
    }

    /// `sealpost.toml`: only what is not this machine's is set; and `domains`.
    pub fn write_configuration(&self, directory: &Path) -> io::Result<()> {
        let port = self.addresses.first().map_or(0, SocketAddr::port);
        let text = format!(
            r#"hostname = "relay.bench.test"
state_dir = "{state}"
[dns]
servers = ["{resolver}"]
trust_anchor = "{anchor}"
[tls]
roots = ["{roots}"]
[outbound]
port = {port}
blocked_networks = []
"#,
            state = directory.display(),
            resolver = self.resolver,
            anchor = self.trust_anchor,
            roots = self.roots,
        );
        std::fs::write(directory.join("sealpost.toml"), text)?;
        let domains = (0..self.addresses.len()).map(|number| domain(number) + "\n");
        std::fs::write(directory.join("domains"), domains.collect::<String>())
    }
}

impl Seen {
    pub fn since(self, before: &Self) -> Self {
        Self {
            connections: self.connections - before.connections,
            handshakes: self.handshakes - before.handshakes,
            resumed: self.resumed - before.resumed,
        }
    }
}

impl fmt::Display for Seen {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            connections,
            handshakes,
            resumed,
        } = self;
        write!(
            f,
            "{connections} connections, {handshakes} handshakes ({resumed} resumed)"
        )
    }
}

/// The process.
pub fn run(hosts: u16, delay: u64) -> io::Result<()> {
    let runtime = runtime()?;
    let _inside = runtime.enter();
    let ports = Ports::new()?;
    let ca = Ca::default();
    let dns = runtime.block_on(DnsServer::start())?;
    let mut all = Vec::new();
    for number in 0..hosts {
        let at = address(&ports, number);
        let (domain, mx) = (domain(number.into()), mx(number.into()));
        dns.mx(&domain, 10, &mx).address_of(&mx, at.ip());
        all.push((at, ca.identity(&mx)));
    }
    let sink = runtime.block_on(Sink::start_each(&all, Duration::from_millis(delay)))?;
    println!("{}", dns.address());
    println!("{}", dns.trust_anchor_file().display());
    println!("{}", ca.roots_file().display());
    let addresses = sink.addresses().iter().map(ToString::to_string);
    println!("{}", addresses.collect::<Vec<_>>().join(" "));
    let mut lines = lines();
    runtime.block_on(async {
        while lines.recv().await.is_some() {
            let seen = sink.counts();
            println!("{} {} {}", seen.connections, seen.handshakes, seen.resumed);
        }
    });
    Ok(())
}
