//! `sealpost scan` of all domains.

use crate::Arguments;
use crate::common::processes::children_cpu;
use crate::hosts::Seen;
use serde_json::Value;
use std::fmt;
use std::io;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

/// What a survey took, and what came of it.
#[derive(Debug)]
pub struct Surveyed {
    pub wall: Duration,
    pub cpu: Duration,
    /// By its own account.
    pub connections: u32,
    domains: usize,
    /// Of those whose record says all that it should.
    whole: usize,
    example: String,
}

pub fn survey(arguments: &Arguments, directory: &Path) -> io::Result<Surveyed> {
    let before = children_cpu();
    let begin = Instant::now();
    let output = Command::new(&arguments.sealpost)
        .args(["scan", "--format", "json", "--config"])
        .arg(directory.join("sealpost.toml"))
        .arg("--file")
        .arg(directory.join("domains"))
        .args(&arguments.scan)
        .env_remove("SEALPOST_CONFIG")
        .stdin(Stdio::null())
        .stderr(Stdio::inherit())
        .output()?;
    let wall = begin.elapsed();
    let cpu = children_cpu().saturating_sub(before);
    if !output.status.success() {
        return Err(io::Error::other(format!(
            "sealpost scan: {}",
            output.status
        )));
    }
    let mut surveyed = Surveyed {
        wall,
        cpu,
        connections: 0,
        domains: 0,
        whole: 0,
        example: String::new(),
    };
    for line in output.stdout.split(|octet| *octet == b'\n') {
        if !line.is_empty() {
            surveyed.add(&serde_json::from_slice(line)?);
        }
    }
    Ok(surveyed)
}

impl Surveyed {
    fn add(&mut self, record: &Value) {
        self.domains += 1;
        let told = &record["hosts"][0]["addresses"][0];
        let connections = told["connections"].as_u64().unwrap_or(0);
        self.connections += u32::try_from(connections).unwrap_or(0);
        let whole = record["class"] == "starttls-on-all"
            && told["certificate"]["verification"] == "valid"
            && told["versions"]["1.2"] == "yes"
            && told["versions"]["1.3"] == "yes"
            && told["post_quantum"] == "yes";
        if whole {
            self.whole += 1;
        } else {
            self.example = record.to_string();
        }
    }

    /// Connections to one host.
    pub fn per_host(&self) -> usize {
        (self.connections as usize).div_ceil(self.domains.max(1))
    }

    /// A survey that is fast because it leaves something out is none.
    pub fn check(&self, domains: u16, seen: &Seen) -> io::Result<()> {
        if self.domains != usize::from(domains) || self.whole != self.domains {
            let problem = format!("{self}, such as {}", self.example);
            return Err(io::Error::other(problem));
        }
        if seen.handshakes < u64::from(domains) {
            return Err(io::Error::other(format!("the hosts saw {seen}")));
        }
        Ok(())
    }
}

impl fmt::Display for Surveyed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{:.2} s, CPU {:.2} s, {} domains, {} of them as they are, {} connections",
            self.wall.as_secs_f64(),
            self.cpu.as_secs_f64(),
            self.domains,
            self.whole,
            self.connections,
        )
    }
}
