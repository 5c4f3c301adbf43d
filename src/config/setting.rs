//! How each kind of value is written in the file: read strictly, shown as it would be read again.

mod duration;
mod text;

pub(super) use duration::show_duration;

use super::problems::Fault;
use crate::delivery::{EightBit, PlaintextFallback};
use crate::discovery::AddressPreference;
use crate::dns::{Dnssec, DnssecUnavailable};
use crate::ledger::LogAddresses;
use crate::names::DomainName;
use crate::policy::{ClientCertificate, Enforce, Level, OnFailure, Published, TlsVersion};
use crate::relay::Custody;
use crate::server::Protocol;
use crate::server::TlsRequiredNo;
use crate::tls::{CertificateFiles, Roots};
use std::net::SocketAddr;
use std::path::PathBuf;
use toml::Spanned;
use toml::de::{DeTable, DeValue};

/// A value that the file can hold.
pub(super) trait Setting: Sized {
    fn read(item: &Spanned<DeValue<'_>>) -> Result<Self, Vec<Fault>>;

    /// As TOML.
    fn show(&self) -> String;
}

/// A number of octets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Size(pub(super) u64);

/// A domain of a rule: `example.com`, or `*.example.com` for every name below it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Pattern {
    Exact(DomainName),
    Below(DomainName),
}

/// Permission bits, written in octal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Mode(pub(super) u32);

/// A DNS server; the port may be left out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct DnsServer(pub(super) SocketAddr);

/// A socket address, or `off`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct AddressOrOff(pub(super) Option<SocketAddr>);

pub(super) fn fault<T>(
    item: &Spanned<DeValue<'_>>,
    what: impl Into<String>,
    mend: impl Into<String>,
) -> Result<T, Vec<Fault>> {
    Err(vec![Fault {
        span: item.span(),
        what: what.into(),
        mend: mend.into(),
    }])
}

/// `is a string, must be ...`
fn wrong_type<T>(item: &Spanned<DeValue<'_>>, wanted: &str) -> Result<T, Vec<Fault>> {
    let found = item.get_ref().type_str();
    let article = if found.starts_with(['a', 'i']) {
        "an"
    } else {
        "a"
    };
    fault(
        item,
        format!("is {article} {found}"),
        format!("write {wanted}"),
    )
}

pub(super) fn text<'i>(
    item: &'i Spanned<DeValue<'_>>,
    wanted: &str,
) -> Result<&'i str, Vec<Fault>> {
    match item.get_ref().as_str() {
        Some(text) => Ok(text),
        None => wrong_type(item, wanted),
    }
}

/// A stranger's text, fit for a message.
pub(super) fn quote(text: &str) -> String {
    let cut: String = text.chars().take(80).collect();
    let dots = if cut.len() < text.len() { "..." } else { "" };
    format!("\"{}{dots}\"", cut.escape_debug())
}

fn as_toml(text: &str) -> String {
    toml::Value::String(text.to_owned()).to_string()
}

/// Values that are one of a few words.
macro_rules! words {
    ($type:ty: $($variant:path = $word:literal),+) => {
        impl Setting for $type {
            fn read(item: &Spanned<DeValue<'_>>) -> Result<Self, Vec<Fault>> {
                const WORDS: &[&str] = &[$($word),+];
                let list = || one_of(WORDS);
                match text(item, &list())? {
                    $($word => Ok($variant),)+
                    other => {
                        let near = nearest(other, WORDS);
                        fault(item, format!("cannot be {}", quote(other)), near)
                    }
                }
            }

            fn show(&self) -> String {
                match self { $($variant => as_toml($word),)+ }
            }
        }
    };
}

words!(Protocol: Protocol::Smtp = "smtp", Protocol::Lmtp = "lmtp");
words!(Custody: Custody::Auto = "auto", Custody::Client = "client", Custody::Queue = "queue");
words!(PlaintextFallback: PlaintextFallback::Delayed = "delayed",
    PlaintextFallback::Immediate = "immediate", PlaintextFallback::Never = "never");
words!(TlsRequiredNo: TlsRequiredNo::Honor = "honor", TlsRequiredNo::Ignore = "ignore");
words!(TlsVersion: TlsVersion::V1_2 = "1.2", TlsVersion::V1_3 = "1.3");
words!(AddressPreference: AddressPreference::Any = "any", AddressPreference::Ipv6 = "ipv6",
    AddressPreference::Ipv4 = "ipv4", AddressPreference::Ipv4Only = "ipv4-only",
    AddressPreference::Ipv6Only = "ipv6-only");
