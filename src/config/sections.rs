//! The sections of the file, one function each, in the order in which they are documented.

mod admin;
mod listen;
mod socketmap;

use super::later;
use super::reader::Section;
use super::rules;
use super::setting::{DnsServer, show_duration};
use super::{Config, LogFormat, LogLevel, LogSettings};
use crate::delivery::{DeliverySettings, EightBit, KnownFaults, PlaintextFallback};
use crate::discovery::{AddressPreference, DiscoverySettings};
use crate::dns::{DnsSettings, Dnssec, DnssecUnavailable, RemoteAd};
use crate::ledger::LogAddresses;
use crate::names::DomainName;
use crate::policy::{Level, TlsVersion};
use crate::relay::Custody;
use crate::server::{ListenSettings, ServerSettings, TlsRequiredNo};
use crate::tls::{CertificateFiles, Roots, TlsSettings};
use admin::admin;
use listen::{check_bind, listeners, read_hostname};
use socketmap::socketmaps;
use std::path::PathBuf;
use std::time::Duration;

/// Reads every section. `None` where a value without which nothing can be built is missing; the
/// problem is reported then.
pub(super) fn read(
    root: &mut Section<'_>,
    fqdn: &dyn Fn() -> Result<DomainName, String>,
) -> Option<Config> {
    let hostname = read_hostname(root, fqdn);
    let state_dir = root.take("state_dir", PathBuf::from("/var/lib/sealpost"));
    let listeners = listeners(root);
    // A name that is wrong was reported; the rest is still checked.
    let name = hostname
        .clone()
        .or_else(|| DomainName::parse("invalid.invalid").ok())?;
    let mut server = client(root, &name);
    let relay = relay(root);
    (server.custody, server.hop_limit) = (relay.custody, relay.hop_limit);
    server.tls_required_no = relay.tls_required_no;
    let dns = dns(root);
    let (tls, min_version) = tls(root);
    let Outbound {
        delivery,
        mut discovery,
        mta_sts_port,
    } = outbound(root, &name, &relay);
    let (policy, preload) = rules::read(root, &tls, &dns, min_version);
    let queue = super::queue::read(root);
    let store = later::store(root, &state_dir);
    let history = super::history::read(root);
    later::tlsrpt(root);
    let socketmaps = socketmaps(root, &listeners);
    let addresses = listeners.iter().map(|l| &l.address);
    let addresses = addresses.chain(socketmaps.iter().map(|s| &s.socket.address));
    let admin = admin(root, &addresses.collect::<Vec<_>>());
    let log = log(root);
    discovery.own_names = own_names(&name, &listeners, &relay);
    let config = Config {
        hostname: hostname?,
        state_dir,
        store,
        queue,
        history,
        listeners,
        socketmaps,
        server,
        dns,
        tls,
        discovery,
        delivery,
        policy,
        preload,
        mta_sts_port,
        admin,
        log,
        notices: root.source.notices.borrow().clone(),
        replacements: root.source.replacements.borrow().clone(),
        shown: root.source.shown.borrow().clone(),
    };
    Some(config)
}

fn client(root: &mut Section<'_>, hostname: &DomainName) -> ServerSettings {
    let mut client = root.section("client");
    let networks = client.take("networks", networks(&["127.0.0.0/8", "::1/128"]));
    if let Some(all) = networks.iter().find(|n| n.prefix_len() == 0) {
        client.object(
            "networks",
            format!("{all} makes an open relay"),
            "name the networks of your own mail servers",
        );
    }
    let settings = ServerSettings {
        hostname: hostname.clone(),
        networks,
        max_sessions: positive(&mut client, "max_sessions", 1000),
        max_sessions_per_client: client.take("max_sessions_per_client", 0),
        max_message_size: later::message_size(&mut client),
        max_recipients: positive(&mut client, "max_recipients", 1000),
        idle_timeout: some_time(&mut client, "idle_timeout", Duration::from_secs(300)),
        hop_limit: 0,
        custody: Custody::default(),
        tls_required_no: TlsRequiredNo::default(),
    };
    client.finish();
    settings
}

