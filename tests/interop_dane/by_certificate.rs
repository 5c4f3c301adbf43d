//! Cases that the host's certificates decide, one line a case where that is possible.

use lab::ca::{Cert, Intermediate, Key};
use lab::mx::{Script, Versions};

use super::case::Of::{Intermediate as Middle, Leaf, OtherLeaf, OtherRoot, Root, Second};
use super::case::Outcome::{Dane, Encrypted, Refused};
use super::case::{Case, Data, HERE, NEXT_HOP, case};
use super::chains;

/// All of them.
pub(super) fn cases() -> Vec<Case> {
    [
        end_entities(),
        trust_anchors(),
        odd_chains(),
        anchors_in_dns_only(),
        names(),
        unusable(),
        several(),
    ]
    .concat()
}

pub(super) fn sent(cert: Cert) -> Cert {
    cert.with_intermediate(Intermediate::Sent)
}

fn omitted(cert: Cert) -> Cert {
    cert.with_intermediate(Intermediate::Omitted)
}

fn tls_1_2() -> Script {
    let mut script = Script::default();
    script.tls.versions = Versions::Only12;
    script
}

/// RFC 7672 §3.1.1: neither names nor dates nor issuers count.
fn end_entities() -> Vec<Case> {
    vec![
        case("ee-key-sha256", "ec.test", Dane).tlsa("3 1 1", Leaf),
        case("ee-key-sha512", "rsa.test", Dane).tlsa("3 1 2", Leaf),
        case("ee-key-full", "ed.test", Dane).tlsa("3 1 0", Leaf),
        case("ee-cert-sha256", "p384.test", Dane).tlsa("3 0 1", Leaf),
        case("ee-cert-sha512", "ec.test", Dane).tlsa("3 0 2", Leaf),
        case("ee-cert-full", "optout.test", Dane).tlsa("3 0 0", Leaf),
        case("ee-other-key", "ed.test", Refused).tlsa("3 1 1", OtherLeaf),
        case("ee-other-cert", "p384.test", Refused).tlsa("3 0 2", OtherLeaf),
        case("ee-other-full", "rsa.test", Refused).tlsa("3 1 0", OtherLeaf),
        case("ee-of-issuer", "ec.test", Refused)
            .cert(sent)
            .tlsa("3 1 1", Middle),
        case("ee-expired", "ec.test", Dane)
            .cert(Cert::expired)
            .tlsa("3 1 1", Leaf),
        case("ee-not-yet", "rsa.test", Dane)
            .cert(Cert::not_yet_valid)
            .tlsa("3 0 1", Leaf),
        case("ee-name", "ec.test", Dane)
            .named(&["else.test"])
            .tlsa("3 1 1", Leaf),
        case("ee-self-signed", "ec.test", Dane)
            .cert(Cert::self_signed)
            .tlsa("3 1 1", Leaf),
        case("ee-self-ca", "ec.test", Dane)
            .cert(Cert::self_signed_ca)
            .tlsa("3 0 1", Leaf),
        case("ee-client-only", "ec.test", Dane)
            .cert(Cert::client_only)
            .tlsa("3 1 1", Leaf),
        case("ee-version-1", "ec.test", Dane)
            .cert(Cert::version_1)
            .tlsa("3 1 1", Leaf),
        case("ee-rsa", "ec.test", Dane)
            .cert(|cert| cert.key(Key::Rsa2048))
            .tlsa("3 1 1", Leaf),
        case("ee-p384", "ec.test", Dane)
            .cert(|cert| cert.key(Key::P384))
            .tlsa("3 1 2", Leaf),
        Case {
            script: tls_1_2,
            ..case("ee-tls-1-2", "ec.test", Dane).tlsa("3 1 1", Leaf)
        },
    ]
}

