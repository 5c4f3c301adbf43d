//! The three who judge the same host.

use std::path::Path;

use lab::mx::Offer;
use serde_json::Value;

use super::case::Outcome;
use super::prepared::Prepared;
use super::tools::{command, said};
use super::zones::tlsa_text;
use crate::support::Daemon;

/// What one of them found.
#[derive(Clone, Debug)]
pub(super) struct Finding {
    pub outcome: Outcome,
    /// Where the certificate is that a TLSA record matches.
    pub matched: Option<Matched>,
    /// All that was said, for whoever has to find out why.
    pub said: String,
}

/// A certificate that a TLSA record matches.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Matched {
    /// In the chain that the host sent; 0 is the leaf.
    Sent(u64),
    /// Only in the record itself.
    Published,
}

/// `sealpost check --json`.
pub(super) fn sealpost(config: &Path, prepared: &Prepared) -> Finding {
    let (config, domain) = (config.display().to_string(), &prepared.domain);
    let exit = Daemon::command(&["check", "--config", &config, "--json", domain]);
    let reports: Value = serde_json::from_str(&exit.stdout)
        .unwrap_or_else(|error| panic!("{domain}: {error}: {exit:?}"));
    let host = &reports[0]["hosts"][0];
    let visit = &host["visits"][0];
    let authenticated = visit["authenticated"].as_str();
    let finding = host["tlsa"]["finding"].as_str();
    let outcome = match (exit.code, authenticated, finding) {
        (Some(0), Some("dane"), Some("usable")) => Outcome::Dane,
        (Some(0), Some("half-dane"), Some("usable")) => Outcome::HalfDane,
        (Some(0), Some("none"), Some("none_usable")) => Outcome::Encrypted,
        (Some(0), Some("none"), Some("absent" | "insecure") | None) => Outcome::Opportunistic,
        (Some(1), _, Some("usable" | "none_usable")) => Outcome::Refused,
        (Some(3), _, Some("bogus") | None) => Outcome::Deferred,
        other => panic!("{domain}: {other:?}: {exit:?}"),
    };
    let matches = visit["tlsa_matches"].as_array().into_iter().flatten();
    let matched = matches
        .filter(|found| found["problem"].is_null())
        .find_map(|found| match found["stands_for"].as_str() {
            Some("published") => Some(Matched::Published),
            _ => found["depth"].as_u64().map(Matched::Sent),
        });
    Finding {
        outcome,
        matched,
        said: format!("{}{}", exit.stdout, exit.stderr),
    }
}

/// `posttls-finger`, which asks the servers of /etc/resolv.conf.
pub(super) fn postfix(config: &Path, prepared: &Prepared) -> Finding {
    let output = command("posttls-finger")
        .env("MAIL_CONFIG", config)
        .args([
            "-l",
            "dane",
            "-L",
            "summary,certmatch",
            "-t",
            "5",
            "-T",
            "5",
        ])
        .arg(format!("{}:{}", prepared.domain, prepared.address.port()))
        .output()
        .unwrap();
    let said = said(&output);
    let has = |words: &str| said.contains(words);
    let matched = matched(&said, prepared);
    // Without TLSA records that count it asks for a certificate of the WebPKI, which nobody has here; posttls-finger(1),
    // option -l, says so.
    let not_by_dane = has(": untrusted issuer ");
    let outcome = if has(" lookup failed: ") || has("TLSA lookup error") {
        Outcome::Deferred
    } else if has("Verified TLS connection established") && matched.is_some() {
        Outcome::Dane
    } else if has("Trusted TLS connection established") && matched.is_some() {
        Outcome::HalfDane
    } else if not_by_dane && (has(" unusable") || has(" unsupported TLSA") || has(" reserved ")) {
        Outcome::Encrypted
    } else if not_by_dane {
        Outcome::Opportunistic
    } else if has("Untrusted TLS connection established") || (has("< 250 ") && !has("STARTTLS")) {
        Outcome::Refused
    } else {
        panic!("{}: {said}", prepared.domain);
    };
    Finding {
        outcome,
        matched,
        said,
    }
}

/// `openssl s_client`, which is told the records; `None` where the matter is not TLSA records.
pub(super) fn openssl(prepared: &Prepared) -> Option<Finding> {
    let by_dns = [Outcome::Opportunistic, Outcome::Deferred].contains(&prepared.case.expected);
    let in_clear = (prepared.case.script)().offer == Offer::NoStartTls;
    if by_dns || in_clear {
        return None;
    }
    let mut client = command("openssl");
    client.args(["s_client", "-brief", "-starttls", "smtp"]);
    client.args(["-no-CAfile", "-no-CApath"]);
    client.args(["-connect", &prepared.address.to_string()]);
    client.args([
        "-servername",
        &prepared.base,
        "-dane_tlsa_domain",
        &prepared.base,
    ]);
    // RFC 7672 §3.1.1: of mail, names do not count under DANE-EE.
    client.arg("-dane_ee_no_namechecks");
    for rdata in &prepared.rdata {
        let text = tlsa_text(rdata);
        client.args(["-dane_tlsa_rrdata", &text]);
    }
    let output = client.output().unwrap();
    let said = said(&output);
    let matched = matched(&said, prepared);
    let outcome = if said.contains("Failed to import any TLSA records") {
        Outcome::Encrypted
    } else if said.contains("Verification: OK") && matched.is_some() {
        Outcome::Dane
    } else if said.contains("Verification error: ") {
        Outcome::Refused
    } else {
        panic!("{}: {said}", prepared.domain);
    };
    Some(Finding {
        outcome,
        matched,
        said,
    })
}

/// What Postfix and OpenSSL print about the record that made the difference: a certificate `matched` at a depth, or was
/// signed by a bare key, which then is one further.
fn matched(said: &str, prepared: &Prepared) -> Option<Matched> {
    let line = said
        .lines()
        .find(|line| line.contains("Matched DANE") || line.contains("DANE TLSA"))?;
    let (before, after) = line.split_once(" at depth ")?;
    let depth: u64 = after
        .split(|c: char| !c.is_ascii_digit())
        .next()?
        .parse()
        .ok()?;
    let key = before.ends_with("public key verified certificate")
        || before.ends_with("signed the certificate");
    let depth = depth + u64::from(key);
    if depth < prepared.sent {
        Some(Matched::Sent(depth))
    } else {
        Some(Matched::Published)
    }
}
