//! One mail transaction with an MX host: what it is told, what its replies come to, and to whom else the mail goes.

mod support;

use lab::mx::{Content, NoRecipients};
use std::time::{Duration, Instant};
use support::{Act, CONTENT, Daemon, Script, SmtpClient, Stage, World};

const NOTHING: [String; 0] = [];

/// A host that behaves so, and a good one behind it.
fn two_hosts(domain: &str, first: Script) -> Vec<(String, u16, Script)> {
    vec![
        (format!("mx1.{domain}"), 10, first),
        (format!("mx2.{domain}"), 20, Script::default()),
    ]
}

fn with_backup(world: support::WorldBuilder, domain: &str, first: Script) -> support::WorldBuilder {
    let hosts = two_hosts(domain, first);
    let hosts = hosts
        .iter()
        .map(|(name, preference, script)| (name.as_str(), *preference, script.clone()));
    world.domain_with(domain, hosts.collect())
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

async fn mail(world: &World, to: &str, content: &[u8]) -> support::Reply {
    let mut client = world.smtp().await;
    client
        .mail("sender@client.test", &[to], content)
        .await
        .unwrap()
}

fn cut(stage: Stage, act: Act) -> Script {
    Script::default().on(move |moment| {
        if moment.stage == stage {
            act.clone()
        } else {
            Act::Normal
        }
    })
}

fn long_refusal() -> Act {
    Act::Reply(
        550,
        "5.1.1 no such user, and it is a long story\n".repeat(40),
    )
}

#[tokio::test(flavor = "multi_thread")]
async fn every_reply_of_a_host_has_its_reply_to_the_client() {
    let at = |stage, act: (u16, &'static str)| cut(stage, act.into());
    let raw = |stage, octets: &'static [u8]| cut(stage, Act::raw(octets));
    let odd_text = "550 5.1.1 \x07tab\there \u{e9}\r\n".as_bytes();
    let cases: Vec<(&str, Script, u16, &str, &str)> = vec![
        (
            "mail450",
            at(Stage::Mail, (450, "4.1.8 later")),
            450,
            "4.1.8",
            "] said: later",
        ),
        (
            "mail550",
            at(Stage::Mail, (550, "5.1.8 never")),
            550,
            "5.1.8",
            "] said: never",
        ),
        (
            "mail421",
            at(Stage::Mail, (421, "4.3.2 enough")),
            451,
            "4.3.2",
            "421 4.3.2 enough",
        ),
        (
            "mail354",
            at(Stage::Mail, (354, "what")),
            451,
            "4.5.0",
            "354 what",
        ),
        (
            "rcpt450",
            at(Stage::Rcpt, (450, "4.2.1 later")),
            450,
            "4.2.1",
            "later",
        ),
        (
            "rcpt451-bare",
            at(Stage::Rcpt, (451, "")),
            451,
            "4.0.0",
            "said: ",
        ),
        (
            "rcpt550",
            at(Stage::Rcpt, (550, "5.1.1 no such user")),
            550,
            "5.1.1",
            "no such user",
        ),
        (
            "rcpt550-class",
            at(Stage::Rcpt, (550, "4.1.1 odd")),
            550,
            "5.0.0",
            "odd",
        ),
        (
            "rcpt452",
            at(Stage::Rcpt, (452, "4.5.3 too many")),
            452,
            "4.5.3",
            "too many",
        ),
        (
            "rcpt552",
            at(Stage::Rcpt, (552, "5.2.2 full")),
            552,
            "5.2.2",
            "full",
        ),
        (
            "rcpt421",
            at(Stage::Rcpt, (421, "4.3.2 enough")),
            451,
            "4.3.2",
            "421",
        ),
        (
            "rcpt354",
            at(Stage::Rcpt, (354, "what")),
            451,
            "4.5.0",
            "354 what",
        ),
        (
            "rcpt-odd",
            raw(Stage::Rcpt, odd_text),
            550,
            "5.1.1",
            "said: ?tab?here ??",
        ),
        (
            "rcpt-long",
            cut(Stage::Rcpt, long_refusal()),
            550,
            "5.1.1",
            "a long story no such user",
        ),
        (
            "rcpt199",
            raw(Stage::Rcpt, b"199 what\r\n"),
            451,
            "4.5.0",
            "malformed",
        ),
        (
            "rcpt600",
            raw(Stage::Rcpt, b"600 what\r\n"),
            451,
            "4.5.0",
            "malformed",
        ),
        (
            "data451",
            at(Stage::Data, (451, "4.7.1 later")),
            451,
            "4.7.1",
            "later",
        ),
        (
            "data554",
            at(Stage::Data, (554, "5.7.1 no")),
            554,
            "5.7.1",
            "no",
        ),
        (
            "data421",
            at(Stage::Data, (421, "4.3.2 enough")),
            451,
            "4.3.2",
            "421",
        ),
        (
            "data250",
            at(Stage::Data, (250, "2.0.0 done")),
            451,
            "4.5.0",
            "250 2.0.0 done",
        ),
        (
            "dot451",
            at(Stage::Dot, (451, "4.7.1 greylisted")),
            451,
            "4.7.1",
            "greylisted",
        ),
        (
            "dot554",
            at(Stage::Dot, (554, "5.7.1 spam")),
            554,
            "5.7.1",
            "spam",
        ),
        (
            "dot421",
            at(Stage::Dot, (421, "4.3.2 enough")),
            451,
            "4.3.2",
            "421",
        ),
        (
            "dot354",
            at(Stage::Dot, (354, "more")),
            451,
            "4.5.0",
            "354 more",
        ),
        (
            "dot777",
            raw(Stage::Dot, b"777 fine\r\n"),
            451,
            "4.5.0",
            "malformed",
        ),
        (
            "greet554",
            at(Stage::Greeting, (554, "5.7.1 no")),
            451,
            "4.0.0",
            "554 5.7.1 no",
        ),
        (
            "greet421",
            at(Stage::Greeting, (421, "4.3.2 busy")),
            451,
            "4.3.2",
            "421 4.3.2 busy",
        ),
        (
            "greet354",
            at(Stage::Greeting, (354, "what")),
            451,
            "4.5.0",
            "354",
        ),
        (
            "ehlo421",
            at(Stage::Ehlo, (421, "4.3.2 busy")),
            451,
            "4.3.2",
            "421",
        ),
        (
            "tlsehlo550",
            at(Stage::TlsEhlo, (550, "5.7.1 no")),
            451,
            "4.0.0",
            "550 5.7.1 no",
        ),
    ];
    let mut builder = World::new();
    for (name, script, ..) in &cases {
        builder = builder.domain(&format!("{name}.test"), script.clone());
    }
    let world = builder.start().await;
    let mut client = world.lmtp().await;
    for (name, _, code, enhanced, text) in &cases {
        let to = format!("someone@{name}.test");
        let replies = client
            .lmtp_mail("s@client.test", &[&to], CONTENT)
            .await
            .unwrap();
        let reply = &replies[0];
        assert_eq!(
            (reply.code, reply.enhanced()),
            (*code, Some(*enhanced)),
            "{name}: {reply}"
        );
        assert!(reply.contains(text), "{name}: {reply}");
        assert!(
            reply.contains(&format!("host mx.{name}.test[127.")),
            "{name}: {reply}"
        );
        assert_eq!(reply.lines.len(), 1, "{name}: {reply}");
        let octets = "250 \r\n".len() + reply.lines[0].len();
        assert!(octets <= 512, "{name}: {octets}");
        if *name == "rcpt-long" {
            assert_eq!(octets, 512, "cut, not shortened more than needed");
        }
        let mx = world.mx(&format!("{name}.test"));
        assert_eq!(mx.messages().len(), 0, "{name}");
        assert_eq!(mx.violations(), NOTHING, "{name}");
    }
    let failed = world
        .daemon
        .metric("deliveries_total", &[("result", "delivered")])
        .await;
    assert!(failed.abs() < 0.5);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_concerns_one_host_sends_the_mail_to_the_next() {
    let at = |stage, act: (u16, &'static str)| cut(stage, act.into());
    let raw = |stage, octets: &[u8]| cut(stage, Act::raw(octets));
    let cases: Vec<(&str, Script)> = vec![
        ("mail451", at(Stage::Mail, (451, "4.3.0 later"))),
        ("mail421", at(Stage::Mail, (421, "4.3.2 enough"))),
        (
            "mail421close",
            cut(Stage::Mail, Act::reply(421, "4.3.2 enough").then_close()),
        ),
        ("mail354", at(Stage::Mail, (354, "what"))),
        ("mailclose", cut(Stage::Mail, Act::Close)),
        ("mailreset", cut(Stage::Mail, Act::Reset)),
        ("mailgarbage", raw(Stage::Mail, b"I am not SMTP\r\n")),
        ("mailchange", raw(Stage::Mail, b"250-one\r\n251 two\r\n")),
        (
            "mailshift",
            raw(Stage::Mail, b"250 one\r\n250 one more\r\n"),
        ),
        ("rcpt450", at(Stage::Rcpt, (450, "4.2.0 greylisted"))),
        ("rcpt421", at(Stage::Rcpt, (421, "4.3.2 enough"))),
        ("rcptclose", cut(Stage::Rcpt, Act::Close)),
        (
            "rcptstray",
            raw(Stage::Rcpt, b"250 2.1.5 ok\r\nand by the way\r\n"),
        ),
        (
            "rcptshift",
            raw(Stage::Rcpt, b"250 2.1.5 ok\r\n250 2.1.5 ok\r\n"),
        ),
        ("data451", at(Stage::Data, (451, "4.3.0 later"))),
        ("data421", at(Stage::Data, (421, "4.3.2 enough"))),
        ("data250", at(Stage::Data, (250, "2.0.0 done"))),
        ("dataclose", cut(Stage::Data, Act::Close)),
        (
            "dataearly",
            raw(Stage::Data, b"354 go on\r\n250 2.0.0 done\r\n"),
        ),
        ("dot451", at(Stage::Dot, (451, "4.3.0 later"))),
        ("dot421", at(Stage::Dot, (421, "4.3.2 enough"))),
        (
            "greet554",
            cut(Stage::Greeting, Act::reply(554, "5.7.1 no").then_close()),
        ),
        (
            "greet421",
            cut(Stage::Greeting, Act::reply(421, "4.3.2 busy").then_close()),
        ),
        ("greetclose", cut(Stage::Greeting, Act::Close)),
        (
            "greetendless",
            cut(Stage::Greeting, Act::Endless(b"220-and on\r\n".to_vec())),
        ),
        (
            "greetoverlong",
            cut(Stage::Greeting, Act::Endless(b"220 and on ".to_vec())),
        ),
        (
            "ehloendless",
            cut(Stage::Ehlo, Act::Endless(b"250-X-MORE\r\n".to_vec())),
        ),
        ("ehlo421", at(Stage::Ehlo, (421, "4.3.2 busy"))),
        ("refused", Script::refused()),
    ];
    let mut builder = World::new();
    for (name, script) in &cases {
        builder = with_backup(builder, &format!("{name}.test"), script.clone());
    }
    let world = builder.start().await;
    for (name, _) in &cases {
        let reply = world.send(&format!("someone@{name}.test")).await;
        assert_eq!(reply.code, 250, "{name}: {reply}");
        assert!(
            reply.contains(&format!("host mx2.{name}.test")),
            "{name}: {reply}"
        );
        let first = world.mx(&format!("mx1.{name}.test"));
        assert_eq!(first.messages().len(), 0, "{name}");
        assert_eq!(
            world.mx(&format!("mx2.{name}.test")).messages().len(),
            1,
            "{name}"
        );
        if *name != "refused" {
            assert_eq!(first.connections().len(), 1, "{name}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_final_word_is_final_and_a_lost_one_is_not_asked_again_elsewhere() {
    let at = |stage, act: (u16, &'static str)| cut(stage, act.into());
    let cases: Vec<(&str, Script, u16, &str)> = vec![
        ("mail550", at(Stage::Mail, (550, "5.1.8 no")), 550, "no"),
        ("rcpt550", at(Stage::Rcpt, (550, "5.1.1 no")), 550, "no"),
        (
            "rcptclose",
            cut(Stage::Rcpt, Act::reply(550, "5.7.1 blocked").then_close()),
            550,
            "no",
        ),
        (
            "mailclose",
            cut(Stage::Mail, Act::reply(550, "5.7.1 blocked").then_close()),
            550,
            "no",
        ),
        ("data554", at(Stage::Data, (554, "5.7.1 no")), 554, "no"),
        ("dot554", at(Stage::Dot, (554, "5.7.1 spam")), 554, "no"),
        ("dotclose", cut(Stage::Dot, Act::Close), 451, "yes"),
        ("dotreset", cut(Stage::Dot, Act::Reset), 451, "yes"),
        ("dot354", at(Stage::Dot, (354, "more")), 451, "yes"),
        (
            "dotgarbage",
            cut(Stage::Dot, Act::raw("whatever\r\n")),
            451,
            "yes",
        ),
    ];
    let mut builder = World::new();
    for (name, script, ..) in &cases {
        builder = with_backup(builder, &format!("{name}.test"), script.clone());
    }
    let world = builder.start().await;
    for (name, _, code, duplicate) in &cases {
        let to = format!("someone@{name}.test");
        let reply = world.send(&to).await;
        assert_eq!(reply.code, *code, "{name}: {reply}");
        assert!(
            reply.contains(&format!("host mx1.{name}.test")),
            "{name}: {reply}"
        );
        if matches!(*name, "dotclose" | "dotreset") {
            assert_eq!(reply.enhanced(), Some("4.4.2"), "{name}: {reply}");
        }
        let second = world.mx(&format!("mx2.{name}.test"));
        assert_eq!(
            second.connections().len(),
            0,
            "{name}: the next MX was asked"
        );
        let is_it = |line: &support::Log| {
            Daemon::field(line, "to").and_then(|to| to.as_str()) == Some(to.as_str())
        };
        let line = world.daemon.wait_log(is_it).await;
        let said = Daemon::field(&line, "possible_duplicate").and_then(|v| v.as_str());
        assert_eq!(said, Some(*duplicate), "{name}: {line}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn recipients_refused_for_now_go_to_the_next_host_and_nobody_gets_it_twice() {
    for pipelining in ["PIPELINING", "X-NONE"] {
        let script = |soft: &str, hard: &str| {
            Script::default()
                .without("PIPELINING")
                .with(pipelining)
                .rcpt(soft, (450, "4.2.0 greylisted"))
                .rcpt(hard, (550, "5.1.1 no such user"))
        };
        let world = World::new()
            .domain_with(
                "a.test",
                vec![
                    ("mx1.a.test", 10, script("soft@a.test", "hard@a.test")),
                    ("mx2.a.test", 20, script("-", "one@a.test")),
                ],
            )
            .start()
            .await;
        let to = ["one@a.test", "soft@a.test", "hard@a.test", "two@a.test"];
        let replies = world.send_lmtp(&to).await;
        let codes: Vec<_> = replies.iter().map(|reply| reply.code).collect();
        assert_eq!(codes, [250, 250, 550, 250], "{pipelining} {replies:?}");
        assert!(replies[1].contains("host mx2.a.test") && replies[3].contains("host mx1.a.test"));
        for (host, expected) in [
            ("mx1.a.test", vec!["one@a.test", "two@a.test"]),
            ("mx2.a.test", vec!["soft@a.test"]),
        ] {
            let messages = world.mx(host).messages();
            assert_eq!(messages.len(), 1, "{host}");
            assert_eq!(messages[0].addresses(), expected, "{host}");
            assert_eq!(world.mx(host).violations(), NOTHING, "{host}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn recipients_beyond_a_hosts_limit_follow_at_once_in_the_next_transaction() {
    let limited = Script {
        rcpt_limit: Some(2),
        ..Script::default()
    };
    let world = World::new()
        .domain("a.test", limited.clone())
        .domain("b.test", limited.without("PIPELINING"))
        .start()
        .await;
    for domain in ["a.test", "b.test"] {
        let to: Vec<_> = (0..5).map(|n| format!("r{n}@{domain}")).collect();
        let to: Vec<_> = to.iter().map(String::as_str).collect();
        let replies = world.send_lmtp(&to).await;
        assert!(replies.iter().all(|reply| reply.code == 250), "{replies:?}");
        let mx = world.mx(domain);
        let sent: Vec<_> = mx
            .messages()
            .iter()
            .map(|m| m.addresses().join(" "))
            .collect();
        let expected = [to[..2].join(" "), to[2..4].join(" "), to[4..].join(" ")];
        assert_eq!(sent, expected);
        assert_eq!((mx.connections().len(), mx.violations()), (1, vec![]));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_452_to_the_first_recipient_is_a_deferral() {
    let world = World::new()
        .domain(
            "a.test",
            Script {
                rcpt_limit: Some(0),
                ..Script::default()
            },
        )
        .start()
        .await;
    let replies = world.send_lmtp(&["one@a.test", "two@a.test"]).await;
    let codes: Vec<_> = replies.iter().map(|reply| reply.code).collect();
    assert_eq!(codes, [452, 452], "{replies:?}");
    let verbs = world.mx("a.test").connections()[0].verbs();
    assert_eq!(
        verbs.iter().filter(|verb| *verb == "MAIL").count(),
        1,
        "{verbs:?}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn data_accepted_for_nobody_is_ended_with_a_lone_dot() {
    let script = Script {
        no_recipients: NoRecipients::Accept,
        ..Script::default()
    };
    let world = World::new()
        .domain(
            "a.test",
            script
                .rcpt("no@a.test", (550, "5.1.1 no"))
                .rcpt("no2@a.test", (450, "4.2.0 later")),
        )
        .start()
        .await;
    let replies = world.send_lmtp(&["no@a.test", "no2@a.test"]).await;
    assert_eq!(
        (replies[0].code, replies[1].code),
        (550, 450),
        "{replies:?}"
    );
    let mx = world.mx("a.test");
    assert_eq!((mx.record().messages.len(), mx.violations()), (0, vec![]));
    // And the connection is in step: the next message goes over it.
    assert_eq!(world.send("yes@a.test").await.code, 250);
    assert_eq!((mx.messages().len(), mx.violations()), (1, vec![]));
    assert_eq!(mx.messages()[0].addresses(), ["yes@a.test"]);
    assert_eq!(mx.connections().len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn replies_to_what_was_pipelined_behind_a_refused_mail_are_drained() {
    let first_refused =
        Script::default().on(
            |moment| match (moment.stage, moment.transaction, moment.address) {
                (Stage::Mail, _, "bad@client.test") => Act::reply(550, "5.1.8 no"),
                _ => Act::Normal,
            },
        );
    let world = World::new().domain("a.test", first_refused).start().await;
    let mut client = world.lmtp().await;
    let to = ["one@a.test", "two@a.test"];
    let refused = client
        .lmtp_mail("bad@client.test", &to, CONTENT)
        .await
        .unwrap();
    assert!(
        refused
            .iter()
            .all(|reply| (reply.code, reply.enhanced()) == (550, Some("5.1.8"))),
        "{refused:?}"
    );
    let taken = client
        .lmtp_mail("good@client.test", &to, CONTENT)
        .await
        .unwrap();
    assert!(taken.iter().all(|reply| reply.code == 250), "{taken:?}");
    let mx = world.mx("a.test");
    assert_eq!(
        (mx.connections().len(), mx.violations()),
        (1, vec![]),
        "kept, and in step"
    );
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
async fn content_arrives_octet_for_octet() {
    let world = World::new()
        .domain("a.test", Script::default())
        .start()
        .await;
    let all_octets: Vec<u8> = (1..=255)
        .filter(|octet| !matches!(octet, b'\r' | b'\n'))
        .collect();
    let mut contents: Vec<Vec<u8>> = vec![
        Vec::new(),
        b"\r\n".to_vec(),
        b"Subject: x\r\n\r\n.\r\n..\r\n...\r\n.x\r\n\r\n.\r\n".to_vec(),
        b"no header at all\r\n".to_vec(),
        [b"Subject: 8\r\n\r\n", &all_octets[..], b"\r\n"].concat(),
        [&b"Subject: long line\r\n\r\n"[..], &[b'x'; 20_000], b"\r\n"].concat(),
    ];
    for octets in [
        900, 65_400, 65_536, 131_072, 262_000, 262_144, 262_145, 300_000, 1_000_000, 5_000_000,
    ] {
        contents.push(content_of(octets));
    }
    let dots: Vec<u8> = b".\r\n..\r\n"
        .iter()
        .copied()
        .cycle()
        .take(7 * 60_000)
        .collect();
    contents.push([b"Subject: dots\r\n\r\n", &dots[..]].concat());
    let mut client = world.smtp().await;
    let mx = world.mx("a.test");
    for (at, content) in contents.iter().enumerate() {
        let reply = client
            .mail("s@client.test", &["r@a.test"], content)
            .await
            .unwrap();
        assert_eq!(reply.code, 250, "{at}: {reply}");
        let message = mx.messages().pop().unwrap();
        let head = message.content.strip_suffix(&content[..]);
        let head = String::from_utf8(
            head.unwrap_or_else(|| panic!("content {at} was changed"))
                .to_vec(),
        )
        .unwrap();
        assert!(
            head.starts_with("Received: from ") && head.ends_with("\r\n"),
            "{at}: {head}"
        );
        let folded = head
            .lines()
            .skip(1)
            .all(|line| line.starts_with([' ', '\t']));
        assert!(folded, "more than one field was added: {head}");
        let size = format!("SIZE={}", message.content.len());
        assert!(message.params.contains(&size), "{at}: {:?}", message.params);
        let eight_bit = message.params.contains(&"BODY=8BITMIME".to_owned());
        assert_eq!(eight_bit, !content.is_ascii(), "{at}: {:?}", message.params);
    }
    assert_eq!(mx.violations(), NOTHING);
    assert_eq!(mx.connections().len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_missing_line_end_is_added_before_the_final_dot() {
    let world = World::new()
        .domain("a.test", Script::default())
        .start()
        .await;
    let mut client = world.smtp().await;
    for (content, expected) in [
        (
            &b"Subject: x\r\n\r\nno end"[..],
            &b"Subject: x\r\n\r\nno end\r\n"[..],
        ),
        (b"Subject: x\r\n\r\n.", b"Subject: x\r\n\r\n.\r\n"),
    ] {
        client
            .command("MAIL FROM:<s@client.test>")
            .await
            .unwrap()
            .expect(250)
            .unwrap();
        client
            .command("RCPT TO:<r@a.test>")
            .await
            .unwrap()
            .expect(250)
            .unwrap();
        let reply = client.bdat(content, " LAST").await.unwrap();
        assert_eq!(reply.code, 250, "{reply}");
        let message = world.mx("a.test").messages().pop().unwrap();
        assert!(message.content.ends_with(expected), "{}", message.text());
    }
    assert_eq!(world.mx("a.test").violations(), NOTHING);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refusal_in_the_middle_of_the_content_is_the_answer() {
    let with = |content| Script {
        content,
        ..Script::default()
    };
    let cases: Vec<(&str, Content, (u16, &str))> = vec![
        (
            "closes",
            Content::SayAfter(300_000, "552 5.3.4 too big\r\n"),
            (552, "5.3.4"),
        ),
        (
            "stops",
            Content::SayAndStop(300_000, "552 5.3.4 too big\r\n"),
            (552, "5.3.4"),
        ),
        (
            "at-once",
            Content::SayAndStop(0, "554 5.7.1 not like that\r\n"),
            (554, "5.7.1"),
        ),
    ];
    let mut builder = World::new();
    for (name, content, _) in &cases {
        builder = with_backup(builder, &format!("{name}.test"), with(*content));
    }
    let world = builder.start().await;
    let content = content_of(20_000_000);
    for (name, _, expected) in &cases {
        let reply = mail(&world, &format!("r@{name}.test"), &content).await;
        assert_eq!(
            (reply.code, reply.enhanced().unwrap_or("")),
            *expected,
            "{name}: {reply}"
        );
        let second = world.mx(&format!("mx2.{name}.test"));
        assert_eq!(second.connections().len(), 0, "{name}");
    }
    let duplicates = world.daemon.deliveries();
    let yes = |line: &&support::Log| {
        Daemon::field(line, "possible_duplicate").and_then(|v| v.as_str()) == Some("yes")
    };
    assert_eq!(
        duplicates.iter().filter(yes).count(),
        0,
        "the dot never went out"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_host_lost_in_the_middle_of_the_content_leaves_the_mail_to_the_next() {
    let with = |content| Script {
        content,
        ..Script::default()
    };
    let cases: Vec<(&str, Content)> = vec![
        ("closes", Content::CloseAfter(300_000)),
        ("resets", Content::ResetAfter(300_000)),
        (
            "soft",
            Content::SayAfter(300_000, "451 4.3.0 disk full\r\n"),
        ),
        // Nothing that is said before our dot is a delivery.
        ("early", Content::SayAfter(300_000, "250 2.0.0 done\r\n")),
    ];
    let mut builder = World::new();
    for (name, content) in &cases {
        builder = with_backup(builder, &format!("{name}.test"), with(*content));
    }
    let world = builder.start().await;
    let content = content_of(4_000_000);
    for (name, _) in &cases {
        let reply = mail(&world, &format!("r@{name}.test"), &content).await;
        assert_eq!(reply.code, 250, "{name}: {reply}");
        assert!(reply.contains("host mx2."), "{name}: {reply}");
        assert_eq!(
            world
                .mx(&format!("mx1.{name}.test"))
                .record()
                .messages
                .len(),
            0,
            "{name}"
        );
        let message = world.mx(&format!("mx2.{name}.test")).messages().remove(0);
        assert!(message.content.ends_with(&content), "{name}");
    }
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

#[tokio::test(flavor = "multi_thread")]
async fn the_reply_to_a_delivery_says_where_it_went_and_how() {
    let world = World::new()
        .domain("a.test", Script::default())
        .start()
        .await;
    let reply = world.send("r@a.test").await;
    let line = world
        .daemon
        .wait_log(|line| Daemon::field(line, "result").is_some())
        .await;
    let id = Daemon::field(&line, "id")
        .unwrap()
        .as_str()
        .unwrap()
        .to_owned();
    let ip = world.mx("a.test").address().ip();
    let expected = format!(
        "2.0.0 host mx.a.test[{ip}] said: 250 2.0.0 queued as 0.0 (sealpost {id}, TLSv1.3, may)"
    );
    assert_eq!(reply.text(), expected);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hosts_long_farewell_leaves_room_for_our_words() {
    let long = Script {
        dot: Act::Reply(250, format!("2.0.0 {}", "thanks ".repeat(200))),
        ..Script::default()
    };
    let world = World::new().domain("a.test", long).start().await;
    let reply = world.send("r@a.test").await;
    assert_eq!(reply.code, 250);
    let text = reply.text();
    assert!(
        text.ends_with(", TLSv1.3, may)") && text.len() <= 512 - 6,
        "{text}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn every_outcome_is_logged_and_counted() {
    let world = World::new()
        .domain("good.test", Script::default())
        .domain(
            "soft.test",
            Script {
                dot: (451, "4.7.1 later").into(),
                ..Script::default()
            },
        )
        .domain(
            "hard.test",
            Script {
                rcpt: (550, "5.1.1 no").into(),
                ..Script::no_starttls()
            },
        )
        .domain(
            "gone.test",
            Script {
                dot: Act::Close,
                ..Script::default()
            },
        )
        .start()
        .await;
    let to = ["r@good.test", "r@soft.test", "r@hard.test", "r@gone.test"];
    world.send_lmtp(&to).await;
    let metrics = world.daemon.metrics().await;
    for (result, tls, expected) in [
        ("delivered", "1.3", 1.0),
        ("deferred", "1.3", 2.0),
        ("rejected", "none", 1.0),
    ] {
        let labels = [
            ("result", result),
            ("tls", tls),
            ("level", "may"),
            ("policy", "default"),
            ("authenticated", "none"),
        ];
        let count = metrics.get("deliveries_total", &labels);
        assert!((count - expected).abs() < 0.5, "{result}: {count}");
    }
    assert!((metrics.get("delivery_seconds_count", &[]) - 4.0).abs() < 0.5);
    let lines = world.daemon.deliveries();
    assert_eq!(lines.len(), 4);
    for (to, result, reply, duplicate) in [
        (to[0], "delivered", "250 2.0.0 host mx.good.test", "no"),
        (to[1], "deferred", "451 4.7.1 host mx.soft.test", "no"),
        (to[2], "rejected", "550 5.1.1 host mx.hard.test", "no"),
        (to[3], "deferred", "451 4.4.2 host mx.gone.test", "yes"),
    ] {
        let text = |line: &support::Log, name| {
            Daemon::field(line, name)
                .and_then(|v| v.as_str())
                .unwrap_or_default()
                .to_owned()
        };
        let line = lines.iter().find(|line| text(line, "to") == to).unwrap();
        assert_eq!(
            (
                text(line, "result").as_str(),
                text(line, "possible_duplicate").as_str()
            ),
            (result, duplicate),
            "{line}"
        );
        assert!(text(line, "reply").starts_with(reply), "{line}");
        assert_eq!(text(line, "from"), "sender@client.test", "{line}");
        assert_eq!(text(line, "message_id"), "<1@client.test>", "{line}");
        assert_eq!(
            Daemon::field(line, "attempts").and_then(|v| v.as_u64()),
            Some(1),
            "{line}"
        );
        assert!(!line.to_string().contains("secret-marker"), "{line}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn small_writes_are_not_delayed() {
    let world = World::new()
        .domain("a.test", Script::default())
        .start()
        .await;
    let mut client: SmtpClient = world.smtp().await;
    let mut times = Vec::new();
    for _ in 0..41 {
        let started = Instant::now();
        let reply = client
            .mail("s@client.test", &["r@a.test"], CONTENT)
            .await
            .unwrap();
        assert_eq!(reply.code, 250, "{reply}");
        times.push(started.elapsed());
    }
    times.sort();
    // One delayed acknowledgement on loopback costs 40 ms.
    assert!(
        times[20] < Duration::from_millis(38),
        "median {:?}",
        times[20]
    );
}
