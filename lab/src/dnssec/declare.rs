//! What a zone is like: a good one, and one change per scenario.

use hickory_proto::rr::RecordType;

use super::key::{Algorithm, Digest, Role};
use crate::fault::Fault;

/// A description of a zone; [`Zone::secure`] is a good one, each method makes one change.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Zone {
    pub(crate) keys: Vec<KeySpec>,
    pub(crate) denial: Denial,
    pub(crate) ds: Vec<Ds>,
    pub(crate) period: Period,
    pub(crate) altered: Altered,
    pub(crate) faults: Vec<(Option<RecordType>, Fault)>,
}

/// A key of a zone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct KeySpec {
    pub(crate) algorithm: Algorithm,
    pub(crate) role: Role,
    pub(crate) duty: Duty,
}

/// Whether a key is in use, in the order of a key's life.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Duty {
    /// Only the parent knows it: it has a DS record, but no DNSKEY record.
    Announced,
    /// It has its records, and signs nothing.
    Published,
    /// It signs.
    Signing,
}

/// How a zone says that something does not exist.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Denial {
    Nsec,
    Nsec3 {
        iterations: u16,
        salt: Vec<u8>,
        opt_out: OptOut,
    },
}

/// Whether insecure delegations may lack an NSEC3 record (RFC 5155 §6).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum OptOut {
    Set,
    Clear,
}

/// A DS record in the parent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ds {
    /// The zone's keys, as it should be: a record for each key-signing key.
    Right(Digest),
    /// A key that is not in the zone.
    OfAnotherKey(Digest),
    /// The tag of the zone's key, but a digest that is not its own.
    WrongDigest(Digest),
}

impl Ds {
    pub(crate) fn digest(self) -> Digest {
        match self {
            Self::Right(digest) | Self::OfAnotherKey(digest) | Self::WrongDigest(digest) => digest,
        }
    }
}

/// When signatures are valid.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Period {
    /// From 2020 to 2080.
    Now,
    /// From 2020 to 2021.
    Past,
    /// From 2040 to 2080.
    Future,
}

impl Period {
    /// Inception and expiration in seconds since 1970.
    pub(crate) fn seconds(self) -> (u32, u32) {
        const Y2020: u32 = 1_577_836_800;
        const Y2021: u32 = 1_609_459_200;
        const Y2040: u32 = 2_208_988_800;
        const Y2080: u32 = 3_471_292_800;
        match self {
            Self::Now => (Y2020, Y2080),
            Self::Past => (Y2020, Y2021),
            Self::Future => (Y2040, Y2080),
        }
    }
}

/// Whose signatures do not match, because the data was changed after it had been signed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Altered {
    Nothing,
    AllButKeys,
    Only(Vec<RecordType>),
}

impl Zone {
    /// Algorithm 13, one key, NSEC, a DS record in the parent.
    pub fn secure() -> Self {
        Self::signed(Algorithm::EcdsaP256)
    }

    /// The same with another algorithm.
    pub fn signed(algorithm: Algorithm) -> Self {
        Self {
            keys: vec![KeySpec {
                algorithm,
                role: Role::Combined,
                duty: Duty::Signing,
            }],
            denial: Denial::Nsec,
            ds: vec![Ds::Right(Digest::Sha256)],
            period: Period::Now,
            altered: Altered::Nothing,
            faults: Vec::new(),
        }
    }

    /// No keys, no signatures, no DS.
    pub fn unsigned() -> Self {
        Self {
            keys: Vec::new(),
            ds: Vec::new(),
            ..Self::secure()
        }
    }

    /// The parent says that it is signed, and it is not.
    pub fn stripped() -> Self {
        Self {
            keys: Vec::new(),
            ..Self::secure()
        }
        .ds([Ds::OfAnotherKey(Digest::Sha256)])
    }

    /// Signed with this algorithm as well (RFC 6840 §5.11).
    pub fn also(self, algorithm: Algorithm) -> Self {
        self.key(algorithm, Role::Combined, Duty::Signing)
    }

