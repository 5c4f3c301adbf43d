//! What an MX host presents.

use crate::ca::{Cert, Intermediate, Root};

/// The kinds of chains that decide something under DANE.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Certificate {
    /// Nothing to complain of; the root is sent.
    Good,
    /// Good, and the root is not sent.
    RootOmitted,
    /// By an intermediate, all of it sent.
    ByIntermediate,
    /// By an intermediate; the root is not sent.
    ByIntermediateRootOmitted,
    /// By an intermediate that is not sent; the root is.
    IntermediateOmitted,
    /// Good, beside a hundred certificates of no use.
    Padded,
    /// Until 2021.
    Expired,
    /// From 2100.
    NotYetValid,
    /// For another name.
    WrongName,
    /// `*.` and the rest of the name.
    Wildcard,
    /// For clients only.
    ClientOnly,
    /// No subjectAltName; the name is in the CN.
    CommonName,
    /// The same with a wildcard.
    CommonNameWildcard,
    /// The CN is right, but the subjectAltName has another name.
    CommonNameBesideSan,
    /// CA:TRUE, by the root.
    Authority,
    /// X.509 version 1, by the root.
    Version1,
    /// By its own key.
    SelfSigned,
    /// By its own key, CA:TRUE: what `openssl req -x509` makes.
    SelfSignedAuthority,
    /// By its own key, until 2021, for another name.
    SelfSignedExpiredWrongName,
    /// By its own key, X.509 version 1, the name in the CN.
    SelfSignedVersion1,
}

/// Who signed a leaf, from the bottom up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Signers {
    Itself,
    Root,
    IntermediateAndRoot,
}

/// Whether something is as it should be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum State {
    Good,
    Bad,
}

/// What RFC 5280 and RFC 7672 ask of a leaf that is not vouched for by itself.
#[derive(Clone, Copy, Debug)]
pub(super) struct Facts {
    pub(super) signers: Signers,
    pub(super) intermediate: Intermediate,
    pub(super) root: Root,
    pub(super) dates: State,
    pub(super) name: State,
    pub(super) purpose: State,
}

impl Certificate {
    /// All kinds.
    pub const ALL: [Self; 20] = [
        Self::Good,
        Self::RootOmitted,
        Self::ByIntermediate,
        Self::ByIntermediateRootOmitted,
        Self::IntermediateOmitted,
        Self::Padded,
        Self::Expired,
        Self::NotYetValid,
        Self::WrongName,
        Self::Wildcard,
        Self::ClientOnly,
        Self::CommonName,
        Self::CommonNameWildcard,
        Self::CommonNameBesideSan,
        Self::Authority,
        Self::Version1,
        Self::SelfSigned,
        Self::SelfSignedAuthority,
        Self::SelfSignedExpiredWrongName,
        Self::SelfSignedVersion1,
    ];

    /// How to make one for a host of at least three labels.
    pub fn describe(self, host: &str) -> Cert {
        let wildcard = host.split_once('.').map_or("*", |(_, rest)| rest);
        let wildcard = format!("*.{wildcard}");
        let good = Cert::new([host]);
        let wrong = Cert::new(["wrong.example"]);
        match self {
            Self::Good => good.with_root(),
            Self::RootOmitted => good,
            Self::ByIntermediate => good.with_intermediate(Intermediate::Sent).with_root(),
            Self::ByIntermediateRootOmitted => good.with_intermediate(Intermediate::Sent),
            Self::IntermediateOmitted => good.with_intermediate(Intermediate::Omitted).with_root(),
            Self::Padded => good.with_root().padded(100),
            Self::Expired => good.with_root().expired(),
            Self::NotYetValid => good.with_root().not_yet_valid(),
            Self::WrongName => wrong.with_root(),
            Self::Wildcard => Cert::new([wildcard]).with_root(),
            Self::ClientOnly => good.with_root().client_only(),
            Self::CommonName => good.with_root().cn_only(),
            Self::CommonNameWildcard => Cert::new([wildcard]).with_root().cn_only(),
            Self::CommonNameBesideSan => wrong.with_root().common_name(host),
            Self::Authority => good.with_root().authority(),
            Self::Version1 => good.with_root().issued_version_1(),
            Self::SelfSigned => good.self_signed(),
            Self::SelfSignedAuthority => good.self_signed_ca(),
            Self::SelfSignedExpiredWrongName => wrong.self_signed_ca().expired(),
            Self::SelfSignedVersion1 => good.version_1(),
        }
    }

    /// The same as [`Certificate::describe`], for the oracle.
    pub(super) fn facts(self) -> Facts {
        let good = Facts {
            signers: Signers::Root,
            intermediate: Intermediate::Omitted,
            root: Root::Sent,
            dates: State::Good,
            name: State::Good,
            purpose: State::Good,
        };
        let alone = Facts {
            signers: Signers::Itself,
            root: Root::Omitted,
            ..good
        };
        let by_intermediate = Facts {
            signers: Signers::IntermediateAndRoot,
            intermediate: Intermediate::Sent,
            ..good
        };
        match self {
            // RFC 7672 §3.2.3: a wildcard is one label, and without a DNS-ID the CN counts. RFC 5280 §6.1: at the end of
            // a path version and CA flag are free.
            Self::Good
            | Self::Padded
            | Self::Wildcard
            | Self::CommonName
            | Self::CommonNameWildcard
            | Self::Authority
            | Self::Version1 => good,
            Self::RootOmitted => Facts {
                root: Root::Omitted,
                ..good
            },
            Self::ByIntermediate => by_intermediate,
            Self::ByIntermediateRootOmitted => Facts {
                root: Root::Omitted,
                ..by_intermediate
            },
            Self::IntermediateOmitted => Facts {
                intermediate: Intermediate::Omitted,
                ..by_intermediate
            },
            Self::Expired | Self::NotYetValid => Facts {
                dates: State::Bad,
                ..good
            },
            Self::WrongName | Self::CommonNameBesideSan => Facts {
                name: State::Bad,
                ..good
            },
            Self::ClientOnly => Facts {
                purpose: State::Bad,
                ..good
            },
            Self::SelfSigned | Self::SelfSignedAuthority | Self::SelfSignedVersion1 => alone,
            Self::SelfSignedExpiredWrongName => Facts {
                dates: State::Bad,
                name: State::Bad,
                ..alone
            },
        }
    }
}
