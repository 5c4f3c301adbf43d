//! Zones written as files and signed by BIND's tools.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use lab::dns::tlsa_data;

use super::tools;

/// Seconds to live of everything: short, so that changes are seen soon.
const TTL: u32 = 2;

/// The zones of every world, and what is special about each.
const ZONES: [Zone; 13] = [
    Zone::signed(".", "ECDSAP256SHA256", ""),
    Zone::signed("test", "RSASHA256", ""),
    Zone::signed("ec.test", "ECDSAP256SHA256", ""),
    Zone::signed("rsa.test", "RSASHA256", "-3 ab -H 0"),
    Zone::signed("p384.test", "ECDSAP384SHA384", ""),
    Zone::signed("ed.test", "ED25519", "-3 - -H 0"),
    Zone::signed("optout.test", "ECDSAP256SHA256", "-3 ab -H 0 -A"),
    Zone::signed(
        "expired.test",
        "ECDSAP256SHA256",
        "-s 20200101000000 -e 20210101000000",
    ),
    Zone::signed("badds.test", "ECDSAP256SHA256", "").with(Delegation::WrongDs),
    Zone::signed("nods.test", "ECDSAP256SHA256", "").with(Delegation::NoDs),
    Zone::signed("altered.test", "ECDSAP256SHA256", "").with(Delegation::Altered),
    Zone::unsigned("plain.test"),
    Zone::unsigned("child.optout.test"),
];

#[derive(Clone, Copy, Debug)]
struct Zone {
    apex: &'static str,
    /// BIND's name for it.
    algorithm: Option<&'static str>,
    /// For dnssec-signzone: `-3` NSEC3 with this salt, `-H` iterations, `-A` opt-out, `-s` and `-e` validity.
    options: &'static str,
    delegation: Delegation,
}

/// How a zone hangs together with its parent, and with its signatures.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Delegation {
    Right,
    /// The parent has a DS record of another key.
    WrongDs,
    /// The parent says that the zone is not signed.
    NoDs,
    /// The data of TLSA records is changed after signing.
    Altered,
}

impl Zone {
    const fn signed(apex: &'static str, algorithm: &'static str, options: &'static str) -> Self {
        Self {
            apex,
            algorithm: Some(algorithm),
            options,
            delegation: Delegation::Right,
        }
    }

    const fn unsigned(apex: &'static str) -> Self {
        Self {
            apex,
            algorithm: None,
            options: "",
            delegation: Delegation::NoDs,
        }
    }

    const fn with(self, delegation: Delegation) -> Self {
        Self { delegation, ..self }
    }

    /// How many labels its name has.
    fn depth(&self) -> usize {
        self.apex
            .split('.')
            .filter(|label| !label.is_empty())
            .count()
    }

    fn holds(&self, owner: &str) -> bool {
        let above = owner.strip_suffix(self.apex);
        self.apex == "." || above.is_some_and(|above| above.is_empty() || above.ends_with('.'))
    }
}

/// Records on their way into the zones.
#[derive(Debug, Default)]
pub(super) struct Records {
    lines: Vec<(String, String)>,
}

impl Records {
    /// A record in the words of a zone file: `("mx.a.test", "A 127.0.0.1")`. Names within end in a dot.
    pub(super) fn add(&mut self, owner: &str, data: &str) -> &mut Self {
        self.lines.push((owner.to_owned(), data.to_owned()));
        self
    }

    /// A domain with one MX host.
    pub(super) fn mx(&mut self, domain: &str, host: &str) -> &mut Self {
        self.add(domain, &format!("MX 10 {host}."))
    }

    /// The TLSA record of a certificate, with parameters such as `3 1 1`.
    pub(super) fn tlsa(&mut self, owner: &str, parameters: &str, certificate: &[u8]) -> &mut Self {
        self.tlsa_raw(owner, &tlsa_data(parameters, certificate))
    }

    /// The same with any data.
    pub(super) fn tlsa_raw(&mut self, owner: &str, data: &[u8]) -> &mut Self {
        self.add(owner, &format!("TLSA {}", tlsa_text(data)))
    }

    /// Takes away what an owner has.
    pub(super) fn remove(&mut self, owner: &str) -> &mut Self {
        self.lines.retain(|(has, _)| has != owner);
        self
    }
}

/// The data of a TLSA record in its presentation format (RFC 6698 §2.2).
pub(super) fn tlsa_text(data: &[u8]) -> String {
    let [usage, selector, matching, association @ ..] = data else {
        panic!("BIND signs no TLSA record that is shorter: {data:?}");
    };
    format!("{usage} {selector} {matching} {}", hex(association))
}

fn hex(octets: &[u8]) -> String {
    octets.iter().fold(String::new(), |mut text, octet| {
        // Writing to a String cannot fail.
        let _ = write!(text, "{octet:02x}");
        text
    })
}

/// All zones in one directory, each as `FILE.signed`; unsigned ones too.
#[derive(Debug)]
pub(super) struct Zones {
    directory: PathBuf,
    /// The name that BIND gave each signed zone's key.
    keys: BTreeMap<&'static str, String>,
    serial: u32,
}

impl Zones {
    /// Makes keys, and zones with these records.
    pub(super) fn new(directory: &Path, records: &Records) -> Self {
        let mut zones = Self {
            directory: directory.to_owned(),
            keys: BTreeMap::new(),
            serial: 0,
        };
        for zone in &ZONES {
            if let Some(algorithm) = zone.algorithm {
                zones.new_key(zone, algorithm);
            }
        }
        zones.sign(records);
        zones
    }

