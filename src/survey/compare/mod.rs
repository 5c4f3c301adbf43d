//! What changed between two surveys of a domain.
//!
//! Only what both found out is compared: what could not be tested is neither lost nor gained.

mod host;
mod summary;

pub use summary::{Changes, MAX_KEPT};

use super::record::{Class, Flow, Record, StsMode, StsState, TlsrptState};
use super::stats::word;
use serde::Serialize;

/// One change.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Change {
    pub grade: Grade,
    pub change: What,
    pub domain: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub group: Option<String>,
    /// The MX host that it is about, if it is about one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub host: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub old: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub new: Option<String>,
}

/// Whether a change is good, from the worst.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Grade {
    Worse,
    /// Neither.
    Other,
    Better,
}

macro_rules! changes {
    ($($(#[$doc:meta])* $name:ident: $grade:ident, $title:literal;)*) => {
        /// What changed; the worst first.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
        #[serde(rename_all = "kebab-case")]
        pub enum What {
            $($(#[$doc])* $name,)*
        }

        impl What {
            pub const ALL: &[Self] = &[$(Self::$name,)*];

            pub fn title(self) -> &'static str {
                match self { $(Self::$name => $title,)* }
            }

            pub fn grade(self) -> Grade {
                match self { $(Self::$name => Grade::$grade,)* }
            }
        }
    };
}

changes! {
    /// Mail flowed, and would not now.
    FlowLost: Worse, "mail would no longer flow";
    /// Fewer MX hosts take TLS: all, some, none.
    StarttlsLost: Worse, "STARTTLS lost";
    /// TLSA records matched, and do not now.
    DaneBroken: Worse, "DANE broken";
    DaneLost: Worse, "DANE lost";
    MtaStsLost: Worse, "MTA-STS lost";
    /// From enforce to testing or none, or from testing to none.
    MtaStsWeaker: Worse, "MTA-STS mode weaker";
    CertificateInvalid: Worse, "certificate no longer valid";
    VersionLost: Worse, "TLS version no longer accepted";
    TlsrptLost: Worse, "TLS reporting lost";
    NoLongerTested: Other, "could not be tested this time";
    NoMailNow: Other, "takes no mail any more";
    DomainGone: Other, "not in this survey";
    MxRemoved: Other, "MX host removed";
    MxAdded: Other, "MX host added";
    KeyChanged: Other, "key changed";
    /// Not valid before, and not valid in another way now.
    CertificateDiffers: Other, "certificate has another problem";
    OldVersionGained: Other, "old TLS version accepted anew";
    DomainNew: Other, "not in the old survey";
    MailNow: Other, "takes mail now";
    NowTested: Other, "could be tested this time";
    FlowGained: Better, "mail would flow again";
    StarttlsGained: Better, "STARTTLS gained";
    DaneMended: Better, "DANE mended";
    DaneGained: Better, "DANE gained";
    MtaStsGained: Better, "MTA-STS gained";
    MtaStsStronger: Better, "MTA-STS mode stronger";
    CertificateValid: Better, "certificate valid now";
    VersionGained: Better, "TLS version accepted now";
    OldVersionGone: Better, "old TLS version no longer accepted";
    TlsrptGained: Better, "TLS reporting gained";
}

/// What changed of a domain, the worst first.
pub fn compare(old: &Record, new: &Record) -> Vec<Change> {
    let mut found = Finder {
        record: new,
        changes: Vec::new(),
    };
    found.class(old.class, new.class);
    found.flow(old.verdict.flow, new.verdict.flow);
    found.sts(old, new);
    found.tlsrpt(old.tlsrpt.state, new.tlsrpt.state);
    host::compare(old, new, &mut found);
    let mut changes = found.changes;
    changes.sort();
    changes
}

/// A domain that only the new survey has, or only the old one.
pub fn only_in_one(record: &Record, what: What) -> Change {
    let mut found = Finder {
        record,
        changes: Vec::new(),
    };
    let class = Some(word(&record.class));
    let words = if what == What::DomainGone {
        (class, None)
    } else {
        (None, class)
    };
    found.add(what, None, words);
    // Exactly one was added.
    found.changes.remove(0)
}

struct Finder<'a> {
    record: &'a Record,
    changes: Vec<Change>,
}

impl Finder<'_> {
    fn add(
        &mut self,
        what: What,
        host: Option<&str>,
        (old, new): (Option<String>, Option<String>),
    ) {
        self.changes.push(Change {
            grade: what.grade(),
            change: what,
            domain: self.record.domain.clone(),
            group: self.record.group.clone(),
            host: host.map(str::to_owned),
            old,
            new,
        });
    }

    fn class(&mut self, old: Class, new: Class) {
        let what = match (rank(old), rank(new)) {
            _ if old == new => return,
            (Some(old), Some(new)) if new < old => What::StarttlsLost,
            (Some(_), Some(_)) => What::StarttlsGained,
            _ if new == Class::CouldNotTest => What::NoLongerTested,
            _ if new == Class::NoMail => What::NoMailNow,
            _ if old == Class::NoMail => What::MailNow,
            _ => What::NowTested,
        };
        self.add(what, None, (Some(word(&old)), Some(word(&new))));
    }

    fn flow(&mut self, old: Flow, new: Flow) {
        let what = match (old, new) {
            (Flow::Deliverable, Flow::NotDeliverable | Flow::Temporary) => What::FlowLost,
            (Flow::NotDeliverable | Flow::Temporary, Flow::Deliverable) => What::FlowGained,
            (Flow::NotTested, _)
            | (_, Flow::NotTested)
            | (Flow::Deliverable, Flow::Deliverable)
            | (Flow::Temporary | Flow::NotDeliverable, Flow::Temporary | Flow::NotDeliverable) => {
                return;
            }
        };
        let reply = self.record.verdict.reply.clone();
        let new = reply.unwrap_or_else(|| word(&new));
        self.add(what, None, (Some(word(&old)), Some(new)));
    }

    fn sts(&mut self, old: &Record, new: &Record) {
        let (Some(before), Some(after)) = (sts_rank(old), sts_rank(new)) else {
            return;
        };
        let what = match (before, after) {
            _ if before == after => return,
            (_, 0) => What::MtaStsLost,
            (0, _) => What::MtaStsGained,
            _ if after < before => What::MtaStsWeaker,
            _ => What::MtaStsStronger,
        };
        self.add(what, None, (Some(sts_word(old)), Some(sts_word(new))));
    }

    fn tlsrpt(&mut self, old: TlsrptState, new: TlsrptState) {
        let counts = |state| match state {
            TlsrptState::Valid => Some(true),
            TlsrptState::None | TlsrptState::Invalid | TlsrptState::Several => Some(false),
            TlsrptState::Unknown | TlsrptState::NotTested => None,
        };
        let what = match (counts(old), counts(new)) {
            (Some(true), Some(false)) => What::TlsrptLost,
            (Some(false), Some(true)) => What::TlsrptGained,
            (Some(_) | None, Some(_) | None) => return,
        };
        self.add(what, None, (Some(word(&old)), Some(word(&new))));
    }
}

/// How much of a domain is encrypted; `None`, where that is not known or makes no sense.
fn rank(class: Class) -> Option<u8> {
    match class {
        Class::StarttlsOnAll => Some(2),
        Class::StarttlsOnSome => Some(1),
        Class::NoStarttls => Some(0),
        Class::NoMail | Class::CouldNotTest => None,
    }
}

/// What MTA-STS is worth, from nothing; `None`, where that is not known.
fn sts_rank(record: &Record) -> Option<u8> {
    match (record.mta_sts.state, record.mta_sts.mode) {
        (StsState::Valid, Some(StsMode::Enforce)) => Some(3),
        (StsState::Valid, Some(StsMode::Testing)) => Some(2),
        (StsState::Valid, Some(StsMode::None) | None) => Some(1),
        (
            StsState::None
            | StsState::RecordInvalid
            | StsState::SeveralRecords
            | StsState::PolicyFailed,
            _,
        ) => Some(0),
        (StsState::RecordBogus | StsState::RecordUnknown | StsState::NotTested, _) => None,
    }
}

fn sts_word(record: &Record) -> String {
    match record.mta_sts.mode {
        Some(mode) if record.mta_sts.state == StsState::Valid => word(&mode),
        Some(_) | None => word(&record.mta_sts.state),
    }
}

#[cfg(test)]
mod tests;
