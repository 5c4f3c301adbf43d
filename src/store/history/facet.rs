//! How mail was delivered, or why it was not: the words of logs and metrics, as one value that is counted.

use super::StoreError;
use rusqlite::{Connection, OptionalExtension as _, Row, Transaction, params};
use std::borrow::Cow;
use std::collections::HashMap;
use std::sync::Arc;

/// What one recipient's attempt came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Way {
    /// Delivered, and the host was who it should be: by DANE, WebPKI or a pin.
    Verified,
    /// Delivered over TLS, to whom is not proven.
    Encrypted,
    /// Delivered in the clear.
    Plaintext,
    /// Held back by a TLS policy.
    Blocked,
    /// Refused for good for another reason.
    Refused,
    /// Put off for another reason.
    Deferred,
}

impl Way {
    pub const ALL: [Self; 6] = [
        Self::Verified,
        Self::Encrypted,
        Self::Plaintext,
        Self::Blocked,
        Self::Refused,
        Self::Deferred,
    ];

    pub fn as_str(self) -> &'static str {
        match self {
            Self::Verified => "verified",
            Self::Encrypted => "encrypted",
            Self::Plaintext => "plaintext",
            Self::Blocked => "blocked",
            Self::Refused => "refused",
            Self::Deferred => "deferred",
        }
    }

    pub fn is_delivered(self) -> bool {
        match self {
            Self::Verified | Self::Encrypted | Self::Plaintext => true,
            Self::Blocked | Self::Refused | Self::Deferred => false,
        }
    }

    /// Delivered over TLS.
    pub fn is_secured(self) -> bool {
        match self {
            Self::Verified | Self::Encrypted => true,
            Self::Plaintext | Self::Blocked | Self::Refused | Self::Deferred => false,
        }
    }

    /// Its number in the store.
    pub(super) fn number(self) -> i64 {
        match self {
            Self::Verified => 1,
            Self::Encrypted => 2,
            Self::Plaintext => 3,
            Self::Blocked => 4,
            Self::Refused => 5,
            Self::Deferred => 6,
        }
    }

    pub(super) fn of(number: i64) -> Result<Self, StoreError> {
        let found = Self::ALL.into_iter().find(|way| way.number() == number);
        found.ok_or_else(|| StoreError::Corrupt(format!("no way: {number}")))
    }
}

/// A word of a bounded vocabulary.
pub type Label = Cow<'static, str>;

/// What stands in for a detail that there is no room for.
pub const OTHER: &str = "other";

/// How mail was delivered, or why it was not. The labels are those of logs and metrics; empty where there is nothing
/// to say, as of a cipher without TLS.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Facet {
    pub way: Way,
    /// `dane`, `half-dane`, `webpki`, `fingerprint`, `none`: because the policy asked for it.
    pub authenticated: Label,
    /// `1.2`, `1.3`
    pub version: Label,
    pub cipher: Label,
    /// The key exchange group.
    pub group: Label,
    /// What a full WebPKI check finds wrong with the certificate, also when none was asked for; `none`: nothing.
    pub problem: Label,
    /// The certificate's key: `rsa2048`, `p256`, ...
    pub key: Label,
    /// Where the policy in force came from; `undecided` where there was none yet.
    pub policy: Label,
    pub level: Label,
    /// Why it went in the clear, or by which of RFC 8460's result types it was blocked.
    pub why: Label,
    /// What a rule in dry-run would have done: `pass`, `block`; empty without one.
    pub dry_run: Label,
}

impl Facet {
    /// No more than the way, where there is no room for more.
    pub fn folded(way: Way) -> Self {
        let other = || Label::Borrowed(OTHER);
        Self {
            way,
            authenticated: other(),
            version: other(),
            cipher: other(),
            group: other(),
            problem: other(),
            key: other(),
            policy: other(),
            level: other(),
            why: other(),
            dry_run: Label::Borrowed(""),
        }
    }

    pub fn would_block(&self) -> bool {
        self.dry_run == "block"
    }
}

/// Facets that are told apart at most.
pub(super) const MOST: i64 = 4096;
/// Octets of a label at most.
const MAX_LABEL: usize = 64;

/// Numbers of facets, as far as they were asked for in one transaction.
#[derive(Default)]
pub(super) struct Numbers<'a>(HashMap<&'a Facet, i64>);

