//! What an MX host offers is used, and nothing else.
#![allow(clippy::unwrap_used, reason = "it is test code")]

mod support;

use std::time::{Duration, Instant};
use support::{Act, CONTENT, Reply, Script, World, WorldBuilder};

const NOTHING: [String; 0] = [];

/// A domain with a host that behaves so, and a good one behind it.
fn with_backup(world: WorldBuilder, domain: &str, first: Script) -> WorldBuilder {
    let (mx1, mx2) = (format!("mx1.{domain}"), format!("mx2.{domain}"));
    let hosts = vec![
        (mx1.as_str(), 10, first),
        (mx2.as_str(), 20, Script::default()),
    ];
    world.domain_with(domain, hosts)
}

/// Sends a content to one recipient: the final reply.
async fn mail(world: &World, to: &str, content: &[u8]) -> Reply {
    let mut client = world.smtp().await;
    client
        .mail("sender@client.test", &[to], content)
        .await
        .unwrap()
}

/// A message of about so many octets, of lines that a laboratory's host checks.
fn content_of(octets: usize) -> Vec<u8> {
    let mut content = b"Subject: big\r\n\r\n".to_vec();
    let mut line = 0_u64;
    while content.len() < octets {
        content.extend_from_slice(format!("line {line}, {}\r\n", fastrand::u64(..)).as_bytes());
        line += 1;
    }
    content
}

