//! `policy.tls_policy_map`: the entries of a Postfix map among the rules of the file.

use super::problems::{Fault, Place, Problem, Source};
use super::reader::Section;
use super::rules::{self, Draft, SaysTls};
use super::setting::Pattern;
use crate::names::{DomainName, RuleNextHop, RuleTarget};
use crate::policy::postfix_map::{self, Entry, Key};
use crate::policy::{Level, Rules};
use std::collections::HashMap;
use std::path::Path;
use std::sync::Arc;

/// Reads the map; what is wrong with it is reported under its own name.
pub(super) fn load(policy: &Section<'_>, path: &Path) -> Vec<Entry> {
    const KEY: &str = "tls_policy_map";
    let file = path.display().to_string();
    let text = match super::read_bounded(path) {
        Ok(text) => text,
        Err(reason) => {
            policy.object(
                KEY,
                format!("{file} {reason}"),
                "name the text file, not a .db",
            );
            return Vec::new();
        }
    };
    let map = postfix_map::parse(&text, &file);
    for error in map.errors {
        problem(policy.source, &file, error.line, error.text);
    }
    for warning in map.warnings {
        policy
            .source
            .notice(format!("{file}:{}: {}", warning.line, warning.text));
    }
    map.entries
}

fn problem(source: &Source<'_>, file: &str, line: usize, what: String) {
    source.problems.borrow_mut().push(Problem {
        file: file.to_owned(),
        place: Some(Place { line, column: None }),
        key: String::new(),
        what,
        mend: String::new(),
    });
}

/// In Postfix an entry is found by the next hop. Where a rule of the file sets one, the entry for it
/// says what TLS must be there, unless the rule says so itself: that is a contradiction.
///
/// Who else can be asked for the entries is `[[socketmap]]`.
pub(super) fn apply_to_next_hops(
    source: &Source<'_>,
    entries: &[Entry],
    drafts: &mut [Draft],
    asked: Asked,
) {
    let index: HashMap<&Key, usize> = entries
        .iter()
        .enumerate()
        .map(|(i, entry)| (&entry.key, i))
        .collect();
    let mut used = vec![Used::No; entries.len()];
    for draft in drafts {
        let Some(hop) = &draft.rule.next_hop else {
            continue;
        };
        let Some(at) = find(&index, hop) else {
            continue;
        };
        let entry = &entries[at];
        used[at] = Used::Yes;
        if draft.says_tls == SaysTls::Yes {
            let fault = Fault {
                span: draft.hop_span.clone(),
                what: format!("{hop} has an entry of its own ({})", entry.rule.origin),
                mend: "say what TLS must be there in one place only".to_owned(),
            };
            source.problem(draft.key.replace("domains", "next_hop"), fault);
            continue;
        }
        draft.rule.require = entry.rule.require;
        draft.rule.match_names.clone_from(&entry.rule.match_names);
        draft.rule.fingerprints.clone_from(&entry.rule.fingerprints);
        draft.rule.min_version = entry.rule.min_version;
        draft.rule.published = entry.rule.published;
    }
    for (entry, used) in entries.iter().zip(used) {
        // `[192.0.2.1]` is also where mail to that address literal goes.
        let literal = matches!(
            &entry.key,
            Key::NextHop(RuleNextHop {
                target: RuleTarget::Address(_),
                port: None
            })
        );
        let unused = used == Used::No && asked == Asked::ByNobody && !literal;
        if matches!(entry.key, Key::NextHop(_)) && unused {
            source.notice(format!(
                "{}: no [[rule]] has next_hop = \"{}\"; the entry has no effect",
                entry.rule.origin, entry.key
            ));
        }
    }
}

/// Whether Postfix asks for the entries, by the next hops that it has chosen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Asked {
    ByPostfix,
    ByNobody,
}

/// Whether some rule's next hop took an entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Used {
    No,
    Yes,
}

/// The entry that Postfix would find: brackets and port are compared as written; only a plain
/// domain falls back to its parents.
fn find(index: &HashMap<&Key, usize>, hop: &RuleNextHop) -> Option<usize> {
    let at = |wanted: &Key| index.get(wanted).copied();
    let RuleNextHop {
        target: RuleTarget::Mx(domain),
        port: None,
    } = hop
    else {
        return at(&Key::NextHop(hop.clone()));
    };
    at(&Key::Exact(domain.clone())).or_else(|| {
        std::iter::successors(domain.parent(), DomainName::parent)
            .find_map(|parent| at(&Key::Below(parent)))
    })
}

/// Adds the entries for domains to the rules.
pub(super) fn add(source: &Source<'_>, entries: Vec<Entry>, rules: &mut Rules) {
    for Entry { key, line, rule } in entries {
        let pattern = match key.clone() {
            Key::Exact(domain) => Pattern::Exact(domain),
            Key::Below(domain) => Pattern::Below(domain),
            Key::NextHop(hop) => {
                let rule = Arc::new(rule);
                rules.add_next_hop(hop.clone(), Arc::clone(&rule));
                if let (RuleTarget::Address(ip), None) = (hop.target, hop.port)
                    && let Err(conflict) = rules.add_literal(ip, rule)
                {
                    let file = conflict.first.rsplit_once(':').map_or("", |(file, _)| file);
                    problem(source, file, line, conflict.to_string());
                }
                continue;
            }
        };
        let file = rule.origin.clone();
        let level = rule.require.map_or("", Level::as_str);
        let replaced = match rule.require {
            // They look TLSA records up themselves.
            Some(Level::Dane | Level::DaneOnly) => "MTA-STS",
            Some(_) | None => "DANE, MTA-STS",
        };
        match rules::add(rules, pattern, &Arc::new(rule)) {
            Ok(()) => source.replacements.borrow_mut().push(format!(
                "{file}: {key} {level}: replaces what the domain publishes ({replaced})"
            )),
            Err(conflict) => {
                let file = file
                    .rsplit_once(':')
                    .map_or(file.as_str(), |(file, _)| file);
                let what = format!("{conflict}; keep one of them");
                problem(source, file, line, what);
            }
        }
    }
}
