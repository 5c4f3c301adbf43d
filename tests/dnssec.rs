//! Whether DNSSEC works: who validates, what happens while nothing can be proven, and who is told.

#![allow(clippy::unwrap_used, reason = "it is test code")]

mod support;

use lab::client::Reply;
use lab::dns::{Fault, RecordType};
use std::time::{Duration, Instant};
use support::{Daemon, Script, World, WorldBuilder, merge};

fn said(reply: &Reply) -> (u16, &str) {
    (reply.code, reply.enhanced().unwrap_or(""))
}

/// a.test in a signed zone with a TLSA record for its host, b.test in an unsigned one.
fn world() -> WorldBuilder {
    World::new()
        .dns(|dns| {
            dns.ttl(1).negative_ttl(1).secure("a.test");
        })
        .domain("a.test", Script::default())
        .domain("b.test", Script::default())
        .domain("c.test", Script::default())
        .net(|net| {
            net.tlsa("mx.a.test", "3 1 1");
        })
        .config("dns.timeout = '2s'")
}

/// A daemon that does not come up: its exit code and stderr.
async fn refused(builder: WorldBuilder) -> (Option<i32>, String) {
    let (_net, config) = builder.prepare().await;
    let mut daemon = Daemon::spawn_in(tempfile::tempdir().unwrap(), &config);
    let exit = daemon.wait_exit(Duration::from_secs(20)).await;
    let exit = exit.expect("it ends by itself");
    (exit.code, exit.stderr)
}

