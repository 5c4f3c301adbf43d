//! The ranking of the modules (the table in `src/lib.rs`) and the purity of the core, enforced on the
//! source text: a module may use only modules of a lower rank, and each foreign library has one home.

#![allow(clippy::unwrap_used)] // a panic is how a test fails

use std::path::{Path, PathBuf};

/// Modules from low to high; those on a line are of one rank and do not use each other.
const RANKS: &[&[&str]] = &[
    &["names"],
    &["tlsrpt", "smtp", "dane", "mta_sts", "maillog", "html"],
    &["policy", "dsn", "suggest"],
    &["clock"],
    &["dns", "tls", "store", "message"],
    &["https"],
    &["discovery"],
    &["delivery"],
    &["ledger"],
    &["relay"],
    &["survey"],
    &["queue"],
    &["server"],
    &["socketmap"],
    &["admin"],
    &["config"],
    &["daemon"],
    &["cli"],
];

/// What the ranking would forbid, each with its reason.
const EXCEPTIONS: &[(&str, &str)] = &[];

/// Libraries that are used in one module only.
const HOMES: &[(&str, &[&str])] = &[
    ("rustls", &["tls"]),
    ("tokio_rustls", &["tls"]),
    ("webpki", &["tls"]),
    ("webpki_roots", &["tls"]),
    ("rustls_native_certs", &["tls"]),
    ("x509_parser", &["tls", "dane"]),
    ("hickory_resolver", &["dns"]),
    ("hickory_proto", &["dns"]),
    ("hickory_net", &["dns"]),
    // rustls has a module of this name, which tls uses.
    ("aws_lc_rs", &["dns", "tls"]),
    ("rusqlite", &["store"]),
    ("prometheus", &["ledger"]),
    ("axum", &["admin"]),
    ("hyper", &["https"]),
    ("hyper_util", &["https"]),
    ("http_body_util", &["https"]),
    ("toml", &["config"]),
    ("clap", &["cli"]),
    ("csv", &["cli"]),
    ("indicatif", &["cli"]),
    ("console", &["cli"]),
    // Pages escape by their type: all others import it from there, and none marks text as escaped.
    ("maud", &["html"]),
    ("flate2", &["cli"]),
];

/// What pure code does not do.
const IMPURE: &[&str] = &["async", "await", "tracing", "tokio"];

const CORE: &[&str] = &[
    "names", "tlsrpt", "smtp", "dane", "mta_sts", "maillog", "html", "policy", "dsn", "suggest",
];

#[test]
fn the_ranking_holds() {
    let violations = violations_in(&root().join("src"), |module, text| {
        let mut found = module_uses(module, text);
        found.extend(foreign_uses(module, text));
        found.extend(impurities(module, text));
        found
    });
    assert!(violations.is_empty(), "\n{}", violations.join("\n"));
}

#[test]
fn every_module_has_a_rank() {
    let lib = std::fs::read_to_string(root().join("src/lib.rs")).unwrap();
    let mut declared: Vec<&str> = lib
        .lines()
        .filter_map(|line| line.strip_prefix("pub mod ")?.strip_suffix(';'))
        .collect();
    declared.sort_unstable();
    let mut ranked: Vec<&str> = RANKS.concat();
    ranked.sort_unstable();
    assert_eq!(declared, ranked);
}

#[test]
fn the_lab_is_an_independent_oracle() {
    let violations = violations_in(&root().join("lab"), |_, text| {
        let uses = words(text).any(|word| word == "sealpost");
        uses.then(|| "imports sealpost".to_owned())
            .into_iter()
            .collect()
    });
    assert!(violations.is_empty(), "\n{}", violations.join("\n"));
    let manifest = std::fs::read_to_string(root().join("lab/Cargo.toml")).unwrap();
    let depends = manifest
        .lines()
        .any(|line| line.trim_start().starts_with("sealpost"));
    assert!(!depends, "lab/Cargo.toml depends on sealpost");
}

