//! A history as it may have come together at a busy relay, always the same for a seed: written into a store, as the
//! daemon would have.

use sealpost::store::history::{
    Clear, DAY, Facet, HOUR, HourCount, LastAttempt, LastDelivery, LastRefusal, MOST_AT_ONCE,
    Sighting, Stands, Way,
};
use sealpost::store::{Store, StoredPolicy};
use std::sync::Arc;

/// How much of it.
#[derive(Clone, Copy, Debug)]
pub struct Past {
    pub destinations: u64,
    /// Hours in which mail went to one of them, at most.
    pub hours: u64,
    /// How far they are spread.
    pub days: u64,
    /// UNIX seconds.
    pub now: u64,
}

/// What was written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Written {
    pub blocked: u64,
    pub plaintext: u64,
    pub downgraded: u64,
    /// Attempts of the hours that the page calls the last 24, by what came of them, in the order of [`Way::ALL`].
    pub day: [u64; 6],
}

/// What a destination is like.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Dane,
    Sts,
    Pin,
    Good,
    Old,
    SelfSigned,
    Clear,
    Blocked,
    Downgraded,
    Refusing,
}

const WORDS: [&str; 24] = [
    "mail", "nord", "werk", "alpine", "harbour", "data", "city", "clinic", "bank", "school",
    "press", "legal", "garden", "stone", "river", "cloud", "studio", "print", "energy", "rail",
    "union", "market", "south", "photo",
];
const ENDS: [&str; 8] = [
    "example",
    "example.net",
    "example.org",
    "co.example",
    "gov.example",
    "ac.example",
    "example.com",
    "de.example",
];

pub fn name(number: u64) -> String {
    let word = |n: u64| WORDS[(n % WORDS.len() as u64) as usize];
    let end = ENDS[(number % ENDS.len() as u64) as usize];
    match number {
        // As long as names may become, and in another script.
        7 => format!(
            "{}.{}.{end}",
            "a-very-long-label-that-nobody-would-type",
            "subdomain-of-a-department-of-a-ministry.with-more-labels.and-more"
        ),
        11 => "xn--bcher-kva.example".to_owned(),
        13 => "[192.0.2.25]".to_owned(),
        _ => format!(
            "{}-{}{number}.{end}",
            word(number * 7 + 3),
            word(number / 5)
        ),
    }
}

fn kind(number: u64) -> Kind {
    match number % 100 {
        0..12 => Kind::Dane,
        12..27 => Kind::Sts,
        27 => Kind::Pin,
        28..76 => Kind::Good,
        76..84 => Kind::Old,
        84..91 => Kind::SelfSigned,
        91..94 => Kind::Clear,
        94 | 95 => Kind::Blocked,
        96 => Kind::Downgraded,
        _ => Kind::Refusing,
    }
}

fn facet(kind: Kind, way: Way) -> Facet {
    let secured = way.is_secured();
    let or_none = |text: &'static str| if secured { text } else { "" };
    let (version, cipher, group) = match kind {
        Kind::Old | Kind::SelfSigned => ("1.2", "TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384", "X25519"),
        Kind::Sts => ("1.3", "TLS_AES_128_GCM_SHA256", "X25519MLKEM768"),
        Kind::Dane => ("1.3", "TLS_CHACHA20_POLY1305_SHA256", "X25519"),
        Kind::Pin
        | Kind::Good
        | Kind::Clear
        | Kind::Blocked
        | Kind::Downgraded
        | Kind::Refusing => ("1.3", "TLS_AES_256_GCM_SHA384", "X25519"),
    };
    let (policy, level) = match kind {
        Kind::Dane => ("dane", "dane"),
        Kind::Sts | Kind::Blocked => ("mta-sts", "verify"),
        Kind::Pin => ("rule", "fingerprint"),
        Kind::Good
        | Kind::Old
        | Kind::SelfSigned
        | Kind::Clear
        | Kind::Downgraded
        | Kind::Refusing => ("default", "may"),
    };
    Facet {
        way,
        authenticated: match (secured, kind) {
            (false, _) => "",
            (true, Kind::Dane) => "dane",
            (true, Kind::Sts | Kind::Blocked) => "webpki",
            (true, Kind::Pin) => "fingerprint",
            (true, _) => "none",
        }
        .into(),
        version: or_none(version).into(),
        cipher: or_none(cipher).into(),
        group: or_none(group).into(),
        problem: or_none(if kind == Kind::SelfSigned {
            "self_signed"
        } else if kind == Kind::Old {
            "name_mismatch"
        } else {
            "none"
        })
        .into(),
        key: or_none(if kind == Kind::Old { "rsa2048" } else { "p256" }).into(),
        policy: policy.into(),
        level: level.into(),
        why: match way {
            Way::Plaintext => "no_starttls",
            Way::Blocked => "certificate-host-mismatch",
            Way::Verified | Way::Encrypted | Way::Refused | Way::Deferred => "",
        }
        .into(),
        dry_run: "".into(),
    }
}

/// How mail usually goes, and how it went in the end.
fn ways(kind: Kind) -> (Way, Way) {
    match kind {
        Kind::Dane | Kind::Sts | Kind::Pin => (Way::Verified, Way::Verified),
        Kind::Good | Kind::Old | Kind::SelfSigned => (Way::Encrypted, Way::Encrypted),
        Kind::Clear => (Way::Plaintext, Way::Plaintext),
        Kind::Blocked => (Way::Verified, Way::Blocked),
        Kind::Downgraded => (Way::Encrypted, Way::Plaintext),
        Kind::Refusing => (Way::Encrypted, Way::Deferred),
    }
}

