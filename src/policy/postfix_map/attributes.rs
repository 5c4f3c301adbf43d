//! The `name=value` attributes of an entry.

use super::super::level::Level;
use super::super::requirement::{Fingerprint, TlsVersion};
use super::super::rules::MatchName;
use super::{match_name, quote, sha256};

/// What the attributes of one entry amount to.
#[derive(Debug, Default)]
pub(super) struct Attributes {
    pub(super) match_names: Vec<MatchName>,
    pub(super) fingerprints: Vec<Fingerprint>,
    pub(super) min_version: Option<TlsVersion>,
}

/// Reads `name=value` words; what is harmless to leave out goes to `warnings`.
pub(super) fn read<'a>(
    level: Level,
    words: impl Iterator<Item = &'a str>,
    warnings: &mut Vec<String>,
) -> Result<Attributes, String> {
    let mut attributes = Attributes::default();
    for word in words {
        let Some((name, value)) = word.split_once('=') else {
            return Err(format!("{} is no attribute; write name=value", quote(word)));
        };
        if value.is_empty() {
            return Err(format!("{} has no value", quote(word)));
        }
        if level == Level::None {
            warnings.push(format!("{} means nothing at level none", quote(word)));
            continue;
        }
        match name.to_ascii_lowercase().as_str() {
            "match" => read_match(level, value, &mut attributes)?,
            "protocols" => attributes.min_version = protocols(level, value, warnings)?,
            "ciphers" => grade(value)?,
            "exclude" => exclude(value)?,
            "servername" => servername(value)?,
            "connection_reuse" => warnings.push(
                "connection_reuse has no effect: connections are shared where host, address and \
                 policy are the same"
                    .into(),
            ),
            "enable_rpk" => enable_rpk(value)?,
            "tafile" => {
                return Err("tafile= cannot be honoured; use tls.roots, or fingerprints".into());
            }
            _ => return Err(format!("there is no attribute {}", quote(name))),
        }
    }
    Ok(attributes)
}

fn read_match(level: Level, value: &str, attributes: &mut Attributes) -> Result<(), String> {
    match level {
        Level::Fingerprint => {
            for digest in value.split('|') {
                let digest = sha256(digest).ok_or_else(|| not_sha256(digest))?;
                attributes.fingerprints.push(Fingerprint::Either(digest));
            }
            Ok(())
        }
        Level::Verify | Level::Secure => {
            for word in value.split(':').filter(|word| !word.is_empty()) {
                let name = match_name(word).map_err(|e| format!("match={}: {e}", quote(word)))?;
                attributes.match_names.push(name);
            }
            if attributes.match_names.is_empty() {
                return Err("match= names nothing".into());
            }
            Ok(())
        }
        Level::None | Level::May | Level::Dane | Level::Encrypt | Level::DaneOnly => {
            Err(format!("match= does not go with level {level}"))
        }
    }
}

fn not_sha256(digest: &str) -> String {
    let digits = digest.bytes().filter(u8::is_ascii_hexdigit).count();
    let guess = match digits {
        32 => " (this looks like MD5)",
        40 => " (this looks like SHA-1)",
        _ => "",
    };
    format!(
        "match={} is no SHA-256 digest{guess}; take it with smtp_tls_fingerprint_digest = sha256",
        quote(digest)
    )
}

const OLD: [&str; 4] = ["sslv2", "sslv3", "tlsv1", "tlsv1.1"];

/// Where a protocol stands among those that Postfix knows; 4 is TLS 1.2, 5 is TLS 1.3.
fn rank(name: &str) -> Option<usize> {
    let name = name.to_ascii_lowercase();
    match name.as_str() {
        "tlsv1.0" | "0301" => Some(2),
        "0300" => Some(1),
        "0302" => Some(3),
        "tlsv1.2" | "0303" => Some(4),
        "tlsv1.3" | "0304" => Some(5),
        old => OLD.iter().position(|known| *known == old),
    }
}