words!(Published: Published::Honor = "honor", Published::Ignore = "ignore");
words!(OnFailure: OnFailure::Defer = "defer", OnFailure::Reject = "reject");
words!(Enforce: Enforce::Yes = "yes", Enforce::DryRun = "dry-run");
words!(LogAddresses: LogAddresses::Plain = "plain", LogAddresses::Hash = "hash");
words!(super::LogLevel: super::LogLevel::Error = "error", super::LogLevel::Warn = "warn",
    super::LogLevel::Info = "info", super::LogLevel::Debug = "debug",
    super::LogLevel::Trace = "trace");
words!(super::LogFormat: super::LogFormat::Auto = "auto", super::LogFormat::Text = "text",
    super::LogFormat::Json = "json");
words!(Dnssec: Dnssec::Auto = "auto", Dnssec::Validate = "validate", Dnssec::TrustAd = "trust-ad",
    Dnssec::Off = "off");
words!(DnssecUnavailable: DnssecUnavailable::Defer = "defer",
    DnssecUnavailable::WithoutDane = "without-dane");
words!(Level: Level::None = "none", Level::May = "may", Level::Dane = "dane",
    Level::Encrypt = "encrypt", Level::Fingerprint = "fingerprint", Level::Verify = "verify",
    Level::Secure = "secure", Level::DaneOnly = "dane-only");

fn one_of(words: &[&str]) -> String {
    let quoted: Vec<String> = words.iter().map(|w| quote(w)).collect();
    match quoted.as_slice() {
        [only] => only.clone(),
        [first @ .., last] => format!("{} or {last}", first.join(", ")),
        [] => String::new(),
    }
}

fn nearest(word: &str, words: &[&str]) -> String {
    let near = words
        .iter()
        .filter(|_| word.len() <= 100)
        .map(|w| (strsim::damerau_levenshtein(word, w), *w))
        .min()
        .filter(|(distance, w)| *distance <= 2 && *distance < w.len());
    match near {
        Some((_, near)) => format!("did you mean \"{near}\"?"),
        None => format!("write {}", one_of(words)),
    }
}

impl Setting for Size {
    fn read(item: &Spanned<DeValue<'_>>) -> Result<Self, Vec<Fault>> {
        const MEND: &str = "write octets, or as \"50MiB\"";
        if item.get_ref().is_integer() {
            return u64::read(item).map(Size);
        }
        let text = text(item, "a size as \"50MiB\"")?;
        let digits = text.bytes().take_while(u8::is_ascii_digit).count();
        let (number, unit) = text.split_at(digits);
        let unit = match unit {
            "B" => 1,
            "KiB" => 1 << 10,
            "MiB" => 1 << 20,
            "GiB" => 1 << 30,
            "KB" => 1000,
            "MB" => 1_000_000,
            "GB" => 1_000_000_000,
            _ => return fault(item, format!("{} is no size", quote(text)), MEND),
        };
        let size = number.parse::<u64>().ok().and_then(|n| n.checked_mul(unit));
        match size {
            Some(size) => Ok(Size(size)),
            None => fault(item, format!("{} is no size", quote(text)), MEND),
        }
    }

    fn show(&self) -> String {
        for (unit, octets) in [("GiB", 1_u64 << 30), ("MiB", 1 << 20), ("KiB", 1 << 10)] {
            if self.0 >= octets && self.0.is_multiple_of(octets) {
                return as_toml(&format!("{}{unit}", self.0 / octets));
            }
        }
        self.0.to_string()
    }
}

/// Whole numbers, with the greatest and least that the type holds.
macro_rules! numbers {
    ($($type:ty),+) => { $(
        impl Setting for $type {
            fn read(item: &Spanned<DeValue<'_>>) -> Result<Self, Vec<Fault>> {
                let Some(integer) = item.get_ref().as_integer() else {
                    return wrong_type(item, "a whole number");
                };
                <$type>::from_str_radix(integer.as_str(), integer.radix()).or_else(|_| {
                    fault(
                        item,
                        format!("cannot be {}", integer.as_str()),
                        format!("write a number from 0 to {}", <$type>::MAX),
                    )
                })
            }

            fn show(&self) -> String {
                self.to_string()
            }
        }
    )+ };
}

