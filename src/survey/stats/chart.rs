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
    pub fn title(self) -> &'static str {
        match self {
            Self::Domains => "Domains",
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

            /// What the whole is: those of the subjects that the property is asked of.
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
    Starttls: Shares, "STARTTLS", "all";
    /// How mail would go: authenticated, encrypted, in the clear, or not at all.
    Protection: Shares, "How Sealpost would deliver", "those that take mail";
    Flow: Shares, "Whether mail would flow", "those that take mail";
    /// Level and source.
    Level: Several, "Policy that Sealpost would apply", "those that were decided";
    BestVersion: Shares, "Best TLS version (of the worst host)", "those with TLS";
    Versions: Several, "TLS versions accepted", "those with TLS";
    Ciphers: Several, "Ciphers obtained", "those with TLS";
    Groups: Several, "Key exchange obtained", "those with TLS";
    ForwardSecrecy: Shares, "Forward secrecy", "those with TLS";
    PostQuantum: Shares, "Post-quantum key exchange", "those with TLS";
    Verification: Shares, "Certificate, as WebPKI sees it (the worst)", "those with TLS";
    Keys: Several, "Keys of certificates", "those with TLS";
    KeyStrength: Shares, "Strength of keys in the chain (the weakest)", "those with TLS";
    Signatures: Several, "Signatures of certificates", "those with TLS";
    DaysLeft: Shares, "Days until the certificate ends (the first)", "those with TLS";
    Dnssec: Shares, "DNSSEC", "those whose DNS was asked";
    Dane: Shares, "DANE", "those that take mail";
    Rollover: Shares, "DANE: ready for a new key", "those with usable TLSA records";
    MtaSts: Shares, "MTA-STS", "those that take mail";
    MtaStsCovers: Shares, "MTA-STS: the policy lists every MX", "those with a policy";
    MtaStsCertificates: Shares, "MTA-STS: certificates valid for it", "those with a policy";
    Tlsrpt: Shares, "TLS reporting", "those that take mail";
    RequireTls: Shares, "REQUIRETLS", "those with TLS";
    Ipv6: Shares, "IPv6 addresses", "those whose addresses are known";
    Caa: Shares, "CAA", "all";
    Injection: Shares, "STARTTLS injection", "those tested";
    WeakSuites: Shares, "Weak suites accepted", "those tested in depth";
    CipherOrder: Shares, "Order of ciphers", "those tested in depth";
    Compression: Shares, "TLS compression", "those tested in depth";
    Renegotiation: Shares, "Secure renegotiation", "those tested in depth";
    ExtendedMasterSecret: Shares, "Extended master secret", "those tested in depth";
    Severity: Shares, "Gravest finding", "all";
    Findings: Several, "Findings", "all";
}
