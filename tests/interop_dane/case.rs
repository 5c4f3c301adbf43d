//! A case: what a host has and its domain publishes, what RFC 7671 and RFC 7672 make of it, and who sees it another way.

use lab::ca::{Ca, Cert, Identity};
use lab::mx::Script;

/// What becomes of mail.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Outcome {
    /// A TLSA record matches.
    Dane,
    /// Likewise, at a host that was found by an MX record without proof (RFC 7672 §2.2.1).
    HalfDane,
    /// No record can be used: TLS with anybody, but never without TLS (RFC 7672 §2.2).
    Encrypted,
    /// There is proof that no record applies.
    Opportunistic,
    /// The host is not whom the records demand.
    Refused,
    /// DNS gave no answer that could be believed.
    Deferred,
}

/// What a record is made of.
#[derive(Clone, Copy, Debug)]
pub(super) enum Of {
    Leaf,
    /// A leaf of the same root that the host does not have.
    OtherLeaf,
    Intermediate,
    Root,
    /// A root that nobody has.
    OtherRoot,
    /// The second certificate that the host sends.
    Second,
}

/// The data of a record.
#[derive(Clone, Copy, Debug)]
pub(super) enum Data {
    Right(&'static str, Of),
    /// These parameters, and the data that belongs to those.
    As(&'static str, &'static str, Of),
    /// With an octet too many.
    Longer(&'static str, Of),
    Octets(&'static [u8]),
}

/// A peer that sees it another way, and why that is no fault of anybody.
#[derive(Clone, Copy, Debug)]
pub(super) struct Differs(pub Outcome, pub &'static str);

/// One domain with one host. In texts, DOMAIN, HOST, BASE and PORT stand for what they are here.
#[derive(Clone, Debug)]
pub(super) struct Case {
    /// The first label of the domain.
    pub name: &'static str,
    pub zone: &'static str,
    pub expected: Outcome,
    /// OpenSSL knows nothing of DNS and mail; `None`: it can say nothing.
    pub openssl: Option<Differs>,
    pub postfix: Option<Differs>,
    /// Why they count the depth of a certificate another way.
    pub depth: Option<&'static str>,
    /// Where the address record is.
    pub host: &'static str,
    /// What the MX record names; empty: there is none.
    pub mx: &'static str,
    /// The TLSA base domain (RFC 7672 §2.2.3).
    pub base: &'static str,
    /// Owner and data.
    pub tlsa: Vec<(&'static str, Data)>,
    /// Further records.
    pub lines: Vec<(&'static str, &'static str)>,
    /// The names in the certificate.
    pub names: &'static [&'static str],
    pub cert: fn(Cert) -> Cert,
    pub chain: fn(&Ca, Identity, &[String]) -> Identity,
    pub script: fn() -> Script,
}

/// Why OpenSSL refuses what is right: it checks what a TLS client can know.
pub(super) const NEXT_HOP: &str = "s_client knows one name, the TLSA base domain; of mail the next hop, and what it is an alias \
    of, are others (RFC 7672 §3.2.2)";

/// Where TLSA records are.
pub(super) const HERE: &str = "_PORT._tcp.BASE";

/// A good one that publishes nothing yet.
pub(super) fn case(name: &'static str, zone: &'static str, expected: Outcome) -> Case {
    Case {
        name,
        zone,
        expected,
        openssl: None,
        postfix: None,
        depth: None,
        host: "mx.DOMAIN",
        mx: "BASE",
        base: "HOST",
        tlsa: Vec::new(),
        lines: Vec::new(),
        names: &["HOST"],
        cert: |cert| cert,
        chain: |_, identity, _| identity,
        script: Script::default,
    }
}

impl Case {
    pub(super) fn tlsa(self, parameters: &'static str, of: Of) -> Self {
        self.tlsa_at(HERE, Data::Right(parameters, of))
    }

    pub(super) fn octets(self, octets: &'static [u8]) -> Self {
        self.tlsa_at(HERE, Data::Octets(octets))
    }

    pub(super) fn tlsa_at(mut self, owner: &'static str, data: Data) -> Self {
        self.tlsa.push((owner, data));
        self
    }

    pub(super) fn line(mut self, owner: &'static str, data: &'static str) -> Self {
        self.lines.push((owner, data));
        self
    }

    pub(super) fn cert(self, cert: fn(Cert) -> Cert) -> Self {
        Self { cert, ..self }
    }

    pub(super) fn named(self, names: &'static [&'static str]) -> Self {
        Self { names, ..self }
    }

    pub(super) fn openssl(self, outcome: Outcome, why: &'static str) -> Self {
        Self {
            openssl: Some(Differs(outcome, why)),
            ..self
        }
    }

    pub(super) fn postfix(self, outcome: Outcome, why: &'static str) -> Self {
        Self {
            postfix: Some(Differs(outcome, why)),
            ..self
        }
    }

    /// The host presents another chain than the usual one.
    pub(super) fn chain(self, chain: fn(&Ca, Identity, &[String]) -> Identity) -> Self {
        Self { chain, ..self }
    }
}
