//! What every zone has, and what is asked of it.

use hickory_proto::rr::RecordType;

use super::zones::{Line, Proofs, Scrutiny};
use super::{Found, Question};
use crate::dns::DnsServer;
use crate::dnssec::Verdict;

/// TLSA data that is as good as any.
const TLSA: [u8; 5] = [3, 1, 1, 0xca, 0xfe];

/// Fills a zone.
pub(super) fn fill(dns: &DnsServer, apex: &str) {
    let name = |relative: &str| format!("{relative}.{apex}");
    let mx = name("mx");
    dns.mx(apex, 10, &mx)
        .txt(apex, "v=spf1 -all")
        .a(&mx, "127.0.0.1")
        .tlsa_raw(&mx, 25, &TLSA)
        .a(&name("x.ent"), "127.0.0.1")
        .a(&name("*.wild"), "127.0.0.1")
        .raw(&name("*._tcp.star"), RecordType::TLSA, &TLSA)
        .cname(&name("alias"), &mx)
        .cname(&name("dangling"), &name("no"))
        .cname(&name("*.aliases"), &mx)
        .cname(&name("_25._tcp.alias"), &name("_25._tcp.mx"))
        .cname(&name("_25._tcp.asterisk"), &name("*._tcp.star"))
        .dname(&name("dn"), apex)
        .cname(&name("to-plain"), "mx.plain.test")
        .cname(&name("to-secure"), "mx.ec.test")
        .cname(&name("to-hashed"), "mx.rsa.test")
        .cname(&name("to-bogus"), "mx.altered.test");
}

/// What an answer has to prove.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Need {
    /// Nothing: all records are there.
    Nothing,
    /// That a name has no such type.
    Type,
    /// That a name does not exist.
    Name,
}

/// Questions for every zone: the name within it, the type, what there is, what is to be proved.
const SOME: &[(&str, RecordType, Found, Need)] = &[
    ("", RecordType::MX, Found::Records, Need::Nothing),
    (
        "_25._tcp.mx",
        RecordType::TLSA,
        Found::Records,
        Need::Nothing,
    ),
    ("mx", RecordType::AAAA, Found::NoType, Need::Type),
    ("_25._tcp.no", RecordType::TLSA, Found::NoName, Need::Name),
    ("any.wild", RecordType::A, Found::Records, Need::Name),
    ("alias", RecordType::AAAA, Found::NoType, Need::Type),
];