#[tokio::test(flavor = "multi_thread")]
async fn commands_are_pipelined_where_that_is_offered_and_only_there() {
    let far = || Script {
        delay_per_flight: Duration::from_millis(60),
        ..Script::default()
    };
    let world = World::new()
        .domain("piped.test", far())
        .domain("steps.test", far().without("PIPELINING"))
        .start()
        .await;
    let mut elapsed = Vec::new();
    for domain in ["piped.test", "steps.test"] {
        let to: Vec<_> = (0..20).map(|n| format!("r{n}@{domain}")).collect();
        let to: Vec<_> = to.iter().map(String::as_str).collect();
        let started = Instant::now();
        let replies = world.send_lmtp(&to).await;
        elapsed.push(started.elapsed());
        assert!(replies.iter().all(|reply| reply.code == 250), "{replies:?}");
        assert_eq!(world.mx(domain).violations(), NOTHING);
    }
    assert!(elapsed[0] * 2 < elapsed[1], "{elapsed:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn dsn_parameters_go_as_they_came_and_only_where_offered() {
    let world = World::new()
        .domain("dsn.test", Script::default())
        .domain("plain.test", Script::default().without("DSN"))
        .start()
        .await;
    for domain in ["dsn.test", "plain.test"] {
        let mut client = world.smtp().await;
        for line in [
            "MAIL FROM:<s@client.test> RET=HDRS ENVID=Q+2Bx+3D1".to_owned(),
            format!("RCPT TO:<r@{domain}> NOTIFY=SUCCESS,DELAY ORCPT=rfc822;a+2Bb@x.test"),
        ] {
            client.command(&line).await.unwrap().expect(250).unwrap();
        }
        client.command("DATA").await.unwrap().expect(354).unwrap();
        client.send(lab::client::stuffed(CONTENT)).await.unwrap();
        client.reply().await.unwrap().expect(250).unwrap();
        let message = world.mx(domain).messages().remove(0);
        let with_dsn = ["RET=HDRS", "ENVID=Q+2Bx+3D1"]
            .iter()
            .filter(|p| message.params.contains(&(**p).to_owned()));
        let expected = if domain == "dsn.test" { 2 } else { 0 };
        assert_eq!(with_dsn.count(), expected, "{:?}", message.params);
        let mut params = message.recipients[0].params.clone();
        params.sort();
        let expected: &[&str] = if domain == "dsn.test" {
            &["NOTIFY=SUCCESS,DELAY", "ORCPT=rfc822;a+2Bb@x.test"]
        } else {
            &[]
        };
        assert_eq!(params, expected);
        assert_eq!(world.mx(domain).violations(), NOTHING);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn addresses_go_as_they_came() {
    let world = World::new()
        .domain("a.test", Script::default())
        .start()
        .await;
    let mut client = world.smtp().await;
    let pairs = [
        ("", "postmaster@a.test"),
        ("s@client.test", "\"a b\"@a.test"),
        ("\"s \\\" t\"@client.test", "\"x>y@z\"@a.test"),
        ("S.Mixed+tag=x@client.test", "CaSe@a.test"),
    ];
    for (from, to) in pairs {
        let reply = client.mail(from, &[to], CONTENT).await.unwrap();
        assert_eq!(reply.code, 250, "{from} {to}: {reply}");
    }
    let mx = world.mx("a.test");
    let messages = mx.messages();
    let seen: Vec<_> = messages
        .iter()
        .map(|m| (m.sender.as_str(), m.recipients[0].address.as_str()))
        .collect();
    assert_eq!(seen, pairs);
    assert_eq!(mx.violations(), NOTHING);
}

#[tokio::test(flavor = "multi_thread")]
async fn eight_bit_content_looks_for_a_host_that_takes_it() {
    let seven = || Script::default().without("8BITMIME").without("SMTPUTF8");
    let builder = World::new()
        .domain("a.test", seven())
        .domain_with(
            "none.test",
            vec![
                ("mx1.none.test", 10, seven()),
                ("mx2.none.test", 20, seven()),
            ],
        )
        // SMTPUTF8 brings 8BITMIME with it (RFC 6531 §3.1).
        .domain("utf8.test", Script::default().without("8BITMIME"));
    let world = with_backup(builder, "b.test", seven()).start().await;
    let content = "Subject: x\r\n\r\ngr\u{fc}\u{df}e\r\n".as_bytes();
    for to in ["r@a.test", "r@none.test"] {
        let reply = mail(&world, to, content).await;
        assert_eq!(
            (reply.code, reply.enhanced()),
            (554, Some("5.6.3")),
            "{reply}"
        );
        assert!(reply.contains("outbound.assume_8bit"), "{reply}");
    }
    let reply = mail(&world, "r@b.test", content).await;
    assert_eq!(reply.code, 250, "{reply}");
    assert!(reply.contains("host mx2.b.test"), "{reply}");
    assert_eq!(mail(&world, "r@utf8.test", content).await.code, 250);
    assert_eq!(
        mail(&world, "r@a.test", CONTENT).await.code,
        250,
        "7-bit content passes"
    );
    let refused = world.daemon.metric("eightbit_refused_total", &[]).await;
    assert!(
        (refused - 2.0).abs() < 0.5,
        "recipients refused for it, not hosts: {refused}"
    );
    for host in ["a.test", "mx1.b.test", "mx2.none.test"] {
        assert_eq!(world.mx(host).violations(), NOTHING, "{host}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn assume_8bit_sends_it_as_it_is() {
    let world = World::new()
        .domain(
            "a.test",
            Script::default().without("8BITMIME").without("SMTPUTF8"),
        )
        .config("[outbound]\nassume_8bit = true")
        .start()
        .await;
    let content = "Subject: x\r\n\r\ngr\u{fc}\u{df}e\r\n".as_bytes();
    let reply = mail(&world, "r@a.test", content).await;
    assert_eq!(reply.code, 250, "{reply}");
    let message = world.mx("a.test").messages().remove(0);
    assert!(message.content.ends_with(content));
    assert_eq!(world.mx("a.test").violations(), NOTHING);
}

#[tokio::test(flavor = "multi_thread")]
async fn internationalized_mail_looks_for_a_host_that_takes_it() {
    let ascii = || Script::default().without("SMTPUTF8");
    let builder = World::new().domain("a.test", ascii());
    let world = with_backup(builder, "b.test", ascii()).start().await;
    for (to, code) in [
        ("gr\u{fc}n@a.test", 553),
        ("gr\u{fc}n@b.test", 250),
        ("plain@a.test", 250),
    ] {
        let mut client = world.smtp().await;
        for line in [
            "MAIL FROM:<s@client.test> SMTPUTF8".to_owned(),
            format!("RCPT TO:<{to}>"),
        ] {
            client.command(&line).await.unwrap().expect(250).unwrap();
        }
        client.command("DATA").await.unwrap().expect(354).unwrap();
        client.send(lab::client::stuffed(CONTENT)).await.unwrap();
        let reply = client.reply().await.unwrap();
        assert_eq!(reply.code, code, "{to}: {reply}");
        if code == 553 {
            assert_eq!(reply.enhanced(), Some("5.6.7"), "{reply}");
        }
    }
    let message = world.mx("mx2.b.test").messages().remove(0);
    assert_eq!(message.addresses(), ["gr\u{fc}n@b.test"]);
    assert!(
        message.params.contains(&"SMTPUTF8".to_owned()),
        "{:?}",
        message.params
    );
    for host in ["a.test", "mx1.b.test", "mx2.b.test"] {
        assert_eq!(world.mx(host).violations(), NOTHING, "{host}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_message_above_the_announced_size_is_not_sent() {
    let limit = |size: &str| Script::default().without("SIZE").with(size);
    let world = World::new()
        .domain("small.test", limit("SIZE 1000"))
        .domain("zero.test", limit("SIZE 0"))
        .domain("bare.test", limit("SIZE"))
        .domain("none.test", Script::default().without("SIZE"))
        .start()
        .await;
    let content = content_of(5_000);
    let reply = mail(&world, "r@small.test", &content).await;
    assert_eq!(
        (reply.code, reply.enhanced()),
        (552, Some("5.3.4")),
        "{reply}"
    );
    let verbs = world.mx("small.test").connections()[0].verbs();
    assert!(!verbs.contains(&"MAIL".to_owned()), "{verbs:?}");
    for domain in ["zero.test", "bare.test", "none.test"] {
        assert_eq!(
            mail(&world, &format!("r@{domain}"), &content).await.code,
            250,
            "{domain}"
        );
        assert_eq!(world.mx(domain).violations(), NOTHING, "{domain}");
    }
    assert_eq!(
        world.send("r@small.test").await.code,
        250,
        "a small one passes"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn helo_is_said_only_where_no_tls_is_required() {
    let old = || Script {
        ehlo: (502, "5.5.1 what?").into(),
        ..Script::no_starttls()
    };
    let world = World::new()
        .domain("may.test", old())
        .domain("must.test", old())
        .config("[[rule]]\ndomains = ['must.test']\nrequire = 'encrypt'")
        .start()
        .await;
    assert_eq!(world.send("r@may.test").await.code, 250);
    let message = world.mx("may.test").messages().remove(0);
    assert_eq!(
        (message.params.len(), world.mx("may.test").violations()),
        (0, vec![])
    );
    let reply = world.send("r@must.test").await;
    assert_eq!(reply.code, 451, "{reply}");
    let mx = world.mx("must.test");
    assert!(!mx.connections()[0].verbs().contains(&"HELO".to_owned()));
    assert!(!mx.mail_octets_in_clear() && !mx.wire_contains("secret-marker"));
}

#[tokio::test(flavor = "multi_thread")]
async fn odd_but_legal_replies_are_understood() {
    let bare = Script {
        mail: (250, "").into(),
        rcpt: (250, "").into(),
        data: (354, "").into(),
        dot: (250, "").into(),
        ..Script::default()
    };
    let wordy = Script {
        greeting: (220, "mx\nwelcome\nto a wordy host").into(),
        mail: (250, "2.1.0 one\n2.1.0 two").into(),
        rcpt: (251, "2.1.5 will forward").into(),
        dot: (200, "nonstandard success").into(),
        ..Script::default()
    };
    let bare_lf = Script {
        mail: Act::raw("250 2.1.0 ok\n"),
        ..Script::default()
    };
    let dripping = Script {
        drip: Some(Duration::from_millis(1)),
        ..Script::default()
    };
    let world = World::new()
        .domain("bare.test", bare)
        .domain("wordy.test", wordy)
        .domain("lf.test", bare_lf)
        .domain("drip.test", dripping)
        .start()
        .await;
    for domain in ["bare.test", "wordy.test", "lf.test", "drip.test"] {
        let reply = world.send(&format!("r@{domain}")).await;
        assert_eq!(
            (reply.code, reply.enhanced()),
            (250, Some("2.0.0")),
            "{domain}: {reply}"
        );
        assert_eq!(world.mx(domain).messages().len(), 1, "{domain}");
    }
}
