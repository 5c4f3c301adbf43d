//! What an administrator without Sealpost would write.

use crate::common::processes::children_cpu;
use crate::hosts::{Hosts, mx};
use std::fmt;
use std::io::{self, Write as _};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

/// Names are known to it: it looks nothing up. The words of each line: address, name, what to offer.
const CLIENT: &str = "openssl s_client -starttls smtp -connect \"$1\" -servername \"$2\" -name relay.bench.test \
                      -verify_hostname \"$2\" $3 </dev/null >/dev/null 2>&1";
/// One after another: as Sealpost, what a delivery would get, then one version, then the other. The first changes
/// nothing; but an empty last word would have xargs join two lines.
const OFFERS: [&str; 4] = ["-no_ssl3", "-tls1_2", "-tls1_3", "-tls1_3"];

/// How the connections follow each other.
#[derive(Debug, Clone, Copy)]
pub enum Loop {
    /// `while read`
    Plain,
    /// `xargs -P`
    Xargs(u16),
}

/// What a loop took.
#[derive(Debug)]
pub struct Made {
    how: Loop,
    hosts: usize,
    pub connections: u32,
    pub wall: Duration,
    pub cpu: Duration,
}

/// Why it cannot be measured.
pub fn openssl() -> Option<String> {
    let version = Command::new("openssl").arg("version").output();
    match version {
        Ok(output) if output.status.success() => None,
        Ok(output) => Some(output.status.to_string()),
        Err(error) => Some(error.to_string()),
    }
}

impl Loop {
    /// Makes so many connections to each of the first hosts.
    pub fn run(self, hosts: &Hosts, count: u16, per_host: usize) -> io::Result<Made> {
        let per_host = per_host.clamp(1, OFFERS.len());
        let some = hosts.addresses.iter().take(count.into()).enumerate();
        let mut list = String::new();
        for (number, address) in some {
            for offer in &OFFERS[..per_host] {
                list.push_str(&format!("{address} {} {offer}\n", mx(number)));
            }
        }
        let mut command = Command::new("sh");
        match self {
            Self::Plain => {
                let script = format!(
                    "while read -r address name offer; do set -- \"$address\" \"$name\" \"$offer\"; {CLIENT}; done"
                );
                command.args(["-c", &script]);
            }
            Self::Xargs(processes) => {
                let script = "xargs -L 1 -P \"$0\" sh -c \"$1\" sh";
                command.args(["-c", script, &processes.to_string(), CLIENT]);
            }
        }
        let before = children_cpu();
        let begin = Instant::now();
        let mut child = command.stdin(Stdio::piped()).spawn()?;
        if let Some(mut input) = child.stdin.take() {
            input.write_all(list.as_bytes())?;
        }
        // s_client fails where a certificate does not verify, and that is none of our business here.
        child.wait()?;
        let wall = begin.elapsed();
        Ok(Made {
            how: self,
            hosts: count.into(),
            connections: u32::try_from(list.lines().count()).unwrap_or(u32::MAX),
            wall,
            cpu: children_cpu().saturating_sub(before),
        })
    }
}

impl fmt::Display for Made {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.how {
            Loop::Plain => f.write_str("shell loop of s_client: ")?,
            Loop::Xargs(processes) => write!(f, "xargs -P {processes} of s_client: ")?,
        }
        write!(
            f,
            "{:.2} s, CPU {:.2} s, {} hosts, {} connections",
            self.wall.as_secs_f64(),
            self.cpu.as_secs_f64(),
            self.hosts,
            self.connections,
        )
    }
}
