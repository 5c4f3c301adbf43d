//! Why something is not proven.

/// The reasons, for people; where several apply, the later one tells more.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, thiserror::Error)]
pub(in crate::dns) enum Flaw {
    #[error("no signature")]
    NoSignature,
    #[error("signed by another zone")]
    WrongSigner,
    #[error("a signature that is malformed")]
    MalformedSignature,
    #[error("no signature of an algorithm that is understood")]
    UnknownAlgorithm,
    #[error("no key for the signature")]
    NoKey,
    #[error("a signature that is not valid yet")]
    NotYetValid,
    #[error("a signature that has expired")]
    Expired,
    #[error("a signature that does not verify")]
    BadSignature,
    #[error("no proof of absence")]
    NoDenial,
    #[error("no proof that no closer name matches a wildcard")]
    WildcardUnproven,
    #[error("a proof of absence from the wrong side of a zone cut")]
    WrongSide,
    #[error("a proof of absence that lists what it should deny")]
    Listed,
    #[error("no proof that the delegation is unsigned")]
    DelegationUnproven,
    #[error("no DNSKEY record matches the DS records")]
    NoTrustedKey,
    #[error("no DNSKEY record matches the trust anchor")]
    NotTheAnchor,
    #[error("no DNSKEY records")]
    NoDnskey,
    #[error("a CNAME record that does not follow from its DNAME record")]
    WrongSynthesis,
    #[error("too many signatures, keys or hashes")]
    TooMuchWork,
}
