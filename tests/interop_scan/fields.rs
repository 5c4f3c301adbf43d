//! Every field that an oracle has a word on, in the words of Sealpost's record.

use serde_json::Value;

use super::fingers::{Finger, Summary};
use super::openssl::{Client, Findings, Seen, Stage, name_of, takes};
use super::servers::Host;
use super::table::{Oracle, Rows};

const NO_YES: [&str; 2] = ["no", "yes"];

fn text(value: &Value) -> String {
    match value.as_str() {
        Some(text) => text.to_owned(),
        None if value.is_null() => "-".to_owned(),
        None => value.to_string(),
    }
}

/// STARTTLS, versions, what was agreed on.
pub(super) fn tls(rows: &mut Rows<'_>, told: &Value, findings: &Findings) {
    let offered = findings.delivery.stage != Stage::NotOffered;
    let offered = if offered { "offered" } else { "not-offered" };
    rows.add(
        "starttls",
        text(&told["starttls"]),
        Oracle::SClient,
        offered,
    );
    for (version, client) in &findings.versions {
        let field = format!("versions.{version}");
        let oracle = match client.stage {
            Stage::NotOffered => "not-tested",
            Stage::Refused => "no",
            Stage::Hello => "hello-only",
            Stage::Made => "yes",
        };
        rows.add(
            &field,
            text(&told["versions"][*version]),
            Oracle::SClient,
            oracle,
        );
    }
    agreed(rows, "tls", &told["tls"], findings.delivery.negotiated());
    if told["versions"]["with_1_2"].is_object() {
        agreed(
            rows,
            "with_1_2",
            &told["versions"]["with_1_2"],
            findings.only12.negotiated(),
        );
    }
}

fn agreed(rows: &mut Rows<'_>, field: &str, told: &Value, other: Option<(String, String, String)>) {
    let sealpost = if told.is_object() {
        let [version, cipher, group] = ["version", "cipher", "group"].map(|key| text(&told[key]));
        format!("{version} {} {group}", name_of(&cipher))
    } else {
        "-".to_owned()
    };
    let oracle = other.map_or("-".to_owned(), |(version, cipher, group)| {
        let version = version.trim_start_matches("TLSv").to_owned();
        format!("{version} {cipher} {}", group_name(&group))
    });
    rows.add(field, sealpost, Oracle::SClient, oracle);
}

/// OpenSSL's names of groups in IANA's words.
fn group_name(openssl: &str) -> &str {
    match openssl {
        "prime256v1" | "P-256" => "secp256r1",
        "P-384" => "secp384r1",
        "X25519" => "X25519",
        other => other,
    }
}

/// What the survey finds out with weak hellos.
pub(super) fn deep(rows: &mut Rows<'_>, told: &Value, findings: &Findings, host: &Host) {
    let deep = &told["deep"];
    if !deep.is_object() {
        let tls = ["-", "TLS"][usize::from(findings.delivery.stage != Stage::NotOffered)];
        rows.add("deep", "-", Oracle::SClient, tls);
        return;
    }
    let weak = findings.weak.stage >= Stage::Hello;
    rows.add(
        "deep.weak_suites",
        text(&deep["weak_suites"]),
        Oracle::SClient,
        NO_YES[usize::from(weak)],
    );
    for suite in deep["suites"].as_array().into_iter().flatten() {
        let (version, name) = (text(&suite["version"]), text(&suite["name"]));
        let taken = takes(host, &version, &name);
        rows.add(
            &format!("deep.suite {version}"),
            &name,
            Oracle::SClient,
            if taken { &name } else { "no" },
        );
    }
    let dh = findings.finite_field.after("Server Temp Key: DH, ");
    let dh: Option<String> = dh.map(|rest| rest.chars().take_while(char::is_ascii_digit).collect());
    rows.add(
        "deep.dh_bits",
        text(&deep["dh_bits"]),
        Oracle::SClient,
        dh.as_deref().unwrap_or("-"),
    );
    let [_, _, (_, only12), _] = &findings.versions;
    if only12.stage == Stage::Made {
        extensions(rows, deep, only12);
    }
}

/// What a ServerHello of TLS 1.2 says besides the suite.
fn extensions(rows: &mut Rows<'_>, deep: &Value, only12: &Client) {
    for (field, words, good) in [
        (
            "secure_renegotiation",
            "Secure Renegotiation IS ",
            "supported",
        ),
        ("extended_master_secret", "Extended master secret: ", "yes"),
    ] {
        let has = only12
            .after(words)
            .is_some_and(|rest| rest.starts_with(good));
        rows.add(
            &format!("deep.{field}"),
            text(&deep[field]),
            Oracle::SClient,
            NO_YES[usize::from(has)],
        );
    }
    let compresses = only12
        .after("Compression: ")
        .is_some_and(|rest| rest != "NONE");
    rows.add(
        "deep.compression",
        text(&deep["compression"]),
        Oracle::SClient,
        NO_YES[usize::from(compresses)],
    );
}

