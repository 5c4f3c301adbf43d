//! How each kind of value is written in the file: read strictly, shown as it would be read again.

use super::problems::Fault;
use crate::delivery::{EightBit, PlaintextFallback};
use crate::discovery::AddressPreference;
use crate::ledger::LogAddresses;
use crate::names::{DomainName, RuleNextHop};
use crate::policy::postfix_map::{match_name, sha256};
use crate::policy::{
    ClientCertificate, Enforce, Fingerprint, Level, MatchName, OnFailure, Published, TlsVersion,
};
use crate::relay::Custody;
use crate::server::TlsRequiredNo;
use crate::server::{ListenAddress, Protocol};
use crate::tls::{CertificateFiles, Roots};
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;
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
    ($type:ty: $($variant:path = $word:literal),+ $(; later $($later:literal),+)?) => {
        impl Setting for $type {
            fn read(item: &Spanned<DeValue<'_>>) -> Result<Self, Vec<Fault>> {
                const WORDS: &[&str] = &[$($word),+];
                let list = || one_of(WORDS);
                match text(item, &list())? {
                    $($word => Ok($variant),)+
                    $($(word @ $later)|+ => fault(
                        item,
                        format!("{} is not in this version", quote(word)),
                        format!("write {}", list()),
                    ),)?
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
words!(Custody: Custody::Client = "client"; later "auto", "queue");
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
words!(super::later::Dnssec: super::later::Dnssec::Auto = "auto",
    super::later::Dnssec::Validate = "validate", super::later::Dnssec::TrustAd = "trust-ad",
    super::later::Dnssec::Off = "off");
words!(super::later::DnssecUnavailable: super::later::DnssecUnavailable::Defer = "defer",
    super::later::DnssecUnavailable::WithoutDane = "without-dane");
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

/// Values that are written as text.
macro_rules! textual {
    ($type:ty, $wanted:literal, $read:expr, $show:expr) => {
        impl Setting for $type {
            fn read(item: &Spanned<DeValue<'_>>) -> Result<Self, Vec<Fault>> {
                let text = text(item, $wanted)?;
                let read: fn(&str) -> Result<$type, (String, String)> = $read;
                read(text).or_else(|(what, mend)| fault(item, what, mend))
            }

            fn show(&self) -> String {
                let show: fn(&$type) -> String = $show;
                as_toml(&show(self))
            }
        }
    };
}

textual!(
    String,
    "a string in quotes",
    |t| Ok(t.to_owned()),
    String::clone
);
textual!(
    DomainName,
    "a name in quotes",
    read_name,
    ToString::to_string
);
textual!(PathBuf, "a path in quotes", read_path, |p| p
    .display()
    .to_string());
textual!(
    Duration,
    "a time as \"90s\" or \"9m30s\"",
    read_duration,
    show_duration
);
textual!(
    IpAddr,
    "an address as \"192.0.2.1\"",
    read_ip,
    ToString::to_string
);
textual!(
    SocketAddr,
    "an address as \"127.0.0.1:2525\"",
    read_socket,
    ToString::to_string
);
textual!(
    ipnet::IpNet,
    "a network as \"192.0.2.0/24\"",
    read_network,
    ToString::to_string
);
textual!(
    ListenAddress,
    "an address as \"127.0.0.1:2525\"",
    read_listen,
    show_listen
);
textual!(Mode, "permissions as \"0660\"", read_mode, |m| format!(
    "{:04o}",
    m.0
));
textual!(
    DnsServer,
    "an address as \"127.0.0.1:53\"",
    read_server,
    |s| s.0.to_string()
);
textual!(
    AddressOrOff,
    "an address as \"127.0.0.1:9825\", or \"off\"",
    read_or_off,
    |a| { a.0.map_or_else(|| "off".to_owned(), |a| a.to_string()) }
);
textual!(Pattern, "a domain in quotes", read_pattern, |p| match p {
    Pattern::Exact(name) => name.to_string(),
    Pattern::Below(name) => format!("*.{name}"),
});
textual!(MatchName, "a name in quotes", read_match, |m| match m {
    MatchName::Name(name) => name.to_string(),
    MatchName::Below(name) => format!(".{name}"),
    MatchName::NextHop => "nexthop".to_owned(),
    MatchName::DotNextHop => "dot-nexthop".to_owned(),
    MatchName::HostName => "hostname".to_owned(),
});
textual!(
    Fingerprint,
    "\"cert-sha256:HEX\" or \"spki-sha256:HEX\"",
    read_pin,
    show_pin
);
textual!(
    RuleNextHop,
    "a next hop as \"[mx.example.com]:587\"",
    read_hop,
    ToString::to_string
);

type Read<T> = Result<T, (String, String)>;

fn no<T>(what: impl Into<String>, mend: impl Into<String>) -> Read<T> {
    Err((what.into(), mend.into()))
}

fn read_name(text: &str) -> Read<DomainName> {
    DomainName::parse(text).or_else(|error| no(format!("{}: {error}", quote(text)), ""))
}

fn read_path(text: &str) -> Read<PathBuf> {
    if text.starts_with('/') && !text.contains('\0') {
        return Ok(PathBuf::from(text));
    }
    no(
        format!("{} is no absolute path", quote(text)),
        "write the path from / on",
    )
}

/// `9m30s`: numbers with units, the greatest first, each at most once.
fn read_duration(text: &str) -> Read<Duration> {
    const UNITS: [(&str, u64); 5] = [
        ("d", 86_400_000),
        ("h", 3_600_000),
        ("m", 60_000),
        ("s", 1000),
        ("ms", 1),
    ];
    let bad = || {
        no(
            format!("{} is no time", quote(text)),
            "write numbers with the units d, h, m, s, ms, the greatest first, as \"9m30s\"",
        )
    };
    let (mut rest, mut total, mut next_unit) = (text, 0_u64, 0);
    while !rest.is_empty() {
        let digits = rest.bytes().take_while(u8::is_ascii_digit).count();
        let (number, after) = rest.split_at(digits);
        let letters = after.bytes().take_while(u8::is_ascii_lowercase).count();
        let (unit, after) = after.split_at(letters);
        let Some(at) = UNITS.iter().position(|(name, _)| *name == unit) else {
            return bad();
        };
        let (Ok(number), true) = (number.parse::<u64>(), at >= next_unit) else {
            return bad();
        };
        let sum = number
            .checked_mul(UNITS[at].1)
            .and_then(|part| total.checked_add(part));
        // A hundred years is where a clock addition is still safe everywhere.
        let Some(sum) = sum.filter(|sum| *sum <= 36_525 * 86_400_000) else {
            return no(format!("{} is too long", quote(text)), "at most 36525d");
        };
        (rest, total, next_unit) = (after, sum, at + 1);
    }
    if next_unit == 0 {
        return bad();
    }
    Ok(Duration::from_millis(total))
}

#[allow(clippy::trivially_copy_pass_by_ref)] // the signature that `textual!` asks for
pub(super) fn show_duration(duration: &Duration) -> String {
    let mut rest = u64::try_from(duration.as_millis()).unwrap_or(u64::MAX);
    if rest == 0 {
        return "0s".to_owned();
    }
    let mut shown = String::new();
    for (unit, millis) in [
        ("d", 86_400_000),
        ("h", 3_600_000),
        ("m", 60_000),
        ("s", 1000),
        ("ms", 1),
    ] {
        if rest >= millis {
            shown.push_str(&format!("{}{unit}", rest / millis));
            rest %= millis;
        }
    }
    shown
}

fn read_ip(text: &str) -> Read<IpAddr> {
    let bare = text.trim_start_matches('[').trim_end_matches(']');
    match (text.parse(), bare.parse::<IpAddr>()) {
        (Ok(ip), _) => Ok(ip),
        (Err(_), Ok(ip)) => no(
            format!("{} has brackets", quote(text)),
            format!("write \"{ip}\""),
        ),
        (Err(_), Err(_)) => no(
            format!("{} is no IP address", quote(text)),
            "write it as \"192.0.2.1\" or \"2001:db8::1\"",
        ),
    }
}

fn read_socket(text: &str) -> Read<SocketAddr> {
    text.parse().or_else(|_| {
        no(
            format!("{} is no address with port", quote(text)),
            "write it as \"127.0.0.1:2525\" or \"[::1]:2525\"",
        )
    })
}

fn read_network(text: &str) -> Read<ipnet::IpNet> {
    if let Ok(ip) = text.parse::<IpAddr>() {
        let bits = if ip.is_ipv4() { 32 } else { 128 };
        return no(
            format!("{} has no prefix length", quote(text)),
            format!("write \"{ip}/{bits}\" for this one address"),
        );
    }
    let Ok(network) = text.parse::<ipnet::IpNet>() else {
        return no(
            format!("{} is no network", quote(text)),
            "write it as \"192.0.2.0/24\" or \"2001:db8::/32\"",
        );
    };
    if network.trunc() == network {
        return Ok(network);
    }
    no(
        format!("{} has bits set beyond its prefix length", quote(text)),
        format!(
            "write \"{}\", or \"{}/{}\" for the one address",
            network.trunc(),
            network.addr(),
            network.max_prefix_len()
        ),
    )
}

/// Longest path that fits `sockaddr_un` (unix(7)), its final NUL set aside.
const MAX_SOCKET_PATH: usize = 107;

fn read_listen(text: &str) -> Read<ListenAddress> {
    if let Some(path) = text.strip_prefix("unix:") {
        if path.len() > MAX_SOCKET_PATH {
            return no(
                "the path is too long for a socket",
                format!("at most {MAX_SOCKET_PATH} octets"),
            );
        }
        return read_path(path).map(ListenAddress::Unix);
    }
    if let Some(name) = text.strip_prefix("systemd:") {
        if name.is_empty() || name.contains(|c: char| !c.is_ascii_graphic() || c == ':') {
            return no(
                format!("{} is no socket name", quote(name)),
                "write FileDescriptorName= of the socket unit",
            );
        }
        return Ok(ListenAddress::Systemd(name.to_owned()));
    }
    text.parse().map(ListenAddress::Tcp).or_else(|_| {
        no(
            format!("{} is nothing to listen on", quote(text)),
            "write \"IP:PORT\", \"[IP]:PORT\", \"unix:/PATH\" or \"systemd:NAME\"",
        )
    })
}

fn show_listen(address: &ListenAddress) -> String {
    match address {
        ListenAddress::Tcp(address) => address.to_string(),
        ListenAddress::Unix(path) => format!("unix:{}", path.display()),
        ListenAddress::Systemd(name) => format!("systemd:{name}"),
    }
}

fn read_mode(text: &str) -> Read<Mode> {
    let octal = (3..=4).contains(&text.len()) && text.bytes().all(|b| (b'0'..=b'7').contains(&b));
    match u32::from_str_radix(text, 8) {
        Ok(mode) if octal && mode <= 0o777 => Ok(Mode(mode)),
        Ok(_) | Err(_) => no(
            format!("{} is no permission", quote(text)),
            "write it in octal, as \"0660\"",
        ),
    }
}

fn read_server(text: &str) -> Read<DnsServer> {
    match (text.parse::<SocketAddr>(), text.parse::<IpAddr>()) {
        (Ok(address), _) => Ok(DnsServer(address)),
        (Err(_), Ok(ip)) => Ok(DnsServer(SocketAddr::new(ip, 53))),
        (Err(_), Err(_)) => no(
            format!("{} is no address", quote(text)),
            "write it as \"127.0.0.1:53\"; names cannot be looked up without a server",
        ),
    }
}

fn read_or_off(text: &str) -> Read<AddressOrOff> {
    match text {
        "off" => Ok(AddressOrOff(None)),
        _ => read_socket(text).map(|address| AddressOrOff(Some(address))),
    }
}

fn read_pattern(text: &str) -> Read<Pattern> {
    if let Some(parent) = text.strip_prefix("*.") {
        return read_name(parent).map(Pattern::Below);
    }
    if let Some(parent) = text.strip_prefix('.') {
        return no(
            format!("{} is Postfix's form", quote(text)),
            format!("write \"*.{parent}\" for any name below it"),
        );
    }
    if text == "*" {
        return no(
            "\"*\" is no domain",
            "what holds for all domains is said by policy.default",
        );
    }
    read_name(text).map(Pattern::Exact)
}

fn read_match(text: &str) -> Read<MatchName> {
    if text.starts_with("*.") {
        return no(
            format!("{} cannot be matched", quote(text)),
            format!("write {} for any name below it", quote(&text[1..])),
        );
    }
    match_name(text).or_else(|error| no(format!("{}: {error}", quote(text)), ""))
}

fn read_pin(text: &str) -> Read<Fingerprint> {
    let (kind, digest) = text.split_once(':').unwrap_or(("", text));
    let digest = sha256(digest);
    match (kind, digest) {
        ("cert-sha256", Some(digest)) => Ok(Fingerprint::Certificate(digest)),
        ("spki-sha256", Some(digest)) => Ok(Fingerprint::PublicKey(digest)),
        ("cert-sha256" | "spki-sha256", None) => no(
            format!("{} has no SHA-256 digest", quote(text)),
            "64 hexadecimal digits must follow, colons between pairs are allowed",
        ),
        (_, _) => no(
            format!("{} does not say what was digested", quote(text)),
            "write \"cert-sha256:HEX\" for the certificate or \"spki-sha256:HEX\" for its key",
        ),
    }
}

fn show_pin(pin: &Fingerprint) -> String {
    let (kind, digest) = match pin {
        Fingerprint::Certificate(digest) => ("cert-sha256", digest),
        Fingerprint::PublicKey(digest) => ("spki-sha256", digest),
        // Only a Postfix map has these; a rule of the file cannot.
        Fingerprint::Either(digest) => ("sha256", digest),
    };
    let hex: String = digest.iter().map(|b| format!("{b:02x}")).collect();
    format!("{kind}:{hex}")
}

fn read_hop(text: &str) -> Read<RuleNextHop> {
    RuleNextHop::parse(text).or_else(|error| {
        no(
            format!("{}: {error}", quote(text)),
            "write \"example.com\", \"[mx.example.com]:587\" or \"[192.0.2.1]\"",
        )
    })
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
