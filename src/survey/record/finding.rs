//! What does not fit together, or will not last.

use serde::{Deserialize, Serialize};

/// One finding.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Finding {
    pub severity: Severity,
    pub code: Code,
    /// The MX host that it is about, if it is about one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub host: Option<String>,
    /// A sentence for people.
    pub text: String,
}

/// How grave a finding is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Severity {
    /// Mail is lost, held back or readable.
    Error,
    /// It will be, or could be.
    Warning,
    Info,
}

macro_rules! codes {
    ($($(#[$doc:meta])* $code:ident: $severity:ident,)*) => {
        /// What was found.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(rename_all = "kebab-case")]
        pub enum Code {
            $($(#[$doc])* $code,)*
            /// One that a later version has found.
            #[serde(other)]
            Later,
        }

        impl Code {
            /// All that this version finds, the gravest first.
            pub const ALL: &[Self] = &[$(Self::$code,)*];

            pub fn severity(self) -> Severity {
                match self {
                    $(Self::$code => Severity::$severity,)*
                    Self::Later => Severity::Info,
                }
            }
        }
    };
}

codes! {
    /// Mail would not flow.
    NotDeliverable: Error,
    /// DNSSEC validation of the MX records fails.
    MxBogus: Error,
    /// DNSSEC validation of addresses or TLSA records of a host fails.
    HostBogus: Error,
    /// No MX host offers STARTTLS.
    NoStarttls: Error,
    /// Some MX hosts offer STARTTLS, others do not: mail goes in the clear by chance.
    OnlySomeMxEncrypted: Error,
    /// STARTTLS is offered, and no handshake comes about.
    TlsBroken: Error,
    /// Commands sent in the clear are obeyed under TLS.
    StarttlsInjection: Error,
    /// TLSA records that no certificate shown matches.
    TlsaMismatch: Error,
    /// TLSA records, and none that can be used.
    TlsaNoneUsable: Error,
    /// The MTA-STS policy, enforced, lists a host whose TLSA records hold mail back.
    MtaStsListsHostThatDaneContradicts: Error,
    /// The MTA-STS policy, enforced, lists no MX host at all.
    MtaStsCoversNoMx: Error,
    /// A record, and no valid policy at the policy host.
    MtaStsPolicyHostBroken: Error,
    /// A host that the policy lists shows a certificate that is not valid for it.
    MtaStsCertificateNotValidForMx: Error,
    /// Under TLS 1.2 and above nothing is accepted.
    OldTlsOnly: Error,
    /// A certificate that has ended.
    CertificateExpired: Error,
    /// A key that can be broken.
    WeakKey: Error,
    /// A signature that can be forged.
    WeakSignature: Error,
    /// An MX host that the policy does not list.
    MtaStsDoesNotCoverMx: Warning,
    /// The MTA-STS record is malformed, or one of several.
    MtaStsRecordInvalid: Warning,
    /// The policy's `max_age` is below a day.
    MtaStsMaxAgeShort: Warning,
    /// A certificate that ends in less than 14 days.
    CertificateExpiresSoon: Warning,
    /// TLSA records that DNSSEC does not secure.
    TlsaInsecure: Warning,
    /// Only one key matches: the next certificate will not, unless DNS is changed first.
    NoTlsaRollover: Warning,
    /// An MX host that could not be reached while others could.
    OneMxUnreachable: Warning,
    /// An MX host without any address.
    MxWithoutAddress: Warning,
    /// TLS differs between the addresses of one MX host.
    AddressesDiffer: Warning,
    /// An MX host's name is an alias.
    MxIsCname: Warning,
    /// A null MX beside other MX records.
    NullMxWithOthers: Warning,
    /// TLS 1.0 or 1.1 is accepted.
    OldTlsAccepted: Warning,
    /// Suites that are insufficient or to be phased out are accepted.
    WeakCiphers: Warning,
    /// TLS compression is on.
    Compression: Warning,
    /// The server has no secure renegotiation.
    InsecureRenegotiation: Warning,
    /// There is a TLS reporting record that does not count.
    TlsrptInvalid: Warning,
    /// The certificate is not valid by WebPKI, which nobody demands.
    CertificateNotValid: Info,
    /// No TLS 1.3.
    #[serde(rename = "no-tls-1.3")]
    NoTls13: Info,
    /// No post-quantum key exchange.
    NoPostQuantum: Info,
    /// MTA-STS or DANE, but nobody is told when it fails.
    TlsrptMissingAlthoughPolicy: Info,
    /// MTA-STS in mode `testing`.
    MtaStsTesting: Info,
    /// No MX host has an IPv6 address.
    Ipv6Missing: Info,
    /// An RSA key that will have to be longer.
    KeyPhaseOut: Info,
    /// No CAA record limits who may issue certificates for an MX host.
    CaaMissing: Info,
}
