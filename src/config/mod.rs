//! The configuration file: TOML in, checked settings out, each in the struct of the module that owns
//! it. Nobody else sees the file's shape.
//!
//! Every problem is reported, not only the first: `FILE:LINE:COLUMN: key: what; how to mend`.

mod history;
mod hostname;
mod later;
mod map;
mod problems;
mod published;
mod queue;
mod reader;
mod reference;
mod rules;
mod sections;
mod setting;

pub use history::HistoryConfig;
pub use problems::{ConfigErrors, Place, Problem};
pub use queue::QueueConfig;
pub use reference::{manual, reference};

use crate::admin::Offered;
use crate::delivery::DeliverySettings;
use crate::discovery::{DiscoverySettings, PreloadedList, StsSettings};
use crate::dns::{Dns, DnsSettings};
use crate::ledger::LogAddresses;
use crate::names::DomainName;
use crate::policy::PolicySettings;
use crate::server::{ListenSettings, ServerSettings};
use crate::socketmap::MapSettings;
use crate::tls::{TlsClient, TlsServer, TlsSettings};
use problems::{Fault, Source};
use reader::Section;
use std::io::Read as _;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use toml::de::DeTable;

/// Where the file is unless somebody says otherwise.
pub const DEFAULT_PATH: &str = "/etc/sealpost/sealpost.toml";

/// Largest file that is read, in octets; far above what anybody writes.
pub(crate) const MAX_FILE: u64 = 16 * 1024 * 1024;

/// The whole configuration, checked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Config {
    pub hostname: DomainName,
    pub state_dir: PathBuf,
    /// The embedded database.
    pub store: PathBuf,
    pub queue: QueueConfig,
    pub history: HistoryConfig,
    /// At least one.
    pub listeners: Vec<ListenSettings>,
    /// `[[socketmap]]`.
    pub socketmaps: Vec<MapSettings>,
    pub server: ServerSettings,
    pub dns: DnsSettings,
    pub tls: TlsSettings,
    pub discovery: DiscoverySettings,
    pub delivery: DeliverySettings,
    /// The rules are those of the file and those of `policy.tls_policy_map`.
    pub policy: PolicySettings,
    /// `policy.preload`.
    pub preload: Vec<PreloadedList>,
    /// `outbound.mta_sts_port`: where policy hosts listen.
    pub mta_sts_port: u16,
    pub admin: AdminSettings,
    pub log: LogSettings,
    /// What an operator should know although nothing is wrong; `config check` prints them, `run`
    /// logs them.
    pub notices: Vec<String>,
    /// Entries of the policy map that replace what a domain publishes; `config check` lists them.
    pub replacements: Vec<String>,
    shown: String,
}

/// `[admin]`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AdminSettings {
    /// Metrics, health and the status page over HTTP; `None`: off.
    pub listen: Option<SocketAddr>,
    pub page: Offered,
    /// Names that the page is called by, beside addresses, `localhost` and `hostname`.
    pub hosts: Vec<DomainName>,
    pub socket: PathBuf,
}

/// `[log]`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LogSettings {
    pub level: LogLevel,
    pub format: LogFormat,
    pub addresses: LogAddresses,
}

/// `log.level`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum LogLevel {
    Error,
    Warn,
    #[default]
    Info,
    Debug,
    Trace,
}

impl LogLevel {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Error => "error",
            Self::Warn => "warn",
            Self::Info => "info",
            Self::Debug => "debug",
            Self::Trace => "trace",
        }
    }
}

/// `log.format`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum LogFormat {
    /// The journal when under systemd, else text.
    #[default]
    Auto,
    Text,
    Json,
}

impl Config {
    /// Reads and checks a file, and the policy map that it names. Certificates and roots are not
    /// opened: [`Self::check_files`] does that.
    pub fn load(path: &Path) -> Result<Self, ConfigErrors> {
        let origin = path.display().to_string();
        match read_bounded(path) {
            Ok(text) => Self::from_str(&text, &origin),
            Err(reason) => Err(ConfigErrors(vec![Problem {
                file: origin,
                place: None,
                key: String::new(),
                what: reason,
                mend: "name the file with --config or SEALPOST_CONFIG".to_owned(),
            }])),
        }
    }

    /// Checks the text of a file; `origin` is what messages call it.
    pub fn from_str(text: &str, origin: &str) -> Result<Self, ConfigErrors> {
        let source = Source::new(origin, text);
        let config = read(&source, text, &hostname::of_this_machine);
        let mut problems = source.problems.into_inner();
        problems.sort_by_key(|problem| (problem.file != origin, problem.place));
        match config {
            Some(config) if problems.is_empty() => Ok(config),
            Some(_) | None => Err(ConfigErrors(problems)),
        }
    }

    /// The effective configuration with all defaults, as TOML that reads as the same configuration.
    /// There are no secrets in it.
    pub fn show(&self) -> &str {
        &self.shown
    }

    /// What MTA-STS policies are looked up with.
    pub fn sts(&self, tls: &TlsClient) -> StsSettings {
        StsSettings {
            tls: tls.clone(),
            port: self.mta_sts_port,
            address_preference: self.discovery.address_preference,
            blocked_networks: self.discovery.blocked_networks.clone(),
            refresh: self.policy.mta_sts,
        }
    }

    /// Opens every file that TLS needs, so that a bad one is known before it is in force.
    pub fn check_files(&self, origin: &str) -> Result<(), ConfigErrors> {
        let mut problems = Vec::new();
        let mut note = |key: String, what: String| {
            problems.push(Problem {
                file: origin.to_owned(),
                place: None,
                key,
                what,
                mend: String::new(),
            });
        };
        // Reads /etc/resolv.conf and the trust anchor; asks nobody.
        if let Err(error) = Dns::new(&self.dns, Arc::new(|_, _| {})) {
            note("dns".to_owned(), error.to_string());
        }
        if let Err(error) = TlsClient::new(&self.tls) {
            note("tls".to_owned(), error.to_string());
        }
        for (i, listener) in self.listeners.iter().enumerate() {
            let Some(files) = &listener.tls else { continue };
            if let Err(error) = TlsServer::new(files) {
                note(format!("listen {}: tls", i + 1), error.to_string());
            }
        }
        if problems.is_empty() {
            Ok(())
        } else {
            Err(ConfigErrors(problems))
        }
    }
}

/// Reads a whole file of bounded size; the error is the reason in words.
fn read_bounded(path: &Path) -> Result<String, String> {
    let mut text = String::new();
    let file = std::fs::File::open(path).map_err(|error| format!("cannot be opened: {error}"))?;
    let length = file
        .take(MAX_FILE + 1)
        .read_to_string(&mut text)
        .map_err(|error| format!("cannot be read: {error}"))?;
    if length as u64 > MAX_FILE {
        return Err(format!("is larger than {MAX_FILE} octets"));
    }
    Ok(text)
}

/// Reads the document; problems go to `source`. `None` only if there is no configuration at all.
fn read(
    source: &Source<'_>,
    text: &str,
    fqdn: &dyn Fn() -> Result<DomainName, String>,
) -> Option<Config> {
    let (document, errors) = DeTable::parse_recoverable(text);
    for error in &errors {
        let fault = Fault {
            span: error.span().unwrap_or(0..0),
            what: error.message().to_owned(),
            mend: String::new(),
        };
        source.problem(String::new(), fault);
    }
    if !errors.is_empty() {
        // What was recovered from a broken document is guesswork; problems found in it would mislead.
        return None;
    }
    let mut root = Section::root(source, &document);
    let config = sections::read(&mut root, fqdn);
    root.finish();
    config
}

#[cfg(test)]
mod tests;