impl Past {
    /// Writes it.
    pub async fn write(self, store: &Store) -> Written {
        let mut written = Written::default();
        let mut random = fastrand::Rng::with_seed(7);
        let mut batch = Vec::new();
        for number in 0..self.destinations {
            let sightings = self.of(number, &mut random, &mut written);
            batch.extend(sightings);
            if batch.len() + 2 > MOST_AT_ONCE || number + 1 == self.destinations {
                // Earlier first: the last one says how a destination is now.
                store
                    .record_history(std::mem::take(&mut batch), self.now)
                    .await
                    .unwrap();
            }
        }
        written
    }

    fn of(self, number: u64, random: &mut fastrand::Rng, written: &mut Written) -> Vec<Sighting> {
        let kind = kind(number);
        let (usual, last) = ways(kind);
        let this_hour = self.now - self.now % HOUR;
        let hours: Vec<(u64, u64)> = (0..random.u64(1..=self.hours))
            .map(|_| {
                let back = random.u64(1..self.days * 24);
                let at = this_hour - back * HOUR;
                // More by day than by night, less at weekends.
                let (hour, weekday) = (at / HOUR % 24, (at / DAY + 3) % 7);
                let busy =
                    1 + 14u64.saturating_sub(hour.abs_diff(11)) * if weekday < 5 { 3 } else { 1 };
                (at, random.u64(1..=busy))
            })
            .collect();
        let day_from = this_hour - 23 * HOUR;
        let mut count = |at: u64, way: Way, count: u64| {
            if at >= day_from {
                written.day[Way::ALL.iter().position(|one| *one == way).unwrap()] += count;
            }
            HourCount {
                at,
                facet: facet(kind, way),
                rule: rule(kind),
                count,
            }
        };
        let earlier = hours.iter().map(|(at, n)| count(*at, usual, *n)).collect();
        let earliest = hours.iter().map(|(at, _)| *at).min().unwrap();
        let latest = hours.iter().map(|(at, _)| *at).max().unwrap();
        let mut sightings = vec![self.seen(number, kind, usual, (earliest, latest, earlier))];
        if last != usual {
            let counts = vec![count(this_hour, last, 3)];
            sightings.push(self.seen(
                number,
                kind,
                last,
                (this_hour, self.now - number % 60, counts),
            ));
        }
        match last {
            Way::Blocked => written.blocked += 1,
            Way::Plaintext => written.plaintext += 1,
            Way::Verified | Way::Encrypted | Way::Refused | Way::Deferred => {}
        }
        written.downgraded += u64::from(kind == Kind::Downgraded);
        sightings
    }

    fn seen(
        self,
        number: u64,
        kind: Kind,
        way: Way,
        (first, last, counts): (u64, u64, Vec<HourCount>),
    ) -> Sighting {
        let name = name(number);
        let mx: Arc<str> = format!("mx{}.{}", number % 3 + 1, name.trim_matches(['[', ']'])).into();
        let refusal = match way {
            Way::Blocked => Some((
                format!(
                    "451 4.7.5 mta-sts policy of {name}: {mx}[192.0.2.{}]: certificate is for www.hosting-provider.example, \
                     not for {mx}",
                    number % 200
                ),
                Some("certificate-host-mismatch"),
            )),
            Way::Deferred => Some((
                format!("451 4.7.1 {mx}[192.0.2.9] said: Greylisted, try again later"),
                None,
            )),
            Way::Verified | Way::Encrypted | Way::Plaintext | Way::Refused => None,
        };
        Sighting {
            name: name.into(),
            first,
            last,
            attempt: LastAttempt {
                facet: facet(kind, way),
                rule: rule(kind),
            },
            delivery: way.is_delivered().then(|| LastDelivery {
                at: last,
                facet: facet(kind, way),
                mx,
            }),
            refusal: refusal.map(|(words, why)| LastRefusal {
                at: last,
                words,
                why,
            }),
            secured: way.is_secured().then_some(last),
            clear: (way == Way::Plaintext).then(|| Clear {
                first,
                last,
                cause: "no_starttls",
                before: counts.iter().map(|count| count.count).sum(),
                after: 0,
                stands: Stands::Yes,
            }),
            counts,
        }
    }
}

fn rule(kind: Kind) -> Option<Arc<str>> {
    (kind == Kind::Pin).then(|| "partner-bank".into())
}

/// Policies in the cache for the destinations that publish one.
pub async fn policies(store: &Store, destinations: u64, now: u64) {
    for number in
        (0..destinations).filter(|number| matches!(kind(*number), Kind::Sts | Kind::Blocked))
    {
        let domain = name(number);
        if domain.starts_with('[') {
            continue;
        }
        let mode = if number % 5 == 0 {
            "testing"
        } else {
            "enforce"
        };
        let fetched = now - number * 977 % (6 * DAY);
        let policy = format!("version: STSv1\nmode: {mode}\nmx: *.{domain}\nmax_age: 604800\n");
        let (id, used) = (format!("2026{number}"), fetched);
        let (expires, refresh) = (fetched + 604_800, fetched + DAY);
        let policy = StoredPolicy {
            domain,
            id,
            mode: mode.into(),
            policy,
            fetched,
            expires,
            used,
            refresh,
        };
        store.put_sts_policy(policy).await.unwrap();
    }
}
