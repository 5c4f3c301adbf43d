//! Takes the sections of the file key by key. What is asked for is known; what is left over is an
//! error with a suggestion; what is not there takes its default; and everything is noted for
//! `config show`. One bad value never hides the next.

use super::problems::{Blank, Fault, Source};
use super::setting::Setting;
use std::fmt::Write as _;
use std::ops::Range;
use toml::Spanned;
use toml::de::{DeTable, DeValue};

/// A table of the file, present or not.
pub(super) struct Section<'a> {
    pub(super) source: &'a Source<'a>,
    /// As people write it: ``, `client`, `rule 2`.
    path: String,
    /// As keys are known: ``, `client`, `rule`.
    kind: String,
    table: Option<&'a DeTable<'a>>,
    /// Where the section stands.
    pub(super) span: Range<usize>,
    asked: Vec<&'static str>,
}

impl<'a> Section<'a> {
    /// The file itself.
    pub(super) fn root(source: &'a Source<'a>, table: &'a Spanned<DeTable<'a>>) -> Self {
        Self {
            source,
            path: String::new(),
            kind: String::new(),
            table: Some(table.get_ref()),
            span: 0..0,
            asked: Vec::new(),
        }
    }

    /// The section `[name]`; one that is not there has every default.
    pub(super) fn section(&mut self, name: &'static str) -> Self {
        self.note(name);
        let mut section = Self {
            source: self.source,
            path: name.to_owned(),
            kind: name.to_owned(),
            table: None,
            span: 0..0,
            asked: Vec::new(),
        };
        if let Some(item) = self.item(name) {
            section.span = item.span();
            section.table = item.get_ref().as_table();
            if section.table.is_none() {
                self.wrong_shape(name, item, &format!("[{name}]"));
            }
        }
        self.source.header(&format!("[{name}]"));
        section
    }

    /// The sections `[[name]]`.
    pub(super) fn sections(&mut self, name: &'static str) -> Vec<Self> {
        self.note(name);
        let Some(item) = self.item(name) else {
            return Vec::new();
        };
        let Some(array) = item.get_ref().as_array() else {
            self.wrong_shape(name, item, &format!("[[{name}]]"));
            return Vec::new();
        };
        let mut sections = Vec::new();
        for (i, element) in array.iter().enumerate() {
            let Some(table) = element.get_ref().as_table() else {
                self.wrong_shape(name, element, &format!("[[{name}]]"));
                continue;
            };
            sections.push(Self {
                source: self.source,
                path: format!("{name} {}", i + 1),
                kind: name.to_owned(),
                table: Some(table),
                span: element.span(),
                asked: Vec::new(),
            });
        }
        sections
    }

    /// A section `[[name]]` that the file does not have, with every default.
    pub(super) fn absent(source: &'a Source<'a>, name: &str) -> Self {
        Self {
            source,
            path: format!("{name} 1"),
            kind: name.to_owned(),
            table: None,
            span: 0..0,
            asked: Vec::new(),
        }
    }

    /// Notes in the effective configuration that `[[name]]` begins.
    pub(super) fn show_header(&self) {
        self.source.header(&format!("[[{}]]", self.kind));
    }

    /// The value of a key, or its default.
    pub(super) fn take<T: Setting>(&mut self, key: &'static str, default: T) -> T {
        let value = self.read(key).unwrap_or(default);
        self.show(key, &value);
        value
    }

    /// The value of a key that has no default.
    pub(super) fn optional<T: Setting>(&mut self, key: &'static str) -> Option<T> {
        let value = self.read(key);
        match &value {
            Some(value) => self.show(key, value),
            None => self.source.line(&format!("# {key}: not set")),
        }
        value
    }

    /// The value of a key, not noted as shown: the caller does that with the effective value.
    pub(super) fn read<T: Setting>(&mut self, key: &'static str) -> Option<T> {
        self.note(key);
        self.source.describe::<T>(&self.kind, key);
        let item = self.item(key)?;
        match T::read(item) {
            Ok(value) => Some(value),
            Err(faults) => {
                for fault in faults {
                    self.source.problem(self.full(key), fault);
                }
                None
            }
        }
    }

