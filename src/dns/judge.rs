//! What a reply is worth: each record of it traced to the trust anchor, or to a delegation that is
//! proven to be unsigned (RFC 4035 §5). A chain of aliases is worth what its worst link is.

use super::hop::{Link, Synthesis};
use super::interpret::{Reading, Step};
use super::trust::{Standing, Trust, Work, bogus, now};
use super::validate::{Absence, Denials, Flaw, Origin, RrSet, Verified, ZoneKeys, verify};
use super::wire::Reply;
use super::{Existence, LookupFailure, Proof};
use hickory_resolver::proto::rr::{Name, RecordType};
use std::sync::Arc;

/// What a reply says, and what that is worth.
pub(super) struct Judged {
    pub step: Step,
    pub proof: Proof,
    /// See [`super::Answer::first_alias`].
    pub first_alias: Option<Proof>,
}

/// What a part of a reply is worth, and for how many seconds.
#[derive(Debug, Clone, Copy)]
struct Worth {
    proof: Proof,
    ttl: u32,
}

impl Worth {
    /// Proven to be unsigned: the records' own TTLs count.
    const INSECURE: Self = Self {
        proof: Proof::Insecure,
        ttl: u32::MAX,
    };
    /// The beginning of a chain.
    const SECURE: Self = Self {
        proof: Proof::Secure,
        ttl: u32::MAX,
    };

    fn and(self, other: Self) -> Self {
        let proof = match (self.proof, other.proof) {
            (Proof::Secure, Proof::Secure) => Proof::Secure,
            (Proof::Insecure, _) | (_, Proof::Insecure) => Proof::Insecure,
        };
        let ttl = self.ttl.min(other.ttl);
        Self { proof, ttl }
    }
}

/// Who claims to have signed something.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Claim {
    Nobody,
    /// A zone whose keys are known: what it has not signed well is bogus, even if there might be an unsigned
    /// delegation further down.
    SecureZone,
}

impl Trust {
    /// Judges the reply to a question for `wanted`.
    pub(super) async fn judge(
        self: &Arc<Self>,
        reply: &Reply,
        wanted: RecordType,
        reading: Reading,
        work: &mut Work,
    ) -> Result<Judged, LookupFailure> {
        let Reading {
            links,
            mut chain,
            step,
        } = reading;
        let (mut worth, first_alias) = self.links(reply, &links, work).await?;
        chain.ttl = chain.ttl.min(worth.ttl);
        let mut found = match step {
            Step::Done(found) => found,
            Step::Follow(target, _) => {
                let step = Step::Follow(target, chain);
                let proof = worth.proof;
                return Ok(Judged {
                    step,
                    proof,
                    first_alias,
                });
            }
        };
        let own = if found.existence == Existence::Present {
            // An alias made of a DNAME record has been judged by it.
            let made = wanted == RecordType::CNAME && !links.is_empty();
            match made {
                true => Worth::SECURE,
                false => self.records(reply, &found.owner, wanted, work).await?,
            }
        } else {
            let claimed = found.existence;
            match self
                .absence(reply, &found.owner, (wanted, claimed), work)
                .await
            {
                Ok((existence, own)) => {
                    found.existence = existence;
                    own
                }
                // The server followed the aliases, but did not bring the proof of their end.
                Err(LookupFailure::Bogus(_)) if !links.is_empty() => {
                    let step = Step::Follow(found.owner, chain);
                    let proof = worth.proof;
                    return Ok(Judged {
                        step,
                        proof,
                        first_alias,
                    });
                }
                Err(failure) => return Err(failure),
            }
        };
        worth = worth.and(own);
        found.ttl = found.ttl.map(|ttl| ttl.min(worth.ttl));
        Ok(Judged {
            step: Step::Done(found),
            proof: worth.proof,
            first_alias,
        })
    }

    /// What a chain of aliases is worth, and its first link by itself.
    async fn links(
        self: &Arc<Self>,
        reply: &Reply,
        links: &[Link],
        work: &mut Work,
    ) -> Result<(Worth, Option<Proof>), LookupFailure> {
        let mut worth = Worth::SECURE;
        let mut first = None;
        for link in links {
            let own = self.link(reply, link, work).await?;
            first = first.or(Some(own.proof));
            worth = worth.and(own);
        }
        Ok((worth, first))
    }

    async fn link(
        self: &Arc<Self>,
        reply: &Reply,
        link: &Link,
        work: &mut Work,
    ) -> Result<Worth, LookupFailure> {
        match link {
            Link::Alias(owner) => self.records(reply, owner, RecordType::CNAME, work).await,
            // One above the anchor of a name has nothing to say of it.
            Link::Redirection { owner, from, .. } if self.is_above_anchor(owner, from) => {
                Err(bogus(owner, RecordType::DNAME, Flaw::WrongSigner))
            }
            Link::Redirection {
                owner,
                synthesis: Synthesis::Right,
                ..
            } => self.records(reply, owner, RecordType::DNAME, work).await,
            Link::Redirection {
                owner,
                synthesis: Synthesis::Wrong,
                ..
            } => Err(bogus(owner, RecordType::DNAME, Flaw::WrongSynthesis)),
        }
    }

