//! `sealpost policy`: the MTA-STS policies that the running daemon remembers, asked for over its admin socket.
//!
//! Exit codes: 0 well, 1 no such policy or not refreshed, 2 usage or configuration, 3 no answer of the daemon.

mod text;

use super::print::{Array, Trouble, json, safe};
use super::{Output, PolicyCommand, PolicyDomains};
use crate::admin::client::{Answer, Client, ClientError};
use crate::clock;
use crate::config::Config;
use crate::names::{DomainName, PolicyDomain};
use jiff::Timestamp;
use serde::Serialize;
use std::io::{self, Write};
use std::process::ExitCode;
use text::Table;

/// Does what is asked and prints what came of it.
pub(super) fn run(config: &Config, command: &PolicyCommand) -> ExitCode {
    let desk = Desk {
        client: Client::new(&config.admin.socket),
        now: Timestamp::try_from(clock::now()).unwrap_or(Timestamp::UNIX_EPOCH),
    };
    let out = &mut io::stdout().lock();
    let done = match command {
        PolicyCommand::List { output } => desk.list(*output, out),
        PolicyCommand::Show(domains) => desk.each(domains, out, Desk::show),
        PolicyCommand::Refresh(domains) => desk.each(domains, out, Desk::refresh),
        PolicyCommand::Forget(domains) => desk.each(domains, out, Desk::forget),
    };
    match done {
        Ok(Success::Whole) => ExitCode::SUCCESS,
        Ok(Success::Partial) => ExitCode::FAILURE,
        // A reader that has gone away, such as `head`, has seen enough.
        Err(Trouble::Output(error)) if error.kind() == io::ErrorKind::BrokenPipe => {
            ExitCode::SUCCESS
        }
        Err(trouble) => {
            complain(&trouble.to_string());
            ExitCode::from(trouble.exit_code())
        }
    }
}

/// Whether everything that was asked for was there, and could be done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Success {
    Whole,
    Partial,
}

/// What there is to tell of one domain.
struct Told {
    json: String,
    /// The result; may be empty.
    text: String,
    /// For stderr: then not all is well.
    complaint: Option<String>,
}

impl Told {
    fn of(answer: &impl Serialize, text: String, complaint: Option<String>) -> Self {
        let json = json(answer);
        Self {
            json,
            text,
            complaint,
        }
    }
}

/// Where the daemon is asked.
struct Desk {
    client: Client,
    now: Timestamp,
}

impl Desk {
    /// Page by page: there may be a million.
    fn list(&self, output: Output, out: &mut impl Write) -> Result<Success, Trouble> {
        let mut sink = match output {
            Output::Json => Sink::Json(Array::default()),
            Output::Text => Sink::Text(Table::default()),
        };
        let mut after = String::new();
        loop {
            let page = self.client.list(&after)?;
            match &mut sink {
                Sink::Json(array) => {
                    for policy in &page.policies {
                        array.push(out, &json(policy))?;
                    }
                }
                Sink::Text(table) => {
                    out.write_all(safe(&table.rows(&page.policies, self.now)).as_bytes())?;
                }
            }
            match page.next {
                // One that does not advance would go on for ever.
                Some(next) if next > after => after = next,
                Some(_) | None => break,
            }
        }
        match sink {
            Sink::Json(array) => array.end(out)?,
            Sink::Text(table) if table.is_empty() => eprintln!("no policies are remembered"),
            Sink::Text(_) => {}
        }
        out.flush()?;
        Ok(Success::Whole)
    }

    /// One domain after the other; what there is to tell of one is told before the next is asked for.
    fn each(
        &self,
        domains: &PolicyDomains,
        out: &mut impl Write,
        ask: impl Fn(&Self, &PolicyDomain) -> Result<Told, ClientError>,
    ) -> Result<Success, Trouble> {
        let asked: Result<Vec<_>, _> = domains.domains.iter().map(|word| parse(word)).collect();
        let (mut array, mut success) = (Array::default(), Success::Whole);
        for domain in asked.map_err(Trouble::Usage)? {
            let told = ask(self, &domain)?;
            match domains.output {
                Output::Json => array.push(out, &told.json)?,
                Output::Text => out.write_all(safe(&told.text).as_bytes())?,
            }
            out.flush()?;
            if let Some(complaint) = told.complaint {
                complain(&complaint);
                success = Success::Partial;
            }
        }
        if domains.output == Output::Json {
            array.end(out)?;
        }
        Ok(success)
    }

    fn show(&self, domain: &PolicyDomain) -> Result<Told, ClientError> {
        Ok(match self.client.show(domain)? {
            Answer::Found(shown) => Told::of(&shown, text::shown(&shown, self.now), None),
            Answer::Missing(missing) => {
                let complaint = text::missing(&missing);
                Told::of(&missing, String::new(), Some(complaint))
            }
        })
    }

    fn refresh(&self, domain: &PolicyDomain) -> Result<Told, ClientError> {
        let refreshed = self.client.refresh(domain)?;
        let complaint = refreshed
            .policy
            .is_none()
            .then(|| format!("{domain}: not refreshed: {}", text::obstacle(&refreshed)));
        let text = text::refreshed(&refreshed, self.now);
        Ok(Told::of(&refreshed, text, complaint))
    }

    fn forget(&self, domain: &PolicyDomain) -> Result<Told, ClientError> {
        Ok(match self.client.forget(domain)? {
            Answer::Found(forgotten) => {
                Told::of(&forgotten, format!("{domain}: forgotten\n"), None)
            }
            Answer::Missing(missing) => {
                let complaint = text::missing(&missing);
                Told::of(&missing, String::new(), Some(complaint))
            }
        })
    }
}

/// A domain, or a mail address's.
fn parse(word: &str) -> Result<PolicyDomain, String> {
    let domain = word.rsplit_once('@').map_or(word, |(_, domain)| domain);
    let name = DomainName::parse(domain).map_err(|error| format!("{word}: {error}"))?;
    Ok(PolicyDomain(name))
}

fn complain(problem: &str) {
    eprintln!("sealpost: policy: {}", safe(problem));
}

/// For whom a list is written.
enum Sink {
    Json(Array),
    Text(Table),
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn domains_as_people_write_them() {
        for (word, expected) in [
            ("Example.COM.", Ok("example.com")),
            ("bücher.example", Ok("xn--bcher-kva.example")),
            ("user@a.example", Ok("a.example")),
            ("\"a@b\"@c.example", Ok("c.example")),
            ("", Err(": the name is empty")),
            ("user@", Err("user@: the name is empty")),
            (
                "user@[192.0.2.1]",
                Err("user@[192.0.2.1]: the name has a character that no host name may have"),
            ),
            ("192.0.2.1", Err("192.0.2.1: the name is an IP address")),
        ] {
            let parsed = parse(word).map(|domain| domain.to_string());
            let expected = expected.map(str::to_owned).map_err(str::to_owned);
            assert_eq!(parsed, expected, "{word}");
        }
    }
}
