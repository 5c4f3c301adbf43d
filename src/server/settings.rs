//! What the server side needs of the configuration.

use crate::names::DomainName;
use crate::tls::CertificateFiles;
use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

/// `[client]` and parts of `[relay]`, checked. A reload replaces it; a session takes it anew for
/// each transaction.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServerSettings {
    pub hostname: DomainName,
    pub networks: Vec<ipnet::IpNet>,
    pub max_sessions: usize,
    /// 0: no limit.
    pub max_sessions_per_client: usize,
    pub max_message_size: u64,
    pub max_recipients: usize,
    pub idle_timeout: Duration,
    pub hop_limit: usize,
    pub custody: crate::relay::Custody,
    /// `tls_required_no = "honor"`: the header field is looked at.
    pub tls_required_no: TlsRequiredNo,
}

/// `relay.tls_required_no`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum TlsRequiredNo {
    #[default]
    Honor,
    Ignore,
}

/// One `[[listen]]`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ListenSettings {
    pub address: ListenAddress,
    pub protocol: Protocol,
    /// Permission bits of a unix socket.
    pub mode: Option<u32>,
    /// Group of a unix socket.
    pub group: Option<String>,
    pub tls: Option<CertificateFiles>,
    pub hostname: Option<DomainName>,
    pub bind: Vec<IpAddr>,
}

impl ListenSettings {
    /// What the sockets are made of.
    pub fn socket(&self) -> SocketSettings {
        SocketSettings {
            address: self.address.clone(),
            mode: self.mode,
            group: self.group.clone(),
        }
    }
}

/// Where to listen, and who may connect there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SocketSettings {
    pub address: ListenAddress,
    /// Permission bits of a unix socket.
    pub mode: Option<u32>,
    /// Group of a unix socket.
    pub group: Option<String>,
}

/// Where to listen.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum ListenAddress {
    Tcp(SocketAddr),
    Unix(PathBuf),
    /// A socket passed by systemd, by its name.
    Systemd(String),
}

/// In the words of the configuration.
impl fmt::Display for ListenAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp(address) => write!(f, "{address}"),
            Self::Unix(path) => write!(f, "unix:{}", path.display()),
            Self::Systemd(name) => write!(f, "systemd:{name}"),
        }
    }
}

/// Which protocol a listener speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Protocol {
    Smtp,
    Lmtp,
}

impl Protocol {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Smtp => "smtp",
            Self::Lmtp => "lmtp",
        }
    }
}
