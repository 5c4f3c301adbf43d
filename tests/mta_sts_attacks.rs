//! What strangers can do with MTA-STS to a relay: many domains, huge policies, odd names, silence in DNS.

#![allow(clippy::unwrap_used, reason = "it is test code")]

mod support;

use futures_util::future::join_all;
use lab::Internet;
use lab::client::stuffed;
use lab::dns::{Fault, RecordType};
use rusqlite::{Connection, OpenFlags};
use std::net::{IpAddr, Ipv4Addr};
use std::ops::Range;
use std::time::{Duration, Instant};
use support::dane::said;
use support::sts::{Contact, WEEK, clear_world};
use support::{Answer, CONTENT, PolicyScript, Reply, Script, World, WorldBuilder, policy};
use tokio::sync::watch;

/// Mail that is not attacked is through in less.
const AT_ONCE: Duration = Duration::from_secs(2);

/// Domains that one message of the great attack goes to: more at once would ask more than the lab's DNS server has room
/// for.
const RECIPIENTS: usize = 125;
const MESSAGES: usize = 80;

/// Between so many messages bystanders have theirs.
const INTERVAL: usize = 8;

/// Domains of the small ones.
const MANY: usize = 60;

/// Connections to one policy host at once, at most.
const PER_HOST: usize = 8;

fn attacker(number: usize) -> String {
    format!("d{number}.attack.test")
}

/// So many domains, all with one policy host that never answers. Nobody listens at their MX host.
fn under_attack(domains: usize) -> WorldBuilder {
    let domains = (0..domains).map(attacker).collect::<Vec<_>>();
    clear_world()
        .policy_host_of_many(domains.clone(), Answer::Hang)
        .net(move |net| {
            let nobody = net.ports.next().ip();
            net.dns.address_of("mx.attack.test", nobody);
            for domain in &domains {
                net.sts_record(domain, "v=STSv1; id=1;");
                net.dns.mx(domain, 10, "mx.attack.test");
            }
        })
        .without_dnssec()
        .config("[log]\nlevel = 'info'")
}

/// A domain with a policy, and one without.
fn with_bystanders(world: WorldBuilder, number: usize) -> WorldBuilder {
    world
        .published(&format!("good{number}.test"), PolicyScript::default())
        .in_clear(&format!("free{number}.test"))
}

/// What the daemon takes of the machine: memory in KiB, file descriptors.
fn taken(world: &World) -> (usize, usize) {
    let process = format!("/proc/{}", world.daemon.pid());
    let status = std::fs::read_to_string(format!("{process}/status")).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let kib = line.and_then(|line| line.split_whitespace().next()?.parse().ok());
    let descriptors = std::fs::read_dir(format!("{process}/fd")).unwrap().count();
    (kib.unwrap(), descriptors)
}

/// A message to these domains of the attack: its recipients' replies, once they have come.
async fn strike(world: &World, domains: Range<usize>) -> Vec<Reply> {
    let mut client = world.lmtp().await;
    let to = domains.clone().map(attacker);
    let mut lines = vec!["MAIL FROM:<sender@client.test>".to_owned()];
    lines.extend(to.map(|domain| format!("RCPT TO:<x@{domain}>")));
    lines.push("DATA".to_owned());
    let lines = lines.iter().map(String::as_str).collect::<Vec<_>>();
    let replies = client.pipeline(&lines).await.unwrap();
    assert_eq!(replies.last().unwrap().code, 354);
    client.send(stuffed(CONTENT)).await.unwrap();
    let mut outcomes = Vec::new();
    for _ in domains {
        outcomes.push(client.reply().await.unwrap());
    }
    outcomes
}

/// Mail to a domain with a policy, and to one without, both for the first time: how long the slower one took.
async fn bystanders(world: &World, stage: usize) -> Duration {
    let begun = Instant::now();
    let (good, free) = (format!("x@good{stage}.test"), format!("x@free{stage}.test"));
    let (good, free) = tokio::join!(world.send(&good), world.send(&free));
    let time = begun.elapsed();
    assert_eq!(said(&good), (451, "4.7.4"), "{stage}: {good}");
    assert!(good.contains("mta-sts policy of good"), "{stage}: {good}");
    assert_eq!(free.code, 250, "{stage}: {free}");
    assert!(time < AT_ONCE, "{stage}: {time:?}");
    time
}

