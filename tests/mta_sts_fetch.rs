//! First contact with a domain that publishes an MTA-STS policy, and everything that can be wrong with its policy host
//! (RFC 8461 §3.2, §3.3), through the real binary.

#![allow(clippy::unwrap_used, reason = "it is test code")]

mod support;

use lab::Internet;
use lab::ca::{Ca, Cert, Identity, Intermediate};
use lab::dns::{Fault, RecordType};
use lab::mx::Versions;
use std::net::IpAddr;
use std::time::Duration;
use support::sts::Contact::{Enforced, Failed, Unenforced};
use support::sts::{Contact, WEEK, clear_world};
use support::{Answer, PolicyScript, policy};

const ERROR: &str = "sts-policy-fetch-error";
const INVALID: &str = "sts-policy-invalid";
const WEBPKI: &str = "sts-webpki-invalid";

/// 200 with these header fields and a good policy for mx.DOMAIN.
fn headed(domain: &str, headers: &[(&str, &str)]) -> Answer {
    Answer::Custom {
        status: 200,
        headers: owned(headers),
        body: good(domain).into_bytes(),
    }
}

fn owned(headers: &[(&str, &str)]) -> Vec<(String, String)> {
    let pair = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
    headers.iter().map(pair).collect()
}

fn good(domain: &str) -> String {
    policy("enforce", &[&format!("mx.{domain}")], WEEK)
}

/// A response as a server of HTTP/1.0 sends it: its end is the connection's.
fn until_the_end(domain: &str) -> Vec<u8> {
    let head = "HTTP/1.0 200 OK\r\nContent-Type: text/plain\r\n\r\n";
    format!("{head}{}", good(domain)).into_bytes()
}

/// A policy host, what comes of mail to its domain, and how many requests the host sees.
type Case = (PolicyScript, Contact, usize);

fn fetched(script: impl Into<PolicyScript>) -> Case {
    (script.into(), Enforced, 1)
}

fn refused(result: &'static str, words: &'static str, answer: Answer) -> Case {
    (answer.into(), Failed(result, words), 1)
}

/// One world with a domain for each of these, `a0.test` and so on, and first contact with all of them.
async fn first_contacts(cases: Vec<Case>) {
    let mut world = clear_world();
    for (number, (script, ..)) in cases.iter().enumerate() {
        world = world.published(&domain(number), script.clone());
    }
    let world = world.start().await;
    for (number, (_, contact, requests)) in cases.into_iter().enumerate() {
        let domain = domain(number);
        world.first_contact(&domain, contact, requests).await;
        assert_eq!(world.sts(&domain).connections(), 1);
    }
}

