//! The log of a real Postfix, read by `sealpost maillog`. Without root or without Postfix these tests say SKIPPED and
//! pass.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "it is test code")]

mod support;

use std::net::SocketAddr;
use std::time::Duration;

use lab::ca::Ca;
use lab::postfix::{Postfix, Setup};
use serde_json::Value;
use support::postfix::{Mail, inject, numbered, skipped};
use support::{Daemon, Script, World};

/// For a message to be delivered or deferred.
const PATIENCE: Duration = Duration::from_secs(60);
/// Last octet of Postfix's address.
const CLIENT: u8 = 250;

/// A Postfix that delivers itself: to each domain's host without asking DNS.
fn postfix(world: &World, domains: &[(&str, SocketAddr)], more: &str) -> Postfix {
    let route = |(domain, host): &(&str, SocketAddr)| {
        format!("{{{domain} = smtp:[{}]:{}}}", host.ip(), host.port())
    };
    let routes: Vec<String> = domains.iter().map(route).collect();
    let main = format!(
        "transport_maps = inline:{{{}}}\nsmtp_tls_security_level = may\nsmtp_tls_loglevel = 1\nsmtp_tls_CAfile = {}\n{more}",
        routes.join(", "),
        world.net.ca.roots_file().display(),
    );
    Postfix::start(&Setup {
        listen: world.net.ports.at(CLIENT),
        main,
        master: "tlsproxy unix - - n - 0 tlsproxy".to_owned(),
    })
    .unwrap()
}

fn mails(domain: &str, count: usize) -> Vec<Mail> {
    let mail = |n| Mail {
        to: vec![format!("someone@{domain}")],
        content: numbered(n),
    };
    (0..count).map(mail).collect()
}

/// What is read from a log: as it is, or as if the laboratory's hosts were elsewhere, since what goes to loopback is
/// no mail to others.
fn read(postfix: &Postfix, elsewhere: &str) -> Value {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("mail.log");
    std::fs::write(&file, postfix.log().replace("[127.", elsewhere)).unwrap();
    let said = Daemon::command(&["maillog", "--format", "json", &file.display().to_string()]);
    assert_eq!(said.code, Some(0), "{said:?}");
    serde_json::from_str(&said.stdout).unwrap()
}

/// Total, over TLS, proven; deferred, blocked.
fn of(report: &Value, domain: &str) -> [u64; 5] {
    let shown = report["destinations"]["shown"].as_array().unwrap();
    let found = shown.iter().find(|d| d["domain"] == domain);
    let found = found.unwrap_or_else(|| panic!("{domain}: {report}"));
    let count = |value: &Value| value.as_u64().unwrap();
    let recipients = &found["recipients"];
    [
        count(&recipients["total"]),
        count(&recipients["tls"]),
        count(&recipients["verified"]),
        count(&found["deferred"]),
        count(&found["blocked"]),
    ]
}

fn proofs(report: &Value, domain: &str) -> Vec<String> {
    let shown = report["destinations"]["shown"].as_array().unwrap();
    let found = shown.iter().find(|d| d["domain"] == domain).unwrap();
    let names = found["proofs"].as_array().unwrap().iter();
    names
        .map(|n| n["name"].as_str().unwrap().to_owned())
        .collect()
}

/// Settings by which one host is verified, and TLS is demanded of another.
fn levels(verified: SocketAddr, demanded: SocketAddr) -> String {
    format!(
        "smtp_tls_policy_maps = inline:{{{{[{}]:{} = verify match=mx.verified.test}}, {{[{}]:{} = encrypt}}}}\n",
        verified.ip(),
        verified.port(),
        demanded.ip(),
        demanded.port()
    )
}

async fn different_hosts() -> World {
    let stranger = Ca::new("another").identity("mx.stranger.test");
    World::new()
        .domain("trusted.test", Script::default())
        .domain("verified.test", Script::default())
        .domain("stranger.test", Script::with_identity(stranger))
        .domain("clear.test", Script::no_starttls())
        .domain("demanded.test", Script::no_starttls())
        .domain("sealed.test", Script::default())
        .start()
        .await
}

