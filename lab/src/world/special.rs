//! Zones and questions that are like no others.

use hickory_proto::rr::RecordType;

use super::{Found, Question};
use crate::dns::{DnsServer, Fault};
use crate::dnssec::{Verdict, Zone};

/// More TLSA records than fit into UDP.
const MANY: u8 = 60;

pub(super) fn fill(dns: &DnsServer) {
    dns.secure("big.test");
    for number in 0..MANY {
        let data = [&[3, 1, 1][..], &[number; 32]].concat();
        dns.tlsa_raw("mx.big.test", 25, &data);
    }
    let faulty = |fault: Fault| Zone::secure().fault(fault);
    for (apex, zone) in [
        ("servfail.test", faulty(Fault::ServFail)),
        ("refused.test", faulty(Fault::Refused)),
        ("lame.test", Zone::unsigned().fault(Fault::Lame)),
        ("lame-signed.test", faulty(Fault::Lame)),
        ("dead.test", faulty(Fault::Timeout)),
        (
            "dead-keys.test",
            Zone::secure().fault_for(RecordType::DNSKEY, Fault::Timeout),
        ),
        (
            "no-keys.test",
            Zone::secure().fault_for(RecordType::DNSKEY, Fault::ServFail),
        ),
        (
            "no-tlsa.test",
            Zone::secure().fault_for(RecordType::TLSA, Fault::ServFail),
        ),
        (
            "no-ds.test",
            Zone::secure().fault_for(RecordType::DS, Fault::ServFail),
        ),
        ("child.no-ds.test", Zone::unsigned()),
        ("torn.test", Zone::secure().altered_only([RecordType::TLSA])),
        (
            "torn-nsec.test",
            Zone::secure().altered_only([RecordType::NSEC]),
        ),
        ("plain.torn-nsec.test", Zone::unsigned()),
        ("signed.torn-nsec.test", Zone::secure()),
    ] {
        dns.zone(apex, zone).a(&format!("mx.{apex}"), "127.0.0.1");
        dns.tlsa_raw(&format!("mx.{apex}"), 25, &[3, 1, 1, 0xff]);
    }
    dns.cname("loop.ec.test", "pool.ec.test")
        .cname("pool.ec.test", "loop.ec.test")
        .cname("far.ec.test", "to-plain.rsa.test")
        .cname("round.plain.test", "mx.ec.test")
        .tlsa_raw("short.ec.test", 25, &[3, 1])
        .mx("Mixed.Case.ec.test", 10, "MX.EC.Test");
}

pub(super) fn questions() -> Vec<Question> {
    [answered(), keys(), faults()]
        .into_iter()
        .flatten()
        .collect()
}

type Row = (&'static str, RecordType, Found, Verdict);

fn table(rows: &[Row]) -> Vec<Question> {
    let question = |(name, record_type, found, verdict): &Row| Question {
        name: (*name).to_owned(),
        record_type: *record_type,
        verdict: *verdict,
        found: *found,
    };
    rows.iter().map(question).collect()
}

fn answered() -> Vec<Question> {
    use Found::{NoName, NoType, Records};
    use RecordType::{A, MX, TLSA};
    use Verdict::{Bogus, Insecure, Secure};
    table(&[
        ("_25._tcp.mx.big.test", TLSA, Records, Secure),
        ("_25._tcp.short.ec.test", TLSA, Records, Secure),
        ("mixed.case.ec.test", MX, Records, Secure),
        ("far.ec.test", A, Records, Insecure),
        ("round.plain.test", A, Records, Insecure),
        ("no-such-domain.test", MX, NoName, Secure),
        ("_25._tcp.mx.no-such-domain.test", TLSA, NoName, Secure),
        ("no-such-top-level", A, NoName, Secure),
        ("er.sub.ec.test", A, NoType, Secure), // an empty name above a zone
        ("away.optout.test", A, NoType, Insecure), // there only because of an unsigned zone
        ("mx.torn.test", A, Records, Secure),
        ("_25._tcp.mx.torn.test", TLSA, Records, Bogus),
        ("_25._tcp.no.torn.test", TLSA, NoName, Secure),
        ("mx.torn-nsec.test", A, Records, Secure),
        ("mx.torn-nsec.test", TLSA, NoType, Bogus),
        ("no.torn-nsec.test", A, NoName, Bogus),
        ("mx.plain.torn-nsec.test", A, Records, Bogus),
        ("mx.signed.torn-nsec.test", A, Records, Secure),
    ])
}

fn keys() -> Vec<Question> {
    use Found::{NoName, NoType, Records};
    use RecordType::{DNSKEY, DS, NS, NSEC, NSEC3PARAM, SOA};
    use Verdict::{Bogus, Insecure, Secure};
    table(&[
        ("", DNSKEY, Records, Secure),
        ("", SOA, Records, Secure),
        ("", NS, Records, Secure),
        ("", DS, NoType, Secure),
        ("test", DNSKEY, Records, Secure),
        ("test", DS, Records, Secure),
        ("ec.test", DNSKEY, Records, Secure),
        ("ec.test", DS, Records, Secure),
        ("ec.test", NSEC, Records, Secure),
        ("rolling.test", DNSKEY, Records, Secure),
        ("rolling.test", DS, Records, Secure),
        ("rsa.test", NSEC3PARAM, Records, Secure),
        ("plain.test", DS, NoType, Secure),
        ("plain.test", DNSKEY, NoType, Insecure),
        ("signed.plain.test", DS, Records, Insecure),
        ("nods.test", DS, NoType, Secure),
        ("nods.test", DNSKEY, Records, Insecure),
        ("unsigned.ec.test", DS, NoType, Secure),
        ("unsigned.rsa.test", DS, NoType, Secure),
        ("sub.ec.test", DS, Records, Secure),
        ("child.optout.test", DS, NoType, Insecure),
        ("far.away.optout.test", DS, NoType, Insecure),
        ("signed.optout.test", DS, Records, Secure),
        ("child.iter.test", DS, NoType, Insecure),
        ("no-such-domain.test", DS, NoName, Secure),
        ("altered.test", DS, Records, Secure),
        ("altered.test", DNSKEY, Records, Secure),
        ("expired.test", DNSKEY, Records, Bogus),
        ("bad-ds.test", DNSKEY, Records, Bogus),
        ("bad-ds.test", DS, Records, Secure),
        ("below.expired.test", DS, Records, Bogus),
    ])
}

fn faults() -> Vec<Question> {
    use Found::{NoType, Nothing, Records};
    use RecordType::{A, DS, TLSA};
    use Verdict::{Bogus, Insecure, Secure, ServFail};
    table(&[
        ("mx.servfail.test", A, Nothing, ServFail),
        ("servfail.test", DS, Records, Secure),
        ("mx.refused.test", A, Nothing, ServFail),
        ("mx.lame.test", A, NoType, Insecure),
        ("mx.lame-signed.test", A, Nothing, Bogus),
        ("mx.no-keys.test", A, Nothing, Bogus),
        ("mx.no-tlsa.test", A, Records, Secure),
        ("_25._tcp.mx.no-tlsa.test", TLSA, Nothing, ServFail),
        ("child.no-ds.test", DS, Nothing, ServFail),
        ("mx.child.no-ds.test", A, Nothing, Bogus),
        ("mx.no-ds.test", A, Records, Secure),
    ])
}