pub(super) fn certificate(rows: &mut Rows<'_>, told: &Value, seen: &Seen, findings: &Findings) {
    if told.is_null() {
        rows.add("certificate", "-", Oracle::X509, &seen.subject);
        return;
    }
    let key = match seen.key.as_str() {
        "rsaEncryption" => "rsa",
        "prime256v1" => "p256",
        "secp384r1" => "p384",
        other => other,
    };
    for (field, oracle) in [
        ("key", key),
        ("key_bits", &seen.bits),
        ("signature", &seen.signature),
        ("subject", &seen.subject),
        ("issuer", &seen.issuer),
        ("not_before", &seen.not_before),
        ("not_after", &seen.not_after),
        ("sha256", &seen.sha256),
        ("spki_sha256", &seen.spki_sha256),
        ("chain_length", &seen.chain_length.to_string()),
    ] {
        rows.add(
            &format!("certificate.{field}"),
            text(&told[field]),
            Oracle::X509,
            oracle,
        );
    }
    let names = told["names"].as_array().into_iter().flatten().map(text);
    let names = names.collect::<Vec<_>>().join(", ");
    rows.add("certificate.names", names, Oracle::X509, &seen.names);
    let code = findings
        .delivery
        .after("Verify return code: ")
        .unwrap_or("-");
    let verification = match code.split(' ').next().unwrap_or_default() {
        "0" => "valid",
        "9" => "not-yet-valid",
        "10" => "expired",
        "18" => "self-signed",
        "19" | "20" | "21" => "untrusted",
        "62" => "name-mismatch",
        _ => code,
    };
    rows.add(
        "certificate.verification",
        text(&told["verification"]),
        Oracle::SClient,
        verification,
    );
}

/// What a sender that asks for a certificate of the WebPKI makes of it.
pub(super) fn fingers(rows: &mut Rows<'_>, told: &Value, finger: &Finger) {
    let offered = if finger.offers_starttls {
        "offered"
    } else {
        "not-offered"
    };
    rows.add("starttls", text(&told["starttls"]), Oracle::Finger, offered);
    let listed = told["ehlo"].as_array().into_iter().flatten().map(text);
    let listed = listed.collect::<Vec<_>>().join(", ");
    rows.add("ehlo", listed, Oracle::Finger, finger.ehlo.join(", "));
    let trust = match told["certificate"]["verification"].as_str() {
        Some("valid") => "Verified",
        // It asks for chain and name at once.
        Some(_) => "Untrusted",
        None => "-",
    };
    let summary = finger.summary.as_ref();
    let oracle = |of: fn(&Summary) -> &str| summary.map_or("-", of).to_owned();
    rows.add(
        "certificate.verification",
        trust,
        Oracle::Finger,
        oracle(|s| &s.trust),
    );
    let tls = &told["tls"];
    let version = match tls["version"].as_str() {
        Some(version) => format!("TLSv{version}"),
        None => "-".to_owned(),
    };
    rows.add(
        "tls.version",
        version,
        Oracle::Finger,
        oracle(|s| &s.version),
    );
    rows.add(
        "tls.cipher",
        name_of(&text(&tls["cipher"])),
        Oracle::Finger,
        oracle(|s| &s.cipher),
    );
    if let Some(group) = summary.and_then(|summary| summary.group.as_deref()) {
        rows.add(
            "tls.group",
            text(&tls["group"]),
            Oracle::Finger,
            group_name(group),
        );
    }
}

/// What the TLSA record makes of it.
pub(super) fn dane(
    rows: &mut Rows<'_>,
    record: &Value,
    findings: &Findings,
    finger: Option<&Finger>,
) {
    let matching = text(&record["hosts"][0]["tlsa"]["matching"]);
    let client = findings.dane.as_ref();
    let by_openssl = client.map_or("-", |client| match client.stage {
        Stage::Made => NO_YES[usize::from(client.said.contains("Verify return code: 0 "))],
        Stage::NotOffered | Stage::Refused | Stage::Hello => "not-tested",
    });
    rows.add("tlsa.matching", matching, Oracle::SClient, by_openssl);
    if let Some(finger) = finger {
        let verified = finger
            .summary
            .as_ref()
            .is_some_and(|summary| summary.trust == "Verified");
        let flows = if verified { "deliverable" } else { "not" };
        let told = match record["verdict"]["flow"].as_str() {
            Some("deliverable") => "deliverable",
            _ => "not",
        };
        rows.add("verdict.flow", told, Oracle::Finger, flows);
    }
}
