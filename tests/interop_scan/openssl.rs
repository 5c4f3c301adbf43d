//! What `openssl s_client` and `openssl x509` say of a server.

use std::path::Path;
use std::process::Command;
use std::sync::OnceLock;

use super::servers::Host;
use super::tools;

/// What a delivery offers, in its order: whose preference decides is the server's matter.
const OFFERED: &[&str] = &[
    "-ciphersuites",
    "TLS_AES_256_GCM_SHA384:TLS_AES_128_GCM_SHA256:TLS_CHACHA20_POLY1305_SHA256",
    "-cipher",
    "ECDHE-ECDSA-AES256-GCM-SHA384:ECDHE-ECDSA-AES128-GCM-SHA256:ECDHE-ECDSA-CHACHA20-POLY1305:\
     ECDHE-RSA-AES256-GCM-SHA384:ECDHE-RSA-AES128-GCM-SHA256:ECDHE-RSA-CHACHA20-POLY1305",
    "-groups",
    "X25519:P-256:P-384",
];
const ANY: &[&str] = &["-cipher", "ALL:@SECLEVEL=0"];
/// Everything that is worse than what a delivery offers.
const WEAK: &[&str] = &[
    "-min_protocol",
    "TLSv1",
    "-max_protocol",
    "TLSv1.2",
    "-cipher",
    "ALL:-ECDHE+AESGCM:-ECDHE+CHACHA20:-ECDHE+AESCCM:ECDHE+AESCCM8:@SECLEVEL=0",
];
const FINITE_FIELD: &[&str] = &[
    "-min_protocol",
    "TLSv1",
    "-max_protocol",
    "TLSv1.2",
    "-cipher",
    "kDHE:-aNULL:@SECLEVEL=0",
];

/// How far one got.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Stage {
    /// No STARTTLS.
    NotOffered,
    /// The hello was refused.
    Refused,
    /// It was answered, and then the handshake failed.
    Hello,
    Made,
}

/// One run of s_client.
#[derive(Clone, Debug)]
pub(super) struct Client {
    pub stage: Stage,
    pub said: String,
}

/// What the certificate says.
#[derive(Clone, Debug, Default)]
pub(super) struct Seen {
    /// In the words of `openssl x509 -text`.
    pub key: String,
    pub bits: String,
    pub signature: String,
    pub subject: String,
    pub issuer: String,
    pub not_before: String,
    pub not_after: String,
    pub names: String,
    pub sha256: String,
    pub spki_sha256: String,
    pub chain_length: usize,
}