impl<'a> Numbers<'a> {
    /// The facet's number; a new one is added, or folded if there are too many.
    pub(super) fn of(
        &mut self,
        transaction: &Transaction<'_>,
        facet: &'a Facet,
    ) -> Result<i64, StoreError> {
        if let Some(number) = self.0.get(facet) {
            return Ok(*number);
        }
        let number = match find(transaction, facet)? {
            Some(number) => number,
            None if count(transaction)? < MOST => insert(transaction, facet)?,
            None => {
                let folded = Facet::folded(facet.way);
                match find(transaction, &folded)? {
                    Some(number) => number,
                    None => insert(transaction, &folded)?,
                }
            }
        };
        self.0.insert(facet, number);
        Ok(number)
    }
}

fn find(transaction: &Transaction<'_>, facet: &Facet) -> Result<Option<i64>, StoreError> {
    let mut select = transaction.prepare_cached(
        "SELECT number FROM facet WHERE way = ?1 AND authenticated = ?2 AND version = ?3 AND cipher = ?4
             AND key_exchange = ?5 AND problem = ?6 AND key = ?7 AND policy = ?8 AND level = ?9 AND why = ?10
             AND dry_run = ?11",
    )?;
    let label = |text| cut(text, MAX_LABEL);
    let found = select.query_row(
        params![
            facet.way.number(),
            label(&facet.authenticated),
            label(&facet.version),
            label(&facet.cipher),
            label(&facet.group),
            label(&facet.problem),
            label(&facet.key),
            label(&facet.policy),
            label(&facet.level),
            label(&facet.why),
            label(&facet.dry_run),
        ],
        |row| row.get(0),
    );
    Ok(found.optional()?)
}

fn insert(transaction: &Transaction<'_>, facet: &Facet) -> Result<i64, StoreError> {
    let mut insert = transaction.prepare_cached(
        "INSERT INTO facet (way, authenticated, version, cipher, key_exchange, problem, key, policy, level, why, dry_run)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11)",
    )?;
    let label = |text| cut(text, MAX_LABEL);
    Ok(insert.insert(params![
        facet.way.number(),
        label(&facet.authenticated),
        label(&facet.version),
        label(&facet.cipher),
        label(&facet.group),
        label(&facet.problem),
        label(&facet.key),
        label(&facet.policy),
        label(&facet.level),
        label(&facet.why),
        label(&facet.dry_run),
    ])?)
}

pub(super) fn count(connection: &Connection) -> Result<i64, StoreError> {
    let mut count = connection.prepare_cached("SELECT count(*) FROM facet")?;
    Ok(count.query_row([], |row| row.get(0))?)
}

/// The dictionary, for reading.
pub(super) struct Facets(HashMap<i64, Arc<Facet>>);

impl Facets {
    pub(super) fn read(connection: &Connection) -> Result<Self, StoreError> {
        let mut select = connection.prepare_cached(
            "SELECT number, way, authenticated, version, cipher, key_exchange, problem, key, policy, level, why, dry_run
             FROM facet",
        )?;
        let mut rows = select.query([])?;
        let mut facets = HashMap::new();
        while let Some(row) = rows.next()? {
            facets.insert(row.get(0)?, Arc::new(read(row)?));
        }
        Ok(Self(facets))
    }

    pub(super) fn get(&self, number: i64) -> Result<Arc<Facet>, StoreError> {
        let facet = self.0.get(&number).cloned();
        facet.ok_or_else(|| StoreError::Corrupt(format!("no facet: {number}")))
    }
}

fn read(row: &Row<'_>) -> Result<Facet, StoreError> {
    let label = |column| -> Result<Label, StoreError> { Ok(row.get::<_, String>(column)?.into()) };
    Ok(Facet {
        way: Way::of(row.get(1)?)?,
        authenticated: label(2)?,
        version: label(3)?,
        cipher: label(4)?,
        group: label(5)?,
        problem: label(6)?,
        key: label(7)?,
        policy: label(8)?,
        level: label(9)?,
        why: label(10)?,
        dry_run: label(11)?,
    })
}

/// At most `max` octets of a text, whole characters.
pub(super) fn cut(text: &str, max: usize) -> &str {
    let mut end = max.min(text.len());
    while !text.is_char_boundary(end) {
        end -= 1; // 0 is a boundary
    }
    &text[..end]
}
