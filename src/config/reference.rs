//! The reference of the configuration, made of what the reader asks for: each key, how its value is written,
//! its default, and what it means ([`texts`]). A test keeps `docs/configuration.md` to it.

mod texts;

use super::problems::Source;
use super::reader::Section;
use super::setting::Setting;
use std::cell::RefCell;
use std::fmt::Write as _;
use texts::{KEYS, SECTIONS, Takes};
use toml::de::DeTable;

/// A key, as the reader knows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Described {
    /// Empty for the keys above all sections.
    section: String,
    key: &'static str,
    /// How its value is written.
    form: String,
    /// As TOML; `None`: not set.
    default: Option<String>,
}

/// One of each section that may come several times, so that its keys are asked for.
const ALL_SECTIONS: &str = "[[listen]]\n[[rule]]\n[[socketmap]]\n";

impl Source<'_> {
    /// Notes a key that is asked for.
    pub(super) fn describe<T: Setting>(&self, section: &str, key: &'static str) {
        let Some(described) = &self.described else {
            return;
        };
        described.borrow_mut().push(Described {
            section: section.to_owned(),
            key,
            form: form::<T>(),
            default: None,
        });
    }

    /// Notes the value that is in effect, which is the default where nothing is set.
    pub(super) fn default_is<T: Setting>(&self, section: &str, key: &str, value: &T) {
        let Some(described) = &self.described else {
            return;
        };
        let mut described = described.borrow_mut();
        let found = described
            .iter_mut()
            .find(|d| d.section == section && d.key == key);
        if let Some(found) = found {
            found.default = Some(value.show());
        }
    }
}

/// How a value is written: what the reader says of one that is nothing like it.
fn form<T: Setting>() -> String {
    match mend_of::<T>("nan").as_str() {
        "a list in [ ]" => format!("list: {}", mend_of::<T>("[nan]")),
        form => form.to_owned(),
    }
}

fn mend_of<T: Setting>(value: &str) -> String {
    let text = format!("x = {value}");
    let mend = || {
        let document = DeTable::parse(&text).ok()?;
        let faults = T::read(document.get_ref().get("x")?).err()?;
        let mend = faults.first()?.mend.clone();
        Some(mend.strip_prefix("write ").unwrap_or(&mend).to_owned())
    };
    mend().unwrap_or_default()
}

/// Every key, in the order in which sections and keys are read.
fn described() -> Vec<Described> {
    let mut source = Source::new("", ALL_SECTIONS);
    source.described = Some(RefCell::default());
    // What is wrong with empty sections does not matter here.
    if let Ok(document) = DeTable::parse(ALL_SECTIONS) {
        let mut root = Section::root(&source, &document);
        super::sections::read(&mut root, &|| Err("of no matter".to_owned()));
    }
    source
        .described
        .map(RefCell::into_inner)
        .unwrap_or_default()
}

/// The sections in their order, each with its keys.
fn by_section(keys: &[Described]) -> Vec<(&str, Vec<&Described>)> {
    let mut sections: Vec<(&str, Vec<&Described>)> = Vec::new();
    for key in keys {
        match sections.iter_mut().find(|(name, _)| *name == key.section) {
            Some((_, keys)) => keys.push(key),
            None => sections.push((&key.section, vec![key])),
        }
    }
    sections
}

/// What is said of a key.
fn text_of(key: &Described) -> (Takes, &'static str) {
    let path = path(key);
    let found = KEYS.iter().find(|(known, ..)| *known == path);
    found.map_or((Takes::Reload, ""), |(_, takes, text)| (*takes, text))
}

fn path(key: &Described) -> String {
    if key.section.is_empty() {
        key.key.to_owned()
    } else {
        format!("{}.{}", key.section, key.key)
    }
}

/// The heading of a section and what is said of it.
fn section_text(name: &str) -> (String, &'static str) {
    let found = SECTIONS.iter().find(|(known, ..)| *known == name);
    let (repeats, text) = found.map_or((false, ""), |(_, repeats, text)| (*repeats, *text));
    let heading = match (name, repeats) {
        ("", _) => "Above all sections".to_owned(),
        (name, true) => format!("[[{name}]]"),
        (name, false) => format!("[{name}]"),
    };
    (heading, text)
}

