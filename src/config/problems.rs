//! What is wrong with a configuration, where, and how to mend it.

use super::reference::Described;
use std::cell::{Cell, RefCell};
use std::collections::BTreeSet;
use std::fmt;
use std::ops::Range;

/// One thing that is wrong: `FILE:LINE:COLUMN: key: what; how to mend`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    pub file: String,
    pub place: Option<Place>,
    /// The path of the key, as `client.networks`; empty where none is concerned.
    pub key: String,
    pub what: String,
    /// How to mend it; empty where nothing can be said.
    pub mend: String,
}

/// A place in a file, both counted from 1; columns count characters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Place {
    pub line: usize,
    /// `None` where only the line is known.
    pub column: Option<usize>,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.file)?;
        if let Some(place) = self.place {
            write!(f, ":{}", place.line)?;
            if let Some(column) = place.column {
                write!(f, ":{column}")?;
            }
        }
        f.write_str(": ")?;
        if !self.key.is_empty() {
            write!(f, "{}: ", self.key)?;
        }
        f.write_str(&self.what)?;
        if !self.mend.is_empty() {
            write!(f, "; {}", self.mend)?;
        }
        Ok(())
    }
}

/// Everything that is wrong with a configuration, in the order of the file; never empty.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConfigErrors(pub Vec<Problem>);

impl fmt::Display for ConfigErrors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, problem) in self.0.iter().enumerate() {
            if i > 0 {
                f.write_str("\n")?;
            }
            write!(f, "{problem}")?;
        }
        Ok(())
    }
}

impl std::error::Error for ConfigErrors {}

/// Problems after which no more are noted: nobody reads on, and finding each one's line takes time.
pub(super) const MAX_PROBLEMS: usize = 200;

/// What reading one value found wrong with it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Fault {
    pub(super) span: Range<usize>,
    pub(super) what: String,
    pub(super) mend: String,
}

/// The file that is read, and what was found on the way.
pub(super) struct Source<'t> {
    pub(super) origin: &'t str,
    text: &'t str,
    pub(super) problems: RefCell<Vec<Problem>>,
    /// What an operator should know although nothing is wrong.
    pub(super) notices: RefCell<Vec<String>>,
    /// Entries of the policy map that replace what a domain publishes.
    pub(super) replacements: RefCell<Vec<String>>,
    /// Every key that was asked for, and so is known, as `client.networks`.
    pub(super) known: RefCell<BTreeSet<String>>,
    /// The effective configuration, as TOML.
    pub(super) shown: RefCell<String>,
    /// Every key with its form and its default, if somebody wants to know.
    pub(super) described: Option<RefCell<Vec<Described>>>,
    /// Whether nothing was shown yet, so that the first header has no empty line above.
    pub(super) blank: Cell<Blank>,
}

/// Whether the effective configuration is empty so far.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Blank {
    Yes,
    No,
}

impl<'t> Source<'t> {
    pub(super) fn new(origin: &'t str, text: &'t str) -> Self {
        Self {
            origin,
            text,
            problems: RefCell::default(),
            notices: RefCell::default(),
            replacements: RefCell::default(),
            known: RefCell::default(),
            shown: RefCell::default(),
            described: None,
            blank: Cell::new(Blank::Yes),
        }
    }

    /// Where an offset into the text is.
    pub(super) fn place(&self, offset: usize) -> Place {
        let mut end = offset.min(self.text.len());
        while !self.text.is_char_boundary(end) {
            end -= 1;
        }
        let before = &self.text[..end];
        let line_start = before.rfind('\n').map_or(0, |i| i + 1);
        Place {
            line: before.bytes().filter(|b| *b == b'\n').count() + 1,
            column: Some(before[line_start..].chars().count() + 1),
        }
    }

    /// `FILE:LINE` of an offset: how one place is named in a message about another.
    pub(super) fn name_place(&self, offset: usize) -> String {
        format!("{}:{}", self.origin, self.place(offset).line)
    }

    /// Notes a problem; of very many, only the first are kept.
    pub(super) fn problem(&self, key: String, fault: Fault) {
        if self.problems.borrow().len() >= MAX_PROBLEMS {
            return;
        }
        self.problems.borrow_mut().push(Problem {
            file: self.origin.to_owned(),
            place: Some(self.place(fault.span.start)),
            key,
            what: fault.what,
            mend: fault.mend,
        });
    }

    pub(super) fn notice(&self, text: String) {
        self.notices.borrow_mut().push(text);
    }
}