/// Which versions `protocols=` leaves, as Postfix counts (postconf(5), `smtp_tls_protocols`): the
/// versions named, or all when none is, less those with `!` and those beyond `>=` and `<=`.
fn protocols(
    level: Level,
    value: &str,
    warnings: &mut Vec<String>,
) -> Result<Option<TlsVersion>, String> {
    let (mut named, mut excluded, mut least, mut most) = ([false; 6], [false; 6], 0, 5);
    let words = value.split([':', ';']).filter(|word| !word.is_empty());
    for word in words {
        let (sign, name) = ["!", ">=", "<="]
            .into_iter()
            .find_map(|sign| Some((sign, word.strip_prefix(sign)?)))
            .unwrap_or(("", word));
        let rank = rank(name)
            .ok_or_else(|| format!("protocols={}: there is no such version", quote(word)))?;
        match sign {
            "!" => excluded[rank] = true,
            ">=" => least = rank,
            "<=" => most = rank,
            _ => named[rank] = true,
        }
    }
    let any = !named.contains(&true);
    let allowed = |v: usize| (any || named[v]) && !excluded[v] && least <= v && v <= most;
    let min_version = match (allowed(4), allowed(5)) {
        (true, true) => TlsVersion::V1_2,
        (false, true) => TlsVersion::V1_3,
        (true, false) => {
            return Err(format!(
                "protocols={} forbids TLSv1.3, which cannot be honoured; write >=TLSv1.2",
                quote(value)
            ));
        }
        (false, false) => {
            return Err(format!(
                "protocols={} leaves neither TLSv1.2 nor TLSv1.3; there is nothing older here",
                quote(value)
            ));
        }
    };
    if level == Level::May {
        warnings.push("protocols= binds only where TLS is mandatory, not at level may".into());
        return Ok(None);
    }
    Ok(Some(min_version))
}

/// Every grade is a lower bound, and what is offered here is of the highest.
fn grade(value: &str) -> Result<(), String> {
    match value.to_ascii_lowercase().as_str() {
        "high" | "medium" | "low" | "export" | "null" => Ok(()),
        _ => Err(format!("ciphers={}: there is no such grade", quote(value))),
    }
}

/// Ciphers, in OpenSSL's words, that are never offered here: to exclude them changes nothing.
const NEVER_OFFERED: [&str; 32] = [
    "3des", "adh", "aecdh", "anull", "aria", "camellia", "cbc", "des", "dh", "dhe", "dsa", "dss",
    "edh", "enull", "exp", "export", "idea", "kdh", "kedh", "kdhe", "krsa", "ksrp", "low", "md5",
    "null", "psk", "rc2", "rc4", "seed", "srp", "ssl2", "sslv2",
];

fn exclude(value: &str) -> Result<(), String> {
    for word in value.split([':', ';']).filter(|word| !word.is_empty()) {
        let lower = word.to_ascii_lowercase();
        // `RC4-SHA` is one cipher of a family, `aNULL+...` an intersection.
        let families = lower.split(['-', '+']);
        if !families.clone().any(|f| NEVER_OFFERED.contains(&f)) {
            return Err(format!(
                "exclude={} cannot be honoured: the ciphers cannot be chosen here",
                quote(word)
            ));
        }
    }
    Ok(())
}

/// SNI is the MX host name always.
fn servername(value: &str) -> Result<(), String> {
    if value.eq_ignore_ascii_case("hostname") {
        return Ok(());
    }
    Err(format!(
        "servername={} cannot be honoured: SNI is the host's name always; remove it",
        quote(value)
    ))
}

/// Raw public keys (RFC 7250) are never asked for.
fn enable_rpk(value: &str) -> Result<(), String> {
    if value.eq_ignore_ascii_case("no") {
        return Ok(());
    }
    Err(format!(
        "enable_rpk={} cannot be honoured: raw public keys are not in this version; remove it",
        quote(value)
    ))
}
