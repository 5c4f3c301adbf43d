use super::*;

fn full() -> Record {
    Record {
        format: FORMAT,
        domain: "a.example".into(),
        group: Some("nl".into()),
        class: Class::StarttlsOnAll,
        hosts: vec![Host {
            name: "mx.a.example".into(),
            addresses: vec![Address {
                tls: Some(Tls::default()),
                certificate: Some(Certificate::default()),
                deep: Some(Deep::default()),
                ..Address::default()
            }],
            ..Host::default()
        }],
        findings: vec![Finding {
            severity: Code::NoTlsaRollover.severity(),
            code: Code::NoTlsaRollover,
            host: None,
            text: "x".into(),
        }],
        ..Record::default()
    }
}

#[test]
fn what_is_written_is_read_back() {
    let record = full();
    let text = serde_json::to_string(&record).unwrap();
    assert_eq!(
        serde_json::from_str::<Record>(&text).unwrap(),
        record,
        "{text}"
    );
    assert!(!text.contains('\n'));
    for word in [
        "\"class\":\"starttls-on-all\"",
        "\"code\":\"no-tlsa-rollover\",",
        "\"severity\":\"warning\"",
        "\"reach\":\"not-tested\"",
        "\"1.3\":\"not-tested\"",
    ] {
        assert!(text.contains(word), "{word}: {text}");
    }
}

/// A file of another version lacks fields, has others, and knows other findings.
#[test]
fn what_a_file_does_not_say_was_not_tested() {
    let text = r#"{"domain":"a.example","later":1,"hosts":[{"name":"mx"}],
        "findings":[{"severity":"error","code":"of-a-later-version","text":"x"}]}"#;
    let record: Record = serde_json::from_str(text).unwrap();
    assert_eq!(record.class, Class::CouldNotTest);
    assert_eq!(record.hosts[0].tls, HostTls::CouldNotTest);
    assert_eq!(record.hosts[0].tlsa.matching, Known::NotTested);
    assert_eq!(record.findings[0].code, Code::Later);
    assert_eq!(record.verdict.flow, Flow::NotTested);
}

#[test]
fn findings_are_ordered_by_gravity() {
    let graded: Vec<Severity> = Code::ALL.iter().map(|code| code.severity()).collect();
    assert!(graded.is_sorted());
}
