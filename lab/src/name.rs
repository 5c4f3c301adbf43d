//! Names: as text in the API, and in the canonical form in which they are compared, sorted and signed.

use std::net::IpAddr;

use hickory_proto::rr::Name;

/// A name in canonical form (RFC 4034 §6.2), in lower case. The labels are kept root first, so that the derived order
/// is the canonical one (RFC 4034 §6.1), and all names below a name follow it directly.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Domain(Vec<Box<[u8]>>);

impl Domain {
    pub(crate) fn of(name: &Name) -> Self {
        let labels = name.iter().rev();
        Self(labels.map(|l| l.to_ascii_lowercase().into()).collect())
    }

    /// From text.
    ///
    /// # Panics
    /// If it is no name, which only the author of a test can cause.
    pub(crate) fn parse(text: &str) -> Self {
        Self::of(&name(text))
    }

    pub(crate) fn to_name(&self) -> Name {
        let labels = self.0.iter().rev().map(AsRef::as_ref);
        let mut name = Name::from_labels::<_, &[u8]>(labels).expect("it was a name before");
        name.set_fqdn(true);
        name
    }

    /// Uncompressed.
    pub(crate) fn wire(&self) -> Vec<u8> {
        let mut wire = Vec::new();
        for label in self.0.iter().rev() {
            // Labels have 63 octets at most.
            wire.push(label.len() as u8);
            wire.extend_from_slice(label);
        }
        wire.push(0);
        wire
    }

    /// How many labels; the root has none.
    pub(crate) fn depth(&self) -> usize {
        self.0.len()
    }

    /// The name itself or the one above it with so many labels.
    pub(crate) fn ancestor(&self, depth: usize) -> Self {
        Self(self.0[..depth.min(self.0.len())].to_vec())
    }

    pub(crate) fn parent(&self) -> Option<Self> {
        let depth = self.depth().checked_sub(1)?;
        Some(self.ancestor(depth))
    }

    /// Itself, its parent, ... the root.
    pub(crate) fn ancestors(&self) -> impl Iterator<Item = Self> {
        (0..=self.depth()).rev().map(|depth| self.ancestor(depth))
    }

    /// True of the name itself, too.
    pub(crate) fn is_within(&self, other: &Self) -> bool {
        self.0.starts_with(&other.0)
    }

    pub(crate) fn child(&self, label: &[u8]) -> Self {
        let mut labels = self.0.clone();
        labels.push(label.to_ascii_lowercase().into());
        Self(labels)
    }

    pub(crate) fn wildcard(&self) -> Self {
        self.child(b"*")
    }

    pub(crate) fn is_wildcard(&self) -> bool {
        self.0.last().is_some_and(|label| **label == *b"*")
    }
}

/// A fully qualified name from text with or without the final dot.
///
/// # Panics
/// If it is none, which only the author of a test can cause.
pub(crate) fn name(text: &str) -> Name {
    let mut name = Name::from_ascii(text).expect("a domain name in a test is valid");
    name.set_fqdn(true);
    name
}

/// The form in which names are compared: lower case, without the final dot.
pub fn normal(name: &str) -> String {
    name.trim_end_matches('.').to_ascii_lowercase()
}

/// Where an address has its PTR records.
pub(crate) fn reverse(address: IpAddr) -> String {
    match address {
        IpAddr::V4(v4) => {
            let [a, b, c, d] = v4.octets();
            format!("{d}.{c}.{b}.{a}.in-addr.arpa")
        }
        IpAddr::V6(v6) => {
            let nibbles = v6
                .octets()
                .into_iter()
                .flat_map(|octet| [octet >> 4, octet & 15]);
            let text = nibbles
                .rev()
                .map(|nibble| format!("{nibble:x}."))
                .collect::<String>();
            format!("{text}ip6.arpa")
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_have_their_reverse_names() {
        let v4 = "192.0.2.7".parse().unwrap();
        assert_eq!(reverse(v4), "7.2.0.192.in-addr.arpa");
        let v6 = reverse("2001:db8::1".parse().unwrap());
        assert!(
            v6.starts_with("1.0.0.0.") && v6.ends_with("8.b.d.0.1.0.0.2.ip6.arpa"),
            "{v6}"
        );
    }

    #[test]
    fn names_sort_as_the_example_of_rfc_4034_section_6_1() {
        let sorted = [
            "example",
            "a.example",
            "yljkjljk.a.example",
            "Z.a.example",
            "zABC.a.EXAMPLE",
            "z.example",
            "*.z.example",
        ];
        let names = sorted.map(Domain::parse);
        assert!(names.is_sorted(), "{names:?}");
        assert!(names[2].is_within(&names[1]) && !names[5].is_within(&names[1]));
        assert!(names[6].is_wildcard() && names[6] == names[5].wildcard());
        assert_eq!(names[4].wire(), b"\x04zabc\x01a\x07example\0");
        assert_eq!(Domain::of(&names[3].to_name()), names[3]);
    }
}
