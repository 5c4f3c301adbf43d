//! Why a field may differ: each rule says what the programs do differently, and when that is the reason.

use super::table::{Oracle, Outcome, Row};

/// What a handshake with a delivery's own offer comes to, for Sealpost and for s_client alike.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Situation {
    /// It comes about, or there is no STARTTLS, or the two do not agree on it.
    Usual,
    NothingInCommon,
    /// The server answers the hello, and breaks off later.
    BreaksAfterHello,
}

/// Judges one row among all.
pub(super) fn explain(row: &Row, all: &[Row]) -> Outcome {
    if row.sealpost == row.oracle {
        return Outcome::Same;
    }
    match reason(row, Situation::of(row.host, all)) {
        Some(why) => Outcome::Explained(why),
        None => Outcome::Differ,
    }
}

impl Situation {
    fn of(host: &str, all: &[Row]) -> Self {
        let of_host = || {
            all.iter()
                .filter(|row| row.host == host && row.who == Oracle::SClient)
        };
        let failed = |row: &Row| row.field == "tls" && row.sealpost == "-" && row.oracle == "-";
        let offered = |row: &Row| row.field == "starttls" && row.oracle == "offered";
        let hello_only =
            |row: &Row| row.field.starts_with("versions.") && row.oracle == "hello-only";
        if !(of_host().any(failed) && of_host().any(offered)) {
            Self::Usual
        } else if of_host().any(hello_only) {
            Self::BreaksAfterHello
        } else {
            Self::NothingInCommon
        }
    }
}

fn reason(row: &Row, situation: Situation) -> Option<&'static str> {
    let (field, sealpost, oracle) = (
        row.field.as_str(),
        row.sealpost.as_str(),
        row.oracle.as_str(),
    );
    let failed = situation != Situation::Usual;
    let breaks = situation == Situation::BreaksAfterHello;
    match (row.who, field) {
        (Oracle::SClient, "versions.1.2") if (sealpost, oracle) == ("yes", "hello-only") => {
            breaks.then_some("where no handshake comes about, an answer to a hello counts")
        }
        (Oracle::SClient, "versions.1.3") if sealpost == "not-tested" => failed.then_some(
            "a delivery's handshake, which offers TLS 1.3, has failed; 1.3 alone is not tried",
        ),
        (Oracle::X509, "certificate") => {
            breaks.then_some("a certificate whose key no finished handshake has proven is not told")
        }
        (Oracle::Finger, "tls.version" | "tls.cipher" | "certificate.verification") => {
            let more = failed && sealpost == "-" && oracle != "-";
            more.then_some(
                "posttls-finger also offers suites without forward secrecy; rustls has none",
            )
        }
        (Oracle::SClient | Oracle::X509 | Oracle::Finger, _) => None,
    }
}
