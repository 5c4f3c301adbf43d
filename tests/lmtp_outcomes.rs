//! LMTP: each recipient's own reply, as soon as it and all before it are known.
#![allow(clippy::unwrap_used, reason = "it is test code")]

mod support;

use std::time::{Duration, Instant};
use support::{Act, CONTENT, Daemon, Script, SmtpClient, Stage, World};

/// Everything up to the final dot; the replies are the caller's to read.
async fn hand_over(client: &mut SmtpClient, to: &[String]) {
    let mut lines = vec!["MAIL FROM:<s@client.test>".to_owned()];
    lines.extend(to.iter().map(|to| format!("RCPT TO:<{to}>")));
    for line in &lines {
        let reply = client.command(line).await.unwrap();
        assert_eq!(reply.code, 250, "{line}: {reply}");
    }
    client.command("DATA").await.unwrap().expect(354).unwrap();
    client.send(lab::client::stuffed(CONTENT)).await.unwrap();
}

fn strings(list: &[&str]) -> Vec<String> {
    list.iter().map(|item| (*item).to_owned()).collect()
}

/// Whether no reply comes for a moment.
async fn is_silent(client: &mut SmtpClient) -> bool {
    client.patience(Duration::from_millis(150));
    let silent = client.reply().await.is_err();
    client.patience(Duration::from_secs(30));
    silent
}

