//! Policies in words.

use crate::admin::policies::{
    LastFailure, PolicyEntry, PolicyMissing, PolicyRefreshed, PolicyShown,
};
use crate::cli::print::{duration, span};
use jiff::Timestamp;
use std::fmt::Write;

/// Patterns of a policy in a list.
const PATTERNS: usize = 3;
/// Characters of the first column; longer names push the rest of their row.
const DOMAIN: std::ops::RangeInclusive<usize> = 16..=40;

/// A table that is written a page at a time.
#[derive(Debug, Default)]
pub(super) struct Table {
    /// Of the first column, by the first page; `None`: nothing is written yet.
    width: Option<usize>,
}

impl Table {
    pub(super) fn is_empty(&self) -> bool {
        self.width.is_none()
    }

    pub(super) fn rows(&mut self, policies: &[PolicyEntry], now: Timestamp) -> String {
        let mut out = String::new();
        let Some(longest) = policies.iter().map(|policy| policy.domain.len()).max() else {
            return out;
        };
        let width = *self.width.get_or_insert_with(|| {
            let width = longest.clamp(*DOMAIN.start(), *DOMAIN.end());
            row(&mut out, width, ["DOMAIN", "MODE", "AGE", "EXPIRES", "MX"]);
            width
        });
        for policy in policies {
            let age = span(policy.fetched, now);
            let expires = match (policy.live, policy.expires > now) {
                (true, _) => span(now, policy.expires),
                (false, true) => "unusable".to_owned(), // written by a later version
                (false, false) => "expired".to_owned(),
            };
            let mx = patterns(&policy.mx);
            row(
                &mut out,
                width,
                [&policy.domain, &policy.mode, &age, &expires, &mx],
            );
        }
        out
    }
}

fn row(out: &mut String, width: usize, [domain, mode, age, expires, mx]: [&str; 5]) {
    let line = format!("{domain:width$}  {mode:8} {age:8} {expires:9} {mx}");
    // Writing to a String cannot fail.
    let _ = writeln!(out, "{}", line.trim_end());
}

fn patterns(mx: &[String]) -> String {
    match mx.len().saturating_sub(PATTERNS) {
        0 => mx.join(" "),
        more => format!("{} and {more} more", mx[..PATTERNS].join(" ")),
    }
}

/// Everything about one policy.
pub(super) fn shown(shown: &PolicyShown, now: Timestamp) -> String {
    let mut out = format!("{}\n", shown.policy.domain);
    describe(&mut out, &shown.policy, now);
    if let Some(failure) = &shown.last_failure {
        field(
            &mut out,
            "last fetch",
            &format!("FAILED {}", failed(failure)),
        );
    }
    let verdict = match (shown.policy.live, shown.policy.mode.as_str()) {
        (false, _) => "not in force",
        (true, "none") => "in force: the domain demands nothing",
        (true, "testing") => "in force: mail flows whatever happens",
        (true, _) => "in force",
    };
    let _ = writeln!(out, "  => {verdict}");
    out
}

/// Why there is nothing to show.
pub(super) fn missing(missing: &PolicyMissing) -> String {
    let why = match &missing.last_failure {
        Some(failure) => format!("; the last fetch failed {}", failed(failure)),
        None => String::new(),
    };
    format!("{}: {}{why}", missing.domain, missing.error)
}

/// What came of a refresh.
pub(super) fn refreshed(refreshed: &PolicyRefreshed, now: Timestamp) -> String {
    let mut out = format!("{}\n", refreshed.domain);
    match &refreshed.record.id {
        Some(id) => field(&mut out, "record", &format!("id {id}")),
        None => field(&mut out, "record", "none that counts"),
    }
    if let Some(policy) = &refreshed.policy {
        describe(&mut out, policy, now);
        out.push_str("  => fetched, and in force\n");
        return out;
    }
    let _ = writeln!(out, "  => NOT refreshed: {}", obstacle(refreshed));
    let kept = match &refreshed.kept {
        Some(kept) => format!(
            "the policy that was fetched {} ago stays in force: {} for {}",
            span(kept.fetched, now),
            kept.mode,
            span(now, kept.expires)
        ),
        None => "no policy is in force".to_owned(),
    };
    let _ = writeln!(out, "     {kept}");
    out
}

/// Why nothing was fetched.
pub(super) fn obstacle(refreshed: &PolicyRefreshed) -> String {
    match (&refreshed.failure, &refreshed.record.problem) {
        (Some(failure), _) => format!("{} ({})", failure.reason, failure.result),
        (None, Some(problem)) => problem.clone(),
        (None, None) => "for no reason that was given".to_owned(),
    }
}

