//! The words of `sealpost queue`.

use crate::admin::queue::{QueueSelection, QueueState, queue_domain, queue_id, queue_sender};
use crate::cli::{Output, output};
use clap::builder::{BoolValueParser, PossibleValuesParser, TypedValueParser};
use clap::{ArgAction, Args, Subcommand};

pub(in crate::cli) const EXIT: &str = "Asks the daemon over admin.socket. Exit: 0 well, 1 no such message, 2 usage or \
    configuration, 3 the daemon cannot be reached or does not answer.";

/// `sealpost queue`
#[derive(Debug, Subcommand)]
pub enum QueueCommand {
    /// List messages, in the order of arrival
    ///
    /// With --domain or --state, messages that have such a recipient; all recipients are shown.
    #[command(after_help = EXIT)]
    List {
        #[command(flatten)]
        filter: QueueFilter,

        /// At most so many messages [default: 100, with --json all]
        #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
        limit: Option<u64>,

        /// Print JSON: an array, an element a line
        #[arg(long = "json", action = ArgAction::SetTrue, value_parser = output())]
        output: Output,
    },
    /// Tell everything about messages
    #[command(after_help = EXIT)]
    Show {
        /// Ids of messages
        #[arg(required = true, value_name = "ID", value_parser = queue_id)]
        ids: Vec<String>,

        /// Print JSON: an object a line
        #[arg(long = "json", action = ArgAction::SetTrue, value_parser = output())]
        output: Output,
    },
    /// Attempt what waits now, also where a destination has not answered lately
    ///
    /// What is held stays held, and what is being attempted already is not attempted twice. With --domain, only recipients of that domain are attempted.
    #[command(after_help = EXIT)]
    Retry(QueueWhich),
    /// Attempt nothing of it until it is released
    ///
    /// Nor is it given back to its sender meanwhile. An attempt that is under way comes to its end. With --domain, only
    /// recipients of that domain are held.
    #[command(after_help = EXIT)]
    Hold(QueueWhich),
    /// Let what is held wait for its next attempt again
    ///
    /// It has the time that it had before; `retry` attempts it now. With --domain, only recipients of that domain are
    /// released.
    #[command(after_help = EXIT)]
    Release(QueueWhich),
    /// Throw mail away, for good; nobody is told
    ///
    /// Look at it first: `list` takes the same selection. An attempt that is under way may still deliver it. With --domain, recipients of other domains stay.
    #[command(after_help = EXIT)]
    Drop(QueueWhich),
}

/// Which messages; what is given must all hold.
#[derive(Debug, Clone, Args)]
pub struct QueueFilter {
    /// Recipients of this domain; of notices that go by queue.dsn_via see --sender
    #[arg(long, value_name = "DOMAIN", value_parser = queue_domain)]
    pub domain: Option<String>,

    /// Messages of this sender; "<>": of none, as notices are
    #[arg(long, value_name = "ADDRESS")]
    pub sender: Option<String>,

    /// Recipients in this state; those that are being attempted (active) count as waiting
    #[arg(long, value_name = "STATE", value_parser = state())]
    pub state: Option<QueueState>,

    /// Messages that were received longer ago, as 4h or 1d12h
    #[arg(long, value_name = "TIME", value_parser = seconds)]
    pub older_than: Option<u64>,

    /// Messages that were received less long ago, likewise
    #[arg(long, value_name = "TIME", value_parser = seconds)]
    pub newer_than: Option<u64>,
}

/// What a change concerns.
#[derive(Debug, Args)]
pub struct QueueWhich {
    /// Ids of messages
    #[arg(value_name = "ID", value_parser = queue_id)]
    pub ids: Vec<String>,

    #[command(flatten)]
    pub filter: QueueFilter,

    /// Everything in the queue
    #[arg(
        long = "all",
        action = ArgAction::SetTrue,
        conflicts_with_all = ["ids", "domain", "sender", "state", "older_than", "newer_than"],
        value_parser = BoolValueParser::new().map(|all| if all { Scope::All } else { Scope::Selected })
    )]
    pub scope: Scope,

    /// Print JSON: an object
    #[arg(long = "json", action = ArgAction::SetTrue, value_parser = output())]
    pub output: Output,
}

/// Whether everything is meant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scope {
    Selected,
    All,
}

impl QueueFilter {
    pub(super) fn selection(&self) -> QueueSelection {
        QueueSelection {
            id: None,
            domain: self.domain.clone(),
            sender: self.sender.as_deref().map(queue_sender),
            state: self.state,
            older: self.older_than,
            newer: self.newer_than,
        }
    }
}

