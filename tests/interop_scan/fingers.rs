//! What `posttls-finger` says of a server.

use std::path::Path;

use super::servers::Host;
use super::tools;

/// What it makes of a server at one level.
#[derive(Clone, Debug)]
pub(super) struct Finger {
    /// `Verified`, `Trusted`, `Untrusted`, `Anonymous`; `None` without TLS.
    pub summary: Option<Summary>,
    pub offers_starttls: bool,
    /// What EHLO lists in the clear.
    pub ehlo: Vec<String>,
}

/// `Verified TLS connection established to mx[127.0.0.1]:25: TLSv1.3 with cipher X (256/256 bits) key-exchange Y ...`
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Summary {
    pub trust: String,
    pub version: String,
    pub cipher: String,
    /// TLS 1.3 only.
    pub group: Option<String>,
}

impl Finger {
    /// `configuration` is a directory with a main.cf.
    pub(super) fn run(host: &Host, configuration: &Path, level: &str, roots: &Path) -> Self {
        let output = tools::command("posttls-finger")
            .env("MAIL_CONFIG", configuration)
            .args([
                "-l",
                level,
                "-L",
                "summary,certmatch",
                "-t",
                "5",
                "-T",
                "5",
                "-F",
            ])
            .arg(roots)
            .arg(format!("[{}]:{}", host.case.host(), host.address.port()))
            .output()
            .unwrap();
        let said = tools::said(&output);
        let ehlo = ehlo(&said);
        Self {
            summary: said.lines().find_map(summary),
            offers_starttls: ehlo.iter().any(|keyword| keyword == "STARTTLS"),
            ehlo,
        }
    }
}

/// The lines of the first reply to EHLO but that with the host's name.
fn ehlo(said: &str) -> Vec<String> {
    let lines = said.lines().skip_while(|line| !line.contains(": > EHLO "));
    let lines = lines.skip(1).map_while(|line| line.split_once(": < 250"));
    let mut listed = Vec::new();
    for (_, rest) in lines {
        listed.push(rest.get(1..).unwrap_or_default().to_owned());
        if rest.starts_with(' ') {
            break;
        }
    }
    listed.into_iter().skip(1).collect()
}

fn summary(line: &str) -> Option<Summary> {
    let (before, after) = line.split_once(" TLS connection established to ")?;
    let trust = before.rsplit(' ').next()?.to_owned();
    let (_, parameters) = after.split_once("]:")?;
    let (_, parameters) = parameters.split_once(": ")?;
    let (version, rest) = parameters.split_once(" with cipher ")?;
    let cipher = rest.split(' ').next()?;
    let group = rest.split_once("key-exchange ").map(|(_, group)| group);
    Some(Summary {
        trust,
        version: version.to_owned(),
        cipher: cipher.to_owned(),
        group: group
            .and_then(|group| group.split(' ').next())
            .map(str::to_owned),
    })
}