/// RFC 7672 §3.1.2: the anchor is in the chain, which is valid up to it, and for one of the names.
fn trust_anchors() -> Vec<Case> {
    vec![
        case("ta-middle-key", "ec.test", Dane)
            .cert(sent)
            .tlsa("2 1 1", Middle),
        case("ta-middle-cert", "rsa.test", Dane)
            .cert(sent)
            .tlsa("2 0 2", Middle),
        case("ta-root-sent", "ec.test", Dane)
            .chain(chains::with_root)
            .tlsa("2 0 1", Root),
        case("ta-far-root-sent", "ec.test", Dane)
            .cert(sent)
            .chain(chains::with_root)
            .tlsa("2 1 1", Root),
        // A digest of what is not sent cannot be matched (RFC 7671 §5.2.2).
        case("ta-root-absent", "ed.test", Refused).tlsa("2 0 1", Root),
        case("ta-far-root-absent", "ec.test", Refused)
            .cert(sent)
            .tlsa("2 1 1", Root),
        case("ta-middle-absent", "ec.test", Refused)
            .cert(omitted)
            .tlsa("2 1 1", Middle),
        case("ta-other-root", "p384.test", Refused)
            .chain(chains::with_root)
            .tlsa("2 0 1", OtherRoot),
        case("ta-expired", "ec.test", Refused)
            .cert(|cert| sent(cert).expired())
            .tlsa("2 1 1", Middle),
        case("ta-not-yet", "ec.test", Refused)
            .cert(|cert| sent(cert).not_yet_valid())
            .tlsa("2 1 1", Middle),
        case("ta-client-only", "ec.test", Refused)
            .cert(|cert| sent(cert).client_only())
            .tlsa("2 1 1", Middle),
        case("ta-is-leaf", "ec.test", Refused)
            .cert(Cert::self_signed)
            .tlsa("2 0 1", Leaf),
        case("ta-is-leaf-ca", "ec.test", Refused)
            .cert(Cert::self_signed_ca)
            .tlsa("2 1 1", Leaf),
    ]
}

/// What a path is checked for above the leaf (RFC 5280 §6.1).
fn odd_chains() -> Vec<Case> {
    const ANCHOR: &str = "OpenSSL looks at the dates of the anchor too; it need not: of an anchor, name and key count (RFC 5280 §6.1.1 (d))";
    const ORDER: &str = "Sealpost counts as sent, the others along the path";
    vec![
        Case {
            depth: Some(ORDER),
            ..case("odd-order", "ec.test", Dane)
                .cert(sent)
                .chain(chains::root_before_issuer)
                .tlsa("2 0 1", Root)
        },
        case("odd-padded", "ec.test", Dane)
            .cert(|cert| sent(cert).padded(10))
            .tlsa("2 1 1", Middle),
        case("odd-expired", "ec.test", Dane)
            .chain(chains::expired_issuer)
            .tlsa("2 0 1", Second)
            .openssl(Refused, ANCHOR)
            .postfix(Refused, ANCHOR),
        case("odd-expired-key", "ec.test", Dane)
            .chain(chains::expired_issuer)
            .tlsa("2 1 0", Second)
            .openssl(Refused, ANCHOR)
            .postfix(Refused, ANCHOR),
        case("odd-no-ca", "ec.test", Refused)
            .chain(chains::issuer_that_is_no_ca)
            .tlsa("2 0 1", Second),
        case("odd-constraints", "ec.test", Refused)
            .chain(chains::issuer_for_other_names)
            .tlsa("2 0 1", Second),
        case("odd-constraints-met", "ec.test", Dane)
            .chain(chains::issuer_for_these_names)
            .tlsa("2 0 1", Second),
    ]
}

/// RFC 7671 §5.2.2: an anchor that is in the DNS as a whole need not be sent.
fn anchors_in_dns_only() -> Vec<Case> {
    vec![
        case("full-root", "ec.test", Dane).tlsa("2 0 0", Root),
        case("full-root-key", "rsa.test", Dane).tlsa("2 1 0", Root),
        case("full-far-root", "ec.test", Dane)
            .cert(sent)
            .tlsa("2 0 0", Root),
        case("full-far-root-key", "ec.test", Dane)
            .cert(sent)
            .tlsa("2 1 0", Root),
        case("full-middle", "ed.test", Dane)
            .cert(omitted)
            .tlsa("2 0 0", Middle),
        case("full-middle-key", "ec.test", Dane)
            .cert(omitted)
            .tlsa("2 1 0", Middle),
        case("full-gap", "ec.test", Refused)
            .cert(omitted)
            .tlsa("2 0 0", Root),
        case("full-gap-filled", "ec.test", Dane)
            .cert(omitted)
            .tlsa("2 0 0", Root)
            .tlsa("2 0 0", Middle),
        case("full-other", "ec.test", Refused).tlsa("2 0 0", OtherRoot),
        case("full-name", "ec.test", Refused)
            .named(&["else.test"])
            .tlsa("2 0 0", Root),
    ]
}

