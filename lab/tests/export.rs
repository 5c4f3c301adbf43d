//! Zones for other name servers: BIND's tools read the files, unbound asks the authoritative address.
#![allow(clippy::unwrap_used, reason = "it is test code")]

use std::net::SocketAddr;
use std::process::Command;

use lab::dns::{DnsServer, RecordType};
use lab::world;

/// Zones that are signed as they should be; the root and `test` are there in any case.
const SOUND: [&str; 17] = [
    "",
    "test",
    "ec.test",
    "rsa.test",
    "optout.test",
    "ed.test",
    "p384.test",
    "sha1.test",
    "rsa512.test",
    "split.test",
    "two.test",
    "rolling.test",
    "big.test",
    "sub.ec.test",
    "deep.er.sub.ec.test",
    "nods.test",
    "signed.plain.test",
];

#[tokio::test(flavor = "multi_thread")]
async fn bind_finds_the_files_signed_and_the_chains_whole() {
    let dns = DnsServer::start().await.unwrap();
    world::build(&dns);
    // No presentation form that BIND reads.
    dns.remove("_25._tcp.short.ec.test", RecordType::TLSA);
    let directory = tempfile::tempdir().unwrap();
    let files = dns.write_zones(directory.path()).unwrap();
    assert!(files.len() > 60, "{}", files.len());
    for apex in SOUND {
        let (_, path) = files.iter().find(|(name, _)| name == apex).unwrap();
        // -z: one key may do both jobs.
        let verify = Command::new("dnssec-verify")
            .args(["-z", "-o", &format!("{apex}.")])
            .arg(path)
            .output();
        let output = match verify {
            Ok(output) => output,
            Err(error) => {
                eprintln!("SKIPPED: dnssec-verify cannot be run here: {error}");
                return;
            }
        };
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{apex}: {said}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn unbound_validates_what_the_authoritative_address_says() {
    let dns = DnsServer::start().await.unwrap();
    world::build(&dns);
    let ip = [127, 77, fastrand::u8(..), fastrand::u8(1..255)];
    let address = SocketAddr::from((ip, 53));
    if let Err(error) = dns.serve_authoritatively(address).await {
        eprintln!("SKIPPED: no name server can be at {address} here: {error}");
        return;
    }
    let directory = tempfile::tempdir().unwrap();
    let hints = directory.path().join("root.hints");
    let ip = address.ip();
    std::fs::write(&hints, format!(". NS ns.lab.\nns.lab. A {ip}\n")).unwrap();
    let file = directory.path().join("unbound.conf");
    let configuration = format!(
        "server:\n do-not-query-localhost: no\n do-ip6: no\n local-zone: \"test.\" nodefault\n\
         module-config: \"validator iterator\"\n trust-anchor-file: \"{anchor}\"\n\
         root-hints: \"{hints}\"\n",
        anchor = dns.trust_anchor_dnskey_file().display(),
        hints = hints.display(),
    );
    std::fs::write(&file, configuration).unwrap();
    for (name, record_type, says) in [
        ("mx.ec.test", "A", "(secure)"),
        ("_25._tcp.mx.rsa.test", "TLSA", "(secure)"),
        ("any.wild.rsa.test", "A", "(secure)"),
        ("_25._tcp.mx.big.test", "TLSA", "(secure)"),
        ("no.ec.test", "A", "(NXDOMAIN). (secure)"),
        ("mx.plain.test", "A", "(insecure)"),
        ("mx.altered.test", "A", "validation failure"),
    ] {
        let asked = Command::new("unbound-host")
            .arg("-C")
            .arg(&file)
            .args(["-v", "-t", record_type, name])
            .output();
        let Ok(output) = asked else {
            eprintln!("SKIPPED: unbound-host cannot be run here");
            return;
        };
        let said = String::from_utf8_lossy(&output.stdout).into_owned()
            + &String::from_utf8_lossy(&output.stderr);
        assert!(said.contains(says), "{name} {record_type}: {said}");
    }
}
