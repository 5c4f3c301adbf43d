use super::*;
use crate::survey::record::{Code, Finding};
use rows::MAX_ROWS;

fn record(at: usize, findings: &[Code]) -> Record {
    let finding = |&code: &Code| Finding {
        severity: code.severity(),
        code,
        host: None,
        text: "x".into(),
    };
    Record {
        domain: format!("d{at}.example"),
        findings: findings.iter().map(finding).collect(),
        ..Record::default()
    }
}

fn page(records: impl Iterator<Item = Record>) -> String {
    let (mut page, mut survey) = (Page::default(), Survey::default());
    for record in records {
        page.take(&record);
        survey.add(&record);
    }
    page.render(&survey, None, Ending::Complete)
}

#[test]
fn a_table_that_is_too_long_keeps_what_is_grave_and_says_so() {
    let codes = |at: usize| match at {
        11_000 => &[Code::WeakKey][..],
        11_001 => &[Code::TlsrptInvalid],
        _ => &[],
    };
    let html = page((0..=11_001).map(|at| record(at, codes(at))));
    assert_eq!(html.matches("<th scope=\"row\">d").count(), MAX_ROWS);
    assert!(html.contains("d11000.example") && html.contains("d11001.example"));
    assert!(html.contains("is cut to 10\u{202f}000 domains"), "says so");
    let whole = page((0..3).map(|at| record(at, &[])));
    assert!(!whole.contains("is cut to"));
    assert_eq!(whole.matches("<th scope=\"row\">d").count(), 3);
}

#[test]
fn the_order_of_records_makes_no_difference() {
    let records: Vec<Record> = (0..50).map(|at| record(at, &[Code::NoTls13])).collect();
    let forwards = page(records.clone().into_iter());
    assert_eq!(forwards, page(records.into_iter().rev()));
}
