//! `[policy]` and `[[rule]]`: the administrator's rules, from the file and from a Postfix map.

use super::map;
use super::problems::Source;
use super::published::{self, Switches};
use super::reader::Section;
use super::sections::default_level;
use super::setting::Pattern;
use crate::discovery::PreloadedList;
use crate::dns::{DnsSettings, Dnssec};
use crate::names::{RuleNextHop, RuleTarget};
use crate::policy::{
    ClientCertificate, Enforce, Fingerprint, Level, MatchName, OnFailure, PolicySettings,
    Published, Rule, Rules, TlsVersion,
};
use crate::tls::TlsSettings;
use std::ops::Range;
use std::path::PathBuf;
use std::sync::Arc;

/// A rule of the file on its way into [`Rules`].
pub(super) struct Draft {
    pub(super) patterns: Vec<Pattern>,
    /// Of `domains`.
    span: Range<usize>,
    /// Of `next_hop`.
    pub(super) hop_span: Range<usize>,
    pub(super) says_tls: SaysTls,
    pub(super) key: String,
    pub(super) rule: Rule,
}

/// Whether a rule of the file says itself what TLS must be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum SaysTls {
    No,
    Yes,
}

/// Reads all rules and the default.
pub(super) fn read(
    root: &mut Section<'_>,
    tls: &TlsSettings,
    dns: &DnsSettings,
    min_version: TlsVersion,
) -> (PolicySettings, Vec<PreloadedList>) {
    let mut policy = root.section("policy");
    let default = default_level(&mut policy);
    let Switches { dane, mta_sts } = published::switches(&mut policy);
    let preload = published::preload(&mut policy);
    let map_file = policy.optional::<PathBuf>("tls_policy_map");
    let entries = match map_file {
        Some(path) => map::load(&policy, &path),
        None => Vec::new(),
    };
    policy.finish();
    let mut drafts = Vec::new();
    for mut section in root.sections("rule") {
        section.show_header();
        let rule = draft(&mut section, default, tls);
        refuse_hopeless(&section, &rule.rule, dns);
        drafts.push(rule);
        section.finish();
    }
    let asked = if root.has("socketmap") {
        map::Asked::ByPostfix
    } else {
        map::Asked::ByNobody
    };
    map::apply_to_next_hops(root.source, &entries, &mut drafts, asked);
    let mut rules = Rules::default();
    for draft in drafts {
        let rule = Arc::new(draft.rule);
        for pattern in draft.patterns {
            if let Err(conflict) = add(&mut rules, pattern, &rule) {
                root.source.problem(
                    draft.key.clone(),
                    super::problems::Fault {
                        span: draft.span.clone(),
                        what: conflict.to_string(),
                        mend: "name each domain in one rule only".to_owned(),
                    },
                );
            }
        }
    }
    map::add(root.source, entries, &mut rules);
    check_dnssec(root.source, &rules, dns);
    let settings = PolicySettings {
        rules,
        default,
        min_version,
        dane,
        mta_sts,
    };
    (settings, preload)
}

pub(super) fn add(
    rules: &mut Rules,
    pattern: Pattern,
    rule: &Arc<Rule>,
) -> Result<(), crate::policy::RuleConflict> {
    match pattern {
        Pattern::Exact(domain) => rules.add_exact(domain, Arc::clone(rule)),
        Pattern::Below(domain) => rules.add_below(domain, Arc::clone(rule)),
    }
}

/// `dane-only` without DNSSEC would hold all mail of the rule back.
fn refuse_hopeless(section: &Section<'_>, rule: &Rule, dns: &DnsSettings) {
    let binds = rule.require == Some(Level::DaneOnly) && rule.enforce == Enforce::Yes;
    if binds && dns.dnssec == Dnssec::Off {
        section.object(
            "require",
            "\"dane-only\" would hold all mail back while dns.dnssec is \"off\"",
            "turn DNSSEC on, or choose another level",
        );
    }
}

/// A rule that wants DANE where DNSSEC is off never has what it wants.
fn check_dnssec(source: &Source<'_>, rules: &Rules, dns: &DnsSettings) {
    if dns.dnssec != Dnssec::Off {
        return;
    }
    let mut wanting: Vec<String> = rules
        .iter()
        .filter_map(|(pattern, rule)| match rule.require {
            Some(level @ (Level::Dane | Level::DaneOnly)) => {
                Some(format!("{}: {pattern}: level \"{level}\"", rule.origin))
            }
            Some(_) | None => None,
        })
        .collect();
    wanting.sort();
    for what in wanting {
        source.notice(format!(
            "{what} finds no TLSA records while dns.dnssec is \"off\": \"dane\" is \"encrypt\" then, and \
             \"dane-only\" defers"
        ));
    }
}

const TLS_KEYS: [&str; 4] = ["require", "match", "fingerprints", "min_version"];

