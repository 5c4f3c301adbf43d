//! `[admin]`.

use super::listen::collide;
use crate::admin::Offered;
use crate::config::AdminSettings;
use crate::config::reader::Section;
use crate::config::setting::AddressOrOff;
use crate::server::ListenAddress;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::PathBuf;

pub(super) fn admin(root: &mut Section<'_>, listeners: &[&ListenAddress]) -> AdminSettings {
    const DEFAULT: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 9825);
    let mut admin = root.section("admin");
    let AddressOrOff(listen) = admin.take("listen", AddressOrOff(Some(DEFAULT)));
    let page = match admin.take("page", true) {
        true => Offered::Yes,
        false => Offered::No,
    };
    let hosts = admin.take("hosts", Vec::new());
    let socket = admin.take("socket", PathBuf::from("/run/sealpost/admin.sock"));
    let taken = |address| listeners.iter().any(|l| collide(l, &address));
    if let Some(address) = listen.filter(|a| taken(ListenAddress::Tcp(*a))) {
        admin.object(
            "listen",
            format!("{address} is the address of a [[listen]] or [[socketmap]]"),
            "give it a port of its own",
        );
    }
    if taken(ListenAddress::Unix(socket.clone())) {
        admin.object(
            "socket",
            format!(
                "{} is the socket of a [[listen]] or [[socketmap]]",
                socket.display()
            ),
            "give it a path of its own",
        );
    }
    admin.finish();
    AdminSettings {
        listen,
        page,
        hosts,
        socket,
    }
}
