//! What NSEC records deny (RFC 4034 §4, RFC 4035 §5.4).

use super::denial::{NoDs, hides_below, lacks, without_ds};
use super::flaw::Flaw;
use super::names::{common, is_below, last, wildcard_at};
use super::rdata::Nsec;
use hickory_resolver::proto::rr::{Name, RecordType};

/// NSEC records of one zone, verified.
#[derive(Debug)]
pub(super) struct NsecSet {
    zone: Name,
    records: Vec<Nsec>,
}

/// How a name stands to the span that covers it.
enum Gap {
    /// It does not exist; its closest encloser has this many labels.
    Nothing { encloser: usize },
    /// It has no records, but names below it exist: an empty non-terminal.
    Empty,
}

impl NsecSet {
    pub(super) fn new(zone: &Name, mut records: Vec<Nsec>) -> Self {
        records.retain(|nsec| zone.zone_of(&nsec.owner) && zone.zone_of(&nsec.next));
        Self {
            zone: zone.clone(),
            records,
        }
    }

    /// The name exists without the type, or a wildcard does (RFC 4035 §3.1.3.1, §3.1.3.4).
    pub(super) fn no_data(&self, name: &Name, wanted: RecordType) -> Result<(), Flaw> {
        if let Some(nsec) = self.matching(name) {
            return lacks(&nsec.types, wanted);
        }
        match self.gap(name).ok_or(Flaw::NoDenial)? {
            Gap::Empty => Ok(()),
            Gap::Nothing { encloser } => {
                let wildcard = wildcard_at(&last(name, encloser)).ok_or(Flaw::NoDenial)?;
                match self.matching(&wildcard) {
                    Some(nsec) => lacks(&nsec.types, wanted),
                    None if matches!(self.gap(&wildcard), Some(Gap::Empty)) => Ok(()),
                    None => Err(Flaw::NoDenial),
                }
            }
        }
    }

    /// Neither the name nor a wildcard for it exists (RFC 4035 §3.1.3.2).
    pub(super) fn no_name(&self, name: &Name) -> bool {
        let Some(Gap::Nothing { encloser }) = self.gap(name) else {
            return false;
        };
        // A name too long to exist is not there.
        wildcard_at(&last(name, encloser))
            .is_none_or(|wildcard| matches!(self.gap(&wildcard), Some(Gap::Nothing { .. })))
    }

    pub(super) fn no_closer_match(&self, name: &Name, encloser: usize) -> bool {
        matches!(self.gap(name), Some(Gap::Nothing { encloser: closest }) if closest <= encloser)
    }

    pub(super) fn no_ds(&self, name: &Name) -> Result<NoDs, Flaw> {
        if let Some(nsec) = self.matching(name) {
            return without_ds(&nsec.types);
        }
        match self.gap(name).ok_or(Flaw::DelegationUnproven)? {
            Gap::Empty => Ok(NoDs::NoCut),
            Gap::Nothing { .. } => Ok(NoDs::NothingBelow),
        }
    }

    fn matching(&self, name: &Name) -> Option<&Nsec> {
        self.records.iter().find(|nsec| nsec.owner == *name)
    }

    /// The gap that the name, which has no record of its own, falls into.
    fn gap(&self, name: &Name) -> Option<Gap> {
        let nsec = self.records.iter().find(|nsec| self.covers(nsec, name))?;
        if is_below(&nsec.next, name) {
            return Some(Gap::Empty);
        }
        let encloser = common(name, &nsec.owner).max(common(name, &nsec.next));
        Some(Gap::Nothing { encloser })
    }

