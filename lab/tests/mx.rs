//! The scripted hosts, talked to by the lab's own client.
#![allow(clippy::unwrap_used, reason = "it is test code")]

use std::time::Duration;

use lab::Ports;
use lab::client::SmtpClient;
use lab::mx::{Act, Channel, Content, Idle, Moment, Mx, NoRecipients, Script, Stage};

const MAIL: &[u8] = b"Subject: secret-marker\r\n\r\n.dots\r\n..\r\nend\r\n";

async fn host(script: Script) -> Mx {
    Mx::start("mx.test", "127.0.0.1:0".parse().unwrap(), script)
        .await
        .unwrap()
}

async fn deliver(mut client: SmtpClient) -> u16 {
    let code = client
        .mail("a@a.test", &["b@b.test", "c@b.test"], MAIL)
        .await
        .unwrap()
        .code;
    client.command("QUIT").await.unwrap().expect(221).unwrap();
    code
}

#[tokio::test(flavor = "multi_thread")]
async fn a_message_in_the_clear_is_recorded_and_seen_on_the_wire() {
    let mx = host(Script::default()).await;
    assert_eq!(
        deliver(SmtpClient::smtp(mx.address()).await.unwrap()).await,
        250
    );
    assert!(mx.wait_for_messages(1).await && mx.wait_for_closed().await);
    let message = &mx.messages()[0];
    assert_eq!(message.content, MAIL);
    assert_eq!(
        (message.sender.as_str(), message.channel),
        ("a@a.test", Channel::Clear)
    );
    assert_eq!(message.addresses(), ["b@b.test", "c@b.test"]);
    assert!(mx.mail_octets_in_clear() && mx.wire_contains("secret-marker"));
    assert_eq!(mx.violations(), Vec::<String>::new());
    let seen = &mx.connections()[0];
    assert_eq!(
        seen.verbs(),
        ["EHLO", "MAIL", "RCPT", "RCPT", "DATA", "QUIT"]
    );
    assert!(seen.quit && seen.handshakes == 0);
    assert!(
        seen.clear()
            .starts_with(b"EHLO client.test\r\nMAIL FROM:<a@a.test>\r\n")
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_client_does_wrong_is_recorded() {
    for (sent, violation) in [
        (
            "EHLO a\r\nSTARTTLS\r\nMAIL FROM:<>\r\n",
            "octets after STARTTLS",
        ),
        ("EHLO a\n", "line end"),
        ("MAIL FROM:<>\r\n", "MAIL without EHLO"),
        ("NOOP\r\nNOOP\r\n", "though not offered"),
    ] {
        let mx = host(Script::default()).await;
        let mut client = SmtpClient::connect(mx.address()).await.unwrap();
        client.send(sent).await.unwrap();
        client.reply().await.unwrap();
        let seen = mx.wait_for(|r| {
            r.connections[0]
                .violations
                .iter()
                .any(|v| v.contains(violation))
        });
        assert!(seen.await, "{sent:?} {:?}", mx.violations());
    }
    let mx = host(Script::default()).await;
    let mut client = SmtpClient::smtp(mx.address()).await.unwrap();
    for line in [
        "MAIL FROM:<> BODY=BINARYMIME X=1",
        "RCPT TO:<b@b.test>",
        "DATA",
    ] {
        client.command(line).await.unwrap();
    }
    client.send(".single\r\nbare\nlf\r\n.\r\n").await.unwrap();
    assert_eq!(client.reply().await.unwrap().code, 250);
    let found = mx.violations();
    for what in ["parameter not offered: X=1", "was not doubled", "bare LF"] {
        assert!(found.iter().any(|v| v.contains(what)), "{what}: {found:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn greetings_misbehave() {
    let second = Duration::from_secs(1);
    for (greeting, expected) in [
        ((554, "5.3.2 no").into(), Ok(554)),
        (Act::reply(421, "4.3.2 bye").then_close(), Ok(421)),
        (Act::raw("220-a\r\n554 b\r\n"), Err("changes")),
        (Act::raw("garbage\r\n"), Err("malformed")),
        (Act::Silence, Err("time-out")),
        (Act::Endless(b"220-more\r\n".to_vec()), Err("time-out")),
        (
            Act::Endless(b"220-more and no end".to_vec()),
            Err("endless"),
        ),
        (Act::Normal.dripped(Duration::from_millis(2)), Ok(220)),
        (Act::Normal.dripped(second), Err("time-out")),
        (Act::reply(220, ""), Ok(220)),
        (Act::Close, Err("closed")),
        (Act::Reset.after(Duration::from_millis(100)), Err("reset")),
        (Act::Normal.after(Duration::from_millis(20)), Ok(220)),
    ] {
        let mx = host(Script {
            greeting: greeting.clone(),
            ..Script::default()
        })
        .await;
        let mut client = SmtpClient::connect(mx.address()).await.unwrap();
        client.patience(second);
        let reply = tokio::time::timeout(second, client.reply()).await;
        match (reply, expected) {
            (Ok(Ok(reply)), Ok(code)) => assert_eq!(reply.code, code, "{greeting:?}"),
            (Ok(Err(error)), Err(text)) => {
                assert!(error.to_string().contains(text), "{greeting:?}: {error}");
            }
            (Err(_), Err("time-out")) => {}
            (other, _) => panic!("{greeting:?}: {other:?}"),
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn replies_to_the_transaction_are_scripted() {
    let slow = Script {
        data: Act::raw("250 stray\r\n354 go\r\n"),
        ..Script::default()
    };
    for (script, code) in [
        (
            Script {
                mail: (451, "4.3.0 no").into(),
                ..Script::default()
            },
            451,
        ),
        (
            Script {
                rcpt: 550.into(),
                ..Script::default()
            },
            550,
        ),
        (Script::default().rcpt("C@b.test", 450), 450),
        (
            Script {
                rcpt_limit: Some(1),
                ..Script::default()
            },
            452,
        ),
        (
            Script {
                data: 421.into(),
                ..Script::default()
            },
            421,
        ),
        (
            Script {
                dot: 554.into(),
                ..Script::default()
            },
            554,
        ),
        (Script::greylisting(), 450),
        (slow, 354),
    ] {
        let mx = host(script.clone()).await;
        let mut client = SmtpClient::smtp(mx.address()).await.unwrap();
        let reply = client
            .mail("a@a.test", &["b@b.test", "c@b.test"], MAIL)
            .await
            .unwrap();
        assert_eq!(reply.code, code, "{script:?}");
        if script.hook.is_some() {
            let again = client.mail("a@a.test", &["b@b.test"], MAIL).await.unwrap();
            assert_eq!(again.code, 250);
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn connections_end_where_the_script_says() {
    let big = vec![b'x'; 300_000];
    let content = |content| Script {
        content,
        ..Script::default()
    };
    let dot = |dot| Script {
        dot,
        ..Script::default()
    };
    for (script, text) in [
        (
            Script {
                mail: Act::Close,
                ..Script::default()
            },
            "closed",
        ),
        (
            Script {
                data: Act::reply(354, "go").then_close(),
                ..Script::default()
            },
            "",
        ),
        (content(Content::CloseAfter(1000)), ""),
        (content(Content::ResetAfter(1000)), ""),
        (content(Content::Stop), "time-out"),
        (dot(Act::Close), "closed"),
        (dot(Act::Silence), "time-out"),
    ] {
        let mx = host(script.clone()).await;
        let mut client = SmtpClient::smtp(mx.address()).await.unwrap();
        client.patience(Duration::from_millis(300));
        let error = client
            .mail("a@a.test", &["b@b.test"], &big)
            .await
            .unwrap_err()
            .to_string();
        assert!(
            error.contains(text),
            "{:?} {:?}: {error}",
            script.dot,
            script.content
        );
        assert_eq!(mx.messages().len(), 0);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refusal_may_come_before_the_end_of_the_content() {
    let big = vec![b'x'; 300_000];
    let content = Content::SayAfter(1000, "552 5.3.4 too big\r\n");
    let mx = host(Script {
        content,
        ..Script::default()
    })
    .await;
    let mut client = SmtpClient::smtp(mx.address()).await.unwrap();
    assert_eq!(
        client
            .mail("a@a.test", &["b@b.test"], &big)
            .await
            .unwrap()
            .code,
        552
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_slow_reader_gets_it_all() {
    let content = Content::Slow {
        octets: 8192,
        pause: Duration::from_millis(1),
    };
    let mx = host(Script {
        content,
        ..Script::default()
    })
    .await;
    let mut client = SmtpClient::smtp(mx.address()).await.unwrap();
    let big = [b"Subject: x\r\n\r\n".to_vec(), b"line\r\n".repeat(20_000)].concat();
    assert_eq!(
        client
            .mail("a@a.test", &["b@b.test"], &big)
            .await
            .unwrap()
            .code,
        250
    );
    assert!(mx.messages()[0].content == big);
}

#[tokio::test(flavor = "multi_thread")]
async fn data_without_recipients_wants_a_lone_dot() {
    let script = Script {
        no_recipients: NoRecipients::Accept,
        rcpt: 550.into(),
        ..Script::default()
    };
    let mx = host(script).await;
    let mut client = SmtpClient::smtp(mx.address()).await.unwrap();
    let lines = ["MAIL FROM:<a@a.test>", "RCPT TO:<b@b.test>", "DATA"];
    let codes = client
        .pipeline(&lines)
        .await
        .unwrap()
        .iter()
        .map(|r| r.code)
        .collect::<Vec<_>>();
    assert_eq!(codes, [250, 550, 354]);
    client.send(".\r\n").await.unwrap();
    assert_eq!(client.reply().await.unwrap().code, 554);
    assert_eq!((mx.violations(), mx.record().messages.len()), (vec![], 0));
}

#[tokio::test(flavor = "multi_thread")]
async fn idle_connections_are_ended() {
    let words = b"421 4.4.2 idle\r\n".to_vec();
    for (idle, said) in [
        (Idle::Say(Duration::ZERO, words.clone()), words.clone()),
        (Idle::Close(Duration::from_millis(5)), Vec::new()),
    ] {
        let mx = host(Script {
            idle,
            ..Script::default()
        })
        .await;
        let mut client = SmtpClient::smtp(mx.address()).await.unwrap();
        assert_eq!(
            client
                .mail("a@a.test", &["b@b.test"], MAIL)
                .await
                .unwrap()
                .code,
            250
        );
        assert_eq!(client.until_closed().await.unwrap(), said);
    }
    let mx = host(Script::default()).await;
    let mut client = SmtpClient::smtp(mx.address()).await.unwrap();
    mx.kick(&words);
    assert_eq!(client.until_closed().await.unwrap(), words);
}

#[tokio::test(flavor = "multi_thread")]
async fn hosts_share_a_port_refuse_vanish_and_return() {
    let ports = Ports::new().unwrap();
    let (one, two, three) = (ports.next(), ports.next(), ports.next());
    let mut first = Mx::start("mx1.test", one, Script::default()).await.unwrap();
    let _refusing = Mx::start("mx2.test", two, Script::refused()).await.unwrap();
    let _hole = Mx::start("mx3.test", three, Script::blackhole())
        .await
        .unwrap();
    ports.release_v6();
    let six = Mx::start("mx6.test", ports.v6(), Script::default())
        .await
        .unwrap();
    assert!(SmtpClient::smtp(one).await.is_ok() && SmtpClient::smtp(six.address()).await.is_ok());
    let refused = SmtpClient::connect(two).await.err().unwrap();
    assert_eq!(refused.kind(), std::io::ErrorKind::ConnectionRefused);
    let hang = SmtpClient::connect(three);
    assert!(
        tokio::time::timeout(Duration::from_millis(300), hang)
            .await
            .is_err()
    );
    first.stop().await;
    assert!(SmtpClient::connect(one).await.is_err());
    let again = Mx::start("mx1.test", one, Script::default()).await.unwrap();
    assert!(SmtpClient::smtp(again.address()).await.is_ok());
}

#[tokio::test(flavor = "multi_thread")]
async fn scripts_change_while_running_and_hooks_see_the_moment() {
    let mx = host(Script::no_starttls()).await;
    let mut client = SmtpClient::connect(mx.address()).await.unwrap();
    client.reply().await.unwrap();
    assert!(!client.command("EHLO a").await.unwrap().contains("STARTTLS"));
    mx.set_script(Script::default().without("SIZE").with("CHUNKING").on(
        |moment: &Moment<'_>| match (moment.stage, moment.connection, moment.transaction) {
            (Stage::Mail, 1, 1) => Act::reply(421, "4.3.2 enough").then_close(),
            _ => Act::Normal,
        },
    ));
    let mut client = SmtpClient::connect(mx.address()).await.unwrap();
    client.reply().await.unwrap();
    let ehlo = client.command("EHLO a").await.unwrap();
    assert!(ehlo.contains("STARTTLS") && ehlo.contains("CHUNKING") && !ehlo.contains("SIZE"));
    for line in ["MAIL FROM:<>", "RCPT TO:<b@b.test>"] {
        client.command(line).await.unwrap().expect(250).unwrap();
    }
    assert_eq!(client.bdat(b"one\n", "").await.unwrap().code, 250);
    assert_eq!(client.bdat(b"two", " LAST").await.unwrap().code, 250);
    assert_eq!(mx.messages()[0].content, b"one\ntwo");
    assert_eq!(client.command("MAIL FROM:<>").await.unwrap().code, 421);
}