fn describe(out: &mut String, policy: &PolicyEntry, now: Timestamp) {
    field(out, "mode", &policy.mode);
    for (at, pattern) in policy.mx.iter().enumerate() {
        field(out, if at == 0 { "mx" } else { "" }, pattern);
    }
    let max_age = format!("{} s ({})", policy.max_age, duration(policy.max_age));
    field(out, "max_age", &max_age);
    field(out, "id", &policy.id);
    let fetched = format!("{}, {} ago", policy.fetched, span(policy.fetched, now));
    field(out, "fetched", &fetched);
    let expires = match policy.expires > now {
        true => format!("in {}", span(now, policy.expires)),
        false => format!("{} ago", span(policy.expires, now)),
    };
    field(out, "expires", &format!("{}, {expires}", policy.expires));
    field(out, "refresh", &format!("not before {}", policy.refresh));
    field(out, "used", &format!("{}, to a day", policy.used));
}

fn field(out: &mut String, name: &str, value: &str) {
    let _ = writeln!(out, "  {name:<12} {value}");
}

fn failed(failure: &LastFailure) -> String {
    format!(
        "{} ago: {} ({})",
        duration(failure.age),
        failure.failure.reason,
        failure.failure.result
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::admin::policies::{Failure, RecordFound};

    const NOW: i64 = 1_900_000_000;

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_second(NOW + seconds).unwrap()
    }

    fn policy() -> PolicyEntry {
        PolicyEntry {
            domain: "a.test".into(),
            mode: "enforce".into(),
            mx: vec!["mx.a.test".into(), "*.b.test".into()],
            max_age: 604_800,
            id: "20300101".into(),
            fetched: at(-3 * 3600),
            expires: at(604_800 - 3 * 3600),
            refresh: at(43_200),
            used: at(-60),
            live: true,
        }
    }

    fn failure() -> Failure {
        Failure {
            reason: "policy host: status 500".into(),
            result: "sts-policy-fetch-error".into(),
        }
    }

    #[test]
    fn a_list_has_one_header_however_many_pages() {
        let mut table = Table::default();
        assert_eq!(table.rows(&[], at(0)), "");
        assert!(table.is_empty());
        let many = PolicyEntry {
            domain: "a-name-that-is-longer-than-the-first-column-may-be.test".into(),
            mx: (0..5).map(|i| format!("m{i}.test")).collect(),
            ..policy()
        };
        let old = PolicyEntry {
            expires: at(-1),
            live: false,
            ..policy()
        };
        let text = table.rows(&[policy(), old], at(0)) + &table.rows(&[many], at(0));
        assert_eq!(
            text,
            "DOMAIN            MODE     AGE      EXPIRES   MX\n\
             a.test            enforce  3 h      6 d       mx.a.test *.b.test\n\
             a.test            enforce  3 h      expired   mx.a.test *.b.test\n\
             a-name-that-is-longer-than-the-first-column-may-be.test  enforce  3 h      6 d       \
             m0.test m1.test m2.test and 2 more\n"
        );
    }

    #[test]
    fn everything_about_a_policy() {
        let text = shown(
            &PolicyShown {
                policy: policy(),
                last_failure: Some(LastFailure {
                    failure: failure(),
                    age: 300,
                }),
            },
            at(0),
        );
        assert_eq!(
            text,
            "a.test\n\
             \x20 mode         enforce\n\
             \x20 mx           mx.a.test\n\
             \x20              *.b.test\n\
             \x20 max_age      604800 s (7 d)\n\
             \x20 id           20300101\n\
             \x20 fetched      2030-03-17T14:46:40Z, 3 h ago\n\
             \x20 expires      2030-03-24T14:46:40Z, in 6 d\n\
             \x20 refresh      not before 2030-03-18T05:46:40Z\n\
             \x20 used         2030-03-17T17:45:40Z, to a day\n\
             \x20 last fetch   FAILED 5 min ago: policy host: status 500 (sts-policy-fetch-error)\n\
             \x20 => in force\n"
        );
    }

    #[test]
    fn what_came_of_a_refresh() {
        let record = |id: Option<&str>, problem: Option<&str>| RecordFound {
            id: id.map(str::to_owned),
            problem: problem.map(str::to_owned),
        };
        let none = PolicyRefreshed {
            domain: "a.test".into(),
            record: record(None, Some("no MTA-STS record")),
            policy: None,
            failure: None,
            kept: None,
        };
        let failed = PolicyRefreshed {
            record: record(Some("2"), None),
            failure: Some(failure()),
            kept: Some(policy()),
            ..none.clone()
        };
        let fetched = PolicyRefreshed {
            record: record(Some("2"), None),
            policy: Some(policy()),
            ..none.clone()
        };
        for (what, expected) in [
            (
                &none,
                "=> NOT refreshed: no MTA-STS record\n     no policy is in force\n",
            ),
            (
                &failed,
                "=> NOT refreshed: policy host: status 500 (sts-policy-fetch-error)\n     the policy that \
                 was fetched 3 h ago stays in force: enforce for 6 d\n",
            ),
            (&fetched, "=> fetched, and in force\n"),
        ] {
            let text = refreshed(what, at(0));
            assert!(text.ends_with(expected), "{text}");
        }
    }
}