#[tokio::test(flavor = "multi_thread")]
async fn a_known_reply_does_not_wait_for_a_later_recipient() {
    let world = World::new()
        .domain("fast.test", Script::default())
        .domain(
            "silent.test",
            Script {
                mail: Act::Silence,
                ..Script::default()
            },
        )
        .config("[relay]\nreach_timeout = '2s'\ndeadline = '5s'\ndot_deadline = '8s'")
        .start()
        .await;
    let mut client = world.lmtp().await;
    hand_over(
        &mut client,
        &strings(&["a@fast.test", "b@silent.test", "c@fast.test"]),
    )
    .await;
    let first = client.reply().await.unwrap();
    assert!(
        first.code == 250 && first.contains("mx.fast.test"),
        "{first}"
    );
    assert!(world.mx("silent.test").wait_for_connections(1).await);
    assert!(world.mx("fast.test").wait_for_messages(1).await);
    assert!(
        is_silent(&mut client).await,
        "the third is known, but it is not its turn"
    );
    let second = client.reply().await.unwrap();
    assert!(
        second.code == 451 && second.contains("mx.silent.test"),
        "{second}"
    );
    let third = client.reply().await.unwrap();
    assert!(
        third.code == 250 && third.contains("mx.fast.test"),
        "{third}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn each_recipient_has_its_own_reply_in_the_order_of_the_envelope() {
    let slow = Script {
        delay_per_reply: Duration::from_millis(30),
        ..Script::default()
    };
    let world = World::new()
        .domain("slow.test", slow)
        .domain(
            "hard.test",
            Script {
                mail: (550, "5.7.1 no").into(),
                ..Script::default()
            },
        )
        .domain(
            "soft.test",
            Script {
                dot: (452, "4.2.2 full").into(),
                ..Script::default()
            },
        )
        .dns(|dns| {
            dns.mx("null.test", 0, ".");
        })
        .start()
        .await;
    let to = [
        "a@slow.test",
        "b@hard.test",
        "c@soft.test",
        "d@nowhere.test",
        "e@slow.test",
        "f@null.test",
    ];
    let replies = world.send_lmtp(&to).await;
    let codes: Vec<_> = replies.iter().map(|reply| reply.code).collect();
    assert_eq!(codes, [250, 550, 452, 550, 250, 556], "{replies:?}");
    let slow = world.mx("slow.test").messages();
    assert_eq!(slow.len(), 1, "one transaction for a domain's recipients");
    assert_eq!(slow[0].addresses(), ["a@slow.test", "e@slow.test"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_host_took_is_told_while_it_is_busy_with_the_rest() {
    let stuck_in_the_second = Script {
        rcpt_limit: Some(3),
        ..Script::default()
    }
    .on(|moment| match (moment.stage, moment.transaction) {
        (Stage::Mail, 1) => Act::Silence,
        _ => Act::Normal,
    });
    let world = World::new()
        .domain("a.test", stuck_in_the_second)
        .start()
        .await;
    let mut client = world.lmtp().await;
    let to: Vec<_> = (0..5).map(|n| format!("r{n}@a.test")).collect();
    hand_over(&mut client, &to).await;
    for n in 0..3 {
        let reply = client.reply().await.unwrap();
        assert_eq!(reply.code, 250, "{n}: {reply}");
    }
    assert!(is_silent(&mut client).await);
    // The client leaves: what was delivered was delivered, whatever becomes of the others.
    drop(client);
    let labels = [("result", "deferred")];
    world
        .daemon
        .wait_metric("deliveries_total", &labels, 2.0)
        .await;
    let delivered = world
        .daemon
        .metric("deliveries_total", &[("result", "delivered")])
        .await;
    assert!((delivered - 3.0).abs() < 0.5, "{delivered}");
    assert_eq!(world.daemon.deliveries().len(), 5, "one event for each");
}

#[tokio::test(flavor = "multi_thread")]
async fn destinations_are_delivered_at_the_same_time() {
    const DOMAINS: usize = 60;
    const DELAY: Duration = Duration::from_millis(500);
    let mut builder = World::new();
    for n in 0..DOMAINS {
        let slow = Script {
            dot: Act::Normal.after(DELAY),
            ..Script::default()
        };
        builder = builder.domain(&format!("d{n}.test"), slow);
    }
    let world = builder.start().await;
    let to: Vec<_> = (0..DOMAINS).map(|n| format!("r@d{n}.test")).collect();
    let to: Vec<_> = to.iter().map(String::as_str).collect();
    let started = Instant::now();
    let replies = world.send_lmtp(&to).await;
    let elapsed = started.elapsed();
    assert!(replies.iter().all(|reply| reply.code == 250), "{replies:?}");
    let sum = DELAY * u32::try_from(DOMAINS).unwrap();
    assert!(elapsed < sum / 4, "{elapsed:?} of {sum:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn many_recipients_of_one_domain_are_each_delivered_once() {
    let world = World::new()
        .domain("a.test", Script::default())
        .start()
        .await;
    let to: Vec<_> = (0..120).map(|n| format!("r{n}@a.test")).collect();
    let to: Vec<_> = to.iter().map(String::as_str).collect();
    let replies = world.send_lmtp(&to).await;
    assert!(replies.len() == 120 && replies.iter().all(|reply| reply.code == 250));
    let mx = world.mx("a.test");
    let messages = mx.messages();
    let mut got: Vec<_> = messages.iter().flat_map(|m| m.addresses()).collect();
    got.sort_unstable();
    let mut expected = to.clone();
    expected.sort_unstable();
    assert_eq!(got, expected);
    assert!(
        messages.iter().all(|m| m.recipients.len() <= 100),
        "RFC 5321 §4.5.3.1.8"
    );
    assert_eq!((mx.connections().len(), mx.violations()), (1, vec![]));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refusal_over_one_family_never_doubles_what_was_taken() {
    if !support::ipv6() {
        return;
    }
    // The first fifty are refused, the others taken: over the other family only the first may be tried.
    let fickle = Script::default().on(|moment| match (moment.stage, moment.nth, moment.address) {
        (Stage::Mail, ..) if moment.transaction == 0 && moment.nth == 1 => {
            Act::reply(550, "5.7.1 not over IPv6")
        }
        _ => Act::Normal,
    });
    let world = World::new()
        .domain("a.test", Script::default())
        .host_v6("mx.a.test", fickle)
        .config("[outbound]\naddress_preference = 'ipv6'")
        .start()
        .await;
    let to: Vec<_> = (0..60).map(|n| format!("r{n}@a.test")).collect();
    let to: Vec<_> = to.iter().map(String::as_str).collect();
    let replies = world.send_lmtp(&to).await;
    let delivered = replies.iter().filter(|reply| reply.code == 250).count();
    let hosts = [world.mx("mx.a.test"), world.mx("mx.a.test#v6")];
    let mut got: Vec<_> = hosts
        .iter()
        .flat_map(|mx| mx.messages())
        .flat_map(|m| m.recipients)
        .map(|r| r.address)
        .collect();
    let all = got.len();
    got.sort();
    got.dedup();
    assert_eq!(
        (got.len(), all),
        (delivered, delivered),
        "somebody got it twice"
    );
    assert!(delivered >= 10, "{replies:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn every_recipient_has_one_event() {
    let world = World::new()
        .domain(
            "a.test",
            Script::default().rcpt("no@a.test", (550, "5.1.1 no")),
        )
        .start()
        .await;
    let to = ["yes@a.test", "no@a.test", "x@nowhere.test"];
    world.send_lmtp(&to).await;
    let lines = world.daemon.deliveries();
    let mut seen: Vec<_> = lines
        .iter()
        .filter_map(|line| Daemon::field(line, "to")?.as_str())
        .collect();
    seen.sort_unstable();
    assert_eq!(seen, ["no@a.test", "x@nowhere.test", "yes@a.test"]);
}
