//! What was delivered: from the history, or from mail logs.

use super::SuggestArgs;
use crate::cli::maillog;
use crate::clock;
use crate::config::Config;
use crate::maillog::{Channel as Logged, Summary, Trust, Version as LoggedVersion};
use crate::names::DomainName;
use crate::policy::TlsVersion;
use crate::store::Store;
use crate::store::history::{DestinationUse, Facet};
use crate::suggest::{
    Channel, Demand, Destination, FullCheck, Origin, Proof, Standing, Version, Way,
};
use jiff::Timestamp;

const DAY: i64 = 86_400;

/// All that is known.
pub(super) struct Evidence {
    /// Where it is from, for people.
    pub(super) source: &'static str,
    /// Of the days that count.
    pub(super) lately: Vec<Destination>,
    /// All that is remembered; rules are held against it too.
    pub(super) ever: Vec<Destination>,
    /// `tls.min_version`, which a rule has unless it says another.
    pub(super) inherited: Version,
}

fn inherited(config: Option<&Config>) -> Version {
    match config.map(|config| config.policy.min_version) {
        Some(TlsVersion::V1_3) => Version::V1_3,
        Some(TlsVersion::V1_2) | None => Version::V1_2,
    }
}

pub(super) fn gather(config: Option<&Config>, args: &SuggestArgs) -> Result<Evidence, String> {
    if !args.maillog.is_empty() {
        return of_logs(config, args);
    }
    let config = config.ok_or("there is no configuration")?;
    let reader = Store::open_history_for_reading(&config.store).map_err(|error| {
        format!("the history cannot be read: {error}; --maillog FILE goes without it")
    })?;
    let now = Timestamp::try_from(clock::now()).unwrap_or(Timestamp::UNIX_EPOCH);
    let since = now.as_second() - i64::from(args.days) * DAY;
    let since = u64::try_from(since).unwrap_or(0);
    let read = |since| {
        let uses = reader.ways(since).map_err(|error| error.to_string())?;
        let known = uses.iter().filter_map(|seen| of_history(config, seen));
        Ok::<_, String>(known.collect::<Vec<_>>())
    };
    Ok(Evidence {
        source: "the history",
        lately: read(since)?,
        ever: read(0)?,
        inherited: inherited(Some(config)),
    })
}

fn of_history(config: &Config, seen: &DestinationUse) -> Option<Destination> {
    let ways: Vec<Way> = seen
        .ways
        .iter()
        .filter(|(facet, _)| facet.way.is_delivered())
        .map(|(facet, deliveries)| of_facet(facet, *deliveries))
        .collect();
    let published = !ways.is_empty() && ways.iter().all(|way| way.origin == Origin::Published);
    let seconds = |at: u64| i64::try_from(at).unwrap_or(i64::MAX);
    Some(Destination {
        standing: standing(Some(config), domain(&seen.name)?, published.then_some(())),
        domain: seen.name.clone(),
        ways,
        first: seconds(seen.first),
        last: seconds(seen.last),
    })
}

fn of_facet(facet: &Facet, deliveries: u64) -> Way {
    let channel = if facet.way.is_secured() {
        Channel::Tls(match &*facet.version {
            "1.3" => Some(Version::V1_3),
            "1.2" => Some(Version::V1_2),
            _ => None,
        })
    } else {
        Channel::Plaintext
    };
    Way {
        channel,
        proof: match &*facet.authenticated {
            "dane" => Proof::Dane,
            "webpki" => Proof::WebPki,
            "fingerprint" => Proof::Pin,
            _ => Proof::Nobody,
        },
        full_check: match &*facet.problem {
            "none" => FullCheck::Passes,
            "" | "other" => FullCheck::Unknown,
            _ => FullCheck::Fails,
        },
        origin: match &*facet.policy {
            "rule" => Origin::Rule,
            "dane" | "mta-sts" | "requiretls" => Origin::Published,
            _ => Origin::Default,
        },
        demand: match &*facet.level {
            "" | "none" | "may" | "other" => Demand::Opportunistic,
            _ => Demand::Mandatory,
        },
        deliveries,
    }
}