fn draft(section: &mut Section<'_>, default: Level, tls: &TlsSettings) -> Draft {
    let patterns: Option<Vec<Pattern>> = section.optional("domains");
    if !section.has("domains") {
        section.object("domains", "is missing", "write domains = [\"example.com\"]");
    } else if patterns.as_ref().is_some_and(Vec::is_empty) {
        section.object("domains", "is empty", "name a domain, or remove the rule");
    }
    let name: Option<String> = section.optional("name");
    check_name(section, name.as_deref());
    let rule = Rule {
        origin: section.source.name_place(section.span.start),
        name: name.map(Arc::from),
        require: section.optional::<Level>("require"),
        match_names: section
            .optional::<Vec<MatchName>>("match")
            .unwrap_or_default(),
        fingerprints: section
            .optional::<Vec<Fingerprint>>("fingerprints")
            .unwrap_or_default(),
        min_version: section.optional::<TlsVersion>("min_version"),
        published: section.read("published").unwrap_or(Published::Honor),
        next_hop: section.optional::<RuleNextHop>("next_hop"),
        on_failure: section.take("on_failure", OnFailure::Defer),
        enforce: section.take("enforce", Enforce::Yes),
        client_certificate: section.take("client_cert", ClientCertificate::Withhold),
    };
    let level = rule.require.unwrap_or(default);
    let mut rule = rule;
    if level == Level::None {
        without_tls(section, &rule);
        rule.published = Published::Ignore;
    }
    section.show("published", &rule.published);
    check_level(section, &rule, level);
    check_next_hop(section, &rule, level);
    if rule.client_certificate == ClientCertificate::Present && tls.client_certificate.is_none() {
        section.object(
            "client_cert",
            "there is no client certificate",
            "set tls.client_cert",
        );
    }
    let says_tls = TLS_KEYS.iter().any(|key| section.has(key));
    Draft {
        patterns: patterns.unwrap_or_default(),
        span: section.span_of("domains"),
        hop_span: section.span_of("next_hop"),
        says_tls: if says_tls { SaysTls::Yes } else { SaysTls::No },
        key: section.full("domains"),
        rule,
    }
}

/// Names become labels of metrics.
fn check_name(section: &Section<'_>, name: Option<&str>) {
    let fit = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
    if name.is_some_and(|n| n.is_empty() || n.len() > 64 || !n.chars().all(fit)) {
        section.object(
            "name",
            "is no name for a metric",
            "write 1 to 64 letters, digits, or - _ .",
        );
    }
}

/// At level none nothing about TLS can be asked for.
fn without_tls(section: &Section<'_>, rule: &Rule) {
    const MEND: &str = "remove it, or raise the level";
    if section.has("published") && rule.published == Published::Honor {
        section.object(
            "published",
            "cannot be \"honor\" at level \"none\", which implies \"ignore\"",
            MEND,
        );
    }
    if rule.client_certificate == ClientCertificate::Present {
        section.object("client_cert", "means nothing at level \"none\"", MEND);
    }
    if rule.on_failure == OnFailure::Reject {
        section.object("on_failure", "means nothing at level \"none\"", MEND);
    }
}

/// Keys that do not go with the level.
fn check_level(section: &Section<'_>, rule: &Rule, level: Level) {
    let by_name = matches!(level, Level::Verify | Level::Secure);
    if section.has("match") && !by_name {
        section.object(
            "match",
            format!("does not go with level \"{level}\""),
            "write require = \"verify\" or \"secure\", or remove match",
        );
    } else if section.is_empty_list("match") {
        section.object(
            "match",
            "is empty",
            "name what the certificate must carry, or remove it",
        );
    }
    let pinned = level == Level::Fingerprint;
    if section.has("fingerprints") && !pinned {
        section.object(
            "fingerprints",
            format!("does not go with level \"{level}\""),
            "write require = \"fingerprint\", or remove fingerprints",
        );
    } else if pinned && (section.is_empty_list("fingerprints") || !section.has("fingerprints")) {
        section.object(
            "fingerprints",
            "level \"fingerprint\" needs at least one",
            "write fingerprints = [\"cert-sha256:HEX\"]",
        );
    }
    if rule.min_version.is_some() && matches!(level, Level::None | Level::May) {
        section.object(
            "min_version",
            format!("binds only where TLS is mandatory, not at level \"{level}\""),
            "write require = \"encrypt\" or more, or remove it",
        );
    }
}

/// What cannot be proven of, or sent to, this next hop.
fn check_next_hop(section: &Section<'_>, rule: &Rule, level: Level) {
    let Some(hop) = &rule.next_hop else { return };
    if matches!(hop.target, RuleTarget::Address(_))
        && matches!(level, Level::Dane | Level::DaneOnly)
    {
        section.object(
            "next_hop",
            format!("an address has no name below which level \"{level}\" could find TLSA records"),
            "give the host by name, or choose another level",
        );
    }
    if hop.is_implicit_tls() && level == Level::None {
        section.object(
            "next_hop",
            "port 465 is TLS from the first octet, level \"none\" never tries it",
            "choose another port or level",
        );
    }
    let by_name = matches!(level, Level::Verify | Level::Secure);
    let is_name = |m: &MatchName| matches!(m, MatchName::Name(_) | MatchName::Below(_));
    if by_name
        && matches!(hop.target, RuleTarget::Address(_))
        && !rule.match_names.iter().any(is_name)
    {
        section.object(
            "next_hop",
            format!("an address has no name that level \"{level}\" could match"),
            "write match = [\"NAME\"], or give the host by name",
        );
    }
}
