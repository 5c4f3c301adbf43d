//! What was compared, one line each.

use super::servers::Host;

/// One field, as two programs have it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Row {
    pub host: &'static str,
    pub field: String,
    pub sealpost: String,
    pub who: Oracle,
    pub oracle: String,
}

/// Who else was asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Oracle {
    SClient,
    X509,
    Finger,
}

/// What comes of a comparison.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Outcome {
    Same,
    /// They differ by their nature.
    Explained(&'static str),
    Differ,
}

impl Oracle {
    fn as_str(self) -> &'static str {
        match self {
            Self::SClient => "s_client",
            Self::X509 => "x509",
            Self::Finger => "posttls-finger",
        }
    }
}

/// Collects the rows of one server.
pub(super) struct Rows<'a> {
    host: &'a Host,
    pub rows: Vec<Row>,
}

impl<'a> Rows<'a> {
    pub(super) fn new(host: &'a Host) -> Self {
        Self {
            host,
            rows: Vec::new(),
        }
    }

    pub(super) fn add(
        &mut self,
        field: &str,
        sealpost: impl Into<String>,
        who: Oracle,
        oracle: impl Into<String>,
    ) {
        self.rows.push(Row {
            host: self.host.case.name,
            field: field.to_owned(),
            sealpost: sealpost.into(),
            who,
            oracle: oracle.into(),
        });
    }
}

pub(super) fn print(row: &Row, outcome: Outcome) {
    let word = match outcome {
        Outcome::Same => "=".to_owned(),
        Outcome::Explained(why) => format!("explained: {why}"),
        Outcome::Differ => "DIFFERS".to_owned(),
    };
    let other = match outcome {
        Outcome::Same => "",
        Outcome::Explained(_) | Outcome::Differ => &row.oracle,
    };
    println!(
        "{:20} {:24} {:14} {:40} {other:30} {word}",
        row.host,
        row.field,
        row.who.as_str(),
        row.sealpost,
    );
}