#[tokio::test(flavor = "multi_thread")]
async fn ten_thousand_domains_of_a_silent_host_harm_nobody_else() {
    let world = under_attack(MESSAGES * RECIPIENTS);
    let world = (0..=MESSAGES / INTERVAL)
        .fold(world, with_bystanders)
        .start()
        .await;
    let begun = Instant::now();
    let before = taken(&world);
    let (mut most, mut slowest) = (before, Duration::ZERO);
    let made = watch::Sender::new(0);
    let attack = (0..MESSAGES).map(async |message| {
        // The next message comes when the lookups of the one before it have been made.
        let mut made = made.subscribe();
        made.wait_for(|made| *made >= message).await.unwrap();
        let first = message * RECIPIENTS;
        strike(&world, first..first + RECIPIENTS).await
    });
    let look_on = async {
        for stage in 0..MESSAGES {
            let lookups = ((stage + 1) * RECIPIENTS) as f64;
            for kind in ["TXT", "A", "AAAA"] {
                let of_kind = [("type", kind)];
                let daemon = &world.daemon;
                let made = daemon.wait_metric("dns_queries_total", &of_kind, lookups);
                made.await;
            }
            if stage % INTERVAL == 0 {
                let time = bystanders(&world, stage / INTERVAL).await;
                slowest = slowest.max(time);
            }
            let now = taken(&world);
            most = (most.0.max(now.0), most.1.max(now.1));
            made.send_replace(stage + 1);
        }
        begun.elapsed()
    };
    let (replies, fed) = tokio::join!(join_all(attack), look_on);
    let over = begun.elapsed();
    eprintln!("fed in {fed:?}, over in {over:?}; the slowest bystander took {slowest:?}");
    eprintln!("KiB and descriptors: {before:?}, {most:?} at most");
    for reply in replies.iter().flatten() {
        assert_eq!(said(reply), (451, "4.4.1"), "{reply}");
    }
    // All of them have come as far as the fetch.
    let late = world.sts_lookups("timed_out").await + world.sts_lookups("fetch_failed").await;
    assert_eq!(late, (MESSAGES * RECIPIENTS) as f64);
    let host = world.sts(&attacker(0));
    assert_eq!(host.most_open(), PER_HOST);
    assert_eq!(host.violations(), Vec::<String>::new());
    let (kib, descriptors) = most;
    assert!(kib < 400 * 1024, "{kib} KiB");
    assert!(descriptors < 1000, "{descriptors}");
    bystanders(&world, MESSAGES / INTERVAL).await;
    let reply = world.send("y@good0.test").await;
    assert_eq!(said(&reply), (451, "4.7.4"), "{reply}");
}

/// Domains whose policy hosts have further addresses beside that of the silent one.
fn beside(other: impl Fn(&Internet, usize) -> IpAddr + Send + 'static) -> WorldBuilder {
    let world = with_bystanders(under_attack(MANY), 0).net(move |net| {
        for number in 0..MANY {
            let name = format!("mta-sts.{}", attacker(number));
            net.dns.address_of(&name, other(net, number));
        }
    });
    world.config("[outbound]\naddress_preference = 'ipv4-only'")
}

/// Of each of these domains another address is tried first, where nobody listens.
#[tokio::test(flavor = "multi_thread")]
async fn further_addresses_do_not_open_further_connections_to_one_host() {
    let world = beside(|_, number| {
        let octet = u8::try_from(number).unwrap();
        Ipv4Addr::new(127, 252, 0, octet + 1).into()
    });
    let world = world.start().await;
    strike(&world, 0..MANY).await;
    let host = world.sts(&attacker(0));
    assert_eq!(host.most_open(), PER_HOST);
}