impl QueueWhich {
    /// One selection a message, if messages are named; `None`: nothing is selected at all.
    pub(super) fn selections(&self) -> Option<Vec<QueueSelection>> {
        let common = self.filter.selection();
        if self.ids.is_empty() {
            let nothing = common.is_everything() && self.scope == Scope::Selected;
            return (!nothing).then(|| vec![common]);
        }
        let of = |id: &String| QueueSelection {
            id: Some(id.clone()),
            ..common.clone()
        };
        Some(self.ids.iter().map(of).collect())
    }
}

fn state() -> impl TypedValueParser<Value = QueueState> {
    PossibleValuesParser::new(["waiting", "held"]).map(|word| match word.as_str() {
        "held" => QueueState::Held,
        _ => QueueState::Waiting,
    })
}

/// `1d12h`, as in the configuration: numbers with units.
fn seconds(text: &str) -> Result<u64, String> {
    let wrong = || "write numbers with the units d, h, m, s, as 4h or 1d12h".to_owned();
    let (mut rest, mut total) = (text, 0_u64);
    while !rest.is_empty() {
        let at = rest.find(|c: char| !c.is_ascii_digit()).ok_or_else(wrong)?;
        let (number, after) = rest.split_at(at);
        let mut chars = after.chars();
        let unit = match chars.next() {
            Some('d') => 86_400,
            Some('h') => 3600,
            Some('m') => 60,
            Some('s') => 1,
            Some(_) | None => return Err(wrong()),
        };
        let part = number.parse::<u64>().ok();
        total = part
            .and_then(|part| part.checked_mul(unit)?.checked_add(total))
            .ok_or_else(wrong)?;
        rest = chars.as_str();
    }
    match text.is_empty() {
        true => Err(wrong()),
        false => Ok(total),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::{Cli, Command};
    use clap::Parser as _;

    fn which(words: &[&str]) -> Option<QueueWhich> {
        let words = ["sealpost", "queue", "hold"].iter().chain(words);
        let command = Cli::try_parse_from(words).ok()?.command;
        let Command::Queue(QueueCommand::Hold(which)) = command else {
            panic!("{command:?}")
        };
        Some(which)
    }

    #[test]
    fn times_as_people_write_them() {
        for (text, expected) in [
            ("4h", Some(14_400)),
            ("1d12h", Some(129_600)),
            ("90s", Some(90)),
            ("5m", Some(300)),
            ("", None),
            ("4", None),
            ("h", None),
            ("-4h", None),
            ("4h ", None),
            ("4w", None),
            ("99999999999999999999h", None),
            ("9999999999999999999d", None),
        ] {
            assert_eq!(seconds(text).ok(), expected, "{text:?}");
        }
    }

    #[test]
    fn words_of_queue() {
        for (words, sound) in [
            (&["list"][..], true),
            (&["list", "--json", "--limit", "5"], true),
            (&["list", "--limit", "0"], false),
            (&["list", "--domain", "a..test"], false),
            (&["list", "--state", "active"], false),
            (&["list", "--older-than", "soon"], false),
            (&["list", "0ABC"], false),
            (&["list", "--all"], false),
            (&["show", "0abc", "--json"], true),
            (&["show"], false),
            (&["show", "../x"], false),
            (&["retry", "--domain", "user@bücher.test"], true),
            (&["hold", "--sender", "<>", "--state", "waiting"], true),
            (&["release", "--all"], true),
            (&["release", "--all", "--state", "held"], false),
            (&["drop", "0ABC", "--all"], false),
            (&["drop", "--older-than", "1d", "--newer-than", "2d"], true),
            (&["flush"], false),
            (&[], false),
        ] {
            let words = ["sealpost", "queue"].iter().chain(words);
            let parsed = Cli::try_parse_from(words.clone());
            assert_eq!(parsed.is_ok(), sound, "{words:?}");
        }
    }

    #[test]
    fn a_change_says_what_it_concerns() {
        let nothing = QueueSelection::default();
        let of = |id: &str, domain: Option<&str>| QueueSelection {
            id: Some(id.to_owned()),
            domain: domain.map(str::to_owned),
            ..QueueSelection::default()
        };
        let null = QueueSelection {
            sender: Some(String::new()),
            ..QueueSelection::default()
        };
        for (words, expected) in [
            (&[][..], None),
            (&["--all"], Some(vec![nothing])),
            (&["--sender", "<>"], Some(vec![null])),
            (&["0a", "0B"], Some(vec![of("0A", None), of("0B", None)])),
            (
                &["0A", "--domain", "A.test"],
                Some(vec![of("0A", Some("a.test"))]),
            ),
        ] {
            assert_eq!(which(words).unwrap().selections(), expected, "{words:?}");
        }
    }
}