fn of_logs(config: Option<&Config>, args: &SuggestArgs) -> Result<Evidence, String> {
    let summary = maillog::all("suggest", &args.maillog, Some(args.days))?;
    if summary.outbound.recipients > 0 && !summary.tells_outbound() {
        return Err(maillog::NO_OUTBOUND.to_owned());
    }
    let known: Vec<Destination> = of_summary(config, &summary);
    Ok(Evidence {
        source: "the mail log",
        ever: known.clone(),
        lately: known,
        inherited: inherited(config),
    })
}

fn of_summary(config: Option<&Config>, summary: &Summary) -> Vec<Destination> {
    // Where Postfix has no authorities, all are untrusted, and that says nothing.
    let has_roots = summary.destinations.iter().any(|destination| {
        let trusted = |way: Logged| matches!(way, Logged::Tls(_, Trust::Trusted | Trust::WebPki));
        destination.ways.sum(trusted) > 0
    });
    let untrusted = if has_roots {
        FullCheck::Fails
    } else {
        FullCheck::Unknown
    };
    let of = |destination: &crate::maillog::Destination| {
        let ways = destination.ways.iter();
        let ways: Vec<Way> = ways
            .map(|(way, deliveries)| of_logged(way, deliveries, untrusted))
            .collect();
        let published = !ways.is_empty() && ways.iter().all(|way| way.proof == Proof::Dane);
        let name = destination.name.to_string();
        Some(Destination {
            standing: standing(config, domain(&name)?, published.then_some(())),
            domain: name,
            ways,
            first: destination.first,
            last: destination.last,
        })
    };
    summary.destinations.iter().filter_map(of).collect()
}

/// `untrusted`: what it says of a certificate that Postfix did not trust.
fn of_logged(way: Logged, deliveries: u64, untrusted: FullCheck) -> Way {
    let (channel, proof, full_check) = match way {
        Logged::Plaintext => (Channel::Plaintext, Proof::Nobody, FullCheck::Unknown),
        Logged::Tls(version, trust) => {
            let (proof, check) = match trust {
                Trust::Anonymous => (Proof::Nobody, FullCheck::Fails),
                Trust::Untrusted => (Proof::Nobody, untrusted),
                // Postfix has not compared the name.
                Trust::Trusted => (Proof::Nobody, FullCheck::Unknown),
                Trust::Verified => (Proof::Some, FullCheck::Unknown),
                Trust::WebPki => (Proof::WebPki, FullCheck::Unknown),
                Trust::Dane => (Proof::Dane, FullCheck::Unknown),
                Trust::Fingerprint => (Proof::Pin, FullCheck::Unknown),
            };
            let version = match version {
                LoggedVersion::Tls1_3 => Some(Version::V1_3),
                LoggedVersion::Tls1_2 => Some(Version::V1_2),
                LoggedVersion::Tls1_1 | LoggedVersion::Tls1_0 | LoggedVersion::Ssl3 => {
                    Some(Version::Older)
                }
                LoggedVersion::Other => None,
            };
            (Channel::Tls(version), proof, check)
        }
    };
    Way {
        channel,
        proof,
        full_check,
        origin: match proof {
            Proof::Dane => Origin::Published,
            Proof::Nobody | Proof::WebPki | Proof::Pin | Proof::Some => Origin::Default,
        },
        demand: match proof {
            Proof::Nobody => Demand::Opportunistic,
            Proof::Dane | Proof::WebPki | Proof::Pin | Proof::Some => Demand::Mandatory,
        },
        deliveries,
    }
}

/// A name that a rule can have; address literals have none.
fn domain(name: &str) -> Option<DomainName> {
    DomainName::parse(name).ok()
}

fn standing(config: Option<&Config>, domain: DomainName, published: Option<()>) -> Standing {
    let rule = config.and_then(|config| config.policy.rules.find(&domain));
    match (rule, published) {
        (Some(rule), _) => Standing::Rule(rule.origin.clone()),
        (None, Some(())) => Standing::Published,
        (None, None) => Standing::Free,
    }
}