/// `[relay]`, before it is divided among its owners.
struct Relay {
    custody: Custody,
    reach_timeout: Duration,
    deadline: Duration,
    dot_deadline: Duration,
    plaintext_fallback: PlaintextFallback,
    tls_required_no: TlsRequiredNo,
    hop_limit: usize,
    own_names: Vec<DomainName>,
}

fn relay(root: &mut Section<'_>) -> Relay {
    let mut relay = root.section("relay");
    let settings = Relay {
        custody: relay.take("custody", Custody::Auto),
        reach_timeout: some_time(&mut relay, "reach_timeout", Duration::from_secs(90)),
        deadline: some_time(&mut relay, "deadline", Duration::from_secs(300)),
        dot_deadline: some_time(&mut relay, "dot_deadline", Duration::from_secs(570)),
        plaintext_fallback: relay.take("plaintext_fallback", PlaintextFallback::Delayed),
        tls_required_no: relay.take("tls_required_no", TlsRequiredNo::Honor),
        hop_limit: positive(&mut relay, "hop_limit", 50),
        own_names: relay.take("own_names", Vec::new()),
    };
    for (key, time, below, limit) in [
        (
            "deadline",
            settings.deadline,
            "reach_timeout",
            settings.reach_timeout,
        ),
        (
            "dot_deadline",
            settings.dot_deadline,
            "deadline",
            settings.deadline,
        ),
    ] {
        if time < limit {
            let (time, limit) = (show_duration(&time), show_duration(&limit));
            relay.object(
                key,
                format!("{time} is less than relay.{below} ({limit})"),
                format!("raise {key}, or lower {below}"),
            );
        }
    }
    // Postfix's smtp_data_done_timeout and lmtp_data_done_timeout: after it the client has gone.
    if settings.dot_deadline >= Duration::from_secs(600) {
        relay.source.notice(
            "relay.dot_deadline is not below 600s, after which Postfix gives up by default; \
             raise lmtp_data_done_timeout or smtp_data_done_timeout there"
                .to_owned(),
        );
    }
    relay.finish();
    settings
}

fn own_names(
    hostname: &DomainName,
    listeners: &[ListenSettings],
    relay: &Relay,
) -> Vec<DomainName> {
    let mut names = vec![hostname.clone()];
    let more = listeners.iter().filter_map(|l| l.hostname.as_ref());
    for name in more.chain(&relay.own_names) {
        if !names.contains(name) {
            names.push(name.clone());
        }
    }
    names
}

fn dns(root: &mut Section<'_>) -> DnsSettings {
    let mut dns = root.section("dns");
    let servers: Option<Vec<DnsServer>> = dns.optional("servers");
    if servers.as_ref().is_some_and(Vec::is_empty) {
        dns.object(
            "servers",
            "is empty",
            "leave it out to use those of /etc/resolv.conf",
        );
    }
    let settings = DnsSettings {
        servers: servers.unwrap_or_default().iter().map(|s| s.0).collect(),
        dnssec: dns.take("dnssec", Dnssec::Auto),
        remote_ad: if dns.take("trust_remote_ad", false) {
            RemoteAd::Believe
        } else {
            RemoteAd::Distrust
        },
        unavailable: dns.take("dnssec_unavailable", DnssecUnavailable::Defer),
        trust_anchor: dns.optional("trust_anchor"),
        timeout: some_time(&mut dns, "timeout", Duration::from_secs(5)),
    };
    check_dnssec(&dns, &settings);
    dns.finish();
    settings
}

/// Servers whose AD bit could be forged on the way (RFC 7672 §2.1.3) are not believed by accident.
fn check_dnssec(dns: &Section<'_>, settings: &DnsSettings) {
    let remote = settings.servers.iter().find(|s| !s.ip().is_loopback());
    if let (Dnssec::TrustAd, RemoteAd::Distrust, Some(remote)) =
        (settings.dnssec, settings.remote_ad, remote)
    {
        dns.object(
            "dnssec",
            format!(
                "cannot be \"trust-ad\" while dns.servers has {remote}, which is not on loopback"
            ),
            "write \"validate\", or trust_remote_ad = true if nobody can sit on the way to it",
        );
    }
}

fn tls(root: &mut Section<'_>) -> (TlsSettings, TlsVersion) {
    let mut tls = root.section("tls");
    let roots = tls.take("roots", Roots::System);
    let min_version = tls.take("min_version", TlsVersion::V1_2);
    let client_certificate = tls.optional::<CertificateFiles>("client_cert");
    tls.finish();
    let settings = TlsSettings {
        roots,
        client_certificate,
    };
    (settings, min_version)
}

