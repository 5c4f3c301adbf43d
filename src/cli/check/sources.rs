//! Our own addresses, as receivers see them.

use crate::discovery::Route;
use std::net::{IpAddr, SocketAddr};

/// The source addresses that the kernel takes towards a route's hosts, one of each family; nothing is
/// sent to find them out.
pub(super) fn chosen_by_kernel(route: &Route) -> Vec<IpAddr> {
    let targets = route
        .hosts
        .iter()
        .filter_map(|host| host.addresses.as_ref().ok());
    let targets: Vec<IpAddr> = targets.flatten().copied().collect();
    let families = [IpAddr::is_ipv4, IpAddr::is_ipv6];
    let first = families
        .iter()
        .filter_map(|of| targets.iter().find(|ip| of(ip)));
    first
        .filter_map(|&target| source_towards(SocketAddr::new(target, route.port)).ok())
        .collect()
}

fn source_towards(target: SocketAddr) -> std::io::Result<IpAddr> {
    let any: SocketAddr = match target {
        SocketAddr::V4(_) => ([0, 0, 0, 0], 0).into(),
        SocketAddr::V6(_) => ([0u16; 8], 0).into(),
    };
    let socket = std::net::UdpSocket::bind(any)?;
    socket.connect(target)?;
    Ok(socket.local_addr()?.ip())
}