/// Strangers publish the address of somebody's good policy host beside that of their own, which is silent.
#[tokio::test(flavor = "multi_thread")]
async fn the_places_at_a_host_are_not_for_strangers_to_hold() {
    let world = beside(|net, _| net.sts_of("good0.test").address().ip());
    let world = world.start().await;
    let look_on = async {
        let host = world.sts(&attacker(0));
        assert!(host.wait_for_connections(PER_HOST).await);
        let a = [("type", "A")];
        let lookups = MANY as f64;
        let daemon = &world.daemon;
        daemon.wait_metric("dns_queries_total", &a, lookups).await;
        bystanders(&world, 0).await
    };
    tokio::join!(strike(&world, 0..MANY), look_on);
}

/// The number of a policy's seconds is a stranger's: on disk it is bounded.
#[tokio::test(flavor = "multi_thread")]
async fn no_policy_lives_for_more_than_a_year() {
    const YEAR: i64 = 31_557_600;
    let mut world = clear_world();
    let ages = [
        ("31557600", YEAR),
        ("31557601", YEAR),
        ("4294967295", YEAR),
        ("4294967295999", YEAR),
        ("18446744073709551616", YEAR),
        ("99999999999999999999999999999999999999999", YEAR),
        ("00000000000000000000000000000000000000100", 100),
        ("0", 0),
    ];
    for (number, (age, _)) in ages.into_iter().enumerate() {
        let text =
            format!("version: STSv1\nmode: enforce\nmx: mx.a{number}.test\nmax_age: {age}\n");
        world = world.published(&format!("a{number}.test"), PolicyScript::policy(&text));
    }
    let world = world.start().await;
    for number in 0..ages.len() {
        let domain = format!("a{number}.test");
        world.first_contact(&domain, Contact::Enforced, 1).await;
    }
    let file = world.daemon.directory().join("sealpost.db");
    let database = Connection::open_with_flags(file, OpenFlags::SQLITE_OPEN_READ_ONLY).unwrap();
    for (number, (age, seconds)) in ages.into_iter().enumerate() {
        let domain = format!("a{number}.test");
        let sql = "SELECT expires - fetched FROM sts_policy WHERE domain = ?1";
        let life = database.query_row(sql, [&domain], |row| row.get::<_, i64>(0));
        assert_eq!(life.unwrap(), seconds, "{age}");
    }
    // All is well with the one that wrote them.
    assert_eq!(world.send("y@a3.test").await.code, 451);
}

/// Whoever can silence DNS can delay mail, and not have it sent in the clear.
#[tokio::test(flavor = "multi_thread")]
async fn silence_in_dns_gets_nobody_round_a_policy_that_is_known() {
    let world = World::new()
        .dns(|dns| {
            dns.ttl(1).negative_ttl(1);
        })
        .domain("a.test", Script::default())
        .sts("a.test", "1", policy("enforce", &["mx.a.test"], WEEK))
        .config("[outbound]\nmessages_per_connection = 1")
        .start()
        .await;
    world.make_contact().await;
    let of_policy = ["_mta-sts.a.test", "mta-sts.a.test"];
    let dns = &world.net.dns;
    for name in of_policy.iter().chain(&["a.test", "mx.a.test"]) {
        dns.fault_all(name, Fault::ServFail);
    }
    world.mx("a.test").set_script(Script::no_starttls());
    // What DNS has said before may hold for a moment.
    let replied = until(&world, |reply| said(reply) == (451, "4.4.3")).await;
    for reply in replied {
        assert!(said(&reply).0 == 451, "{reply}");
    }
    dns.mend("a.test").mend("mx.a.test");
    let replied = until(&world, |reply| said(reply) == (451, "4.7.4")).await;
    for reply in replied {
        assert!(said(&reply).0 == 451, "{reply}");
    }
    assert!(!world.mx("a.test").mail_octets_in_clear());
    // Nobody waits for the record.
    for name in of_policy {
        dns.fault_all(name, Fault::Timeout);
    }
    world.mx("a.test").set_script(Script::default());
    let asked = || dns.queries(of_policy[0], RecordType::TXT);
    let (before, limit) = (asked(), Instant::now() + Duration::from_secs(20));
    let mut left = 3;
    while left > 0 {
        let begun = Instant::now();
        world.make_contact().await;
        assert!(begun.elapsed() < AT_ONCE, "{:?}", begun.elapsed());
        // As long as the last failure is remembered there is no question to wait for.
        if asked() > before {
            left -= 1;
        }
        assert!(Instant::now() < limit, "the record is not looked up");
    }
    assert_eq!(world.sts("a.test").connections(), 1);
}

