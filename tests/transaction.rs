//! One mail transaction with an MX host: what its replies come to, and to whom else the mail goes.
#![allow(clippy::unwrap_used, reason = "it is test code")]

mod support;

use lab::mx::NoRecipients;
use support::{Act, CONTENT, Daemon, Log, Script, Stage, World, WorldBuilder};

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

/// A field of a log line as text; empty without it.
fn text(line: &Log, name: &str) -> String {
    let value = Daemon::field(line, name).and_then(|v| v.as_str());
    value.unwrap_or_default().to_owned()
}

/// What a host says in place of its good reply.
#[derive(Clone, Copy, Debug)]
enum Says {
    Reply(u16, &'static str),
    ReplyThenClose(u16, &'static str),
    Octets(&'static [u8]),
    Endless(&'static [u8]),
    LongRefusal,
    Close,
    Reset,
}
use Says::{Close, Endless, LongRefusal, Octets, ReplyThenClose, Reset};

impl Says {
    fn act(self) -> Act {
        match self {
            Self::Reply(code, text) => Act::reply(code, text),
            Self::ReplyThenClose(code, text) => Act::reply(code, text).then_close(),
            Self::Octets(octets) => Act::raw(octets),
            Self::Endless(octets) => Act::Endless(octets.to_vec()),
            Self::LongRefusal => Act::Reply(
                550,
                "5.1.1 no such user, and it is a long story\n".repeat(40),
            ),
            Self::Close => Act::Close,
            Self::Reset => Act::Reset,
        }
    }

    fn at(self, stage: Stage) -> Script {
        let act = self.act();
        Script::default().on(move |moment| {
            if moment.stage == stage {
                act.clone()
            } else {
                Act::Normal
            }
        })
    }
}

/// Domain, when the host says what, and what the client is told: code, enhanced code, a part of the text.
#[rustfmt::skip]
const REPLIES: &[(&str, Stage, Says, u16, &str, &str)] = &[
    ("mail450", Stage::Mail, Says::Reply(450, "4.1.8 later"), 450, "4.1.8", "] said: later"),
    ("mail550", Stage::Mail, Says::Reply(550, "5.1.8 never"), 550, "5.1.8", "] said: never"),
    ("mail421", Stage::Mail, Says::Reply(421, "4.3.2 enough"), 451, "4.3.2", "421 4.3.2 enough"),
    ("mail354", Stage::Mail, Says::Reply(354, "what"), 451, "4.5.0", "354 what"),
    ("rcpt450", Stage::Rcpt, Says::Reply(450, "4.2.1 later"), 450, "4.2.1", "later"),
    ("rcpt451-bare", Stage::Rcpt, Says::Reply(451, ""), 451, "4.0.0", "said: "),
    ("rcpt550", Stage::Rcpt, Says::Reply(550, "5.1.1 no such user"), 550, "5.1.1", "no such user"),
    ("rcpt550-class", Stage::Rcpt, Says::Reply(550, "4.1.1 odd"), 550, "5.0.0", "odd"),
    ("rcpt452", Stage::Rcpt, Says::Reply(452, "4.5.3 too many"), 452, "4.5.3", "too many"),
    ("rcpt552", Stage::Rcpt, Says::Reply(552, "5.2.2 full"), 552, "5.2.2", "full"),
    ("rcpt421", Stage::Rcpt, Says::Reply(421, "4.3.2 enough"), 451, "4.3.2", "421"),
    ("rcpt354", Stage::Rcpt, Says::Reply(354, "what"), 451, "4.5.0", "354 what"),
    ("rcpt-odd", Stage::Rcpt, Octets(b"550 5.1.1 \x07tab\there \xc3\xa9\r\n"), 550, "5.1.1", "said: ?tab?here ??"),
    ("rcpt-long", Stage::Rcpt, LongRefusal, 550, "5.1.1", "a long story"),
    ("rcpt199", Stage::Rcpt, Octets(b"199 what\r\n"), 451, "4.5.0", "malformed"),
    ("rcpt600", Stage::Rcpt, Octets(b"600 what\r\n"), 451, "4.5.0", "malformed"),
    ("data451", Stage::Data, Says::Reply(451, "4.7.1 later"), 451, "4.7.1", "later"),
    ("data554", Stage::Data, Says::Reply(554, "5.7.1 no"), 554, "5.7.1", "no"),
    ("data421", Stage::Data, Says::Reply(421, "4.3.2 enough"), 451, "4.3.2", "421"),
    ("data250", Stage::Data, Says::Reply(250, "2.0.0 done"), 451, "4.5.0", "250 2.0.0 done"),
    ("dot451", Stage::Dot, Says::Reply(451, "4.7.1 greylisted"), 451, "4.7.1", "greylisted"),
    ("dot554", Stage::Dot, Says::Reply(554, "5.7.1 spam"), 554, "5.7.1", "spam"),
    ("dot421", Stage::Dot, Says::Reply(421, "4.3.2 enough"), 451, "4.3.2", "421"),
    ("dot354", Stage::Dot, Says::Reply(354, "more"), 451, "4.5.0", "354 more"),
    ("dot777", Stage::Dot, Octets(b"777 fine\r\n"), 451, "4.5.0", "malformed"),
    ("greet554", Stage::Greeting, Says::Reply(554, "5.7.1 no"), 451, "4.0.0", "554 5.7.1 no"),
    ("greet421", Stage::Greeting, Says::Reply(421, "4.3.2 busy"), 451, "4.3.2", "421 4.3.2 busy"),
    ("greet354", Stage::Greeting, Says::Reply(354, "what"), 451, "4.5.0", "354"),
    ("ehlo421", Stage::Ehlo, Says::Reply(421, "4.3.2 busy"), 451, "4.3.2", "421"),
    ("tlsehlo550", Stage::TlsEhlo, Says::Reply(550, "5.7.1 no"), 451, "4.0.0", "550 5.7.1 no"),
];

#[tokio::test(flavor = "multi_thread")]
async fn every_reply_of_a_host_has_its_reply_to_the_client() {
    let mut builder = World::new();
    for (name, stage, says, ..) in REPLIES {
        builder = builder.domain(&format!("{name}.test"), says.at(*stage));
    }
    let world = builder.start().await;
    let mut client = world.lmtp().await;
    for (name, _, says, code, enhanced, part) in REPLIES {
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
        assert!(reply.contains(part), "{name}: {reply}");
        assert!(
            reply.contains(&format!("host mx.{name}.test[127.")),
            "{name}: {reply}"
        );
        assert_eq!(reply.lines.len(), 1, "{name}: {reply}");
        let octets = "250 \r\n".len() + reply.lines[0].len();
        assert!(octets <= 512, "{name}: {octets}");
        if matches!(says, LongRefusal) {
            assert_eq!(octets, 512, "cut, and not more than needed");
        }
        let mx = world.mx(&format!("{name}.test"));
        assert_eq!(
            (mx.messages().len(), mx.violations()),
            (0, vec![]),
            "{name}"
        );
    }
    let delivered = [("result", "delivered")];
    assert!(
        world
            .daemon
            .metric("deliveries_total", &delivered)
            .await
            .abs()
            < 0.5
    );
}

/// What concerns the host, the connection or the moment.
#[rustfmt::skip]
const HOST_FAULTS: &[(&str, Stage, Says)] = &[
    ("mail451", Stage::Mail, Says::Reply(451, "4.3.0 later")),
    ("mail421", Stage::Mail, Says::Reply(421, "4.3.2 enough")),
    ("mail421close", Stage::Mail, ReplyThenClose(421, "4.3.2 enough")),
    ("mail354", Stage::Mail, Says::Reply(354, "what")),
    ("mailclose", Stage::Mail, Close),
    ("mailreset", Stage::Mail, Reset),
    ("mailgarbage", Stage::Mail, Octets(b"I am not SMTP\r\n")),
    ("mailchange", Stage::Mail, Octets(b"250-one\r\n251 two\r\n")),
    ("mailshift", Stage::Mail, Octets(b"250 one\r\n250 one more\r\n")),
    ("mailoverlong", Stage::Mail, Endless(b"250 and on ")),
    ("rcpt450", Stage::Rcpt, Says::Reply(450, "4.2.0 greylisted")),
    ("rcpt421", Stage::Rcpt, Says::Reply(421, "4.3.2 enough")),
    ("rcptclose", Stage::Rcpt, Close),
    ("rcptstray", Stage::Rcpt, Octets(b"250 2.1.5 ok\r\nand by the way\r\n")),
    ("rcptshift", Stage::Rcpt, Octets(b"250 2.1.5 ok\r\n250 2.1.5 ok\r\n")),
    ("data451", Stage::Data, Says::Reply(451, "4.3.0 later")),
    ("data421", Stage::Data, Says::Reply(421, "4.3.2 enough")),
    ("data250", Stage::Data, Says::Reply(250, "2.0.0 done")),
    ("dataclose", Stage::Data, Close),
    // A 250 before our dot is no delivery.
    ("dataearly", Stage::Data, Octets(b"354 go on\r\n250 2.0.0 done\r\n")),
    ("dot451", Stage::Dot, Says::Reply(451, "4.3.0 later")),
    ("dot421", Stage::Dot, Says::Reply(421, "4.3.2 enough")),
    ("greet554", Stage::Greeting, ReplyThenClose(554, "5.7.1 no")),
    ("greet421", Stage::Greeting, ReplyThenClose(421, "4.3.2 busy")),
    ("greetclose", Stage::Greeting, Close),
    ("greetendless", Stage::Greeting, Endless(b"220-and on\r\n")),
    ("greetoverlong", Stage::Greeting, Endless(b"220 and on ")),
    ("ehloendless", Stage::Ehlo, Endless(b"250-X-MORE\r\n")),
    ("ehlo421", Stage::Ehlo, Says::Reply(421, "4.3.2 busy")),
    ("tlsehlo550", Stage::TlsEhlo, Says::Reply(550, "5.7.1 no")),
];

#[tokio::test(flavor = "multi_thread")]
async fn what_concerns_one_host_sends_the_mail_to_the_next() {
    for pipelining in ["PIPELINING", "X-NONE"] {
        let mut builder = World::new();
        for (name, stage, says) in HOST_FAULTS {
            let first = says.at(*stage).without("PIPELINING").with(pipelining);
            builder = with_backup(builder, &format!("{name}.test"), first);
        }
        let world = builder.start().await;
        for (name, ..) in HOST_FAULTS {
            let reply = world.send(&format!("someone@{name}.test")).await;
            assert_eq!(reply.code, 250, "{pipelining} {name}: {reply}");
            assert!(
                reply.contains(&format!("host mx2.{name}.test")),
                "{name}: {reply}"
            );
            let first = world.mx(&format!("mx1.{name}.test"));
            assert_eq!(
                (first.messages().len(), first.connections().len()),
                (0, 1),
                "{name}"
            );
            assert_eq!(
                world.mx(&format!("mx2.{name}.test")).messages().len(),
                1,
                "{name}"
            );
        }
    }
}

/// What ends the walk over the hosts: the code for the client, and whether the message may have been accepted.
#[rustfmt::skip]
const LAST_WORDS: &[(&str, Stage, Says, u16, &str)] = &[
    ("mail550", Stage::Mail, Says::Reply(550, "5.1.8 no"), 550, "no"),
    ("mailclose", Stage::Mail, ReplyThenClose(550, "5.7.1 blocked"), 550, "no"),
    ("rcpt550", Stage::Rcpt, Says::Reply(550, "5.1.1 no"), 550, "no"),
    ("rcptclose", Stage::Rcpt, ReplyThenClose(550, "5.7.1 blocked"), 550, "no"),
    ("data554", Stage::Data, Says::Reply(554, "5.7.1 no"), 554, "no"),
    ("dot554", Stage::Dot, Says::Reply(554, "5.7.1 spam"), 554, "no"),
    ("dotclose", Stage::Dot, Close, 451, "yes"),
    ("dotreset", Stage::Dot, Reset, 451, "yes"),
    ("dot354", Stage::Dot, Says::Reply(354, "more"), 451, "yes"),
    ("dotgarbage", Stage::Dot, Octets(b"whatever\r\n"), 451, "yes"),
];

#[tokio::test(flavor = "multi_thread")]
async fn a_final_word_is_final_and_a_lost_one_is_not_asked_again_elsewhere() {
    let mut builder = World::new();
    for (name, stage, says, ..) in LAST_WORDS {
        builder = with_backup(builder, &format!("{name}.test"), says.at(*stage));
    }
    let world = builder.start().await;
    for (name, _, says, code, duplicate) in LAST_WORDS {
        let to = format!("someone@{name}.test");
        let reply = world.send(&to).await;
        assert_eq!(reply.code, *code, "{name}: {reply}");
        assert!(
            reply.contains(&format!("host mx1.{name}.test")),
            "{name}: {reply}"
        );
        if matches!(says, Close | Reset) {
            assert_eq!(reply.enhanced(), Some("4.4.2"), "{name}: {reply}");
        }
        let second = world.mx(&format!("mx2.{name}.test"));
        assert_eq!(
            second.connections().len(),
            0,
            "{name}: the next MX was asked"
        );
        let line = world.daemon.wait_log(|line| text(line, "to") == to).await;
        assert_eq!(
            text(&line, "possible_duplicate"),
            *duplicate,
            "{name}: {line}"
        );
    }
}

/// Recipient, result, the reply's beginning, possible duplicate.
#[rustfmt::skip]
const FOUR: [(&str, &str, &str, &str); 4] = [
    ("r@good.test", "delivered", "250 2.0.0 host mx.good.test", "no"),
    ("r@soft.test", "deferred", "451 4.7.1 host mx.soft.test", "no"),
    ("r@hard.test", "rejected", "550 5.1.1 host mx.hard.test", "no"),
    ("r@gone.test", "deferred", "451 4.4.2 host mx.gone.test", "yes"),
];

async fn four_outcomes() -> World {
    let refusing = Script {
        rcpt: (550, "5.1.1 no").into(),
        ..Script::no_starttls()
    };
    let world = World::new()
        .domain("good.test", Script::default())
        .domain("soft.test", Says::Reply(451, "4.7.1 later").at(Stage::Dot))
        .domain("hard.test", refusing)
        .domain("gone.test", Close.at(Stage::Dot))
        .start()
        .await;
    world.send_lmtp(&FOUR.map(|(to, ..)| to)).await;
    world
}

#[tokio::test(flavor = "multi_thread")]
async fn every_outcome_is_counted() {
    let world = four_outcomes().await;
    let metrics = world.daemon.metrics().await;
    for (result, tls, expected) in [
        ("delivered", "1.3", 1.0),
        ("deferred", "1.3", 2.0),
        ("rejected", "none", 1.0),
    ] {
        let policy = [
            ("level", "may"),
            ("policy", "default"),
            ("authenticated", "none"),
        ];
        let labels = [&[("result", result), ("tls", tls)], &policy[..]].concat();
        let count: f64 = metrics.get("deliveries_total", &labels);
        assert!((count - expected).abs() < 0.5, "{result}: {count}");
    }
    let timed: f64 = metrics.get("delivery_seconds_count", &[]);
    assert!((timed - 4.0).abs() < 0.5, "{timed}");
}

#[tokio::test(flavor = "multi_thread")]
async fn every_outcome_is_logged() {
    let world = four_outcomes().await;
    let lines = world.daemon.deliveries();
    assert_eq!(lines.len(), 4);
    for (to, result, reply, duplicate) in FOUR {
        let line = lines.iter().find(|line| text(line, "to") == to).unwrap();
        assert_eq!(text(line, "result"), result, "{line}");
        assert_eq!(text(line, "possible_duplicate"), duplicate, "{line}");
        assert!(text(line, "reply").starts_with(reply), "{line}");
        assert_eq!(text(line, "from"), "sender@client.test", "{line}");
        assert_eq!(text(line, "message_id"), "<1@client.test>", "{line}");
        let attempts = Daemon::field(line, "attempts").and_then(|v| v.as_u64());
        assert_eq!(attempts, Some(1), "{line}");
        assert!(!line.to_string().contains("secret-marker"), "{line}");
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