/// Never connected to for names that strangers publish.
const BLOCKED: [&str; 7] = [
    "0.0.0.0/8",
    "127.0.0.0/8",
    "169.254.0.0/16",
    "224.0.0.0/3",
    "::/127",
    "fe80::/10",
    "ff00::/8",
];

/// `[outbound]`, divided among its owners.
struct Outbound {
    delivery: DeliverySettings,
    discovery: DiscoverySettings,
    mta_sts_port: u16,
}

fn outbound(root: &mut Section<'_>, hostname: &DomainName, relay: &Relay) -> Outbound {
    let mut out = root.section("outbound");
    let port = port(&mut out, "port", 25);
    let bind = out.take("bind", Vec::new());
    check_bind(&out, &bind);
    let discovery = DiscoverySettings {
        own_names: Vec::new(),
        port,
        address_preference: out.take("address_preference", AddressPreference::Any),
        blocked_networks: out.take("blocked_networks", networks(&BLOCKED)),
        nat_addresses: out.take("nat_addresses", Vec::new()),
    };
    let delivery = DeliverySettings {
        hostname: hostname.clone(),
        bind,
        max_connections: positive(&mut out, "max_connections", 500),
        max_connections_per_mx: positive(&mut out, "max_connections_per_mx", 20),
        idle_connection_timeout: out.take("idle_connection_timeout", Duration::from_secs(30)),
        messages_per_connection: positive_u32(&mut out, "messages_per_connection", 100),
        connect_timeout: some_time(&mut out, "connect_timeout", Duration::from_secs(30)),
        eight_bit: out.take("assume_8bit", EightBit::NeedsExtension),
        plaintext_fallback: relay.plaintext_fallback,
        reach_timeout: relay.reach_timeout,
        deadline: relay.deadline,
        dot_deadline: relay.dot_deadline,
        known_faults: KnownFaults::Heed,
    };
    let mta_sts_port = self::port(&mut out, "mta_sts_port", 443);
    out.finish();
    Outbound {
        delivery,
        discovery,
        mta_sts_port,
    }
}

fn log(root: &mut Section<'_>) -> LogSettings {
    let mut log = root.section("log");
    let settings = LogSettings {
        level: log.take("level", LogLevel::default()),
        format: log.take("format", LogFormat::default()),
        addresses: log.take("addresses", LogAddresses::default()),
    };
    log.finish();
    settings
}

/// Networks that stand in this file's defaults.
fn networks(list: &[&str]) -> Vec<ipnet::IpNet> {
    list.iter().filter_map(|n| n.parse().ok()).collect()
}

fn positive(section: &mut Section<'_>, key: &'static str, default: usize) -> usize {
    let number = section.take(key, default);
    if number == 0 {
        section.object(key, "is zero", "write 1 or more");
    }
    number
}

fn positive_u32(section: &mut Section<'_>, key: &'static str, default: u32) -> u32 {
    let number = section.take(key, default);
    if number == 0 {
        section.object(key, "is zero", "write 1 or more");
    }
    number
}

fn port(section: &mut Section<'_>, key: &'static str, default: u16) -> u16 {
    let number = section.take(key, default);
    if number == 0 {
        section.object(key, "is no port", "write 1 to 65535");
    }
    number
}

fn some_time(section: &mut Section<'_>, key: &'static str, default: Duration) -> Duration {
    let time = section.take(key, default);
    if time.is_zero() {
        section.object(key, "is zero", "write a time as \"30s\"");
    }
    time
}

/// `policy.default`: the floor of domains without a rule.
pub(super) fn default_level(policy: &mut Section<'_>) -> Level {
    let level = policy.take("default", Level::May);
    match level {
        Level::May | Level::Encrypt | Level::Verify => level,
        Level::None | Level::Dane | Level::Fingerprint | Level::Secure | Level::DaneOnly => {
            policy.object(
                "default",
                format!("cannot be \"{level}\""),
                "write \"may\", \"encrypt\" or \"verify\"; the others need a [[rule]]",
            );
            Level::May
        }
    }
}