/// RFC 7672 §3.2: names count under DANE-TA.
fn names() -> Vec<Case> {
    const PART: &str =
        "s_client lets an asterisk be a part of a label; of mail it is all of it (RFC 7672 §3.2.3)";
    vec![
        case("name-wrong", "ec.test", Refused)
            .cert(sent)
            .named(&["else.test"])
            .tlsa("2 1 1", Middle),
        case("name-next-hop", "ec.test", Dane)
            .cert(sent)
            .named(&["DOMAIN"])
            .tlsa("2 1 1", Middle)
            .openssl(Refused, NEXT_HOP),
        case("name-wildcard", "ec.test", Dane)
            .cert(sent)
            .named(&["*.DOMAIN"])
            .tlsa("2 1 1", Middle),
        case("name-wildcard-hop", "ec.test", Dane)
            .cert(sent)
            .named(&["*.ec.test"])
            .tlsa("2 1 1", Middle)
            .openssl(Refused, NEXT_HOP),
        Case {
            host: "a.mx.DOMAIN",
            ..case("name-wildcard-far", "ec.test", Refused)
                .cert(sent)
                .named(&["*.DOMAIN"])
                .tlsa("2 1 1", Middle)
        },
        case("name-second", "ec.test", Dane)
            .cert(sent)
            .named(&["else.test", "HOST"])
            .tlsa("2 1 1", Middle),
        case("name-case", "ec.test", Dane)
            .cert(sent)
            .named(&["MX.Name-Case.EC.Test"])
            .tlsa("2 1 1", Middle),
        case("name-wildcard-part", "ec.test", Refused)
            .cert(sent)
            .named(&["m*.DOMAIN"])
            .tlsa("2 1 1", Middle)
            .openssl(Dane, PART),
        // A common name counts only where there is no other name (RFC 7672 §3.2.3).
        case("name-cn-not", "ec.test", Refused)
            .chain(chains::right_in_common_name_only)
            .tlsa("2 0 1", Second),
        case("name-cn", "ec.test", Dane)
            .cert(|cert| sent(cert).cn_only())
            .tlsa("2 1 1", Middle),
    ]
}