/// More of them.
const EVERY: &[(&str, RecordType, Found, Need)] = &[
    ("", RecordType::SOA, Found::Records, Need::Nothing),
    ("", RecordType::NS, Found::Records, Need::Nothing),
    ("", RecordType::TXT, Found::Records, Need::Nothing),
    ("", RecordType::A, Found::NoType, Need::Type),
    ("mx", RecordType::A, Found::Records, Need::Nothing),
    ("mx", RecordType::MX, Found::NoType, Need::Type),
    ("mx", RecordType::DS, Found::NoType, Need::Type),
    ("_tcp.mx", RecordType::TLSA, Found::NoType, Need::Type),
    ("no", RecordType::MX, Found::NoName, Need::Name),
    ("no.mx", RecordType::A, Found::NoName, Need::Name),
    ("a.b.c.no", RecordType::A, Found::NoName, Need::Name),
    ("x.ent", RecordType::A, Found::Records, Need::Nothing),
    ("ent", RecordType::A, Found::NoType, Need::Type),
    ("a.ent", RecordType::A, Found::NoName, Need::Name),
    ("*.wild", RecordType::A, Found::Records, Need::Nothing),
    ("*.wild", RecordType::TLSA, Found::NoType, Need::Type),
    ("wild", RecordType::A, Found::NoType, Need::Type),
    ("a.b.wild", RecordType::A, Found::Records, Need::Name),
    ("any.wild", RecordType::TLSA, Found::NoType, Need::Name),
    ("a.b.wild", RecordType::TLSA, Found::NoType, Need::Name),
    (
        "_25._tcp.star",
        RecordType::TLSA,
        Found::Records,
        Need::Name,
    ),
    ("_25._tcp.star", RecordType::A, Found::NoType, Need::Name),
    ("_tcp.star", RecordType::TLSA, Found::NoType, Need::Type),
    ("alias", RecordType::A, Found::Records, Need::Nothing),
    ("alias", RecordType::CNAME, Found::Records, Need::Nothing),
    ("dangling", RecordType::A, Found::NoName, Need::Name),
    ("any.aliases", RecordType::A, Found::Records, Need::Name),
    ("any.aliases", RecordType::AAAA, Found::NoType, Need::Name),
    (
        "_25._tcp.alias",
        RecordType::TLSA,
        Found::Records,
        Need::Nothing,
    ),
    (
        "_25._tcp.asterisk",
        RecordType::TLSA,
        Found::Records,
        Need::Nothing,
    ),
    (
        "_25._tcp.asterisk",
        RecordType::A,
        Found::NoType,
        Need::Type,
    ),
    ("dn", RecordType::DNAME, Found::Records, Need::Nothing),
    ("dn", RecordType::A, Found::NoType, Need::Type),
    ("mx.dn", RecordType::A, Found::Records, Need::Nothing),
    ("mx.dn", RecordType::AAAA, Found::NoType, Need::Type),
    (
        "_25._tcp.mx.dn",
        RecordType::TLSA,
        Found::Records,
        Need::Nothing,
    ),
    ("no.dn", RecordType::A, Found::NoName, Need::Name),
    ("any.wild.dn", RecordType::A, Found::Records, Need::Name),
];

/// Aliases of other zones: what is said of the target and of its absence.
const ABROAD: &[(&str, RecordType, Found, Verdict)] = &[
    ("to-plain", RecordType::A, Found::Records, Verdict::Insecure),
    (
        "to-plain",
        RecordType::AAAA,
        Found::NoType,
        Verdict::Insecure,
    ),
    ("to-secure", RecordType::A, Found::Records, Verdict::Secure),
    (
        "to-secure",
        RecordType::AAAA,
        Found::NoType,
        Verdict::Secure,
    ),
    (
        "to-hashed",
        RecordType::AAAA,
        Found::NoType,
        Verdict::Secure,
    ),
    ("to-bogus", RecordType::A, Found::Records, Verdict::Bogus),
    ("to-bogus", RecordType::AAAA, Found::NoType, Verdict::Bogus),
];

/// The questions for a zone.
pub(super) fn questions(line: &Line) -> Vec<Question> {
    let question = |relative: &str, record_type, found, verdict| {
        let name = format!("{relative}.{}", line.apex);
        Question {
            name: name.trim_start_matches('.').to_owned(),
            record_type,
            verdict,
            found,
        }
    };
    let (more, abroad) = match line.scrutiny {
        Scrutiny::Every => (EVERY, ABROAD),
        Scrutiny::Some => (&[][..], &[][..]),
    };
    let home = SOME
        .iter()
        .chain(more)
        .map(|(name, record_type, found, need)| {
            let verdict = line.verdict.max(worth(line.proofs, *need));
            question(name, *record_type, *found, verdict)
        });
    let abroad = abroad.iter().map(|(name, record_type, found, target)| {
        let verdict = line.verdict.max(*target);
        question(name, *record_type, *found, verdict)
    });
    home.chain(abroad).collect()
}

fn worth(proofs: Proofs, need: Need) -> Verdict {
    match (proofs, need) {
        (Proofs::Good, _) | (_, Need::Nothing) | (Proofs::OptOut, Need::Type) => Verdict::Secure,
        (Proofs::OptOut, Need::Name) | (Proofs::Costly, Need::Type | Need::Name) => {
            Verdict::Insecure
        }
    }
}
