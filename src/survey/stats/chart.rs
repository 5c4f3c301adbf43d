//! What is counted.

use serde::Serialize;

/// A property of domains or of hosts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Chart {
    pub subject: Subject,
    pub property: Property,
}

/// What is counted once.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Subject {
    Domains,
    /// MX hosts, each once however many domains share it.
    Hosts,
}

impl Subject {
    pub fn plural(self) -> &'static str {
        match self {
            Self::Domains => "domains",
            Self::Hosts => "MX hosts",
        }
    }
}

/// How the parts of a chart stand to each other.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Each subject is in exactly one part.
    Shares,
    /// A subject may be in several, or in none.
    Several,
}

macro_rules! properties {
    ($($(#[$doc:meta])* $name:ident: $kind:ident, $title:literal, $of:literal;)*) => {
        /// What is counted; in the order in which it is shown.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
        #[serde(rename_all = "kebab-case")]
        pub enum Property {
            $($(#[$doc])* $name,)*
        }

        impl Property {
            pub fn title(self) -> &'static str {
                match self { $(Self::$name => $title,)* }
            }

            /// Which of the subjects are asked: `with TLS`; empty for all.
            pub fn of(self) -> &'static str {
                match self { $(Self::$name => $of,)* }
            }

            pub fn kind(self) -> Kind {
                match self { $(Self::$name => Kind::$kind,)* }
            }
        }
    };
}

properties! {
    /// Of domains: on all, some or no MX; of hosts: whether it works.
    Starttls: Shares, "STARTTLS", "";
    /// How mail would go: authenticated, encrypted, in the clear, or not at all.
    Protection: Shares, "How Sealpost would deliver", "that take mail";
    Flow: Shares, "Whether mail would flow", "that take mail";
    /// Level and source.
    Level: Several, "Policy that Sealpost would apply", "with a verdict";
    BestVersion: Shares, "Best TLS version (of the worst host)", "with TLS";
    Versions: Several, "TLS versions accepted", "with TLS";
    Ciphers: Several, "Ciphers obtained", "with TLS";
    Groups: Several, "Key exchange obtained", "with TLS";
    ForwardSecrecy: Shares, "Forward secrecy", "with TLS";
    PostQuantum: Shares, "Post-quantum key exchange", "with TLS";
    Verification: Shares, "Certificate, as WebPKI sees it (the worst)", "with TLS";
    Keys: Several, "Keys of certificates", "with TLS";
    KeyStrength: Shares, "Strength of keys in the chain (the weakest)", "with TLS";
    Signatures: Several, "Signatures of certificates", "with TLS";
    DaysLeft: Shares, "Days until the certificate ends (the first)", "with TLS";
    Dnssec: Shares, "DNSSEC", "whose DNS was asked";
    Dane: Shares, "DANE", "that take mail";
    Rollover: Shares, "DANE: ready for a new key", "with usable TLSA records";
    MtaSts: Shares, "MTA-STS", "that take mail";
    MtaStsCovers: Shares, "MTA-STS: the policy lists every MX", "with a policy";
    MtaStsCertificates: Shares, "MTA-STS: certificates valid for it", "with a policy";
    Tlsrpt: Shares, "TLS reporting", "that take mail";
    RequireTls: Shares, "REQUIRETLS", "with TLS";
    Ipv6: Shares, "IPv6 addresses", "whose addresses are known";
    Caa: Shares, "CAA", "";
    Injection: Shares, "STARTTLS injection", "tested";
    WeakSuites: Shares, "Weak suites accepted", "tested in depth";
    CipherOrder: Shares, "Order of ciphers", "tested in depth";
    Compression: Shares, "TLS compression", "tested in depth";
    Renegotiation: Shares, "Secure renegotiation", "tested in depth";
    ExtendedMasterSecret: Shares, "Extended master secret", "tested in depth";
    Severity: Shares, "Gravest finding", "";
    Findings: Several, "Findings", "";
}