    /// Apex and file of each.
    pub(super) fn files(&self) -> impl Iterator<Item = (&'static str, PathBuf)> {
        ZONES
            .iter()
            .map(|zone| (zone.apex, self.path(zone, "signed")))
    }

    /// The root's DS record, for whoever validates.
    pub(super) fn trust_anchor(&self) -> PathBuf {
        self.path(&ZONES[0], "ds")
    }

    /// Signs all zones anew, with these records in place of those before.
    pub(super) fn sign(&mut self, records: &Records) {
        self.serial += 1;
        for zone in &ZONES {
            let (plain, signed) = (self.path(zone, "zone"), self.path(zone, "signed"));
            std::fs::write(&plain, self.text(zone, records)).unwrap();
            let Some(key) = self.keys.get(zone.apex) else {
                std::fs::copy(plain, signed).unwrap();
                continue;
            };
            let mut signer = tools::command("dnssec-signzone");
            // -z: one key signs everything; -P: an expired zone is what we asked for; -O full: a record a line.
            signer.args(["-q", "-z", "-P", "-O", "full", "-o", zone.apex, "-d"]);
            signer.arg(&self.directory).arg("-f").arg(&signed);
            signer
                .args(zone.options.split_whitespace())
                .arg(plain)
                .arg(key);
            let output = signer.current_dir(&self.directory).output().unwrap();
            assert!(
                output.status.success(),
                "{zone:?}: {}",
                tools::said(&output)
            );
            if zone.delegation == Delegation::Altered {
                let text = std::fs::read_to_string(&signed).unwrap();
                std::fs::write(&signed, altered(&text)).unwrap();
            }
        }
    }

    /// A key, and its DS record in a file.
    fn new_key(&mut self, zone: &Zone, algorithm: &str) {
        let directory = self.directory.display().to_string();
        let arguments = [
            "-q", "-f", "KSK", "-a", algorithm, "-K", &directory, zone.apex,
        ];
        let name = tools::run("dnssec-keygen", &arguments).trim().to_owned();
        let file = format!("{directory}/{name}.key");
        let ds = tools::run("dnssec-dsfromkey", &["-2", &file]);
        std::fs::write(self.path(zone, "ds"), ds).unwrap();
        self.keys.insert(zone.apex, name);
    }

    fn path(&self, zone: &Zone, kind: &str) -> PathBuf {
        let name = if zone.apex == "." { "root" } else { zone.apex };
        self.directory.join(format!("{name}.{kind}"))
    }

    /// The zone as the signer reads it.
    fn text(&self, zone: &Zone, records: &Records) -> String {
        let mut text = format!(
            "$TTL {TTL}\n{apex} SOA ns.lab. hostmaster.lab. {serial} 3600 600 86400 {TTL}\n{apex} NS ns.lab.\n",
            apex = absolute(zone.apex),
            serial = self.serial,
        );
        if zone.apex == "." {
            text.push_str("ns.lab. A 127.0.0.1\n");
        }
        for below in ZONES.iter().filter(|below| is_parent(zone, below)) {
            let _ = writeln!(text, "{} NS ns.lab.", absolute(below.apex));
            text.push_str(&self.ds(below));
        }
        for (owner, data) in &records.lines {
            if home(owner).apex == zone.apex {
                let _ = writeln!(text, "{} {data}", absolute(owner));
            }
        }
        if let Some(key) = self.keys.get(zone.apex) {
            let _ = writeln!(text, "$INCLUDE {key}.key");
        }
        text
    }

    /// What its parent says about its key.
    fn ds(&self, zone: &Zone) -> String {
        let right = || std::fs::read_to_string(self.path(zone, "ds")).unwrap();
        match zone.delegation {
            Delegation::Right | Delegation::Altered => right(),
            Delegation::NoDs => String::new(),
            Delegation::WrongDs => {
                let ds = right();
                let (before, digest) = ds.trim_end().rsplit_once(' ').unwrap();
                format!("{before} {}\n", flipped(digest))
            }
        }
    }
}

fn absolute(name: &str) -> String {
    if name.ends_with('.') {
        name.to_owned()
    } else {
        format!("{name}.")
    }
}

/// The zone that has this name.
fn home(owner: &str) -> &'static Zone {
    let holding = ZONES.iter().filter(|zone| zone.holds(owner));
    holding
        .max_by_key(|zone| zone.depth())
        .expect("the root holds everything")
}

fn is_parent(zone: &Zone, below: &Zone) -> bool {
    let above = ZONES
        .iter()
        .filter(|other| other.apex != below.apex && other.holds(below.apex));
    let parent = above.max_by_key(|other| other.depth());
    parent.is_some_and(|parent| parent.apex == zone.apex)
}

/// The same with other data in its TLSA records.
fn altered(signed: &str) -> String {
    let line = |line: &str| {
        let mut words = line
            .split_whitespace()
            .map(str::to_owned)
            .collect::<Vec<_>>();
        if let [_, _, _, kind, _, _, _, digest, ..] = words.as_mut_slice()
            && kind == "TLSA"
        {
            *digest = flipped(digest);
        }
        words.join(" ") + "\n"
    };
    signed.lines().map(line).collect()
}

/// Other hexadecimal digits, the same number of them.
fn flipped(digits: &str) -> String {
    let (first, rest) = digits.split_at(1);
    format!("{}{rest}", if first == "0" { "1" } else { "0" })
}
