//! The zones, and what a validator says of their records.

use hickory_proto::rr::RecordType;

use crate::dnssec::{Algorithm, Digest, Ds, Verdict, Zone};

/// One zone.
pub(super) struct Line {
    pub(super) apex: &'static str,
    pub(super) zone: Zone,
    /// Of records that are there.
    pub(super) verdict: Verdict,
    pub(super) proofs: Proofs,
    pub(super) scrutiny: Scrutiny,
}

/// What the zone's proofs of absence are worth.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Proofs {
    Good,
    /// Below the closest encloser there may be insecure delegations (RFC 5155 §9.2).
    OptOut,
    /// Hashed too often (RFC 9276 §3.2).
    Costly,
}

/// How many questions a zone is worth.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Scrutiny {
    Every,
    Some,
}

pub(super) fn zones() -> Vec<Line> {
    [sound(), insecure(), bogus()]
        .into_iter()
        .flatten()
        .collect()
}

fn line(apex: &'static str, verdict: Verdict, zone: Zone) -> Line {
    Line {
        apex,
        zone,
        verdict,
        proofs: Proofs::Good,
        scrutiny: Scrutiny::Some,
    }
}

fn every(line: Line) -> Line {
    Line {
        scrutiny: Scrutiny::Every,
        ..line
    }
}

fn with(proofs: Proofs, line: Line) -> Line {
    Line { proofs, ..line }
}

fn sound() -> Vec<Line> {
    use Algorithm::{EcdsaP256, EcdsaP384, Ed25519, RsaSha1Nsec3, RsaSha256, RsaSha512, Unknown};
    let secure = |apex, zone| line(apex, Verdict::Secure, zone);
    let signed = Zone::signed;
    let right = Ds::Right;
    vec![
        every(secure("ec.test", signed(EcdsaP256))),
        every(secure(
            "rsa.test",
            signed(RsaSha256).split().nsec3(5, b"salt"),
        )),
        every(with(
            Proofs::OptOut,
            secure("optout.test", signed(EcdsaP256).nsec3(0, b"").opt_out()),
        )),
        with(
            Proofs::Costly,
            secure("iter.test", signed(EcdsaP256).nsec3(200, b"\xaa\xbb")),
        ),
        secure("ed.test", signed(Ed25519)),
        secure("p384.test", signed(EcdsaP384).nsec3(0, b"")),
        secure("sha1.test", signed(RsaSha1Nsec3).nsec3(1, b"\x01")),
        secure("rsa512.test", signed(RsaSha512)),
        secure("split.test", signed(EcdsaP256).split()),
        secure("rolling.test", signed(EcdsaP256).split().rolling()),
        secure("two.test", signed(EcdsaP256).also(Ed25519)),
        secure("partly-known.test", signed(EcdsaP256).also(Unknown(200))),
        secure("sha1-ds.test", Zone::secure().ds([right(Digest::Sha1)])),
        secure("sha384-ds.test", Zone::secure().ds([right(Digest::Sha384)])),
        secure(
            "stale-ds.test",
            Zone::secure().ds([Ds::OfAnotherKey(Digest::Sha256), right(Digest::Sha256)]),
        ),
        secure(
            "odd-ds.test",
            Zone::secure().ds([right(Digest::Unknown(77)), right(Digest::Sha256)]),
        ),
        secure("sub.ec.test", Zone::secure()),
        secure("sub.rsa.test", Zone::secure()),
        secure("sub.optout.test", Zone::secure().nsec3(0, b"")),
        secure("deep.er.sub.ec.test", Zone::signed(Ed25519).nsec3(2, b"x")),
        secure("signed.optout.test", Zone::secure()),
    ]
}

fn insecure() -> Vec<Line> {
    let insecure = |apex, zone| line(apex, Verdict::Insecure, zone);
    let unknown = Zone::signed(Algorithm::Unknown(200));
    vec![
        every(insecure("plain.test", Zone::unsigned())),
        insecure("unsigned.ec.test", Zone::unsigned()),
        insecure("unsigned.rsa.test", Zone::unsigned()),
        insecure("unsigned.optout.test", Zone::unsigned()),
        insecure("child.optout.test", Zone::unsigned()),
        insecure("grand.child.optout.test", Zone::secure()),
        insecure("far.away.optout.test", Zone::unsigned()),
        insecure("child.iter.test", Zone::unsigned()),
        insecure("nods.test", Zone::secure().no_ds()),
        insecure("below.nods.test", Zone::secure()),
        insecure("signed.plain.test", Zone::secure()),
        insecure("unknown-algorithm.test", unknown),
        insecure("unknown-digest.test", Zone::secure().unknown_digest()),
        // Nobody looks at the signatures of a zone that is not secure anyway.
        insecure("expired.plain.test", Zone::secure().expired()),
        insecure("altered.nods.test", Zone::secure().altered()),
    ]
}

fn bogus() -> Vec<Line> {
    let bogus = |apex, zone| line(apex, Verdict::Bogus, zone);
    let rsa = Zone::signed(Algorithm::RsaSha256).nsec3(1, b"s");
    vec![
        bogus("altered.test", Zone::secure().altered()),
        bogus("altered-rsa.test", rsa.altered()),
        bogus(
            "altered-ed.test",
            Zone::signed(Algorithm::Ed25519).altered(),
        ),
        bogus(
            "altered-keys.test",
            Zone::secure().altered_only([RecordType::DNSKEY]),
        ),
        bogus("expired.test", Zone::secure().expired()),
        bogus("future.test", Zone::secure().not_yet_valid()),
        bogus("bad-ds.test", Zone::secure().wrong_ds()),
        bogus(
            "bad-digest.test",
            Zone::secure().ds([Ds::WrongDigest(Digest::Sha256)]),
        ),
        // SHA-1 does not count where there is another (RFC 4509 §3).
        bogus(
            "weak-ds.test",
            Zone::secure().ds([Ds::Right(Digest::Sha1), Ds::OfAnotherKey(Digest::Sha256)]),
        ),
        bogus("stripped.test", Zone::stripped()),
        bogus("below.expired.test", Zone::secure()),
        bogus("plain.expired.test", Zone::unsigned()),
        bogus("expired.ec.test", Zone::secure().expired()),
    ]
}
