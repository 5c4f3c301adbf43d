//! Who we are and where clients connect: `hostname` and `[[listen]]`.

use crate::config::reader::Section;
use crate::config::setting::Mode;
use crate::names::DomainName;
use crate::server::{ListenAddress, ListenSettings, Protocol};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};

pub(super) fn read_hostname(
    root: &mut Section<'_>,
    fqdn: &dyn Fn() -> Result<DomainName, String>,
) -> Option<DomainName> {
    const MEND: &str = "write the name that the address of this machine resolves to, as hostname = \
                        \"relay.example.net\"";
    let name = match root.read::<DomainName>("hostname") {
        Some(name) => Some(name),
        // It is there, and wrong: reported already.
        None if root.has("hostname") => return None,
        None => match fqdn() {
            Ok(name) => Some(name),
            Err(reason) => {
                root.object("hostname", format!("is not set, and {reason}"), MEND);
                None
            }
        },
    }?;
    root.show("hostname", &name);
    qualified(root, &name).then_some(name)
}

fn qualified(section: &Section<'_>, name: &DomainName) -> bool {
    if !name.is_qualified() {
        section.object(
            "hostname",
            format!("\"{name}\" is not fully qualified"),
            format!("write it with its domain, as \"{name}.example.net\""),
        );
    }
    name.is_qualified()
}

pub(super) fn listeners(root: &mut Section<'_>) -> Vec<ListenSettings> {
    let mut sections = root.sections("listen");
    if sections.is_empty() {
        if root.has("listen") {
            // An empty list, or no list (reported already): nothing would be listened on.
            root.object(
                "listen",
                "has no listener",
                "write a [[listen]], or leave it out",
            );
        }
        sections = vec![Section::absent(root.source, "listen")];
    }
    let mut listeners: Vec<ListenSettings> = Vec::new();
    for mut section in sections {
        let listener = listener(&mut section);
        if let Some(other) = listeners
            .iter()
            .find(|l| collide(&l.address, &listener.address))
        {
            section.object(
                "address",
                taken(&other.address),
                "give each [[listen]] an address of its own",
            );
        }
        listeners.push(listener);
        section.finish();
    }
    listeners
}

/// Why an address cannot be listened on.
pub(super) fn taken(address: &ListenAddress) -> String {
    match address {
        ListenAddress::Tcp(address) => format!("{address} is listened on already"),
        ListenAddress::Unix(path) => format!("{} is listened on already", path.display()),
        ListenAddress::Systemd(name) => format!("socket {name} is in use already"),
    }
}

const DEFAULT_LISTENER: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 2525);

fn listener(section: &mut Section<'_>) -> ListenSettings {
    section.show_header();
    if section.is_present() && !section.has("address") {
        section.object(
            "address",
            "is missing",
            "write address = \"127.0.0.1:2525\"",
        );
    }
    let address = section.take("address", ListenAddress::Tcp(DEFAULT_LISTENER));
    let listener = ListenSettings {
        protocol: section.take("protocol", Protocol::Smtp),
        mode: section.optional::<Mode>("mode").map(|mode| mode.0),
        group: section.optional("group"),
        tls: section.optional("tls"),
        hostname: section.optional("hostname"),
        bind: section.take("bind", Vec::new()),
        address,
    };
    if let Some(name) = &listener.hostname {
        qualified(section, name);
    }
    check_bind(section, &listener.bind);
    check_permissions(section, &listener.address);
    listener
}

/// Only files have permissions.
pub(super) fn check_permissions(section: &Section<'_>, address: &ListenAddress) {
    if matches!(address, ListenAddress::Unix(_)) {
        return;
    }
    for key in ["mode", "group"] {
        if section.has(key) {
            section.object(key, "is for unix sockets only", "remove it");
        }
    }
}

/// Whether the second address could not be bound after the first.
pub(super) fn collide(one: &ListenAddress, other: &ListenAddress) -> bool {
    let (ListenAddress::Tcp(a), ListenAddress::Tcp(b)) = (one, other) else {
        return one == other;
    };
    let same_host = a.ip() == b.ip()
        || (a.is_ipv4() == b.is_ipv4() && (a.ip().is_unspecified() || b.ip().is_unspecified()));
    // Port 0 is another one each time.
    a.port() == b.port() && a.port() != 0 && same_host
}

pub(super) fn check_bind(section: &Section<'_>, bind: &[IpAddr]) {
    if let Some(ip) = bind
        .iter()
        .find(|ip| ip.is_unspecified() || ip.is_multicast())
    {
        section.object(
            "bind",
            format!("{ip} is no address to send from"),
            "write an address of this machine, or leave bind out",
        );
    }
}