    pub(super) fn show<T: Setting>(&self, key: &str, value: &T) {
        self.source.default_is(&self.kind, key, value);
        self.source.line(&format!("{key} = {}", value.show()));
    }

    /// Whether the file has the section.
    pub(super) fn is_present(&self) -> bool {
        self.table.is_some()
    }

    /// Whether the file has the key.
    pub(super) fn has(&self, key: &str) -> bool {
        self.item(key).is_some()
    }

    /// Whether the file has the key with an empty list.
    pub(super) fn is_empty_list(&self, key: &str) -> bool {
        self.item(key)
            .and_then(|item| item.get_ref().as_array())
            .is_some_and(|list| list.is_empty())
    }

    /// Where the key's value stands; without one, the section.
    pub(super) fn span_of(&self, key: &str) -> Range<usize> {
        self.item(key)
            .map_or_else(|| self.span.clone(), Spanned::span)
    }

    /// Says that a key's value, though well formed, cannot be.
    pub(super) fn object(&self, key: &str, what: impl Into<String>, mend: impl Into<String>) {
        self.source.problem(
            self.full(key),
            Fault {
                span: self.span_of(key),
                what: what.into(),
                mend: mend.into(),
            },
        );
    }

    /// Reports the keys that nobody asked for.
    pub(super) fn finish(self) {
        let Some(table) = self.table else { return };
        for (key, _) in table.iter() {
            let name: &str = key.get_ref();
            if self.asked.contains(&name) {
                continue;
            }
            let (what, mend) = unknown(name, &self.asked);
            self.source.problem(
                self.full(name),
                Fault {
                    span: key.span(),
                    what,
                    mend,
                },
            );
        }
    }

    fn item(&self, key: &str) -> Option<&'a Spanned<DeValue<'a>>> {
        self.table?.get(key)
    }

    fn note(&mut self, key: &'static str) {
        self.asked.push(key);
        let known = join(&self.kind, key, ".");
        self.source.known.borrow_mut().insert(known);
    }

    /// The key with its path, for messages.
    pub(super) fn full(&self, key: &str) -> String {
        let separator = if self.path.contains(' ') { ": " } else { "." };
        join(&self.path, key, separator)
    }

    fn wrong_shape(&self, name: &str, item: &Spanned<DeValue<'_>>, form: &str) {
        let found = item.get_ref().type_str();
        self.source.problem(
            self.full(name),
            Fault {
                span: item.span(),
                what: format!("is a section, not {found}"),
                mend: format!("write {form} on a line of its own, its keys below"),
            },
        );
    }
}

fn join(path: &str, key: &str, separator: &str) -> String {
    if path.is_empty() {
        key.to_owned()
    } else {
        format!("{path}{separator}{key}")
    }
}

/// What to say of a key that is not known, with the nearest that is.
pub(super) fn unknown(name: &str, known: &[&str]) -> (String, String) {
    let shown: String = name.chars().take(60).collect();
    let what = format!("there is no key \"{}\"", shown.escape_debug());
    // Long garbage is no misspelling, and comparing it would cost its square.
    let nearest = known
        .iter()
        .filter(|_| name.len() <= 100)
        .map(|k| (strsim::damerau_levenshtein(name, k), *k))
        .min()
        .filter(|(distance, k)| *distance <= 2.max(k.len() / 3));
    let mend = match nearest {
        Some((_, key)) => format!("did you mean \"{key}\"?"),
        None if known.is_empty() => "remove it".to_owned(),
        None => format!("known here: {}", known.join(", ")),
    };
    (what, mend)
}

impl Source<'_> {
    fn header(&self, header: &str) {
        if self.blank.replace(Blank::No) == Blank::No {
            self.line("");
        }
        self.line(header);
    }

    fn line(&self, line: &str) {
        self.blank.set(Blank::No);
        // Writing to a String cannot fail.
        let _ = writeln!(self.shown.borrow_mut(), "{line}");
    }
}
