//! The shipped file is the reference: every key, with its default.

use super::super::*;
use super::{ORIGIN, parse};
use crate::server::{ListenAddress, Protocol};

/// The shipped file with its optional settings (`#key = value`) switched on has every known key.
#[test]
fn the_shipped_file_has_every_key() {
    let shipped = include_str!("../../../config/sealpost.toml");
    let everything: String = shipped
        .lines()
        .map(|line| {
            let optional = line.strip_prefix('#');
            let optional =
                optional.filter(|rest| rest.starts_with(|c: char| c.is_alphabetic() || c == '['));
            format!("{}\n", optional.unwrap_or(line))
        })
        .collect();
    let source = Source::new(ORIGIN, &everything);
    read(&source, &everything, &|| Err("not needed".to_owned()));
    let problems = source.problems.take();
    let unexpected: Vec<_> = problems
        .iter()
        .filter(|p| !p.what.contains("not in this version") && !p.what.contains("cannot be opened"))
        .map(ToString::to_string)
        .collect();
    assert_eq!(unexpected, Vec::<String>::new());
    let document = DeTable::parse(&everything).unwrap();
    let mut missing = Vec::new();
    for known in source.known.borrow().iter() {
        let mut keys = known.split('.');
        let first = keys.next().unwrap();
        let Some(item) = document.get_ref().get(first) else {
            missing.push(known.clone());
            continue;
        };
        let Some(key) = keys.next() else { continue };
        let tables: Vec<_> = match item.get_ref().as_array() {
            Some(array) => array.iter().collect(),
            None => vec![item],
        };
        let has = |t: &toml::Spanned<toml::de::DeValue<'_>>| {
            t.get_ref().as_table().is_some_and(|t| t.contains_key(key))
        };
        if !tables.into_iter().any(has) {
            missing.push(known.clone());
        }
    }
    assert_eq!(
        missing,
        Vec::<String>::new(),
        "keys that the shipped file does not have"
    );
    assert!(source.known.borrow().len() > 80, "{:?}", source.known);
}

/// The shipped file sets nothing but defaults, save its two listeners.
#[test]
fn the_shipped_file_says_what_the_defaults_are() {
    let shipped = include_str!("../../../config/sealpost.toml");
    let shipped = parse(shipped).unwrap_or_else(|e| panic!("{e}"));
    let [smtp, lmtp] = shipped.listeners.as_slice() else {
        panic!("{:?}", shipped.listeners)
    };
    assert_eq!(
        (smtp.protocol, lmtp.protocol),
        (Protocol::Smtp, Protocol::Lmtp)
    );
    assert_eq!(
        lmtp.address,
        ListenAddress::Tcp("127.0.0.1:2424".parse().unwrap())
    );
    let default = parse("").unwrap();
    assert_eq!(*smtp, default.listeners[0]);
    let of = |config: &Config| Config {
        listeners: Vec::new(),
        shown: String::new(),
        ..config.clone()
    };
    assert_eq!(of(&shipped), of(&default));
    let after_listeners = |config: &Config| {
        let at = config.shown.find("[client]").unwrap();
        config.shown[at..].to_owned()
    };
    assert_eq!(after_listeners(&shipped), after_listeners(&default));
}