    /// Every key becomes two: one signs the keys, the other the rest.
    pub fn split(mut self) -> Self {
        self.keys = self
            .keys
            .into_iter()
            .flat_map(|key| {
                [Role::KeySigning, Role::ZoneSigning].map(|role| KeySpec { role, ..key })
            })
            .collect();
        self
    }

    /// In the middle of a roll of keys (RFC 7583): a second key-signing key that has a DS record and signs nothing
    /// yet, a third one that is only in the parent, and a second zone-signing key that signs nothing yet.
    pub fn rolling(self) -> Self {
        let algorithm = self
            .keys
            .first()
            .map_or(Algorithm::EcdsaP256, |key| key.algorithm);
        self.key(algorithm, Role::KeySigning, Duty::Published)
            .key(algorithm, Role::KeySigning, Duty::Announced)
            .key(algorithm, Role::ZoneSigning, Duty::Published)
    }

    fn key(mut self, algorithm: Algorithm, role: Role, duty: Duty) -> Self {
        self.keys.push(KeySpec {
            algorithm,
            role,
            duty,
        });
        self
    }

    /// Denies with NSEC3 (RFC 5155).
    pub fn nsec3(self, iterations: u16, salt: &[u8]) -> Self {
        let denial = Denial::Nsec3 {
            iterations,
            salt: salt.to_vec(),
            opt_out: OptOut::Clear,
        };
        Self { denial, ..self }
    }

    /// Has no NSEC3 records for insecure delegations; after [`Zone::nsec3`].
    pub fn opt_out(mut self) -> Self {
        if let Denial::Nsec3 { opt_out, .. } = &mut self.denial {
            *opt_out = OptOut::Set;
        }
        self
    }

    /// These DS records in the parent and no others.
    pub fn ds(self, records: impl IntoIterator<Item = Ds>) -> Self {
        let ds = records.into_iter().collect();
        Self { ds, ..self }
    }

    /// Signed, and the parent says nothing about it.
    pub fn no_ds(self) -> Self {
        self.ds([])
    }

    /// The parent names a key that the zone does not have.
    pub fn wrong_ds(self) -> Self {
        self.ds([Ds::OfAnotherKey(Digest::Sha256)])
    }

    /// The parent names the key by a digest that nobody knows.
    pub fn unknown_digest(self) -> Self {
        self.ds([Ds::Right(Digest::Unknown(200))])
    }

    /// The signatures ended in 2021.
    pub fn expired(self) -> Self {
        let period = Period::Past;
        Self { period, ..self }
    }

    /// The signatures begin in 2040.
    pub fn not_yet_valid(self) -> Self {
        let period = Period::Future;
        Self { period, ..self }
    }

    /// All data but the keys was changed after it had been signed.
    pub fn altered(self) -> Self {
        let altered = Altered::AllButKeys;
        Self { altered, ..self }
    }

    /// The same for records of these types only.
    pub fn altered_only(self, types: impl IntoIterator<Item = RecordType>) -> Self {
        let altered = Altered::Only(types.into_iter().collect());
        Self { altered, ..self }
    }

    /// Its servers do this to every question.
    pub fn fault(mut self, fault: Fault) -> Self {
        self.faults.push((None, fault));
        self
    }

    /// Its servers do this to questions for one type. DS records of a zone are asked of its parent.
    pub fn fault_for(mut self, record_type: RecordType, fault: Fault) -> Self {
        self.faults.insert(0, (Some(record_type), fault));
        self
    }

    pub(crate) fn is_altered(&self, record_type: RecordType) -> bool {
        match &self.altered {
            Altered::Nothing => false,
            Altered::AllButKeys => record_type != RecordType::DNSKEY,
            Altered::Only(types) => types.contains(&record_type),
        }
    }

    pub(crate) fn fault_of(&self, record_type: RecordType) -> Option<&Fault> {
        let mut faults = self.faults.iter();
        let found = faults.find(|(only, _)| only.is_none_or(|only| only == record_type));
        found.map(|(_, fault)| fault)
    }
}