    /// Whether the name lies between the record's names; the last record's next one is the apex.
    fn covers(&self, nsec: &Nsec, name: &Name) -> bool {
        let after_owner = self.zone.zone_of(name) && nsec.owner < *name;
        let before_next = *name < nsec.next || nsec.next == self.zone;
        let hidden = is_below(name, &nsec.owner) && hides_below(&nsec.types);
        after_owner && before_next && !hidden
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dns::testing::name;
    use crate::dns::validate::rdata::TypeBitmap;

    /// `owner next types`; names below `test.` unless they end in a dot.
    fn nsec(text: &str) -> Nsec {
        let words: Vec<&str> = text.split(' ').collect();
        let types: Vec<RecordType> = words[2..].iter().map(|t| t.parse().unwrap()).collect();
        Nsec {
            owner: below(words[0]),
            next: below(words[1]),
            types: TypeBitmap::of(&types),
        }
    }

    fn below(label: &str) -> Name {
        match label {
            "@" => name("test."),
            _ if label.ends_with('.') => name(label),
            _ => name(&format!("{label}.test.")),
        }
    }

    fn set(records: &[&str]) -> NsecSet {
        NsecSet::new(&name("test."), records.iter().map(|r| nsec(r)).collect())
    }

    #[test]
    fn no_data() {
        const OK: Result<(), Flaw> = Ok(());
        const NONE: Result<(), Flaw> = Err(Flaw::NoDenial);
        const LISTED: Result<(), Flaw> = Err(Flaw::Listed);
        for (what, records, owner, expected) in [
            ("another type", &["a b A"][..], "a", OK),
            ("the type", &["a b TXT"], "a", LISTED),
            ("an alias", &["a b CNAME"], "a", LISTED),
            ("the parent's side", &["a b NS"], "a", Err(Flaw::WrongSide)),
            ("the apex", &["@ b NS SOA"], "@", OK),
            ("another name", &["a b A"], "b", NONE),
            ("no name, no wildcard shown", &["a c A"], "b", NONE),
            ("an empty non-terminal", &["a x.b A"], "b", OK),
            ("wildcard", &["a c A", "* a A"], "b", OK),
            ("wildcard with it", &["a c A", "* a TXT"], "b", LISTED),
            ("wildcard an alias", &["a c A", "* a CNAME"], "b", LISTED),
            ("wildcard elsewhere", &["a c A", "*.x y A"], "b", NONE),
            (
                "wildcard at the encloser",
                &["a.e c.e A", "*.e a.e A"],
                "b.e",
                OK,
            ),
            (
                "wildcard above the encloser",
                &["a.e c.e A", "* a A"],
                "b.e",
                NONE,
            ),
            ("wildcard empty", &["a.e c.e A", "e x.*.e A"], "b.e", OK),
            ("below a delegation", &["a c NS", "* a A"], "b.a", NONE),
            ("below a DNAME", &["a c DNAME", "* a A"], "b.a", NONE),
            ("a DNAME itself", &["a c DNAME"], "a", OK),
            ("beside a delegation", &["a c NS", "* a A"], "b", OK),
            (
                "of another zone",
                &["a.other. z.other. A"],
                "b.other.",
                NONE,
            ),
        ] {
            let got = set(records).no_data(&below(owner), RecordType::TXT);
            assert_eq!(got, expected, "{what}");
        }
    }

    #[test]
    fn no_name() {
        for (what, records, owner, expected) in [
            ("both", &["a c A", "@ a SOA"][..], "b", true),
            ("one for both", &["@ c SOA"], "b", true),
            ("only the name", &["a c A"], "b", false),
            ("only the wildcard", &["@ a SOA"], "b", false),
            ("the name exists", &["b c A", "@ a SOA"], "b", false),
            ("as the next", &["a b A", "@ a SOA"], "b", false),
            ("as a non-terminal", &["a x.b A", "@ a SOA"], "b", false),
            ("a wildcard exists", &["a c A", "* a A"], "b", false),
            ("a wildcard is next", &["a c A", "@ * SOA"], "b", false),
            ("the last", &["x @ A", "@ a SOA"], "y", true),
            ("before the last", &["x @ A", "@ a SOA"], "w", false),
            ("the only one", &["@ @ SOA"], "b", true),
            ("not the apex", &["@ @ SOA"], "@", false),
            ("deep", &["a c A", "@ a SOA"], "z.y.b", true),
            ("below what exists", &["b c A"], "z.b", true),
            ("below a delegation", &["b c NS", "@ a SOA"], "z.b", false),
            ("below a signed delegation", &["b c NS DS"], "z.b", false),
            ("below a DNAME", &["b c DNAME"], "z.b", false),
            ("the parent's", &["b. d. NS"], "c.", false),
            ("the next in another zone", &["a x.other. A"], "b", false),
            ("the owner in another zone", &["a. @ A"], "b", false),
            ("beyond the zone", &["x @ A", "@ a SOA"], "zone.", false),
        ] {
            assert_eq!(set(records).no_name(&below(owner)), expected, "{what}");
        }
    }

    #[test]
    fn no_closer_match() {
        for (what, records, owner, encloser, expected) in [
            ("right below", &["*.w x A"][..], "a.w", 2, true),
            ("deeper", &["*.w x A"], "b.a.w", 2, true),
            ("a closer encloser", &["a.w x A"], "b.a.w", 2, false),
            (
                "a closer encloser next",
                &["*.w x.a.w A"],
                "b.a.w",
                2,
                false,
            ),
            ("the name exists", &["a.w x A"], "a.w", 2, false),
            ("not covered", &["x y A"], "a.w", 2, false),
            ("a non-terminal", &["*.w b.a.w A"], "a.w", 2, false),
        ] {
            let got = set(records).no_closer_match(&below(owner), encloser);
            assert_eq!(got, expected, "{what}");
        }
    }

    #[test]
    fn no_ds() {
        for (what, records, owner, expected) in [
            ("unsigned", &["a b NS"][..], "a", Ok(NoDs::Unsigned)),
            ("signed", &["a b NS DS"], "a", Err(Flaw::Listed)),
            (
                "the child's side",
                &["a x.a NS SOA"],
                "a",
                Err(Flaw::WrongSide),
            ),
            ("a host", &["a b A"], "a", Ok(NoDs::NoCut)),
            ("a non-terminal", &["a x.b A"], "b", Ok(NoDs::NoCut)),
            ("nothing", &["a c A"], "b", Ok(NoDs::NothingBelow)),
            ("elsewhere", &["a b NS"], "c", Err(Flaw::DelegationUnproven)),
            (
                "below a delegation",
                &["a c NS"],
                "b.a",
                Err(Flaw::DelegationUnproven),
            ),
        ] {
            assert_eq!(set(records).no_ds(&below(owner)), expected, "{what}");
        }
    }
}
