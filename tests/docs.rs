//! README.md and docs/ say what is true: links lead somewhere, keys and metrics exist, examples are valid.

#![allow(clippy::unwrap_used, reason = "a panic is how a test fails")]

mod support;

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use support::Daemon;

const ROOT: &str = env!("CARGO_MANIFEST_DIR");

/// Each page with its text.
fn pages() -> Vec<(PathBuf, String)> {
    let docs = std::fs::read_dir(Path::new(ROOT).join("docs")).unwrap();
    let mut files: Vec<PathBuf> = docs.map(|entry| entry.unwrap().path()).collect();
    files.retain(|file| file.extension().is_some_and(|e| e == "md"));
    files.push(Path::new(ROOT).join("README.md"));
    files.sort();
    assert!(files.len() > 5, "{files:?}");
    let text = |file: &PathBuf| std::fs::read_to_string(file).unwrap();
    files
        .iter()
        .map(|file| (file.clone(), text(file)))
        .collect()
}

/// What is between one mark and the next, over and over.
fn between<'t>(text: &'t str, open: &str, close: &str) -> Vec<&'t str> {
    let mut found = Vec::new();
    let mut rest = text;
    while let Some((_, after)) = rest.split_once(open) {
        let Some((inside, after)) = after.split_once(close) else {
            break;
        };
        found.push(inside);
        rest = after;
    }
    found
}

/// The anchors of a page's headings, as GitHub and others make them.
fn anchors(text: &str) -> BTreeSet<String> {
    let headings = text.lines().filter_map(|line| {
        let heading = line.trim_start_matches('#');
        (heading.len() < line.len() && heading.starts_with(' ')).then_some(heading.trim())
    });
    let slug = |heading: &str| {
        let lower = heading.to_lowercase().replace(' ', "-");
        let kept = |c: &char| c.is_alphanumeric() || "-_".contains(*c);
        lower.chars().filter(kept).collect()
    };
    headings.map(slug).collect()
}

#[test]
fn links_lead_somewhere() {
    let mut links = 0;
    for (file, text) in pages() {
        for link in between(&text, "](", ")") {
            if link.contains("://") {
                continue;
            }
            links += 1;
            let (path, anchor) = link.split_once('#').unwrap_or((link, ""));
            let target = if path.is_empty() {
                file.clone()
            } else {
                file.parent().unwrap().join(path)
            };
            assert!(target.exists(), "{}: {link}", file.display());
            if !anchor.is_empty() {
                let there = anchors(&std::fs::read_to_string(&target).unwrap());
                assert!(
                    there.contains(anchor),
                    "{}: {link}: {there:?}",
                    file.display()
                );
            }
        }
    }
    assert!(links > 20, "{links}");
}

/// `section.key` in code is a key of the configuration.
#[test]
fn keys_of_the_configuration_exist() {
    let reference = std::fs::read_to_string(Path::new(ROOT).join("docs/configuration.md")).unwrap();
    let keys: BTreeSet<&str> = reference
        .lines()
        .filter_map(|line| line.strip_prefix("### "))
        .collect();
    let sections: BTreeSet<&str> = keys
        .iter()
        .filter_map(|key| key.split('.').next())
        .collect();
    let mut mentioned = 0;
    for (file, text) in pages() {
        for code in between(&text.replace("```", ""), "`", "`") {
            let name = code.split([' ', '=']).next().unwrap();
            let Some((section, key)) = name.split_once('.') else {
                continue;
            };
            let is_key = key
                .chars()
                .all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_');
            // Units and files have names of that form too.
            let other = [
                "service", "socket", "toml", "db", "md", "conf", "json", "key",
            ]
            .contains(&key);
            if sections.contains(section) && is_key && !other {
                mentioned += 1;
                assert!(keys.contains(name), "{}: {code}", file.display());
            }
        }
    }
    assert!(mentioned > 40, "{mentioned}");
}

/// Each example in TOML, with a name for this machine, is a valid configuration.
#[test]
fn examples_are_valid() {
    let directory = tempfile::tempdir().unwrap();
    let file = |name: &str, text: &str| {
        let path = directory.path().join(name);
        std::fs::write(&path, text).unwrap();
        path.display().to_string()
    };
    let map = file("tls_policy", "example.com encrypt\n");
    let mut examples = 0;
    for (page, text) in pages() {
        for example in between(&text, "```toml\n", "```") {
            examples += 1;
            // Examples within lists are indented; TOML does not mind.
            let text = format!("hostname = 'relay.example.net'\n{example}");
            let text = text.replace("/etc/postfix/tls_policy", &map);
            let config = file("sealpost.toml", &text);
            let exit = Daemon::command(&["config", "check", "--config", &config]);
            assert_eq!(
                exit.code,
                Some(0),
                "{}: {}\n{text}",
                page.display(),
                exit.stderr
            );
        }
    }
    assert!(examples >= 3, "{examples}");
}
