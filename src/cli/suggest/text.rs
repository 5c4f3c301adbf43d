//! What is suggested as TOML; all else is in comments, so that it can be appended to a configuration as it is.

use super::report::{Affected, Consequence, Report, Rule};
use super::{Grouping, SuggestArgs, Trial};
use crate::cli::print::safe;
use crate::html::percent;
use jiff::Timestamp;
use std::collections::BTreeMap;

/// What makes rules the same but for their domains.
type Kind = (&'static str, Option<&'static str>);

pub(super) fn render(report: &Report, args: &SuggestArgs) -> String {
    let mut out = heading(report);
    match args.group {
        Grouping::None => {
            for rule in &report.rules {
                out.push(String::new());
                out.extend(block(&[rule], args.dry_run));
            }
        }
        Grouping::ByRequirement => {
            let mut kinds: BTreeMap<Kind, Vec<&Rule>> = BTreeMap::new();
            for rule in &report.rules {
                let kind = (rule.require, rule.min_version);
                kinds.entry(kind).or_default().push(rule);
            }
            for rules in kinds.values() {
                out.push(String::new());
                out.extend(block(rules, args.dry_run));
            }
        }
    }
    out.push(String::new());
    out.push("# What would have been blocked with".to_owned());
    out.extend(report.what_if.iter().flat_map(consequence));
    safe(&(out.join("\n") + "\n"))
}

fn heading(report: &Report) -> Vec<String> {
    let mut lines = vec![
        format!(
            "# From {}: {} deliveries to {} destinations in the last {} days.",
            report.source, report.deliveries, report.destinations, report.days
        ),
        format!(
            "# {} destinations got {} deliveries or more, all of them over TLS 1.2 or newer.",
            report.rules.len(),
            report.min
        ),
    ];
    let left = &report.left_out;
    for (count, what) in [
        (left.have_a_rule, "have a rule already"),
        (
            left.publish_a_policy,
            "publish a policy that is enforced already (--all shows them)",
        ),
        (left.too_few_deliveries, "got fewer deliveries"),
        (
            left.not_always_tls,
            "were not always reached over TLS 1.2 or newer",
        ),
    ] {
        if count > 0 {
            lines.push(format!("# Left out: {count} that {what}."));
        }
    }
    if report.rules.iter().any(|rule| rule.trial) {
        lines.push(
            "# Postfix logs \"Verified\" for authorities, DANE and fingerprints alike, and \"verify\" wants an authority: \
             where it says so,\n# run sealpost check, or use the rule with enforce = \"dry-run\" first."
                .to_owned(),
        );
    }
    lines
}

/// One rule, for as many domains as there are.
fn block(rules: &[&Rule], trial: Trial) -> Vec<String> {
    let mut lines: Vec<String> = rules.iter().map(|rule| reasons(rule)).collect();
    lines.push("[[rule]]".to_owned());
    match rules {
        [rule] => lines.push(format!("domains = [\"{}\"]", rule.domain)),
        rules => {
            lines.push("domains = [".to_owned());
            lines.extend(rules.iter().map(|rule| format!("    \"{}\",", rule.domain)));
            lines.push("]".to_owned());
        }
    }
    if let Some(rule) = rules.first() {
        lines.push(format!("require = \"{}\"", rule.require));
        if let Some(version) = rule.min_version {
            lines.push(format!("min_version = \"{version}\""));
        }
    }
    if trial == Trial::Yes {
        lines.push("enforce = \"dry-run\"".to_owned());
    }
    lines
}

fn reasons(rule: &Rule) -> String {
    let day = |at: Option<Timestamp>| at.map(|at| at.strftime("%Y-%m-%d").to_string());
    let mut text = format!("# {}: {} deliveries", rule.domain, rule.deliveries);
    if let (Some(first), Some(last)) = (day(rule.first), day(rule.last)) {
        text += &if first == last {
            format!(" on {first}")
        } else {
            format!(" from {first} to {last}")
        };
    }
    if let Some(version) = &rule.weakest_version {
        text += &format!(", TLS {version} or newer");
    }
    text + match (rule.require, rule.trial) {
        ("dane-only", _) => "; always authenticated by DANE",
        ("verify", true) => "; always \"Verified\": try it first",
        ("verify", false) => "; always with a certificate of a trusted authority for the host",
        (_, _) => "; not always with a certificate that is known to be sound",
    }
}

fn consequence(consequence: &Consequence) -> Vec<String> {
    let of = consequence.deliveries;
    let mut text = format!(
        "#   {}: {} of {of} deliveries ({})",
        consequence.change,
        consequence.blocked,
        percent(consequence.blocked, of)
    );
    if consequence.unknown > 0 {
        text += &format!(
            ", and perhaps {} more, of which too little is known ({})",
            consequence.unknown,
            percent(consequence.unknown, of)
        );
    }
    let mut lines = vec![text];
    lines.extend(consequence.shown.iter().map(affected));
    let more = consequence.destinations - consequence.shown.len();
    if more > 0 {
        lines.push(format!("#       and {more} more destinations (--top N)"));
    }
    lines
}

fn affected(affected: &Affected) -> String {
    let perhaps = match affected.unknown {
        0 => String::new(),
        unknown => format!(", perhaps {unknown} more"),
    };
    format!("#       {}  {}{perhaps}", affected.domain, affected.blocked)
}