/// RFC 7672 §2.2, RFC 7671 §10.1: unusable is neither absent nor a mismatch.
fn unusable() -> Vec<Case> {
    const PKIX: &str =
        "s_client applies PKIX-TA and PKIX-EE; of mail they are unusable (RFC 7672 §3.1.3)";
    vec![
        case("bad-pkix", "ec.test", Encrypted)
            .tlsa("1 1 1", Leaf)
            .tlsa("0 0 1", Root)
            .openssl(Refused, PKIX),
        case("bad-usage", "rsa.test", Encrypted).octets(&[7, 1, 1, 1, 2, 3]),
        case("bad-selector", "ec.test", Encrypted).octets(&[3, 9, 1, 1, 2, 3]),
        case("bad-matching", "ed.test", Encrypted).octets(&[3, 1, 255, 9]),
        case("bad-length", "p384.test", Encrypted).octets(&[3, 1, 1, 1, 2, 3]),
        case("bad-length-512", "ec.test", Encrypted).octets(&[2, 1, 2, 1, 2, 3]),
        // A record without data is none that BIND would sign; tests/dane.rs has it.
        case("bad-der", "ec.test", Encrypted).octets(&[2, 0, 0, 1, 2, 3]),
        case("bad-der-ee", "ec.test", Encrypted).octets(&[3, 0, 0, 1, 2, 3]),
        case("bad-key-der", "ec.test", Encrypted).octets(&[3, 1, 0, 1, 2, 3]),
        // What is easily confused.
        case("bad-cert-as-key", "ec.test", Encrypted)
            .tlsa_at(HERE, Data::As("3 1 0", "3 0 0", Leaf)),
        case("bad-key-as-cert", "ec.test", Encrypted)
            .tlsa_at(HERE, Data::As("3 0 0", "3 1 0", Leaf)),
        case("bad-ta-as-key", "ec.test", Encrypted).tlsa_at(HERE, Data::As("2 1 0", "2 0 0", Root)),
        case("bad-ta-key-as-cert", "ec.test", Encrypted)
            .tlsa_at(HERE, Data::As("2 0 0", "2 1 0", Root)),
        case("bad-longer", "ec.test", Encrypted).tlsa_at(HERE, Data::Longer("3 0 0", Leaf)),
        case("bad-longer-key", "ec.test", Encrypted).tlsa_at(HERE, Data::Longer("3 1 0", Leaf)),
        case("bad-longer-ta", "ec.test", Encrypted).tlsa_at(HERE, Data::Longer("2 0 0", Root)),
        case("bad-longer-digest", "ec.test", Encrypted).tlsa_at(HERE, Data::Longer("3 1 1", Leaf)),
        case("bad-but-right", "ec.test", Dane)
            .octets(&[3, 1, 1, 1, 2, 3])
            .tlsa("3 1 1", Leaf),
        case("bad-and-wrong", "ec.test", Refused)
            .octets(&[3, 1, 255, 9])
            .tlsa("3 1 1", OtherLeaf),
        Case {
            script: Script::no_starttls,
            ..case("bad-in-clear", "ec.test", Refused).octets(&[3, 1, 1, 1, 2, 3])
        },
        Case {
            script: Script::no_starttls,
            ..case("right-in-clear", "ec.test", Refused).tlsa("3 1 1", Leaf)
        },
    ]
}

/// RFC 7671 §8 and §9: any record will do, but of the digests only the strongest counts.
fn several() -> Vec<Case> {
    vec![
        case("two-rollover", "ec.test", Dane)
            .tlsa("3 1 1", OtherLeaf)
            .tlsa("3 1 1", Leaf),
        case("two-usages", "ec.test", Dane)
            .cert(sent)
            .tlsa("3 1 1", OtherLeaf)
            .tlsa("2 1 1", Middle),
        // More than fits into a datagram.
        (0..40).fold(
            case("two-score", "ec.test", Dane).tlsa("3 0 0", Leaf),
            |case, _| case.tlsa("3 1 2", OtherLeaf),
        ),
        case("two-wrong", "ec.test", Refused)
            .cert(sent)
            .tlsa("3 1 1", OtherLeaf)
            .tlsa("2 1 1", OtherRoot),
        case("two-ee-saves", "ec.test", Dane)
            .cert(|cert| sent(cert).expired())
            .named(&["else.test"])
            .tlsa("2 1 1", Middle)
            .tlsa("3 1 1", Leaf),
        case("agility-weak", "ec.test", Refused)
            .tlsa("3 1 1", Leaf)
            .tlsa("3 1 2", OtherLeaf),
        case("agility-strong", "rsa.test", Dane)
            .tlsa("3 1 1", OtherLeaf)
            .tlsa("3 1 2", Leaf),
        case("agility-selectors", "ec.test", Dane)
            .tlsa("3 1 1", Leaf)
            .tlsa("3 0 2", OtherLeaf),
        case("agility-usages", "ec.test", Dane)
            .tlsa("3 1 1", Leaf)
            .tlsa("2 1 2", OtherRoot),
        case("agility-full", "ec.test", Dane)
            .tlsa("3 1 0", Leaf)
            .tlsa("3 1 2", OtherLeaf),
        case("agility-bad", "ec.test", Dane)
            .tlsa("3 1 1", Leaf)
            .octets(&[3, 1, 2, 1, 2, 3]),
        case("agility-ta", "ec.test", Refused)
            .cert(sent)
            .tlsa("2 1 1", Middle)
            .tlsa("2 1 2", OtherRoot),
    ]
}
