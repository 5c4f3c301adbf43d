use super::*;
use crate::ledger::SOCKETMAP_LABELS;

fn name(text: &str) -> DomainName {
    DomainName::parse(text).unwrap()
}

fn policy(mx: &[&str]) -> Arc<Policy> {
    let mx: String = mx.iter().map(|mx| format!("mx: {mx}\n")).collect();
    let text = format!("version: STSv1\nmode: enforce\n{mx}max_age: 604800\n");
    Arc::new(Policy::read(text.as_bytes()).unwrap())
}

#[test]
fn replies_are_what_postfix_reads() {
    let of = TlsPolicy::of;
    let names = Matching::Names(vec![
        MatchName::Name(name("mx.example")),
        MatchName::Below(name("sub.example")),
        MatchName::NextHop,
        MatchName::DotNextHop,
        MatchName::HostName,
    ]);
    let pins = Matching::Fingerprints(
        [
            Fingerprint::Certificate([0xab; 32]),
            Fingerprint::PublicKey([1; 32]),
        ]
        .into(),
    );
    let (ab, one) = (["AB"; 32].join(":"), ["01"; 32].join(":"));
    for (answer, expected) in [
        (Answer::NotFound, "NOTFOUND ".to_owned()),
        (
            Answer::Temporary("no\r\n{x} \u{fc}\0".into()),
            "TEMP no??{x} ??".into(),
        ),
        (Answer::Refused("no key"), "PERM no key".into()),
        (Answer::Found(of(Level::DaneOnly)), "OK dane-only".into()),
        (
            Answer::Found(TlsPolicy {
                matching: names,
                ..of(Level::Secure)
            }),
            "OK secure match=mx.example:.sub.example:nexthop:dot-nexthop:hostname".into(),
        ),
        (
            Answer::Found(TlsPolicy {
                matching: pins,
                ..of(Level::Fingerprint)
            }),
            format!("OK fingerprint match={ab}|{one}"),
        ),
        (
            Answer::Found(TlsPolicy {
                min_version: Some(TlsVersion::V1_2),
                ..of(Level::Encrypt)
            }),
            "OK encrypt protocols=!SSLv2:!SSLv3:!TLSv1:!TLSv1.1".into(),
        ),
        (
            Answer::Found(TlsPolicy {
                min_version: Some(TlsVersion::V1_3),
                ..of(Level::Encrypt)
            }),
            "OK encrypt protocols=!SSLv2:!SSLv3:!TLSv1:!TLSv1.1:!TLSv1.2".into(),
        ),
    ] {
        assert_eq!(answer.render(), expected);
        assert!(SOCKETMAP_LABELS.contains(&answer.label()));
    }
}

#[test]
fn attributes_for_reports_are_complete() {
    let answer = Answer::Found(TlsPolicy {
        matching: Matching::Names(vec![MatchName::Name(name("mx.a.example"))]),
        server_name: ServerName::HostName,
        report: Some(Reported {
            domain: name("a.example"),
            policy: policy(&["mx.a.example", "*.b.example"]),
        }),
        ..TlsPolicy::of(Level::Secure)
    });
    assert_eq!(
        answer.render(),
        "OK secure match=mx.a.example servername=hostname policy_type=sts policy_domain=a.example \
         mx_host_pattern=mx.a.example mx_host_pattern=*.b.example { policy_string = version: STSv1 } \
         { policy_string = mode: enforce } { policy_string = mx: mx.a.example } \
         { policy_string = mx: *.b.example } { policy_string = max_age: 604800 }"
    );
}

#[test]
fn every_level_has_a_label() {
    for level in Level::ALL {
        let answer = Answer::Found(TlsPolicy::of(level));
        assert!(SOCKETMAP_LABELS.contains(&answer.label()), "{level}");
    }
}

#[test]
fn what_postfix_would_not_take_is_temporary() {
    let label = "a".repeat(60);
    let names = (0..1000).map(|n| MatchName::Name(name(&format!("{label}.{label}.n{n}.example"))));
    let answer = Answer::Found(TlsPolicy {
        matching: Matching::Names(names.collect()),
        ..TlsPolicy::of(Level::Secure)
    });
    assert_eq!(
        answer.render(),
        "TEMP the policy is longer than 100000 octets"
    );
    let long = Answer::Temporary("x".repeat(5000)).render();
    assert_eq!(long.len(), 405);
}
