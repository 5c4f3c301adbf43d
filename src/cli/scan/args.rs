//! What `sealpost scan` is told.

use super::output::OutputArgs;
use crate::survey::{Depth, OldVersions, Pace};
use clap::builder::{BoolValueParser, TypedValueParser};
use clap::{ArgAction, Args, ValueEnum};
use std::path::PathBuf;
use std::time::Duration;

pub(in crate::cli) const EXIT: &str = "Never sends a MAIL command. A line of input is a domain and, if there is a \
    second column, its group (country, sector, provider). Exit: 0 the survey came about, 1 nothing could be \
    found out about any domain, 2 usage or configuration, 3 the output could not be written, 130 interrupted.";

/// `sealpost scan`
#[derive(Debug, Args)]
pub struct ScanArgs {
    /// A file of domains, one a line, or - for standard input, if it is the first; else domains
    #[arg(value_name = "FILE|DOMAIN")]
    pub targets: Vec<String>,

    /// A file of domains, even if it is named like a domain
    #[arg(long, value_name = "FILE")]
    pub file: Option<PathBuf>,

    #[command(flatten)]
    pub output: OutputArgs,

    /// How much is tried at each address
    #[arg(long, value_enum, default_value_t)]
    pub depth: DepthWord,

    /// Try TLS 1.0 and 1.1 too
    #[arg(
        long = "legacy",
        action = ArgAction::SetTrue,
        value_parser = BoolValueParser::new().map(|yes| if yes { OldVersions::Try } else { OldVersions::Leave })
    )]
    pub old_versions: OldVersions,

    /// Connections at a time, in all; to one address there are two at most
    #[arg(long, value_name = "NUMBER", default_value_t = 200, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    pub concurrency: u32,

    /// New connections in a second, at most; 0: as many as there are places for
    #[arg(long, value_name = "NUMBER", default_value_t = 0, value_parser = clap::value_parser!(u32).range(0..=100_000))]
    pub rate: u32,

    /// Seconds for one connection, from its beginning to its end
    #[arg(long, value_name = "SECONDS", default_value_t = 30, value_parser = clap::value_parser!(u32).range(1..=600))]
    pub timeout: u32,

    /// Seconds after which what failed for a reason that may pass is tried once more
    #[arg(long, value_name = "SECONDS", default_value_t = 6, value_parser = clap::value_parser!(u32).range(0..=3600))]
    pub retry_after: u32,
}

/// How much is tried at each address.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum)]
pub enum DepthWord {
    /// What a delivery does, and no more: one connection
    Visit,
    /// Also the other TLS version and the post-quantum group: three connections, one more where TLS fails
    #[default]
    Normal,
    /// Also TLS 1.0 and 1.1, weak cipher suites, compression, injection: ten connections
    Deep,
}

impl DepthWord {
    pub(in crate::cli) fn depth(self) -> Depth {
        match self {
            Self::Visit => Depth::Visit,
            Self::Normal => Depth::Normal,
            Self::Deep => Depth::Deep,
        }
    }
}

impl ScanArgs {
    pub(super) fn pace(&self) -> Pace {
        let connections = usize::try_from(self.concurrency).unwrap_or(usize::MAX);
        Pace {
            // Many of them wait: for DNS, for a policy host, for a place at an address.
            domains: connections.saturating_mul(2).saturating_add(100),
            connections,
            rate: (self.rate > 0).then_some(f64::from(self.rate)),
            visit: Duration::from_secs(self.timeout.into()),
            retry: Duration::from_secs(self.retry_after.into()),
            ..Pace::default()
        }
    }
}
