//! What DNSSEC does with names, on hickory's, whose order is the canonical one (RFC 4034 §6.1).

use hickory_resolver::proto::rr::Name;

/// Labels without the root; a wildcard's counts.
pub(in crate::dns) fn labels(name: &Name) -> usize {
    name.iter().len()
}

/// The name's last `count` labels.
pub(in crate::dns) fn last(name: &Name, count: usize) -> Name {
    name.trim_to(count.min(labels(name)))
}

/// Whether `name` is below `ancestor`, and not `ancestor` itself.
pub(in crate::dns) fn is_below(name: &Name, ancestor: &Name) -> bool {
    ancestor.zone_of(name) && labels(ancestor) < labels(name)
}

/// How many labels, from the root, two names have in common.
pub(super) fn common(one: &Name, other: &Name) -> usize {
    let pairs = one.iter().rev().zip(other.iter().rev());
    pairs.take_while(|(a, b)| a.eq_ignore_ascii_case(b)).count()
}

/// `*.` before the name; `None` if that is too long.
pub(in crate::dns) fn wildcard_at(name: &Name) -> Option<Name> {
    name.prepend_label(&b"*"[..]).ok()
}

/// Appends the name in canonical form (RFC 4034 §6.2).
pub(super) fn append_canonical(name: &Name, to: &mut Vec<u8>) {
    let start = to.len();
    crate::dns::wire::append(name, to);
    // Lengths are below 64 and so no letters.
    to[start..].make_ascii_lowercase();
}

/// A name with the part at `from` replaced by `to` (RFC 6672 §2.2); `None` if that is too long.
pub(in crate::dns) fn substitute(name: &Name, from: &Name, to: &Name) -> Option<Name> {
    let kept = labels(name).checked_sub(labels(from))?;
    let all = name.iter().take(kept).chain(to.iter());
    Name::from_labels(all).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dns::testing::name;

    /// A name of labels that may hold any octets.
    fn raw(labels: &[&[u8]]) -> Name {
        Name::from_labels(labels.iter().copied()).unwrap()
    }

    /// The example of RFC 4034 §6.1.
    #[test]
    fn hickorys_order_is_canonical() {
        let order = [
            name("example."),
            name("a.example."),
            name("yljkjljk.a.example."),
            name("Z.a.example."),
            name("zABC.a.EXAMPLE."),
            name("z.example."),
            raw(&[b"\x01", b"z", b"example"]),
            name("*.z.example."),
            raw(&[b"\xc8", b"z", b"example"]),
        ];
        for pair in order.windows(2) {
            assert!(pair[0] < pair[1], "{pair:?}");
        }
        assert_eq!(name("Z.a.example."), name("z.A.Example."));
        assert!(name(".") < name("example."));
        assert!(name("a.example.") < name("aa.example."));
        // Octets are compared in lower case: `_` is above `Z` and below `a`.
        assert!(name("_.example.") < name("Z.example."));
    }

    #[test]
    fn names_in_common() {
        for (one, other, count) in [
            ("a.b.test.", "c.b.test.", 2),
            ("a.b.test.", "B.TEST.", 2),
            ("a.b.test.", "b.example.", 0),
            (".", "test.", 0),
            ("xb.test.", "b.test.", 1),
        ] {
            assert_eq!(common(&name(one), &name(other)), count, "{one} {other}");
        }
    }

    #[test]
    fn dname_substitution() {
        let long = format!("{}.{}.", "x".repeat(60), vec!["y".repeat(60); 3].join("."));
        for (what, from, to, expected) in [
            ("a.b.test.", "test.", "example.", Some("a.b.example.")),
            ("a.b.test.", "b.test.", ".", Some("a.")),
            ("a.b.test.", ".", "example.", Some("a.b.test.example.")),
            ("abcdefghijkl.test.", "test.", &long, None),
        ] {
            let got = substitute(&name(what), &name(from), &name(to));
            assert_eq!(got, expected.map(name), "{what}");
        }
    }
}
