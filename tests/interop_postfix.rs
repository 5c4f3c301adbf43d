//! Debian's Postfix on both sides of Sealpost: as the client that hands mail over, set up as `config/postfix` says, and
//! as an MX host. Without root or without Postfix these tests say SKIPPED and pass.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "it is test code")]

mod support;

use std::collections::HashMap;
use std::time::{Duration, Instant};

use lab::postfix::{Postfix, Setup, maildir};
use support::postfix::{
    Mail, Over, client, inject, number, numbered, quiet, skipped, with_domains,
};
use support::{Daemon, Script, World};
use tokio::task::JoinSet;

const SUSPENDED: &str = "delivery temporarily suspended";

#[tokio::test(flavor = "multi_thread")]
async fn postfix_to_postfix_over_lmtp_octet_by_octet() {
    octet_by_octet(Over::Lmtp).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn postfix_to_postfix_over_smtp_octet_by_octet() {
    octet_by_octet(Over::Smtp).await;
}

/// 200 messages of 1 KB to 2 MB: Postfix, Sealpost, and STARTTLS to a Postfix whose certificate is verified.
async fn octet_by_octet(over: Over) {
    const MESSAGES: usize = 200;
    if skipped() {
        return;
    }
    let rule = "[[rule]]\ndomains = ['mail.test']\nrequire = 'verify'";
    let world = quiet().config(rule).start().await;
    let mx = postfix_mx(&world, "mail.test");
    let client = client(&world, over).await;
    let mails = (0..MESSAGES)
        .map(|n| Mail {
            to: vec!["someone@mail.test".to_owned()],
            content: awkward(n, size(n, MESSAGES)),
        })
        .collect::<Vec<_>>();
    inject(client.address(), mails.clone(), 4).await;
    assert!(client.wait_until_empty(Duration::from_secs(120)).await);
    assert!(mx.wait_until_empty(Duration::from_secs(30)).await);

    let mut delivered = HashMap::<usize, Vec<Vec<u8>>>::new();
    for content in mx.delivered() {
        delivered.entry(number(&content)).or_default().push(content);
    }
    for (n, mail) in mails.iter().enumerate() {
        let copies = delivered.get(&n).map_or(0, Vec::len);
        assert_eq!(copies, 1, "message {n} came {copies} times");
        let came = &delivered[&n][0];
        // A maildir has the line ends of this machine.
        let sent = String::from_utf8_lossy(&mail.content).replace("\r\n", "\n");
        let came = String::from_utf8_lossy(came);
        let above = came.strip_suffix(sent.as_str());
        let above = above.unwrap_or_else(|| panic!("message {n} was changed on its way"));
        let hops = above.matches("\nReceived: ").count();
        assert_eq!(hops, 3, "Postfix, Sealpost and Postfix: {above}");
    }
    assert_eq!(delivered.len(), MESSAGES);
    let tls = [
        ("level", "verify"),
        ("authenticated", "webpki"),
        ("result", "delivered"),
    ];
    let over_tls = world.daemon.metric("deliveries_total", &tls).await;
    assert_eq!(over_tls, MESSAGES as f64);
    assert_eq!(client.lines("status=deferred"), Vec::<String>::new());
}

#[tokio::test(flavor = "multi_thread")]
async fn postfix_hands_sixty_domains_over_at_once_and_none_is_deferred() {
    const DOMAINS: usize = 60;
    if skipped() {
        return;
    }
    let domains = (0..DOMAINS)
        .map(|n| format!("d{n}.test"))
        .collect::<Vec<_>>();
    let world = with_domains(quiet(), &domains, &Script::default())
        .start()
        .await;
    let client = client(&world, Over::Lmtp).await;
    let to = domains
        .iter()
        .map(|domain| format!("someone@{domain}"))
        .collect::<Vec<_>>();
    let mail = Mail {
        to,
        content: numbered(0),
    };
    inject(client.address(), vec![mail], 1).await;
    assert!(client.wait_until_empty(Duration::from_secs(30)).await);
    assert_eq!(client.lines("status=deferred"), Vec::<String>::new());
    assert_eq!(client.lines("status=sent").len(), DOMAINS);
    for domain in &domains {
        assert_eq!(world.mx(domain).messages().len(), 1, "{domain}");
    }
    let deliveries = world.daemon.deliveries();
    let mut ids = deliveries
        .iter()
        .map(|event| Daemon::field(event, "id"))
        .collect::<Vec<_>>();
    ids.dedup();
    assert_eq!(
        (deliveries.len(), ids.len()),
        (DOMAINS, 1),
        "one transaction for all of them"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn postfix_delivers_to_the_healthy_while_a_hundred_hosts_are_silent() {
    past_silent_hosts(Over::Lmtp).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn postfix_over_smtp_delivers_to_the_healthy_while_a_hundred_hosts_are_silent() {
    past_silent_hosts(Over::Smtp).await;
}

/// 100 queued messages for hosts that accept connections and say nothing, then 1,000 for others: at most 60 s.
async fn past_silent_hosts(over: Over) {
    const SILENT: usize = 100;
    const HEALTHY: usize = 1000;
    /// More than ten times what Postfix attempts at once.
    const AWAY: usize = 2500;
    if skipped() {
        return;
    }
    let silent = (0..SILENT)
        .map(|n| format!("silent{n}.test"))
        .collect::<Vec<_>>();
    let healthy = (0..20)
        .map(|n| format!("healthy{n}.test"))
        .collect::<Vec<_>>();
    let world = with_domains(quiet(), &silent, &Script::silent());
    let mut world = with_domains(world, &healthy, &Script::default())
        .start()
        .await;
    let client = client(&world, over).await;
    let mails = |count: usize, domains: &[String]| {
        let mail = |n| Mail {
            to: vec![format!("someone{n}@{}", domains[n % domains.len()])],
            content: numbered(n),
        };
        (0..count).map(mail).collect::<Vec<_>>()
    };
    // That Sealpost was away for a moment must not have made Postfix cautious.
    world.daemon.end("TERM").await;
    inject(client.address(), mails(AWAY, &healthy), 4).await;
    assert!(client.wait_log("status=deferred", AWAY).await);
    world.daemon.start_again().await;
    assert!(client.wait_until_empty(Duration::from_secs(30)).await);

    inject(client.address(), mails(SILENT, &silent), 4).await;
    for domain in &silent {
        assert!(world.mx(domain).wait_for_connections(1).await, "{domain}");
    }
    let began = Instant::now();
    inject(client.address(), mails(HEALTHY, &healthy), 8).await;
    for (n, domain) in healthy.iter().enumerate() {
        let share = |all: usize| (all - n).div_ceil(healthy.len());
        let share = share(HEALTHY) + share(AWAY);
        let limit = Duration::from_secs(60).saturating_sub(began.elapsed());
        let came = world
            .mx(domain)
            .wait_at_most(limit, |record| record.accepted().count() >= share);
        assert!(came.await, "{domain} after {:?}", began.elapsed());
    }
    println!(
        "{HEALTHY} messages past {SILENT} silent hosts in {:?}",
        began.elapsed()
    );
    assert_eq!(client.lines(SUSPENDED), Vec::<String>::new());
}

#[tokio::test(flavor = "multi_thread")]
async fn postfix_over_lmtp_suspends_nothing_and_loses_nothing_in_twenty_restarts() {
    let (lost, doubled) = restarts(Over::Lmtp, "TERM", 20).await;
    assert_eq!((lost, doubled), (0, 0), "lost, doubled");
}

#[tokio::test(flavor = "multi_thread")]
async fn postfix_over_smtp_suspends_nothing_and_loses_nothing_in_restarts() {
    let (lost, doubled) = restarts(Over::Smtp, "TERM", 6).await;
    assert_eq!((lost, doubled), (0, 0), "lost, doubled");
}

/// What dies between the MX's 250 and its own leaves the message with the client: twice is better than never.
#[tokio::test(flavor = "multi_thread")]
async fn postfix_suspends_nothing_and_loses_nothing_when_sealpost_is_killed() {
    let (lost, _) = restarts(Over::Lmtp, "KILL", 6).await;
    assert_eq!(lost, 0, "lost");
}

/// Restarts Sealpost again and again while mail flows: how many messages were lost, and how many came twice.
async fn restarts(over: Over, signal: &str, times: usize) -> (usize, usize) {
    const DOMAINS: usize = 5;
    /// Messages between two restarts.
    const ROUND: usize = 50;
    if skipped() {
        return (0, 0);
    }
    let domains = (0..DOMAINS)
        .map(|n| format!("d{n}.test"))
        .collect::<Vec<_>>();
    // The hosts are at some distance, so that there is always something on its way.
    let distant = Script {
        delay_per_flight: Duration::from_millis(50),
        ..Script::default()
    };
    let mut world = with_domains(quiet(), &domains, &distant).start().await;
    let client = client(&world, over).await;
    let mails = |round: usize| {
        let mail = |n: usize| Mail {
            to: vec![format!("someone@{}", domains[n % DOMAINS])],
            content: numbered(n),
        };
        (round * ROUND..(round + 1) * ROUND)
            .map(mail)
            .collect::<Vec<_>>()
    };
    for round in 0..times {
        let before = arrived(&world, &domains).len();
        let mut injecting = JoinSet::new();
        injecting.spawn(inject(client.address(), mails(round), 4));
        let until = Instant::now() + Duration::from_secs(20);
        while arrived(&world, &domains).len() < before + ROUND / 5 && Instant::now() < until {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        world.daemon.restart(signal).await;
        injecting.join_all().await;
    }
    if !client.wait_until_empty(Duration::from_secs(60)).await {
        let sockets = std::process::Command::new("ss").arg("-tnp").output();
        let sockets = sockets.map_or_else(
            |error| error.to_string(),
            |o| String::from_utf8_lossy(&o.stdout).into_owned(),
        );
        let metrics = world.daemon.get("/metrics").await;
        panic!("still queued: {}\n{sockets}\n{metrics:?}", client.queue());
    }
    assert_eq!(client.lines(SUSPENDED), Vec::<String>::new());
    assert_eq!(client.lines("status=bounced"), Vec::<String>::new());
    let mut count = vec![0_usize; times * ROUND];
    for n in arrived(&world, &domains) {
        count[n] += 1;
    }
    let deferred = client.lines("status=deferred").len();
    println!(
        "{times} restarts, {} messages, {deferred} attempts deferred",
        count.len()
    );
    let lost = count.iter().filter(|times| **times == 0).count();
    (lost, count.iter().filter(|times| **times > 1).count())
}

/// The numbers of all messages that any of these domains has accepted.
fn arrived(world: &World, domains: &[String]) -> Vec<usize> {
    let messages = domains
        .iter()
        .flat_map(|domain| world.mx(domain).messages());
    messages.map(|message| number(&message.content)).collect()
}

/// swaks, a sender that people test servers with.
#[tokio::test(flavor = "multi_thread")]
async fn interop_swaks_sends_over_smtp_and_lmtp() {
    if std::process::Command::new("swaks")
        .arg("--version")
        .output()
        .is_err()
    {
        println!("SKIPPED: swaks is not installed");
        return;
    }
    let world = quiet().domain("a.test", Script::default()).start().await;
    for (protocol, address) in [("ESMTP", world.daemon.smtp), ("LMTP", world.daemon.lmtp)] {
        let address = address.unwrap();
        let to = format!("{}@a.test", protocol.to_lowercase());
        let mut swaks = std::process::Command::new("swaks");
        swaks.args(["--protocol", protocol, "--server", &address.to_string()]);
        swaks.args([
            "--to",
            &to,
            "--from",
            "swaks@client.test",
            "--helo",
            "client.test",
        ]);
        let output = swaks.output().unwrap();
        let said = String::from_utf8_lossy(&output.stdout);
        assert!(output.status.success(), "{protocol}: {said}");
    }
    let messages = world.mx("a.test").messages();
    let to = messages
        .iter()
        .flat_map(|message| message.addresses())
        .collect::<Vec<_>>();
    assert_eq!(to, ["esmtp@a.test", "lmtp@a.test"]);
}

/// A Postfix that is the MX host of a domain, with a certificate of the laboratory.
fn postfix_mx(world: &World, domain: &str) -> Postfix {
    let (host, listen) = (format!("mx.{domain}"), world.net.ports.next());
    world
        .net
        .dns
        .mx(domain, 10, &host)
        .address_of(&host, listen.ip());
    let files = world.net.ca.files(&world.net.ca.identity(&host));
    let main = format!(
        "{}myhostname = {host}\nsmtpd_tls_security_level = encrypt\nsmtpd_tls_cert_file = {}\nsmtpd_tls_key_file = {}\n",
        maildir(domain),
        files.cert.display(),
        files.key.display()
    );
    Postfix::start(&Setup {
        listen,
        main,
        master: String::new(),
    })
    .unwrap()
}

/// From 1 KB to 2 MB, each step the same factor.
fn size(n: usize, of: usize) -> usize {
    let part = n as f64 / (of - 1) as f64;
    (1000.0 * 2000_f64.powf(part)) as usize
}

/// A message of about this size with everything in it that servers get wrong.
fn awkward(n: usize, size: usize) -> Vec<u8> {
    let long = "x".repeat(998);
    let lines = [
        ".",
        "..",
        ".hello",
        "",
        "From the start of a line",
        "trailing blanks  \t",
        "grüße, 8 bit \u{20ac}",
        "QUIT",
        "=20=\u{a0}",
        " ",
        long.as_str(),
        "DATA",
        "\ttab",
    ];
    let mut content = numbered(n);
    content.truncate(content.len() - b"\r\nhello\r\n".len());
    content.extend_from_slice(
        b"Subject: folded\r\n\tsubject  of two lines\r\nMIME-Version: 1.0\r\n\
          Content-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: 8bit\r\n\r\n",
    );
    let mut random = fastrand::Rng::with_seed(n as u64);
    while content.len() < size {
        let line = lines[random.usize(..lines.len())];
        content.extend_from_slice(line.as_bytes());
        content.extend_from_slice(b"\r\n");
    }
    content
}
