//! File descriptors: the soft limit is raised to the hard one, and sessions and connections fit below it.

use nix::sys::resource::{Resource, getrlimit, setrlimit};
use std::io;

/// Descriptors for what is neither a session nor a connection to an MX host: listeners, the store, DNS, the log,
/// `/metrics`, and 256 policy hosts that are called at once.
const RESERVE: u64 = 400;
/// As much of it as is spared where descriptors are scarce, at least.
const BARE_RESERVE: u64 = 100;
/// Per session: itself, and the file of a large message.
const PER_SESSION: u64 = 2;
/// Per connection to an MX host: itself, one more while two addresses are tried at once, and the file of a large
/// message out of the queue.
const PER_CONNECTION: u64 = 3;

/// What the descriptors at hand allow.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fit {
    Enough,
    /// The limits must be these, so that neither accepting nor connecting ever fails.
    Lowered {
        lowered: Lowered,
        needed: u64,
    },
}

/// Limits that fit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Lowered {
    pub max_sessions: usize,
    pub max_connections: usize,
}

/// Raises the soft limit to the hard one; returns what holds then.
pub fn raise() -> io::Result<u64> {
    let (soft, hard) = getrlimit(Resource::RLIMIT_NOFILE)?;
    if soft < hard {
        setrlimit(Resource::RLIMIT_NOFILE, hard, hard)?;
    }
    Ok(hard.max(soft))
}

/// Whether `descriptors` suffice for `client.max_sessions` and `outbound.max_connections`, and for clients that hand
/// in no mail.
pub fn fit(descriptors: u64, others: usize, max_sessions: usize, max_connections: usize) -> Fit {
    let wide = |n: usize| u64::try_from(n).unwrap_or(u64::MAX);
    let narrow = |n: u64| usize::try_from(n).unwrap_or(usize::MAX).max(1);
    let (sessions, connections) = (wide(max_sessions), wide(max_connections));
    let outward = connections.saturating_mul(PER_CONNECTION);
    let inward = sessions.saturating_mul(PER_SESSION);
    let beside = RESERVE.saturating_add(wide(others));
    let needed = outward.saturating_add(beside).saturating_add(inward);
    if needed <= descriptors {
        return Fit::Enough;
    }
    // Sessions give way first, down to one for each connection that there can be beside them.
    let reserve = beside.min(BARE_RESERVE.max(descriptors / 4));
    let left = descriptors.saturating_sub(reserve);
    let fair = left / (PER_CONNECTION + PER_SESSION);
    let room = left.saturating_sub(outward) / PER_SESSION;
    let sessions = room.max(fair).min(sessions);
    let connections = ((left - sessions * PER_SESSION) / PER_CONNECTION).min(connections);
    let lowered = Lowered {
        max_sessions: narrow(sessions),
        max_connections: narrow(connections),
    };
    Fit::Lowered { lowered, needed }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sessions_fit_below_the_limit() {
        let lowered = |max_sessions, max_connections, needed| Fit::Lowered {
            lowered: Lowered {
                max_sessions,
                max_connections,
            },
            needed,
        };
        for (descriptors, others, sessions, connections, expected) in [
            (524_288, 0, 1000, 500, Fit::Enough),
            (3900, 0, 1000, 500, Fit::Enough),
            (3899, 0, 1000, 500, lowered(999, 500, 3900)),
            (1024, 0, 1000, 200, lowered(153, 154, 3000)),
            (1024, 0, 1000, 500, lowered(153, 154, 3900)),
            (1024, 0, 10, 500, lowered(10, 249, 1920)), // more than its share is of no use
            (256, 0, 1000, 500, lowered(31, 31, 3900)),
            (50, 0, 1000, 500, lowered(1, 1, 3900)), // nothing is left
            (u64::MAX, 0, usize::MAX, usize::MAX, Fit::Enough), // no overflow
            (4400, 500, 1000, 500, Fit::Enough),
            (4096, 500, 1000, 500, lowered(848, 500, 4400)),
            (1024, 500, 1000, 500, lowered(153, 154, 4400)), // mail comes first
            (u64::MAX, usize::MAX, usize::MAX, usize::MAX, Fit::Enough),
        ] {
            let got = fit(descriptors, others, sessions, connections);
            let case = [others, sessions, connections];
            assert_eq!(got, expected, "{descriptors} {case:?}");
        }
    }

    #[test]
    fn the_soft_limit_becomes_the_hard_one() {
        let (_, hard) = getrlimit(Resource::RLIMIT_NOFILE).unwrap();
        setrlimit(Resource::RLIMIT_NOFILE, hard / 2, hard).unwrap();
        assert_eq!(raise().unwrap(), hard);
        assert_eq!(getrlimit(Resource::RLIMIT_NOFILE).unwrap(), (hard, hard));
    }
}