/// The scanner finds what it is meant to find, and nothing else.
#[test]
fn the_scanner_sees_violations() {
    for (module, text, expected) in [
        ("dns", "use crate::relay::Snapshot;", 1),
        ("dns", "use crate::names::DomainName;", 0),
        ("dns", "use crate::dns::Answer;", 0), // itself
        (
            "dns",
            "use crate::{names::DomainName, relay::{Custody, Snapshot}};",
            2,
        ),
        (
            "dns",
            "use crate::{\n    names::DomainName,\n    delivery,\n    relay::Custody,\n};",
            2,
        ),
        ("dns", "fn f() { crate::relay::spine() }", 1),
        ("dns", "fn f() { crate :: relay :: spine() }", 1),
        ("dns", "pub(crate) fn f() {}", 0),
        ("dns", "// crate::relay is not used", 0),
        (
            "dns",
            "/* crate::relay */ const S: &str = \"crate::relay\";",
            0,
        ),
        (
            "dns",
            "const S: &str = r#\"crate::relay\"#; const C: char = '\"';",
            0,
        ),
        ("dns", "fn f<'a>(x: &'a str) { crate::relay::g(x) }", 1),
        ("dns", "#[cfg(test)]\nmod tests { use crate::relay::X; }", 1), // tests are no exception
        ("ledger", "use crate::delivery::outcome::Outcome;", 0),
        ("delivery", "use crate::ledger::Ledger;", 1),
        ("dns", "use crate::tls::X;", 1), // of the same rank
        ("smtp", "use rustls::ClientConfig;", 1),
        ("tls", "use rustls::ClientConfig;", 0),
        ("relay", "use rustls_pki_types::CertificateDer;", 0),
        ("tls", "fn f(x: hickory_proto::rr::Name) {}", 1),
        ("relay", "let x = my::rustls::y;", 0), // a path of our own
        ("policy", "async fn f() {}", 1),
        ("policy", "fn f() { g().await }", 1),
        ("policy", "use std::time::SystemTime;", 0),
        ("policy", "let t = SystemTime::now();", 1),
        ("policy", "let t = Instant::now();", 1),
        ("policy", "tracing::info!(\"x\");", 1),
        ("smtp", "use crate::clock;", 1),
        ("delivery", "async fn f() { g().await }", 0),
    ] {
        let mut found = module_uses(module, text);
        found.extend(foreign_uses(module, text));
        found.extend(impurities(module, text));
        assert_eq!(found.len(), expected, "{module}: {text}: {found:?}");
    }
}

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

/// Applies `check` to each file below `dir`; the module is the first component of its path.
fn violations_in(dir: &Path, check: impl Fn(&str, &str) -> Vec<String>) -> Vec<String> {
    let mut files = Vec::new();
    collect(dir, &mut files);
    assert!(!files.is_empty(), "no source below {}", dir.display());
    let mut violations = Vec::new();
    for file in files {
        let relative = file.strip_prefix(dir).unwrap();
        let first = relative.iter().next().unwrap().to_string_lossy();
        let module = first.strip_suffix(".rs").unwrap_or(&first).to_owned();
        let text = std::fs::read_to_string(&file).unwrap();
        for violation in check(&module, &text) {
            violations.push(format!("{}: {violation}", file.display()));
        }
    }
    violations
}

fn collect(dir: &Path, files: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            collect(&path, files);
        } else if path.extension().is_some_and(|e| e == "rs") {
            files.push(path);
        }
    }
}

fn rank(module: &str) -> Option<usize> {
    RANKS.iter().position(|modules| modules.contains(&module))
}

/// Uses of our own modules that the ranking forbids.
fn module_uses(module: &str, text: &str) -> Vec<String> {
    // lib.rs declares all; main.rs is above all.
    let Some(own) = rank(module) else {
        return Vec::new();
    };
    let mut violations = Vec::new();
    for used in crate_paths(text) {
        let other = used.split("::").next().unwrap_or_default();
        let Some(theirs) = rank(other) else { continue };
        if other == module || theirs < own {
            continue;
        }
        let allowed = EXCEPTIONS.iter().any(|(user, path)| {
            *user == module && (used == *path || used.starts_with(&format!("{path}::")))
        });
        if !allowed {
            violations.push(format!("{module} uses {used}, which is not below it"));
        }
    }
    violations
}

fn foreign_uses(module: &str, text: &str) -> Vec<String> {
    if rank(module).is_none() {
        return Vec::new();
    }
    let tokens: Vec<String> = words(text).collect();
    let mut violations = Vec::new();
    for (i, pair) in tokens.windows(2).enumerate() {
        let [library, after] = pair else { continue };
        // A crate's name begins its path: `rustls::`, not `x::rustls` nor a field.
        let begins = i == 0 || !["::", "."].contains(&tokens[i - 1].as_str());
        let is_use = after == "::" && begins;
        let home = HOMES.iter().find(|(name, _)| name == library);
        if let Some((_, homes)) = home.filter(|_| is_use)
            && !homes.contains(&module)
        {
            violations.push(format!(
                "{module} uses {library}, whose home is {}",
                homes.join(", ")
            ));
        }
    }
    violations
}

