//! A forwarder that lies: whatever it does, a TLSA record that is published is never taken for absent or
//! insecure, nor another for it.

use super::lies::{LIES, unsigned};
use super::testing::{a, cname, domain, name};
use super::validated::ask;
use super::world::{DIGEST, Signer, Window, World};
use super::{Dns, DnsSettings};
use crate::names::TlsaBaseDomain;
use hickory_resolver::proto::rr::RecordType;
use std::sync::Arc;
use std::time::Duration;

/// Zones whose TLSA records are attacked: NSEC, NSEC3, opt-out, and below opt-out.
const VICTIMS: [&str; 4] = ["ec.test.", "n3.test.", "opt.test.", "sec.opt.test."];

#[tokio::test]
async fn no_lie_takes_a_published_record_away() {
    let mut wrong = Vec::new();
    for victim in VICTIMS {
        for (what, lie) in LIES {
            let lie = *lie;
            let served = World::new()
                .serve(move |world, question, said| lie(world, victim, question, said))
                .await;
            let host = victim.trim_end_matches('.');
            let said = ask(&served.dns(), &format!("TLSA mx.{host}")).await;
            let harmless = *what == "opt-out of another zone" && victim == "opt.test.";
            if !said.starts_with("bogus") && !harmless {
                wrong.push(format!("{what}, {victim}: {said}"));
            }
        }
    }
    assert!(wrong.is_empty(), "\n{}", wrong.join("\n"));
}

/// An address that exists must not be replaced by what a wildcard beside it gives.
#[tokio::test]
async fn a_wildcard_does_not_stand_in_for_what_exists() {
    for zone in VICTIMS {
        for proof in ["none.wild.@", "x.none.@", "mx.@"] {
            let served = World::new()
                .serve(move |world, question, said| {
                    if question != format!("A real.wild.{zone}") {
                        return;
                    }
                    let owner = name(&format!("real.wild.{zone}"));
                    let wildcard = name(&format!("*.wild.{zone}"));
                    said.answers = world.zone(zone).answer(&wildcard, RecordType::A, &owner);
                    let other = world.answer(&proof.replace('@', zone), RecordType::TXT);
                    said.authorities = other.authorities;
                })
                .await;
            let question = format!("A real.wild.{}", zone.trim_end_matches('.'));
            let said = ask(&served.dns(), &question).await;
            let expected = "no proof that no closer name matches a wildcard";
            assert!(said.ends_with(expected), "{zone} {proof}: {said}");
        }
    }
}

/// Nor is it enough that the zone might hide an unsigned delegation (RFC 5155 §6).
#[tokio::test]
async fn a_wildcard_without_its_proof_is_bogus_under_opt_out_too() {
    let served = World::new()
        .serve(|_, question, said| {
            if question == "A x.wild.opt.test." {
                said.authorities.clear();
            }
        })
        .await;
    let said = ask(&served.dns(), "A x.wild.opt.test").await;
    let expected = "no proof that no closer name matches a wildcard";
    assert!(said.ends_with(expected), "{said}");
}

#[tokio::test]
async fn an_alias_that_does_not_follow_from_its_dname_is_bogus() {
    for zone in ["ec.test", "n3.test"] {
        let served = World::new()
            .serve(|_, question, said| {
                if question.starts_with("A mx.dn.") {
                    let owner = question.trim_start_matches("A ");
                    said.answers
                        .retain(|r| r.record_type() != RecordType::CNAME);
                    said.answers.push(cname(owner, "mx.plain.test.", 60));
                }
            })
            .await;
        let said = ask(&served.dns(), &format!("A mx.dn.{zone}")).await;
        let expected = "a CNAME record that does not follow from its DNAME record";
        assert!(said.ends_with(expected), "{zone}: {said}");
    }
}

/// Records that do not belong there change nothing.
#[tokio::test]
async fn additions_that_are_not_asked_for_are_passed_over() {
    let served = World::new()
        .serve(|world, question, said| {
            if question != "TLSA _25._tcp.mx.ec.test." {
                return;
            }
            let junk = Signer::new(&name("ec.test."), Window::NOW);
            let set = unsigned(said.answers.clone());
            said.answers.insert(0, junk.sign(&set, &set[0].name));
            said.answers.push(a("evil.test.", "203.0.113.66", 60));
            said.authorities = world.zone("sib.test.").deny(&name("x.sib.test."));
        })
        .await;
    let said = ask(&served.dns(), "TLSA mx.ec.test").await;
    assert_eq!(said, "1 secure _25._tcp.mx.ec.test");
}

/// Octets that are changed at random in the answer, in the DS set or in the keys: what is said is still
/// true, or nothing is.
#[tokio::test]
async fn no_damage_makes_another_answer() {
    let rounds: Vec<u64> = (0..240).collect();
    for some in rounds.chunks(40) {
        futures_util::future::join_all(some.iter().map(|round| damaged(*round))).await;
    }
}

async fn damaged(round: u64) {
    let mut random = fastrand::Rng::with_seed(round);
    let victim = VICTIMS[round as usize % VICTIMS.len()];
    let questions = [
        format!("TLSA _25._tcp.mx.{victim}"),
        format!("DS {victim}"),
        format!("DNSKEY {victim}"),
    ];
    let question = random.choice(&questions).unwrap().clone();
    let change = || (random.usize(..), random.u8(..));
    let changes: Vec<(usize, u8)> = std::iter::repeat_with(change)
        .take(1 + round as usize % 3)
        .collect();
    let damage = move |asked: &str, octets: &mut Vec<u8>| {
        for (at, value) in changes.iter().filter(|_| asked == question) {
            // Another identifier would only make it a stranger's.
            let at = 2 + at % (octets.len() - 2);
            octets[at] = *value;
        }
    };
    let served = World::new().serve_octets(|_, _, _| {}, damage).await;
    let settings = DnsSettings {
        timeout: Duration::from_secs(1),
        ..served.settings()
    };
    let dns = Dns::new(&settings, Arc::new(|_, _| {})).unwrap();
    let host = victim.trim_end_matches('.');
    let base = TlsaBaseDomain(domain(&format!("mx.{host}")));
    let Ok(answer) = dns.tlsa(&base, 25).await else {
        return;
    };
    let said = ask(&dns, &format!("TLSA mx.{host}")).await;
    let truth = "1 secure _25._tcp.mx.";
    assert!(said.starts_with(truth), "round {round}: {said}");
    assert_eq!(answer.records[0].0[3..], DIGEST, "round {round}");
}
