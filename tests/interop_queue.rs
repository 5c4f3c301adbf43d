//! Debian's Postfix in front of a Sealpost that keeps mail: it hands over what it was asked for (DSN), and takes the
//! notices that come back. Without root or without Postfix these tests say SKIPPED and pass.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "it is test code")]
#![allow(clippy::wildcard_enum_match_arm)] // hooks change one stage

mod support;

use std::time::Duration;

use lab::client::SmtpClient;
use lab::postfix::{Postfix, Setup, available, maildir};
use support::{Act, CONTENT, Script, Stage, World, WorldBuilder};

/// Last octet of Postfix's address.
const HOME: u8 = 250;

fn skipped() -> bool {
    let missing = available();
    if let Err(why) = &missing {
        println!("SKIPPED: {why}");
    }
    missing.is_err()
}

/// Hosts that take, defer and refuse; notices go to Postfix.
fn world(custody: &str) -> WorldBuilder {
    let later = Script::default().on(|moment| match (moment.stage, moment.nth) {
        (Stage::Rcpt, 1) => Act::reply(450, "4.2.0 later"),
        _ => Act::Normal,
    });
    let gone = Script::default().rcpt("nobody@gone.test", (550, "5.1.1 no such user"));
    World::new()
        .domain("a.test", Script::default().without("DSN"))
        .domain("later.test", later)
        .domain("gone.test", gone)
        .config(&format!("[relay]\ncustody = '{custody}'"))
        .config("[queue]\nretry = ['1s']")
        .config_with(|net| {
            let home = net.ports.at(HOME);
            format!("[queue]\ndsn_via = '[{}]:{}'\n", home.ip(), home.port())
        })
}

/// The mail server of `home.test`, whose relayhost is Sealpost, with all recipients of a message in one transaction.
fn home(world: &World) -> Postfix {
    let smtp = world.daemon.smtp.unwrap();
    let main = format!(
        "{}relayhost = [{}]:{}\nsmtp_send_xforward_command = yes\nsmtp_tls_security_level = none\n\
         myhostname = mail.home.test\nmynetworks = 127.0.0.0/8\n",
        maildir("home.test"),
        smtp.ip(),
        smtp.port()
    );
    Postfix::start(&Setup {
        listen: world.net.ports.at(HOME),
        main,
        master: String::new(),
    })
    .unwrap()
}

/// The notices in the maildir, as text, as soon as there are so many.
async fn notices(postfix: &Postfix, count: usize) -> Vec<String> {
    let until = std::time::Instant::now() + Duration::from_secs(30);
    loop {
        let all = postfix.delivered();
        if all.len() >= count {
            return all
                .iter()
                .map(|octets| String::from_utf8_lossy(octets).into_owned())
                .collect();
        }
        assert!(std::time::Instant::now() < until, "{}", postfix.log());
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

/// One message for three destinations that fare differently, and one of which the sender wants to hear.
async fn differing(custody: &str) {
    if skipped() {
        return;
    }
    let world = world(custody).start().await;
    let postfix = home(&world);
    let mut client = SmtpClient::smtp(postfix.address()).await.unwrap();
    client.patience(Duration::from_secs(30));
    for command in [
        "MAIL FROM:<s@home.test> RET=HDRS ENVID=order+2B66",
        "RCPT TO:<x@a.test> NOTIFY=SUCCESS,FAILURE",
        "RCPT TO:<x@later.test> NOTIFY=FAILURE",
        "RCPT TO:<nobody@gone.test> NOTIFY=FAILURE",
    ] {
        let reply = client.command(command).await.unwrap();
        assert_eq!(reply.code, 250, "{command}: {reply}");
    }
    client.command("DATA").await.unwrap();
    client.send(lab::client::stuffed(CONTENT)).await.unwrap();
    assert_eq!(client.reply().await.unwrap().code, 250);

    let told = notices(&postfix, 2).await;
    let about = |address: &str| {
        let line = format!("Final-Recipient: rfc822; {address}");
        let of = told.iter().find(|text| text.contains(&line));
        of.unwrap_or_else(|| panic!("nothing about {address}:\n{}", told.join("\n")))
    };
    assert!(about("nobody@gone.test").contains("Action: failed"));
    assert!(about("x@a.test").contains("Action: relayed"));
    for text in &told {
        assert!(text.contains("Original-Envelope-Id: order+66"), "{text}");
        assert!(text.contains("Reporting-MTA: dns; relay.test"), "{text}");
        assert!(!text.contains("hello"), "headers only: {text}");
    }
    assert!(world.mx("later.test").wait_for_messages(1).await);
    assert!(world.mx("a.test").wait_for_messages(1).await);
    assert!(postfix.wait_until_empty(Duration::from_secs(30)).await);
    let later = &world.mx("later.test").messages()[0];
    assert_eq!(later.recipients[0].params[0], "NOTIFY=FAILURE");
    assert!(!postfix.lines("queued as").is_empty(), "{}", postfix.log());
    // Two in all: Postfix has left the notices to us, and there is no third from anybody.
    assert_eq!(notices(&postfix, 2).await.len(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn postfix_as_client_of_a_queue_hears_of_failure_and_success() {
    differing("queue").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn postfix_as_client_in_auto_hears_of_failure_and_success() {
    differing("auto").await;
}