/// Waits until `/readyz` has this status and these words.
async fn wait_readyz(daemon: &Daemon, status: u16, words: &str) {
    let until = Instant::now() + Duration::from_secs(60);
    loop {
        let got = daemon.get("/readyz").await;
        if let Some((code, text)) = &got
            && *code == status
            && text.contains(words)
        {
            return;
        }
        assert!(Instant::now() < until, "{got:?}\n{}", daemon.stderr());
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

/// Waits until a log line has these words in its message.
async fn wait_words(daemon: &Daemon, words: &str) {
    daemon
        .wait_log(|line| line.to_string().contains(words))
        .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn resolvers_that_drop_dnssec_keep_it_from_starting() {
    for mode in ["validate", "trust-ad", "auto"] {
        let builder = world()
            .dns(|dns| {
                dns.strips_dnssec();
            })
            .config(&format!("dns.dnssec = '{mode}'"));
        let (code, stderr) = refused(builder).await;
        assert_eq!(code, Some(78), "{mode}: {stderr}");
        for words in ["DNSSEC", "dns.dnssec", "without-dane", "Unbound"] {
            assert!(stderr.contains(words), "{mode}: {stderr}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_resolver_that_does_not_validate_is_no_good_for_trust_ad() {
    let (code, stderr) = refused(world().config("dns.dnssec = 'trust-ad'")).await;
    assert_eq!(code, Some(78), "{stderr}");
    assert!(stderr.contains("AD"), "{stderr}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_anchor_of_another_root_keeps_it_from_starting() {
    // A key of a root that nobody here signs with.
    let other = lab::Internet::new().await.unwrap();
    let anchor = other.dns.trust_anchor_file().display().to_string();
    let builder = world().config(&format!("dns.trust_anchor = '{anchor}'"));
    let (code, stderr) = refused(builder).await;
    assert_eq!(code, Some(78), "{stderr}");
    assert!(stderr.contains("anchor"), "{stderr}");
}

#[tokio::test(flavor = "multi_thread")]
async fn without_dane_mail_flows_and_everybody_is_told() {
    let world = world()
        .dns(|dns| {
            dns.strips_dnssec();
        })
        .config("dns.dnssec_unavailable = 'without-dane'")
        .start()
        .await;
    for domain in ["a.test", "b.test"] {
        let reply = world.send(&format!("x@{domain}")).await;
        assert!(reply.code == 250 && reply.contains(", may)"), "{reply}");
    }
    wait_readyz(&world.daemon, 200, "dnssec").await;
    assert_eq!(world.daemon.metric("dnssec_working", &[]).await, 0.0);
    wait_words(&world.daemon, "without DANE").await;
    world.net.dns.forwards();
    wait_readyz(&world.daemon, 200, "ready").await;
    world.daemon.wait_metric("dnssec_working", &[], 1.0).await;
    let until = Instant::now() + Duration::from_secs(30);
    loop {
        let reply = world.send("x@a.test").await;
        if reply.contains(", dane)") {
            break;
        }
        assert!(reply.code == 250 && Instant::now() < until, "{reply}");
    }
}

/// Nothing is proven then, neither that there are records nor that there are none.
#[tokio::test(flavor = "multi_thread")]
async fn without_dane_a_rule_for_dane_still_means_tls_and_rejects_nothing() {
    let world = World::new()
        .domain("a.test", Script::no_starttls())
        .domain("b.test", Script::default())
        .net(|net| {
            net.dns.secure("a.test").secure("b.test").strips_dnssec();
            net.tlsa("mx.a.test", "3 1 1").tlsa("mx.b.test", "3 1 1");
        })
        .config("dns.dnssec_unavailable = 'without-dane'")
        .config("[[rule]]\ndomains = ['a.test']\nrequire = 'dane'")
        .config("[[rule]]\ndomains = ['b.test']\nrequire = 'dane-only'\non_failure = 'reject'")
        .start()
        .await;
    let reply = world.send("x@a.test").await;
    assert_eq!(said(&reply), (451, "4.7.4"), "{reply}");
    assert!(!world.mx("a.test").mail_octets_in_clear());
    let reply = world.send("x@b.test").await;
    assert_eq!(said(&reply), (451, "4.7.5"), "{reply}");
    assert!(world.mx("b.test").messages().is_empty());
}

/// A machine without a battery starts in 1970, and its clock is set a moment later.
#[tokio::test(flavor = "multi_thread")]
async fn signatures_of_another_time_are_waited_for() {
    let zone = lab::dnssec::Zone::secure;
    for (wrong, words) in [
        (zone().not_yet_valid(), "not valid yet"),
        (zone().expired(), "expired"),
    ] {
        let (net, config) = world()
            .dns(move |dns| {
                dns.zone(".", wrong);
            })
            .prepare()
            .await;
        let daemon = Daemon::spawn_in(tempfile::tempdir().unwrap(), &config);
        wait_readyz(&daemon, 503, words).await;
        net.dns.zone(".", zone());
        wait_readyz(&daemon, 200, "ready").await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_breaks_later_defers_until_it_works_again() {
    let world = world().start().await;
    assert!(world.send("x@a.test").await.contains(", dane)"));
    assert_eq!(world.send("x@b.test").await.code, 250);
    wait_readyz(&world.daemon, 200, "ready").await;
    world.net.dns.strips_dnssec();
    let until = Instant::now() + Duration::from_secs(30);
    // What was known may be used until it expires.
    loop {
        let reply = world.send("y@a.test").await;
        if reply.code != 250 {
            assert_eq!(said(&reply), (451, "4.4.3"), "{reply}");
            break;
        }
        assert!(Instant::now() < until, "the answer never expires");
    }
    wait_readyz(&world.daemon, 503, "dnssec").await;
    assert_eq!(world.daemon.metric("dnssec_working", &[]).await, 0.0);
    wait_words(&world.daemon, "DNSSEC does not work").await;
    // Of c.test nobody knows yet that it is not signed.
    let reply = world.send("z@c.test").await;
    assert_eq!(said(&reply), (451, "4.4.3"), "{reply}");
    assert!(
        reply.contains("DNSSEC does not work with these resolvers; see dns.dnssec"),
        "{reply}"
    );
    world.net.dns.forwards();
    wait_readyz(&world.daemon, 200, "ready").await;
    let until = Instant::now() + Duration::from_secs(30);
    loop {
        let reply = world.send("x@a.test").await;
        if reply.contains(", dane)") {
            break;
        }
        assert!(Instant::now() < until, "{reply}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn silent_servers_are_waited_for() {
    let (net, config) = world()
        .dns(|dns| {
            dns.fault_all(".", Fault::Timeout);
        })
        .prepare()
        .await;
    let daemon = Daemon::spawn_in(tempfile::tempdir().unwrap(), &config);
    wait_readyz(&daemon, 503, "dnssec").await;
    assert_eq!(daemon.metric("dnssec_working", &[]).await, 0.0);
    net.dns.mend(".");
    wait_readyz(&daemon, 200, "ready").await;
    assert_eq!(daemon.metric("dnssec_working", &[]).await, 1.0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_validating_resolver_is_believed() {
    let world = world()
        .domain("broken.test", Script::default())
        .net(|net| {
            let altered = lab::dnssec::Zone::secure().altered();
            net.dns.validates().zone("broken.test", altered);
            net.dns.fault("down.test", RecordType::MX, Fault::ServFail);
        })
        .config("dns.dnssec = 'trust-ad'")
        .start()
        .await;
    wait_words(&world.daemon, "AD bit").await;
    assert!(world.send("x@a.test").await.contains(", dane)"));
    assert!(world.send("x@b.test").await.contains(", may)"));
    // Bogus and unreachable look alike, unless one asks again.
    let reply = world.send("x@broken.test").await;
    assert_eq!(said(&reply), (451, "4.4.3"), "{reply}");
    assert!(reply.contains("bogus"), "{reply}");
    let reply = world.send("x@down.test").await;
    assert_eq!(said(&reply), (451, "4.4.3"), "{reply}");
    assert!(!reply.contains("bogus"), "{reply}");
    // It stops validating: what comes without AD is not believed to be insecure.
    world.net.dns.forwards();
    wait_readyz(&world.daemon, 503, "dnssec").await;
    let until = Instant::now() + Duration::from_secs(30);
    loop {
        let reply = world.send("y@a.test").await;
        if reply.code != 250 {
            assert_eq!(said(&reply), (451, "4.4.3"), "{reply}");
            break;
        }
        assert!(reply.contains(", dane)"), "{reply}");
        assert!(Instant::now() < until, "the old answer never expires");
    }
}

/// A forwarder on loopback hands on whatever others claim: what can be checked here is checked here. Only where that
/// cannot be, as with a root whose anchor the server alone has, a server that proves to validate is believed.
#[tokio::test(flavor = "multi_thread")]
async fn auto_checks_what_can_be_checked_and_else_believes_who_proves_to_validate() {
    // IANA's anchor says nothing of the lab's root.
    let foreign =
        ". IN DS 20326 8 2 E06D44B80B8F1D39A95C0B0D7C65D08458E880409BBC683457104237C7F8EC8D\n";
    let directory = tempfile::tempdir().unwrap();
    let anchor = directory.path().join("root.key");
    std::fs::write(&anchor, foreign).unwrap();
    for (validates, ours, words) in [
        (true, true, "checked here"),
        (false, true, "checked here"),
        (true, false, "AD bit"),
    ] {
        let mut builder = world().config("dns.dnssec = 'auto'");
        if validates {
            builder = builder.dns(|dns| {
                dns.validates();
            });
        }
        if !ours {
            builder = builder.config(&format!("dns.trust_anchor = '{}'", anchor.display()));
        }
        let world = builder.start().await;
        wait_words(&world.daemon, words).await;
        assert!(world.send("x@a.test").await.contains(", dane)"), "{words}");
        assert!(world.send("x@b.test").await.contains(", may)"), "{words}");
    }
    let builder = world()
        .config("dns.dnssec = 'auto'")
        .config(&format!("dns.trust_anchor = '{}'", anchor.display()));
    let (code, stderr) = refused(builder).await;
    assert_eq!(code, Some(78), "neither here nor there: {stderr}");
}

/// Who keeps signatures from us and sets AD is not the resolver that we began with.
#[tokio::test(flavor = "multi_thread")]
async fn auto_that_could_check_never_comes_to_believe() {
    let world = world().config("dns.dnssec = 'auto'").start().await;
    assert!(world.send("x@a.test").await.contains(", dane)"));
    // From now on it validates, or so it says, and hands no signatures on.
    world.net.dns.validates().lie(|_, response| {
        lab::dns::lie::strip(response, &[RecordType::RRSIG]);
    });
    let reply = world.send("x@c.test").await;
    assert_eq!(said(&reply), (451, "4.4.3"), "{reply}");
    wait_readyz(&world.daemon, 503, "dnssec").await;
    let reply = world.send("y@c.test").await;
    assert_eq!(said(&reply), (451, "4.4.3"), "{reply}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bad_anchor_file_is_found_by_config_check() {
    let directory = tempfile::tempdir().unwrap();
    let anchor = directory.path().join("root.key");
    let config = directory.path().join("sealpost.toml");
    let (_net, text) = world().prepare().await;
    let extra = format!("dns.trust_anchor = '{}'", anchor.display());
    let text = merge(&text, &extra).replace("STATE", &directory.path().display().to_string());
    std::fs::write(&config, text).unwrap();
    for (content, code) in [
        (None, Some(2)),
        (Some("; nothing but a comment\n"), Some(2)),
        (Some(". IN DS twenty 8 2 00\n"), Some(2)),
        (Some("\u{0}\u{1}"), Some(2)),
        (
            Some(
                ". 172800 IN DS 20326 8 2 E06D44B80B8F1D39A95C0B0D7C65D08458E880409BBC683457104237C7F8EC8D\n",
            ),
            Some(0),
        ),
    ] {
        if let Some(content) = content {
            std::fs::write(&anchor, content).unwrap();
        }
        let config = config.display().to_string();
        let exit = Daemon::command(&["config", "check", "--config", &config]);
        assert_eq!(exit.code, code, "{content:?}: {exit:?}");
        if code != Some(0) {
            assert!(exit.stderr.contains("trust_anchor"), "{exit:?}");
        }
    }
}
