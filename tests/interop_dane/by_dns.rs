//! Cases that the DNS decides: where records are, and what proves them.

use super::by_certificate::sent;
use super::case::Of::{Intermediate as Middle, Leaf, OtherLeaf};
use super::case::Outcome::{Dane, Deferred, HalfDane, Opportunistic, Refused};
use super::case::{Case, Data, HERE, NEXT_HOP, case};

const RIGHT: Data = Data::Right("3 1 1", Leaf);
const WRONG: Data = Data::Right("3 1 1", OtherLeaf);

/// All of them.
pub(super) fn cases() -> Vec<Case> {
    [aliases(), owners(), proofs()].concat()
}

/// RFC 7672 §2.2.2, §2.2.3: records are sought at the end of the aliases, then at their beginning.
fn aliases() -> Vec<Case> {
    let alias = |name| Case {
        mx: "alias.DOMAIN",
        ..case(name, "ec.test", Dane).line("alias.DOMAIN", "CNAME HOST.")
    };
    vec![
        alias("alias-target")
            .tlsa_at(HERE, RIGHT)
            .tlsa_at("_PORT._tcp.alias.DOMAIN", WRONG),
        Case {
            base: "alias.DOMAIN",
            ..alias("alias-itself").tlsa_at(HERE, RIGHT)
        },
        Case {
            host: "mx.alias-insecure.plain.test",
            base: "alias.DOMAIN",
            ..alias("alias-insecure").tlsa_at(HERE, RIGHT)
        },
        // Nothing proves that the host that we reach is the one that the alias names.
        Case {
            mx: "alias.DOMAIN.plain.test",
            ..case("alias-untrusted", "ec.test", Opportunistic)
                .line("alias.DOMAIN.plain.test", "CNAME HOST.")
                .tlsa_at(HERE, WRONG)
        },
        Case {
            mx: "",
            names: &["target.DOMAIN"],
            ..case("alias-domain", "ec.test", Dane)
                .cert(sent)
                .line("DOMAIN", "CNAME target.DOMAIN.")
                .line("target.DOMAIN", "MX 10 HOST.")
                .tlsa("2 1 1", Middle)
                .openssl(Refused, NEXT_HOP)
        },
        Case {
            mx: "",
            host: "mx.dname.p384.test",
            ..case("dname", "dn.ec.test", Dane)
                .line("dn.ec.test", "DNAME target.p384.test.")
                .line("dname.target.p384.test", "MX 10 HOST.")
                .tlsa_at(HERE, RIGHT)
        },
    ]
}

/// RFC 7671 §5.3 and RFC 4592: owners may be aliases and wildcards.
fn owners() -> Vec<Case> {
    vec![
        case("wildcard", "ec.test", Dane).tlsa_at("*._tcp.BASE", RIGHT),
        case("wildcard-nsec3", "rsa.test", Dane).tlsa_at("*.BASE", RIGHT),
        Case {
            mx: "",
            host: "mx.wild.ec.test",
            ..case("wildcard-mx", "wild.ec.test", Dane)
                .line("*.wild.ec.test", "MX 10 HOST.")
                .tlsa_at(HERE, RIGHT)
        },
        Case {
            mx: "",
            host: "mx.wild.ed.test",
            ..case("wildcard-mx-nsec3", "wild.ed.test", Dane)
                .line("*.wild.ed.test", "MX 10 HOST.")
                .tlsa_at(HERE, RIGHT)
        },
        case("tlsa-alias", "ec.test", Dane)
            .line(HERE, "CNAME tlsa.DOMAIN.")
            .tlsa_at("tlsa.DOMAIN", RIGHT),
        case("tlsa-alias-far", "rsa.test", Dane)
            .line(HERE, "CNAME tlsa.p384.test.")
            .tlsa_at("tlsa.p384.test", RIGHT),
        Case {
            mx: "",
            host: "DOMAIN",
            ..case("no-mx", "ed.test", Dane).tlsa_at(HERE, RIGHT)
        },
    ]
}

/// RFC 7672 §2.1, §2.2.1: what is proven, and what is not.
fn proofs() -> Vec<Case> {
    const INSECURE_HOP: &str = "Postfix takes the name of the next hop also where nothing proves that this host is \
        its MX; Sealpost takes it only from a secure MX RRset (RFC 7672 §3.2.2)";
    vec![
        case("absent", "ec.test", Opportunistic),
        case("absent-nsec3", "rsa.test", Opportunistic),
        case("absent-ed", "ed.test", Opportunistic),
        // What is not signed is not believed, whatever it says.
        case("insecure", "plain.test", Opportunistic).tlsa("3 1 1", OtherLeaf),
        case("insecure-ds", "nods.test", Opportunistic).tlsa("3 1 1", OtherLeaf),
        case("insecure-optout", "child.optout.test", Opportunistic).tlsa("3 1 1", OtherLeaf),
        case("bogus-expired", "expired.test", Deferred).tlsa("3 1 1", Leaf),
        case("bogus-ds", "badds.test", Deferred).tlsa("3 1 1", Leaf),
        case("bogus-tlsa", "altered.test", Deferred).tlsa("3 1 1", Leaf),
        Case {
            host: "mx.half.ec.test",
            ..case("half", "plain.test", HalfDane).tlsa("3 1 1", Leaf)
        },
        Case {
            host: "mx.half-wrong.ec.test",
            ..case("half-wrong", "plain.test", Refused).tlsa("3 1 1", OtherLeaf)
        },
        Case {
            host: "mx.half-hop.ec.test",
            ..case("half-hop", "plain.test", Refused)
                .cert(sent)
                .named(&["DOMAIN"])
                .tlsa("2 1 1", Middle)
                .postfix(HalfDane, INSECURE_HOP)
        },
    ]
}
