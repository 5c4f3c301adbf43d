//! Loopback addresses that share one free port: all MX hosts of a daemon are reached on one `outbound.port`.

use std::io;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::process::Command;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU8, AtomicU16, Ordering};

use socket2::{Domain, Protocol, Socket, Type};
use tokio::net::{TcpListener, TcpSocket};

use crate::tasks::lock;

/// Ports below the range from which Linux picks the source ports of outgoing connections.
const PORTS: std::ops::Range<u16> = 10_000..32_000;
const TRIES: usize = 200;

/// Unique local addresses (RFC 4193) for hosts with IPv6.
const V6: &str = "fd5e:a1ab::/32";

/// A /24 of 127.0.0.0/8 and a port that are this value's own as long as it lives, also against other test
/// processes: each draws a network and a port at random, and guards them with a bound socket.
#[derive(Debug)]
pub struct Ports {
    prefix: [u8; 3],
    port: u16,
    next: AtomicU8,
    subnet_v6: [u16; 2],
    next_v6: AtomicU16,
    _guard: TcpSocket,
    v6: Mutex<Option<TcpSocket>>,
}

impl Ports {
    /// Finds a network and a port. Must be called inside a tokio runtime.
    ///
    /// # Errors
    /// If after many tries nothing was free.
    pub fn new() -> io::Result<Self> {
        let mut last = io::Error::other("no try made");
        for _ in 0..TRIES {
            match Self::try_once() {
                Ok(ports) => return Ok(ports),
                Err(error) => last = error,
            }
        }
        Err(last)
    }

    fn try_once() -> io::Result<Self> {
        let prefix = [127, fastrand::u8(1..=250), fastrand::u8(0..=250)];
        let port = fastrand::u16(PORTS);
        let [a, b, c] = prefix;
        let guard = TcpSocket::new_v4()?;
        guard.bind(SocketAddr::from((Ipv4Addr::new(a, b, c, 254), port)))?;
        // Without IPv6 on this machine everything but `v6` works.
        let v6 = TcpSocket::new_v6().and_then(|s| {
            s.bind(SocketAddr::from((Ipv6Addr::LOCALHOST, port)))
                .map(|()| s)
        });
        let v6 = match v6 {
            Ok(socket) => Some(socket),
            Err(error) if error.kind() == io::ErrorKind::AddrInUse => return Err(error),
            Err(_) => None,
        };
        Ok(Self {
            prefix,
            port,
            next: AtomicU8::new(1),
            subnet_v6: [fastrand::u16(..), fastrand::u16(..)],
            next_v6: AtomicU16::new(1),
            _guard: guard,
            v6: Mutex::new(v6),
        })
    }

    /// The port that is free on every address of the network, and on `[::1]`.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// The address with this last octet (1 to 253), same port.
    pub fn at(&self, last_octet: u8) -> SocketAddr {
        let [a, b, c] = self.prefix;
        SocketAddr::from((Ipv4Addr::new(a, b, c, last_octet), self.port))
    }

    /// An address that was not handed out before; up to 250 of them. The last ones are for [`Ports::at`].
    ///
    /// # Panics
    /// When the network is used up.
    pub fn next(&self) -> SocketAddr {
        let octet = self.next.fetch_add(1, Ordering::Relaxed);
        assert!(octet <= 250, "all addresses of this network are handed out");
        self.at(octet)
    }

    /// An IPv6 address, same port, that was not handed out before and belongs to no interface: unlike `[::1]`, no
    /// relay takes it for itself.
    ///
    /// # Errors
    /// Without root, who has to set a route on the loopback interface, or without IPv6. Tests then skip.
    pub fn next_v6(&self) -> io::Result<SocketAddr> {
        route_v6()?;
        let number = self.next_v6.fetch_add(1, Ordering::Relaxed);
        let [high, low] = self.subnet_v6;
        let address = Ipv6Addr::new(0xfd5e, 0xa1ab, high, low, 0, 0, 0, number);
        Ok(SocketAddr::from((address, self.port)))
    }

    /// `[::1]` with the same port.
    pub fn v6(&self) -> SocketAddr {
        SocketAddr::from((Ipv6Addr::LOCALHOST, self.port))
    }

    /// Gives `[::1]` up, so that a listener can take it. Called by whoever starts a host on [`Ports::v6`].
    pub fn release_v6(&self) {
        drop(lock(&self.v6).take());
    }
}

/// Binds a listener with a backlog long enough for a benchmark's first second.
pub(crate) fn listen(address: SocketAddr, receive_buffer: Option<u32>) -> io::Result<TcpListener> {
    let socket = bound(address)?;
    if let Some(octets) = receive_buffer {
        socket.set_recv_buffer_size(octets)?;
    }
    socket.listen(4096)
}

/// A socket that is bound and does not listen; also to addresses of [`Ports::next_v6`], which no interface has.
pub(crate) fn bound(address: SocketAddr) -> io::Result<TcpSocket> {
    let socket = Socket::new(
        Domain::for_address(address),
        Type::STREAM,
        Some(Protocol::TCP),
    )?;
    socket.set_reuse_address(true)?;
    socket.set_nonblocking(true)?;
    if address.is_ipv6() {
        socket.set_only_v6(true)?;
        socket.set_freebind_v6(true)?;
    }
    socket.bind(&address.into())?;
    Ok(TcpSocket::from_std_stream(socket.into()))
}

/// Lets this machine answer for [`V6`] without giving any interface an address. Needs root.
fn route_v6() -> io::Result<()> {
    let route = ["-6", "route", "replace", "local", V6, "dev", "lo"];
    let output = Command::new("ip").args(route).output()?;
    if output.status.success() {
        return Ok(());
    }
    let reason = String::from_utf8_lossy(&output.stderr).into_owned();
    Err(io::Error::new(io::ErrorKind::Unsupported, reason))
}
