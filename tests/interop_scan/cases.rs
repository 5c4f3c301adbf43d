//! The servers: which program, with which certificate and which settings, and what is published about it.

use lab::ca::{Cert, Intermediate, Key};

/// One server, and a domain with it as its only MX host.
#[derive(Clone, Copy, Debug)]
pub(super) struct Case {
    /// The domain is `NAME.test`, its MX host `mx.NAME.test`.
    pub name: &'static str,
    pub program: Program,
    /// From the name of the MX host; `None`: no TLS.
    pub certificate: Option<fn(&str) -> Cert>,
    /// Postfix: settings of smtpd(8). Exim: one priority string of GnuTLS.
    pub settings: &'static [&'static str],
    pub tlsa: Published,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Program {
    Postfix,
    Exim,
    OpenSmtpd,
}

/// TLSA records `3 1 1`, in a signed zone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Published {
    Nothing,
    Right,
    /// Of another key.
    Wrong,
}

/// Debian's OpenSSL refuses TLS below 1.2 and what comes with it unless told otherwise.
const OLD: &[&str] = &[
    "smtpd_tls_protocols = >=TLSv1, <=TLSv1.2",
    "smtpd_tls_mandatory_protocols = >=TLSv1, <=TLSv1.2",
    "smtpd_tls_ciphers = medium",
    "tls_medium_cipherlist = ALL:@SECLEVEL=0",
];
/// No suite with forward secrecy: nothing that a delivery offers.
const STATIC_RSA: &[&str] = &[
    "smtpd_tls_protocols = TLSv1.2",
    "smtpd_tls_ciphers = medium",
    "tls_medium_cipherlist = AES256-SHA:AES128-SHA",
];
const ONLY_12: &[&str] = &["smtpd_tls_protocols = TLSv1.2"];
const ONLY_13: &[&str] = &["smtpd_tls_protocols = TLSv1.3"];

fn p256(name: &str) -> Cert {
    Cert::new([name])
}

fn rsa(name: &str) -> Cert {
    p256(name).key(Key::Rsa2048)
}

fn p384(name: &str) -> Cert {
    p256(name).key(Key::P384)
}

fn self_signed(name: &str) -> Cert {
    p256(name).self_signed()
}

fn expired(name: &str) -> Cert {
    rsa(name).expired()
}

fn of_another_name(_: &str) -> Cert {
    Cert::new(["other.test", "*.elsewhere.test"])
}

fn with_chain(name: &str) -> Cert {
    rsa(name).with_intermediate(Intermediate::Sent)
}

fn without_intermediate(name: &str) -> Cert {
    p256(name).with_intermediate(Intermediate::Omitted)
}

const fn of(program: Program, name: &'static str, certificate: fn(&str) -> Cert) -> Case {
    Case {
        name,
        program,
        certificate: Some(certificate),
        settings: &[],
        tlsa: Published::Nothing,
    }
}

impl Case {
    const fn set(self, settings: &'static [&'static str]) -> Self {
        Self { settings, ..self }
    }

    const fn tlsa(self, tlsa: Published) -> Self {
        Self { tlsa, ..self }
    }

    const fn in_clear(self) -> Self {
        Self {
            certificate: None,
            ..self
        }
    }

    pub(super) fn domain(&self) -> String {
        format!("{}.test", self.name)
    }

    pub(super) fn host(&self) -> String {
        format!("mx.{}.test", self.name)
    }
}

pub(super) const CASES: &[Case] = &[
    of(Program::Postfix, "postfix-rsa", rsa),
    of(Program::Postfix, "postfix-chain", with_chain).tlsa(Published::Right),
    of(Program::Postfix, "postfix-only12", p256)
        .set(ONLY_12)
        .tlsa(Published::Right),
    of(Program::Postfix, "postfix-only13", p384).set(ONLY_13),
    of(Program::Postfix, "postfix-old", rsa).set(OLD),
    of(Program::Postfix, "postfix-static-rsa", rsa).set(STATIC_RSA),
    of(Program::Postfix, "postfix-self-signed", self_signed),
    of(Program::Postfix, "postfix-expired", expired),
    of(Program::Postfix, "postfix-other-name", of_another_name),
    of(Program::Postfix, "postfix-no-chain", without_intermediate),
    of(Program::Postfix, "postfix-wrong-tlsa", p256).tlsa(Published::Wrong),
    of(Program::Postfix, "postfix-clear", p256).in_clear(),
    of(Program::Exim, "exim-rsa", rsa).tlsa(Published::Right),
    of(Program::Exim, "exim-only12", p256).set(&["NORMAL:-VERS-ALL:+VERS-TLS1.2"]),
    of(Program::Exim, "exim-secure128", p384)
        .set(&["SECURE128:-VERS-ALL:+VERS-TLS1.3:+VERS-TLS1.2"]),
    of(Program::Exim, "exim-old", rsa).set(&["LEGACY:-VERS-ALL:+VERS-TLS1.1:+VERS-TLS1.0"]),
    of(Program::Exim, "exim-self-signed", self_signed).tlsa(Published::Right),
    of(Program::Exim, "exim-wrong-tlsa", rsa).tlsa(Published::Wrong),
    of(Program::Exim, "exim-clear", p256).in_clear(),
    of(Program::OpenSmtpd, "opensmtpd-rsa", rsa),
    of(Program::OpenSmtpd, "opensmtpd-p256", p256).tlsa(Published::Right),
    of(Program::OpenSmtpd, "opensmtpd-clear", p256).in_clear(),
];