/// Writes until a reply is like this: all replies.
async fn until(world: &World, is_it: impl Fn(&Reply) -> bool) -> Vec<Reply> {
    let limit = Instant::now() + Duration::from_secs(20);
    let mut replies = Vec::new();
    loop {
        let reply = world.send("x@a.test").await;
        let over = is_it(&reply);
        replies.push(reply);
        if over {
            return replies;
        }
        assert!(Instant::now() < limit, "{replies:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_huge_policy_costs_no_memory_per_message() {
    const WARM: usize = 100;
    const MESSAGES: usize = 1000;
    let mut hosts = (0..5000).map(|n| format!("{n}.b")).collect::<Vec<_>>();
    hosts.push("mx.a.test".to_owned());
    let mut text = "version: STSv1\nmode: enforce\nmax_age: 86400".to_owned();
    text.extend(hosts.iter().map(|host| format!("\nmx: {host}")));
    assert!((50_000..=65_536).contains(&text.len()), "{}", text.len());
    let world = World::new()
        .domain("a.test", Script::default())
        .sts("a.test", "1", text)
        .config("[log]\nlevel = 'info'")
        .start()
        .await;
    let mut client = world.smtp().await;
    let mut before = 0;
    for number in 0..WARM + MESSAGES {
        if number == WARM {
            before = taken(&world).0;
        }
        let sent = client.mail("sender@client.test", &["x@a.test"], CONTENT);
        let reply = sent.await.unwrap();
        assert!(reply.code == 250 && reply.contains("webpki)"), "{reply}");
    }
    let after = taken(&world).0;
    eprintln!("{before} KiB, {MESSAGES} messages later {after}");
    assert!(after < before + 10 * 1024, "{before} KiB, then {after}");
    assert_eq!(world.sts("a.test").connections(), 1);
}

/// Names at the limits of what DNS allows, and beyond what host names may be.
#[tokio::test(flavor = "multi_thread")]
async fn odd_domains() {
    let long = |octets: usize| {
        let rest = octets - ".test".len();
        let labels = "a".repeat(63) + "." + &"b".repeat(63) + "." + &"c".repeat(63) + ".";
        labels.clone() + &"d".repeat(rest - labels.len()) + ".test"
    };
    let cases = [
        (long(244), Some("fetched")), // _mta-sts.DOMAIN just fits
        (long(245), Some("absent")),
        (long(252), Some("absent")),
        (long(253), None), // RFC 5321 §4.5.3.1.3: no path has room for it
        ("under_score.test".to_owned(), Some("fetched")),
        ("_x._y.test".to_owned(), Some("fetched")),
        ("single".to_owned(), Some("fetched")),
    ];
    let mut world = clear_world();
    for (domain, result) in cases.clone() {
        let name = domain.clone();
        world = world.net(move |net| {
            net.dns.mx(&name, 10, "clear.test");
        });
        if result == Some("fetched") {
            let text = policy("enforce", &["clear.test"], WEEK);
            world = world.sts(&domain, "1", text);
        }
    }
    let world = world.start().await;
    for (domain, result) in cases {
        let reply = world.send(&format!("x@{domain}")).await;
        eprintln!("{domain}: {reply}");
        let expected = match result {
            Some("fetched") => 451,
            Some(_) => 250,
            None => 501,
        };
        assert_eq!(reply.code, expected, "{domain}: {reply}");
    }
    for (result, count) in [("fetched", 4.0), ("absent", 2.0)] {
        assert_eq!(world.sts_lookups(result).await, count, "{result}");
    }
}