fn impurities(module: &str, text: &str) -> Vec<String> {
    if !CORE.contains(&module) {
        return Vec::new();
    }
    let tokens: Vec<String> = words(text).collect();
    let words = tokens.iter().filter(|t| IMPURE.contains(&t.as_str()));
    let mut violations: Vec<String> = words
        .map(|t| format!("{module} is core, but has {t}"))
        .collect();
    for triple in tokens.windows(3) {
        if ["SystemTime", "Instant"].contains(&triple[0].as_str()) && triple[1..] == ["::", "now"] {
            violations.push(format!("{module} is core, but asks for the time"));
        }
    }
    violations
}

/// Every path below `crate::`, braces unfolded: `crate::{a::B, c}` gives `a::B` and `c`.
fn crate_paths(text: &str) -> Vec<String> {
    let tokens: Vec<String> = words(text).collect();
    let mut paths = Vec::new();
    for (i, token) in tokens.iter().enumerate() {
        let inside = i > 0 && tokens[i - 1] == "::";
        if token == "crate" && !inside && tokens.get(i + 1).is_some_and(|t| t == "::") {
            unfold(&tokens[i + 2..], "", &mut paths);
        }
    }
    paths
}

/// Reads one path, or a list in braces; returns how many tokens it took.
fn unfold(tokens: &[String], prefix: &str, paths: &mut Vec<String>) -> usize {
    let join = |word: &str| match prefix {
        "" => word.to_owned(),
        _ => format!("{prefix}::{word}"),
    };
    let Some(first) = tokens.first() else {
        return 0;
    };
    if first == "{" {
        let mut at = 1;
        while let Some(token) = tokens.get(at) {
            match token.as_str() {
                "}" => return at + 1,
                "," => at += 1,
                _ => at += unfold(&tokens[at..], prefix, paths).max(1),
            }
        }
        return at;
    }
    let path = join(first);
    if tokens.get(1).is_some_and(|t| t == "::") {
        return 2 + unfold(&tokens[2..], &path, paths);
    }
    paths.push(path);
    1
}

/// The text as words and signs, without comments, strings and characters; `::` is one sign.
fn words(text: &str) -> impl Iterator<Item = String> {
    let mut words = Vec::new();
    let mut rest = text;
    while let Some(c) = rest.chars().next() {
        if let Some(after) = skip(rest) {
            rest = after;
        } else if c.is_alphanumeric() || c == '_' {
            let end = rest
                .find(|c: char| !c.is_alphanumeric() && c != '_')
                .unwrap_or(rest.len());
            words.push(rest[..end].to_owned());
            rest = &rest[end..];
        } else if let Some(after) = rest.strip_prefix("::") {
            words.push("::".to_owned());
            rest = after;
        } else {
            if !c.is_whitespace() {
                words.push(c.to_string());
            }
            rest = &rest[c.len_utf8()..];
        }
    }
    words.into_iter()
}

/// What follows a comment, string or character literal at the start of the text.
fn skip(text: &str) -> Option<&str> {
    if text.starts_with("//") {
        return Some(text.find('\n').map_or("", |end| &text[end..]));
    }
    if text.starts_with("/*") {
        return Some(text.find("*/").map_or("", |end| &text[end + 2..]));
    }
    if let Some(raw) = text.strip_prefix("br").or_else(|| text.strip_prefix('r')) {
        let hashes = raw.bytes().take_while(|b| *b == b'#').count();
        if let Some(body) = raw[hashes..].strip_prefix('"') {
            let close = format!("\"{}", "#".repeat(hashes));
            return Some(
                body.find(&close)
                    .map_or("", |end| &body[end + close.len()..]),
            );
        }
        return None;
    }
    if let Some(body) = text.strip_prefix('"') {
        return Some(after_quote(body, '"'));
    }
    let body = text.strip_prefix('\'')?;
    let mut chars = body.chars();
    let (first, second) = (chars.next()?, chars.next()?);
    // A lifetime has no closing quote.
    (first == '\\' || second == '\'').then(|| after_quote(body, '\''))
}

fn after_quote(body: &str, quote: char) -> &str {
    let mut escaped = false;
    for (i, c) in body.char_indices() {
        match c {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            _ if c == quote => return &body[i + c.len_utf8()..],
            _ => {}
        }
    }
    ""
}