    /// Judges a set in the answer.
    async fn records(
        self: &Arc<Self>,
        reply: &Reply,
        owner: &Name,
        record_type: RecordType,
        work: &mut Work,
    ) -> Result<Worth, LookupFailure> {
        let Some(set) = RrSet::find(&reply.answers, owner, record_type) else {
            return Err(bogus(owner, record_type, Flaw::NoSignature));
        };
        let mut worst = match set.signatures[..] {
            [] => Flaw::NoSignature,
            _ => Flaw::WrongSigner,
        };
        let mut claim = Claim::Nobody;
        for signer in set.signers() {
            if self.is_above_anchor(&signer, owner) {
                continue;
            }
            let ground = self.ground(&signer, work).await?;
            let keys = match &ground.standing {
                Standing::Insecure => return Ok(Worth::INSECURE),
                Standing::Secure(keys, _) if keys.zone == signer => keys,
                Standing::Secure(..) => continue,
            };
            claim = Claim::SecureZone;
            let checked = verify(&set, keys, now(), &mut work.budget)
                .and_then(|verified| unexpanded(reply, owner, keys, verified, work));
            match checked {
                Ok(worth) => return Ok(worth),
                Err(flaw) => worst = worst.max(flaw),
            }
        }
        match claim {
            Claim::SecureZone => Err(bogus(owner, record_type, worst)),
            Claim::Nobody => self.unsigned(owner, record_type, worst, work).await,
        }
    }

    /// Judges the claim that `owner` does not exist or has no such records.
    async fn absence(
        self: &Arc<Self>,
        reply: &Reply,
        owner: &Name,
        (wanted, claimed): (RecordType, Existence),
        work: &mut Work,
    ) -> Result<(Existence, Worth), LookupFailure> {
        let mut worst = Flaw::NoDenial;
        let mut claim = Claim::Nobody;
        for signer in Denials::signers(&reply.authorities, owner) {
            if self.is_above_anchor(&signer, owner) {
                continue;
            }
            let ground = self.ground(&signer, work).await?;
            let keys = match &ground.standing {
                Standing::Insecure => return Ok((claimed, Worth::INSECURE)),
                Standing::Secure(keys, _) if keys.zone == signer => keys,
                Standing::Secure(..) => continue,
            };
            claim = Claim::SecureZone;
            let budget = &mut work.budget;
            let shown =
                Denials::collect(&reply.authorities, keys, now(), budget).and_then(|denials| {
                    let absence = denials.absence(owner, wanted, claimed, budget)?;
                    Ok((absence, denials.ttl))
                });
            match shown {
                Ok((Absence { existence, proof }, ttl)) => {
                    return Ok((existence, Worth { proof, ttl }));
                }
                Err(flaw) => worst = worst.max(flaw),
            }
        }
        match claim {
            Claim::SecureZone => Err(bogus(owner, wanted, worst)),
            Claim::Nobody => {
                let worth = self.unsigned(owner, wanted, worst, work).await?;
                Ok((claimed, worth))
            }
        }
    }

    /// Whether a signer is above the anchor that speaks for `owner`: where the administrator has put an
    /// anchor, the zones above it have nothing to say (RFC 4035 §4.4).
    fn is_above_anchor(&self, signer: &Name, owner: &Name) -> bool {
        let anchor = self.anchors().above(owner);
        anchor.is_some_and(|anchor| !anchor.zone.zone_of(signer))
    }

    /// What is not proven may stand only where nothing is signed.
    async fn unsigned(
        self: &Arc<Self>,
        owner: &Name,
        record_type: RecordType,
        flaw: Flaw,
        work: &mut Work,
    ) -> Result<Worth, LookupFailure> {
        match self.ground(owner, work).await?.standing {
            Standing::Insecure => Ok(Worth::INSECURE),
            Standing::Secure(..) => Err(bogus(owner, record_type, flaw)),
        }
    }
}

/// A set that comes from a wildcard needs the proof that nothing closer matches (RFC 4035 §5.3.4).
fn unexpanded(
    reply: &Reply,
    owner: &Name,
    zone: &ZoneKeys,
    verified: Verified,
    work: &mut Work,
) -> Result<Worth, Flaw> {
    let Origin::Wildcard { encloser } = verified.origin else {
        return Ok(Worth {
            proof: Proof::Secure,
            ttl: verified.ttl,
        });
    };
    let budget = &mut work.budget;
    let denials = Denials::collect(&reply.authorities, zone, now(), budget)?;
    let proof = denials
        .no_closer_match(owner, encloser, budget)
        .map_err(|flaw| flaw.max(Flaw::WildcardUnproven))?;
    let ttl = verified.ttl.min(denials.ttl);
    Ok(Worth { proof, ttl })
}