#[tokio::test(flavor = "multi_thread")]
async fn each_delivery_has_its_tls() {
    if skipped() {
        return;
    }
    let world = different_hosts().await;
    let at = |domain| world.mx(domain).address();
    let names = [
        "trusted.test",
        "verified.test",
        "stranger.test",
        "clear.test",
        "demanded.test",
    ];
    let mut domains: Vec<_> = names.iter().map(|name| (*name, at(name))).collect();
    domains.push(("sealed.test", world.daemon.smtp.unwrap()));
    let levels = levels(at("verified.test"), at("demanded.test"));
    let postfix = postfix(&world, &domains, &levels);
    let to_all: Vec<Mail> = domains
        .iter()
        .flat_map(|(name, _)| mails(name, 2))
        .collect();
    inject(postfix.address(), to_all, 1).await;
    assert!(
        postfix.wait_log("status=sent", 10).await,
        "{}",
        postfix.log()
    );
    assert!(
        postfix.wait_log("status=deferred", 2).await,
        "{}",
        postfix.log()
    );

    let report = read(&postfix, "[10.");
    for (domain, counts, proof) in [
        ("trusted.test", [2, 2, 0], &["trusted"][..]),
        ("verified.test", [2, 2, 2], &["verified"]),
        ("stranger.test", [2, 2, 0], &["untrusted"]),
        ("clear.test", [2, 0, 0], &[]),
    ] {
        assert_eq!(of(&report, domain)[..3], counts, "{domain}");
        assert_eq!(proofs(&report, domain), proof, "{domain}");
    }
    let demanded = of(&report, "demanded.test");
    assert_eq!(demanded[..3], [0, 0, 0]);
    assert!(
        demanded[3] >= 2 && demanded[3] == demanded[4],
        "{demanded:?}"
    );
    let problem = &report["problems"]["shown"][0];
    assert_eq!(
        (&problem["domain"], &problem["problem"]),
        (&"demanded.test".into(), &"starttls-not-offered".into())
    );
    assert_eq!(report["lines"]["unreadable"], 0);
    assert_eq!(report["inbound"]["messages"]["total"], 12);
    // Nothing but what Sealpost delivered leaves a machine whose hosts are all at home; Sealpost says how.
    let report = read(&postfix, "[127.");
    assert_eq!(
        (&report["by_sealpost"], &report["handed_over"]),
        (&2.into(), &8.into())
    );
    assert_eq!(of(&report, "sealed.test")[..3], [2, 2, 0]);
}

/// Postfix keeps a TLS session open, and other processes of its send over it.
#[tokio::test(flavor = "multi_thread")]
async fn sessions_that_are_used_again_are_tls() {
    const MESSAGES: usize = 12;
    if skipped() {
        return;
    }
    let world = World::new()
        .domain("again.test", Script::default())
        .start()
        .await;
    let host = world.mx("again.test").address();
    let reuse = "smtp_tls_connection_reuse = yes\nsmtp_connection_cache_destinations = static:all\ndefault_destination_concurrency_limit = 2\n";
    let postfix = postfix(&world, &[("again.test", host)], reuse);
    inject(postfix.address(), mails("again.test", MESSAGES), 1).await;
    assert!(
        postfix.wait_until_empty(PATIENCE).await,
        "{}",
        postfix.queue()
    );
    assert!(
        postfix.wait_log("status=sent", MESSAGES).await,
        "{}",
        postfix.log()
    );
    let again = postfix.lines(", conn_use=").len();
    assert!(again > 0, "no connection was used again: {}", postfix.log());
    let report = read(&postfix, "[10.");
    let all = MESSAGES as u64;
    assert_eq!(
        of(&report, "again.test"),
        [all, all, 0, 0, 0],
        "{}",
        postfix.log()
    );
    let connections = report["outbound"]["connections"]["tls"].as_u64().unwrap();
    assert!(
        connections < all,
        "{connections} connections for {all} messages"
    );
    println!("{all} messages, {again} over sessions used again, {connections} connections");
}