/// All runs at one server.
pub(super) struct Findings {
    /// With a delivery's own offer.
    pub delivery: Client,
    /// TLS 1.0, 1.1, 1.2, 1.3, each alone, with everything that OpenSSL has.
    pub versions: [(&'static str, Client); 4],
    /// Only TLS 1.2, with a delivery's offer.
    pub only12: Client,
    pub weak: Client,
    pub finite_field: Client,
    /// By the one TLSA record `3 1 1` that is published.
    pub dane: Option<Client>,
    pub certificate: Option<Seen>,
}

impl Client {
    fn run(host: &Host, words: &[&str]) -> Self {
        let name = host.case.host();
        let output = tools::command("openssl")
            .args([
                "s_client",
                "-starttls",
                "smtp",
                "-name",
                "oracle.test",
                "-msg",
            ])
            .args(["-connect", &host.address.to_string(), "-servername", &name])
            .args(words)
            .output()
            .unwrap();
        let said = tools::said(&output);
        let made = output.status.success() && !said.contains("Cipher is (NONE)");
        let stage = if said.contains("STARTTLS") && said.contains("Didn't find") {
            Stage::NotOffered
        } else if made {
            Stage::Made
        } else if said.contains(", ServerHello") && !said.contains("unsupported protocol") {
            Stage::Hello
        } else {
            Stage::Refused
        };
        Self { stage, said }
    }

    /// What follows these words in a line of what was said.
    pub(super) fn after(&self, words: &str) -> Option<&str> {
        after(&self.said, words)
    }

    /// Protocol and cipher as OpenSSL names them, and what it calls the group.
    pub(super) fn negotiated(&self) -> Option<(String, String, String)> {
        if self.stage != Stage::Made {
            return None;
        }
        let new = self.after("New, ").or_else(|| self.after("Reused, "))?;
        let cipher = new.split_once("Cipher is ")?.1;
        // "New, TLSv1.2" is also said of a suite that is older than the version: what counts is in the session.
        let version = self
            .after("    Protocol  : ")
            .or_else(|| new.split(',').next())?;
        let group = match self.after("Server Temp Key: ") {
            Some(key) => key.trim_start_matches("ECDH, ").split(',').next()?,
            None => "",
        };
        Some((version.to_owned(), cipher.to_owned(), group.to_owned()))
    }
}

impl Findings {
    pub(super) fn of(host: &Host, roots: &Path) -> Self {
        let run = |words: &[&[&str]]| Client::run(host, &words.concat());
        let roots = roots.display().to_string();
        let name = host.case.host();
        let checked: &[&str] = &[
            "-showcerts",
            "-no-CApath",
            "-CAfile",
            &roots,
            "-verify_hostname",
            &name,
        ];
        let delivery = run(&[OFFERED, checked]);
        let versions = [
            ("1.0", "-tls1"),
            ("1.1", "-tls1_1"),
            ("1.2", "-tls1_2"),
            ("1.3", "-tls1_3"),
        ];
        let pems = pems(&delivery.said);
        Self {
            versions: versions.map(|(version, only)| (version, run(&[&[only], ANY]))),
            only12: run(&[&["-tls1_2"], OFFERED]),
            weak: run(&[WEAK]),
            finite_field: run(&[FINITE_FIELD]),
            dane: None,
            certificate: pems.first().map(|pem| Seen::of(pem, pems.len())),
            delivery,
        }
    }

    /// What it makes of a TLSA record.
    pub(super) fn by_dane(self, host: &Host, record: &str) -> Self {
        let name = host.case.host();
        let words = [
            "-dane_tlsa_domain",
            &name,
            "-dane_ee_no_namechecks",
            "-dane_tlsa_rrdata",
            record,
        ];
        let dane = Client::run(host, &[&["-no-CAfile", "-no-CApath"], &words[..]].concat());
        Self {
            dane: Some(dane),
            ..self
        }
    }
}

/// Whether a suite of this name of IANA's is taken when nothing else is offered.
pub(super) fn takes(host: &Host, version: &str, iana: &str) -> bool {
    let only = match version {
        "1.0" => "-tls1",
        "1.1" => "-tls1_1",
        _ => "-tls1_2",
    };
    let cipher = format!("{}:@SECLEVEL=0", name_of(iana));
    Client::run(host, &[only, "-cipher", &cipher]).stage >= Stage::Hello
}

/// OpenSSL's name of a suite, from IANA's; the same if it has none.
pub(super) fn name_of(iana: &str) -> String {
    static NAMES: OnceLock<String> = OnceLock::new();
    let list = ["ciphers", "-stdname", "ALL:COMPLEMENTOFALL:@SECLEVEL=0"];
    let all = NAMES.get_or_init(|| tools::run("openssl", &list));
    let name = all.lines().find_map(|line| {
        let (standard, rest) = line.split_once(" - ")?;
        (standard.trim() == iana).then(|| rest.split(' ').next())?
    });
    name.unwrap_or(iana).to_owned()
}

impl Seen {
    fn of(pem: &str, chain_length: usize) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("pem");
        std::fs::write(&file, pem).unwrap();
        let file = file.display().to_string();
        let text = tools::run(
            "openssl",
            &[
                "x509",
                "-in",
                &file,
                "-noout",
                "-text",
                "-subject",
                "-issuer",
                "-dates",
                "-nameopt",
                "RFC2253",
                "-dateopt",
                "iso_8601",
                "-fingerprint",
                "-sha256",
            ],
        );
        let find = |words: &str| after(&text, words).unwrap_or_default().to_owned();
        let key = match find("Public Key Algorithm: ").as_str() {
            "id-ecPublicKey" => find("ASN1 OID: "),
            other => other.to_owned(),
        };
        let bits: String = find("Public-Key: (")
            .chars()
            .take_while(char::is_ascii_digit)
            .collect();
        let iso = |date: String| date.replacen(' ', "T", 1);
        Self {
            key,
            bits,
            signature: find("Signature Algorithm: "),
            subject: find("subject="),
            issuer: find("issuer="),
            not_before: iso(find("notBefore=")),
            not_after: iso(find("notAfter=")),
            names: find("DNS:").replace("DNS:", ""),
            sha256: find("sha256 Fingerprint=").replace(':', "").to_lowercase(),
            spki_sha256: spki_sha256(&file),
            chain_length,
        }
    }
}

fn spki_sha256(file: &str) -> String {
    let pipe = "openssl x509 -in \"$0\" -noout -pubkey | openssl pkey -pubin -outform DER | openssl dgst -sha256 -r";
    let output = Command::new("sh")
        .args(["-c", pipe, file])
        .output()
        .unwrap();
    let said = tools::said(&output);
    said.split(' ').next().unwrap_or_default().to_owned()
}

fn pems(said: &str) -> Vec<String> {
    const END: &str = "-----END CERTIFICATE-----";
    let mut found = Vec::new();
    for part in said.split("-----BEGIN CERTIFICATE-----").skip(1) {
        let body = part.split(END).next().unwrap_or_default();
        found.push(format!("-----BEGIN CERTIFICATE-----{body}{END}\n"));
    }
    found
}

fn after<'a>(text: &'a str, words: &str) -> Option<&'a str> {
    let line = text.lines().find(|line| line.contains(words))?;
    line.split_once(words).map(|(_, rest)| rest.trim())
}