numbers!(u16, u32, u64, usize);

impl Setting for bool {
    fn read(item: &Spanned<DeValue<'_>>) -> Result<Self, Vec<Fault>> {
        match item.get_ref().as_bool() {
            Some(value) => Ok(value),
            None => wrong_type(item, "true or false"),
        }
    }

    fn show(&self) -> String {
        self.to_string()
    }
}

impl Setting for EightBit {
    fn read(item: &Spanned<DeValue<'_>>) -> Result<Self, Vec<Fault>> {
        bool::read(item).map(|assume| {
            if assume {
                Self::Assume
            } else {
                Self::NeedsExtension
            }
        })
    }

    fn show(&self) -> String {
        (*self == Self::Assume).to_string()
    }
}

impl Setting for ClientCertificate {
    fn read(item: &Spanned<DeValue<'_>>) -> Result<Self, Vec<Fault>> {
        bool::read(item).map(|present| {
            if present {
                Self::Present
            } else {
                Self::Withhold
            }
        })
    }

    fn show(&self) -> String {
        (*self == Self::Present).to_string()
    }
}

/// A list; every bad element is reported.
impl<T: Setting> Setting for Vec<T> {
    fn read(item: &Spanned<DeValue<'_>>) -> Result<Self, Vec<Fault>> {
        let Some(array) = item.get_ref().as_array() else {
            return wrong_type(item, "a list in [ ]");
        };
        let (mut values, mut faults) = (Vec::new(), Vec::new());
        for element in array.iter() {
            match T::read(element) {
                Ok(value) => values.push(value),
                Err(more) => faults.extend(more),
            }
        }
        if faults.is_empty() {
            Ok(values)
        } else {
            Err(faults)
        }
    }

    fn show(&self) -> String {
        let shown: Vec<String> = self.iter().map(T::show).collect();
        format!("[{}]", shown.join(", "))
    }
}

impl Setting for CertificateFiles {
    fn read(item: &Spanned<DeValue<'_>>) -> Result<Self, Vec<Fault>> {
        const FORM: &str = "{ cert = \"/PATH\", key = \"/PATH\" }";
        let Some(table) = item.get_ref().as_table() else {
            return wrong_type(item, FORM);
        };
        let mut faults: Vec<Fault> = table
            .keys()
            .filter(|key| !["cert", "key"].contains(&key.get_ref().as_ref()))
            .map(|key| {
                let (what, mend) = super::reader::unknown(key.get_ref(), &["cert", "key"]);
                Fault {
                    span: key.span(),
                    what,
                    mend,
                }
            })
            .collect();
        let mut path = |name: &str| -> Option<PathBuf> {
            let Some(value) = <DeTable<'_>>::get(table, name) else {
                faults.push(Fault {
                    span: item.span(),
                    what: format!("has no {name}"),
                    mend: format!("write {FORM}"),
                });
                return None;
            };
            PathBuf::read(value)
                .map_err(|more| faults.extend(more))
                .ok()
        };
        match (path("cert"), path("key")) {
            (Some(cert), Some(key)) if faults.is_empty() => Ok(Self { cert, key }),
            (_, _) => Err(faults),
        }
    }

    fn show(&self) -> String {
        format!(
            "{{ cert = {}, key = {} }}",
            self.cert.show(),
            self.key.show()
        )
    }
}

impl Setting for Roots {
    fn read(item: &Spanned<DeValue<'_>>) -> Result<Self, Vec<Fault>> {
        const FORM: &str = "\"system\", \"mozilla\" or a list of PEM files";
        match item.get_ref().as_str() {
            Some("system") => Ok(Self::System),
            Some("mozilla") => Ok(Self::Mozilla),
            Some(other) => fault(
                item,
                format!("cannot be {}", quote(other)),
                format!("write {FORM}"),
            ),
            None if item.get_ref().is_array() => match Vec::<PathBuf>::read(item)? {
                files if files.is_empty() => fault(item, "is empty", format!("write {FORM}")),
                files => Ok(Self::Files(files)),
            },
            None => wrong_type(item, FORM),
        }
    }

    fn show(&self) -> String {
        match self {
            Self::System => as_toml("system"),
            Self::Mozilla => as_toml("mozilla"),
            Self::Files(files) => files.show(),
        }
    }
}