fn domain(number: usize) -> String {
    format!("a{number}.test")
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_policy_host_may_do() {
    let body = good("a3.test");
    let in_chunks = Answer::Custom {
        status: 200,
        headers: owned(&[
            ("content-type", "text/plain"),
            ("transfer-encoding", "chunked"),
        ]),
        body: format!("{:x}\r\n{body}\r\n0\r\n\r\n", body.len()).into_bytes(),
    };
    let hints = b"HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n";
    let with_parameter = [("Content-Type", "Text/Plain; charset=utf-8")];
    let with_more = [
        ("Content-Type", "text/plain"),
        ("Content-Encoding", "identity"),
        ("Set-Cookie", "a=b"),
    ];
    first_contacts(vec![
        fetched(Answer::Good),
        fetched(Answer::Big(65_536)),
        fetched(headed("a2.test", &with_parameter)),
        fetched(in_chunks),
        fetched(PolicyScript {
            versions: Versions::Only12,
            ..PolicyScript::default()
        }),
        fetched(Answer::Raw(until_the_end("a5.test"))),
        fetched(headed("a6.test", &with_more)),
        fetched(Answer::Late {
            after: Duration::from_millis(500),
            body: good("a7.test"),
        }),
        fetched(Answer::Raw([hints, &*until_the_end("a8.test")].concat())),
    ])
    .await;
}

/// RFC 8461 §3.3: nothing but 200 is an answer. Many of these have a policy in their body that would be noticed.
#[tokio::test(flavor = "multi_thread")]
async fn only_a_whole_200_is_an_answer() {
    let status = |status, words| refused(ERROR, words, Answer::Status(status));
    let http = |answer| refused(ERROR, "HTTP", answer);
    let no_tls = |answer: Answer| (answer.into(), Failed(ERROR, "TLS"), 0);
    let long_head = headed("a5.test", &[("X-Long", &"x".repeat(20_000))]);
    first_contacts(vec![
        status(404, "status 404"),
        status(500, "status 500"),
        status(304, "status 304"),
        status(206, "status 206"),
        http(Answer::Truncated),
        http(long_head),
        // RFC 8446 §6.1: anybody on the way can cut a connection, and so a body that ends with it.
        http(Answer::Cut(until_the_end("a6.test"))),
        http(Answer::Raw(b"HTTP/1.1 103 Hints\r\n".repeat(5000))),
        http(Answer::Raw(b"220 mx.a8.test ESMTP\r\n".to_vec())),
        http(Answer::CloseAfterRequest),
        no_tls(Answer::CloseBeforeTls),
        no_tls(Answer::BrokenTls),
        no_tls(Answer::Alert(112)),
    ])
    .await;
}

/// What is no text/plain, or more than 64 KiB, is refused (CONTRACT, policy).
#[tokio::test(flavor = "multi_thread")]
async fn only_plain_text_of_64_kib_is_a_policy() {
    let plain = ("Content-Type", "text/plain");
    let html = ("Content-Type", "text/html");
    let gzip = ("Content-Encoding", "gzip");
    first_contacts(vec![
        refused(INVALID, "text/html", headed("a0.test", &[html])),
        refused(INVALID, "no type", headed("a1.test", &[])),
        refused(INVALID, "no type", headed("a2.test", &[plain, html])),
        refused(INVALID, "encoded", headed("a3.test", &[plain, gzip])),
        refused(INVALID, "larger", Answer::Big(65_537)),
        refused(INVALID, "larger", Answer::Endless),
    ])
    .await;
}

/// RFC 8461 §3.3: redirects are not followed.
#[tokio::test(flavor = "multi_thread")]
async fn a_redirect_leads_nowhere() {
    let world = clear_world()
        .published("a.test", PolicyScript::default())
        .policy_host("target.test", PolicyScript::default())
        .net(|net| {
            let port = net.ports.port();
            let location = format!("https://mta-sts.target.test:{port}/.well-known/mta-sts.txt");
            net.sts_of("a.test").answer(Answer::Redirect(location));
        })
        .start()
        .await;
    let moved = Failed(ERROR, "status 301");
    world.first_contact("a.test", moved, 1).await;
    assert_eq!(world.sts("target.test").connections(), 0);
}

/// RFC 8461 §3.3: a host that has not proven who it is does not even see the request.
#[tokio::test(flavor = "multi_thread")]
async fn a_policy_host_proves_its_name() {
    type Issue = fn(&Ca, &str) -> Identity;
    let cases: [(Issue, Contact); 10] = [
        (|ca, name| ca.identity(name), Enforced),
        (
            |ca, name| ca.issue(&Cert::new(["other.test", name])),
            Enforced,
        ),
        (
            // RFC 6125 §6.4.3: the whole first label.
            |ca, name| ca.issue(&Cert::new([name.replace("mta-sts.", "*.")])),
            Enforced,
        ),
        (
            |ca, name| ca.issue(&Cert::new([name]).expired()),
            Failed(WEBPKI, "has expired"),
        ),
        (
            |ca, name| ca.issue(&Cert::new([name.replace("mta-sts.", "")])),
            Failed(WEBPKI, "certificate is for a4.test"),
        ),
        (
            |ca, name| ca.issue(&Cert::new([name]).cn_only()),
            Failed(WEBPKI, "certificate is for no name"),
        ),
        (
            |ca, name| ca.namesake().identity(name),
            Failed(WEBPKI, "not signed by a trusted authority"),
        ),
        (
            |ca, name| ca.issue(&Cert::new([name]).self_signed()),
            Failed(WEBPKI, "self-signed"),
        ),
        (
            |ca, name| ca.issue(&Cert::new([name]).with_intermediate(Intermediate::Omitted)),
            Failed(WEBPKI, "not signed by a trusted authority"),
        ),
        (
            |ca, name| ca.issue(&Cert::new([name]).client_only()),
            Failed(WEBPKI, "not meant for servers"),
        ),
    ];
    let mut world = clear_world();
    for (number, (issue, _)) in cases.into_iter().enumerate() {
        let domain = domain(number);
        world = world
            .published(&domain, PolicyScript::default())
            .net(move |net| {
                let identity = issue(&net.ca, &format!("mta-sts.{domain}"));
                let script = PolicyScript::with_identity(identity);
                net.sts_of(&domain).set(script);
            });
    }
    let world = world.start().await;
    for (number, (_, contact)) in cases.into_iter().enumerate() {
        let requests = usize::from(matches!(contact, Enforced));
        let domain = domain(number);
        world.first_contact(&domain, contact, requests).await;
    }
}

/// RFC 8461 §3.2. In these, MX is the domain's host.
#[expect(clippy::too_many_lines, reason = "a table")]
#[tokio::test(flavor = "multi_thread")]
async fn what_makes_a_policy() {
    let whole = |text: &str| format!("version: STSv1\n{text}\nmax_age: 86400\n");
    let mut policies = Vec::new();
    for (text, contact) in [
        ("mode: enforce\r\nmx: MX\r", Enforced), // both kinds of line ends
        ("mode: enforce\nmx: mx2.test\nmx: MX", Enforced), // of this key there may be several
        ("mode: enforce\nmode: none\nmx: MX", Enforced), // the first wins
        ("mode: testing\nmode: enforce\nmx: MX", Unenforced),
        ("mode: enforce\nmx: MX\nlater: x\nx.y-z_1: :;=", Enforced),
        ("mode: none", Unenforced),
        ("mode: enforce\nnmx: MX", Failed(INVALID, "no mx")),
        (
            "mode: enforce\nmx: MX\nmx: 192.0.2.1",
            Failed(INVALID, "line 4"),
        ),
        (
            "mode: enforce\nmx: MX\nmx: [2001:db8::1]",
            Failed(INVALID, "line 4"),
        ),
        (
            "mode: enforce\nmx: MX\nmx: m\u{fc}.test",
            Failed(INVALID, "line 4"),
        ),
        (
            "mode: enforce\nmx: MX\nmx: *.*.test",
            Failed(INVALID, "line 4"),
        ),
        ("mode: Enforce\nmx: MX", Failed(INVALID, "mode")),
        ("mx: MX", Failed(INVALID, "no mode")),
        ("mode: enforce\nmx MX", Failed(INVALID, "line 3")),
    ] {
        policies.push((whole(text), contact));
    }
    for (text, contact) in [
        ("", Failed(INVALID, "malformed")),
        ("<html></html>", Failed(INVALID, "malformed")),
        ("\u{0}\u{1}\u{7f}", Failed(INVALID, "malformed")),
        (
            "version: STSv1\nmode: enforce\nmx: MX\n",
            Failed(INVALID, "no max_age"),
        ),
        (
            "version: STSv1\nmode: enforce\nmx: MX\nmax_age: 1d\n",
            Failed(INVALID, "max_age"),
        ),
        (
            "version: STSv2\nmode: enforce\nmx: MX\nmax_age: 86400\n",
            Failed(INVALID, "version"),
        ),
        (
            "mode: enforce\nmx: MX\nmax_age: 86400\n",
            Failed(INVALID, "no version"),
        ),
        // It holds for the message that has fetched it.
        (
            "version: STSv1\nmode: enforce\nmx: MX\nmax_age: 0\n",
            Enforced,
        ),
        (
            "version: STSv1\nmode: enforce\nmx: MX\nmax_age: 4294967295999",
            Enforced,
        ),
    ] {
        policies.push((text.to_owned(), contact));
    }
    let policies = policies.into_iter().enumerate();
    let cases = policies.map(|(number, (text, contact))| {
        let text = text.replace("MX", &format!("mx.{}", domain(number)));
        (PolicyScript::policy(&text), contact, 1)
    });
    first_contacts(cases.collect()).await;
}

/// Gives a domain's policy host this address in place of its own.
fn move_to(net: &Internet, domain: &str, address: IpAddr) {
    let name = format!("mta-sts.{domain}");
    let dns = net.dns.remove(&name, RecordType::A);
    dns.address_of(&name, address);
}

/// Who publishes names must not make us call our neighbours.
#[tokio::test(flavor = "multi_thread")]
async fn a_policy_host_in_a_blocked_network_is_never_called() {
    let blocked = |net: &Internet| net.sts_of("a.test").address().ip();
    let world = clear_world()
        .published("a.test", PolicyScript::default())
        .published("mapped.test", PolicyScript::default())
        .published("both.test", PolicyScript::default())
        .net(move |net| {
            let IpAddr::V4(v4) = blocked(net) else {
                panic!("policy hosts have IPv4");
            };
            move_to(net, "mapped.test", v4.to_ipv6_mapped().into());
            net.dns.address_of("mta-sts.both.test", v4.into());
        })
        .config_with(move |net| {
            let network = blocked(net);
            format!("[outbound]\nblocked_networks = ['{network}/32']")
        })
        .start()
        .await;
    let only_blocked = Failed(ERROR, "only addresses in outbound.blocked_networks");
    world.first_contact("a.test", only_blocked, 0).await;
    world.first_contact("mapped.test", only_blocked, 0).await;
    world.first_contact("both.test", Enforced, 1).await;
    assert_eq!(world.sts("a.test").connections(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_policy_host_that_cannot_be_reached() {
    let mut world = clear_world();
    for name in ["v6", "gone", "broken", "closed", "half"] {
        world = world.published(&format!("{name}.test"), PolicyScript::default());
    }
    let world = world
        .net(|net| {
            let nobody = net.ports.next().ip();
            move_to(net, "v6.test", "2001:db8::1".parse().unwrap());
            net.dns.remove("mta-sts.gone.test", RecordType::A);
            net.dns.fault_all("mta-sts.broken.test", Fault::ServFail);
            move_to(net, "closed.test", nobody);
            net.dns.address_of("mta-sts.half.test", nobody);
        })
        .config("[outbound]\naddress_preference = 'ipv4-only'")
        .start()
        .await;
    for (domain, words) in [
        ("v6.test", "no address of a family that is in use"),
        ("gone.test", "has no address"),
        ("broken.test", "SERVFAIL"),
        ("closed.test", "cannot connect"),
    ] {
        world.first_contact(domain, Failed(ERROR, words), 0).await;
    }
    world.first_contact("half.test", Enforced, 1).await;
}

/// RFC 8461 §3.3: the host may be somebody else's, but it shows the name that it was asked for.
#[tokio::test(flavor = "multi_thread")]
async fn a_policy_host_may_be_an_alias() {
    let mut world = clear_world();
    for domain in ["a.test", "b.test"] {
        world = world
            .published(domain, PolicyScript::default())
            .net(move |net| {
                let (name, target) = (format!("mta-sts.{domain}"), format!("{domain}.cdn.test"));
                let address = net.sts_of(domain).address().ip();
                net.dns
                    .remove(&name, RecordType::A)
                    .cname(&name, &target)
                    .address_of(&target, address);
            });
    }
    let world = world
        .net(|net| {
            let of_target = net.ca.identity("b.test.cdn.test");
            net.sts_of("b.test")
                .set(PolicyScript::with_identity(of_target));
        })
        .start()
        .await;
    world.first_contact("a.test", Enforced, 1).await;
    let of_target = Failed(WEBPKI, "certificate is for b.test.cdn.test");
    world.first_contact("b.test", of_target, 0).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reload_changes_whom_policy_hosts_are_vouched_for_by() {
    let other = Ca::new("other root");
    let mut world = clear_world()
        .published("old.test", PolicyScript::default())
        .published("late.test", PolicyScript::default());
    for domain in ["early.test", "new.test"] {
        let identity = other.identity(&format!("mta-sts.{domain}"));
        world = world.published(domain, PolicyScript::with_identity(identity));
    }
    let world = world.start().await;
    let untrusted = Failed(WEBPKI, "not signed by a trusted authority");
    world.first_contact("old.test", Enforced, 1).await;
    world.first_contact("early.test", untrusted, 0).await;
    let roots = other.roots_file();
    world.reload(&format!("[tls]\nroots = ['{}']", roots.display()));
    let reloaded = world
        .daemon
        .wait_log(|line| line["message"] == "configuration reloaded");
    reloaded.await;
    world.first_contact("new.test", Enforced, 1).await;
    world.first_contact("late.test", untrusted, 0).await;
    // What was fetched by the old roots holds.
    assert_eq!(world.send("x@old.test").await.code, 451);
    assert_eq!(world.sts_lookups("cached").await, 1.0);
}
