//! kill -9 while policies are fetched for the first time and anew: every policy that mail was judged by once is in
//! force after the restart.

#![allow(clippy::unwrap_used, reason = "it is test code")]

mod support;

use std::collections::BTreeSet;
use std::time::Duration;

use lab::client::{SmtpClient, stuffed};
use lab::dns::RecordType;
use support::sts::WEEK;
use support::{Answer, CONTENT, PolicyScript, Script, World, policy};
use tokio::time::sleep;

/// Times that the daemon is killed while it fetches, each time with one domain more.
const ROUNDS: usize = 50;
/// A kill comes within so many microseconds after a reply, or after the mail; a fetch takes some milliseconds.
const SPREAD: u64 = 15_000;

/// The host of all domains has no TLS: who obeys the policy gets no mail through, who forgets it does.
const MX: &str = "mx.shared.test";

fn domain(round: usize) -> String {
    format!("d{round}.test")
}

/// Sends to all these domains at once, and reads one reply after the other until the connection ends; after so many
/// replies the daemon is killed, if it is to be. Whether each one's policy was obeyed.
async fn send(world: &mut World, domains: &[String], kill: Option<(usize, Duration)>) -> Vec<bool> {
    let mut obeyed = Vec::new();
    let mut client = SmtpClient::lmtp(world.daemon.lmtp.unwrap()).await.unwrap();
    client.patience(Duration::from_secs(30));
    client
        .command("MAIL FROM:<sender@client.test>")
        .await
        .unwrap();
    for domain in domains {
        let rcpt = format!("RCPT TO:<x@{domain}>");
        client.command(&rcpt).await.unwrap();
    }
    client.command("DATA").await.unwrap();
    client.send(stuffed(CONTENT)).await.unwrap();
    loop {
        if let Some((replies, delay)) = kill
            && obeyed.len() == replies
        {
            if !delay.is_zero() {
                sleep(delay).await;
            }
            world.daemon.kill();
        }
        if obeyed.len() == domains.len() {
            return obeyed;
        }
        let Ok(reply) = client.reply().await else {
            return obeyed;
        };
        assert!(matches!(reply.code, 250 | 451), "{reply}");
        obeyed.push(reply.code == 451 && reply.contains("mta-sts policy of "));
    }
}

/// A new version of every domain's policy.
fn publish(world: &World, version: usize) {
    for round in 0..ROUNDS {
        let record = format!("v=STSv1; id={version};");
        world.net.sts_record(&domain(round), &record);
    }
    let other = format!("other{version}.test");
    let text = policy("enforce", &[MX, &other], WEEK);
    world.sts(&domain(0)).answer(Answer::Policy(text));
}

/// There is neither record nor policy to be had.
fn withdraw(world: &World) {
    for round in 0..ROUNDS {
        let record = format!("_mta-sts.{}", domain(round));
        world.net.dns.remove(&record, RecordType::TXT);
    }
    world.sts(&domain(0)).answer(Answer::Status(500));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_policy_that_was_obeyed_survives_every_kill() {
    let seed = fastrand::u64(..);
    eprintln!("seed {seed}");
    let mut random = fastrand::Rng::with_seed(seed);
    let mut world = World::new().host(MX, Script::no_starttls()).start().await;
    let domains: Vec<String> = (0..ROUNDS).map(domain).collect();
    let names: Vec<&str> = domains.iter().map(String::as_str).collect();
    let script = PolicyScript::with(Answer::Status(500));
    world.net.policy_host_of_many(&names, script).await.unwrap();
    for domain in &domains {
        world.net.dns.mx(domain, 10, MX);
    }
    let mut obeyed: BTreeSet<String> = BTreeSet::new();
    let (mut fetches, mut unanswered) = (0, 0);
    for round in 0..ROUNDS {
        // Mail to all domains so far, and first to a new one: everything is fetched at once. Then the kill.
        publish(&world, round);
        let mut known = domains[..=round].to_vec();
        known.rotate_right(1);
        // Often at the very moment in which the first answer is there.
        let delay = match random.u8(..2) {
            0 => Duration::ZERO,
            _ => Duration::from_micros(random.u64(..SPREAD)),
        };
        let kill = (random.usize(..=2.min(round)), delay);
        let before = world.sts(&domains[0]).connections();
        let answers = send(&mut world, &known, Some(kill)).await;
        fetches += world.sts(&domains[0]).connections() - before;
        unanswered += known.len() - answers.len();
        let judged = known.iter().zip(answers).filter(|(_, obeyed)| *obeyed);
        obeyed.extend(judged.map(|(domain, _)| domain.clone()));
        withdraw(&world);
        world.daemon.gone().await;
        world.daemon.start_again().await;
        let all: Vec<String> = obeyed.iter().cloned().collect();
        let still = send(&mut world, &all, None).await;
        assert_eq!(still.len(), all.len(), "it answers");
        let forgotten = all.iter().zip(still).filter(|(_, obeyed)| !obeyed);
        let forgotten: Vec<&String> = forgotten.map(|(domain, _)| domain).collect();
        assert!(forgotten.is_empty(), "round {round}: {forgotten:?}");
        // The next process knows nothing of fetches that failed in this one.
        world.daemon.restart("KILL").await;
    }
    let count = obeyed.len();
    eprintln!(
        "{count} of {ROUNDS} policies obeyed, {fetches} fetches, {unanswered} mails unanswered"
    );
    // The kills came at all sorts of moments, or nothing was tried.
    assert!(count > ROUNDS / 4, "{count}");
    assert!(unanswered > 0 && fetches > ROUNDS, "{unanswered} {fetches}");
}