/// The reference, as Markdown.
pub fn reference() -> String {
    let mut page = texts::INTRODUCTION.to_owned();
    let keys = described();
    for (name, keys) in by_section(&keys) {
        let (heading, text) = section_text(name);
        // Writing to a String cannot fail.
        let _ = write!(page, "\n## {heading}\n\n{text}\n");
        for key in keys {
            let (takes, text) = text_of(key);
            let default = match &key.default {
                Some(default) => format!("`{default}`"),
                None => "not set".to_owned(),
            };
            let restart = match takes {
                Takes::Reload => "",
                Takes::Restart => " A change needs a restart.",
            };
            let _ = write!(
                page,
                "\n### {}\n\nValue: {}. Default: {default}.\n\n{text}{restart}\n",
                path(key),
                key.form
            );
        }
    }
    page
}

/// The reference as a man page, `sealpost.toml(5)`.
pub fn manual() -> String {
    let mut page = format!(
        ".TH sealpost.toml 5 \"\" \"sealpost {}\"\n.SH NAME\nsealpost.toml \\- configuration of sealpost(1)\n\
         .SH DESCRIPTION\n",
        env!("CARGO_PKG_VERSION")
    );
    let introduction = texts::INTRODUCTION
        .lines()
        .skip_while(|line| !line.is_empty());
    page.push_str(&roff(introduction.collect::<Vec<_>>().join("\n").trim()));
    let keys = described();
    for (name, keys) in by_section(&keys) {
        let (heading, text) = section_text(name);
        // Writing to a String cannot fail.
        let _ = write!(page, ".SH \"{heading}\"\n{}", roff(text));
        for key in keys {
            let (takes, text) = text_of(key);
            let default = key.default.as_deref().unwrap_or("not set");
            let restart = match takes {
                Takes::Reload => "",
                Takes::Restart => " A change needs a restart.",
            };
            let _ = write!(
                page,
                ".TP\n.B {}\n{}.br\nValue: {}\n.br\nDefault: {}\n",
                key.key,
                roff(&format!("{text}{restart}")),
                escaped(&key.form),
                escaped(default)
            );
        }
    }
    page.push_str(".SH SEE ALSO\nsealpost(1)\n");
    page
}

/// Markdown of the texts as roff: paragraphs; code is bold.
fn roff(text: &str) -> String {
    let mut lines = String::new();
    for line in text.lines() {
        if line.is_empty() {
            lines.push_str(".PP\n");
            continue;
        }
        let mut code = false;
        let escaped = escaped(line.trim_start_matches("- "));
        for (i, part) in escaped.split('`').enumerate() {
            if i > 0 {
                code = !code;
                lines.push_str(if code { "\\fB" } else { "\\fR" });
            }
            lines.push_str(part);
        }
        lines.push('\n');
    }
    lines
}

/// A backslash, and a dot or quote that begins a line, mean something else in roff; so does a bare hyphen.
fn escaped(text: &str) -> String {
    let text = text.replace('\\', "\\e").replace('-', "\\-");
    if text.starts_with(['.', '\'']) {
        return format!("\\&{text}");
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn each_key_has_a_text_and_each_text_a_key() {
        let keys = described();
        let known: BTreeSet<String> = keys.iter().map(path).collect();
        let told: BTreeSet<String> = KEYS.iter().map(|(key, ..)| (*key).to_owned()).collect();
        assert_eq!(
            told.difference(&known).collect::<Vec<_>>(),
            Vec::<&String>::new()
        );
        assert_eq!(
            known.difference(&told).collect::<Vec<_>>(),
            Vec::<&String>::new()
        );
        assert_eq!(KEYS.len(), told.len(), "one is there twice");
        assert_eq!(keys.len(), known.len(), "one is asked for twice");
        let sections: BTreeSet<&str> = keys.iter().map(|key| key.section.as_str()).collect();
        assert_eq!(sections, SECTIONS.iter().map(|(name, ..)| *name).collect());
        for key in &keys {
            assert!(!key.form.is_empty(), "{}", path(key));
        }
    }

    /// `make docs` writes it.
    #[test]
    fn the_page_in_docs_is_this_reference() {
        let page = include_str!("../../docs/configuration.md");
        assert!(
            page == reference(),
            "docs/configuration.md is out of date: make docs"
        );
    }

    #[test]
    fn no_line_of_the_man_page_is_a_command_by_accident() {
        let known = [".TH", ".SH", ".TP", ".B", ".br", ".PP"];
        for line in manual()
            .lines()
            .filter(|line| line.starts_with(['.', '\'']))
        {
            let command = line.split_whitespace().next().unwrap_or_default();
            assert!(known.contains(&command), "{line}");
        }
    }
}
