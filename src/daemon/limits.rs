//! File descriptors: the soft limit is raised to the hard one, and `max_sessions` fits below it.

use nix::sys::resource::{Resource, getrlimit, setrlimit};
use std::io;

/// Descriptors for what is neither a session nor a connection: listeners, the store, DNS, the log,
/// `/metrics`, temporary files of large messages.
const RESERVE: u64 = 100;
/// Per connection to an MX host: itself, and one more while two addresses are tried at once.
const PER_CONNECTION: u64 = 2;

/// What the descriptors at hand allow.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fit {
    Enough,
    /// `max_sessions` must be this, so that accepting never fails.
    Lowered {
        max_sessions: usize,
        needed: u64,
    },
}

/// Raises the soft limit to the hard one; returns what holds then.
pub fn raise() -> io::Result<u64> {
    let (soft, hard) = getrlimit(Resource::RLIMIT_NOFILE)?;
    if soft < hard {
        setrlimit(Resource::RLIMIT_NOFILE, hard, hard)?;
    }
    Ok(hard.max(soft))
}

/// Whether `descriptors` suffice for `client.max_sessions` and `outbound.max_connections`.
pub fn fit(descriptors: u64, max_sessions: usize, max_connections: usize) -> Fit {
    let wide = |n: usize| u64::try_from(n).unwrap_or(u64::MAX);
    let fixed = wide(max_connections)
        .saturating_mul(PER_CONNECTION)
        .saturating_add(RESERVE);
    let needed = fixed.saturating_add(wide(max_sessions));
    if needed <= descriptors {
        return Fit::Enough;
    }
    // A relay that takes no session at all would be worse than one that may run out.
    let left = descriptors.saturating_sub(fixed).max(1);
    Fit::Lowered {
        max_sessions: usize::try_from(left)
            .unwrap_or(usize::MAX)
            .min(max_sessions),
        needed,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sessions_fit_below_the_limit() {
        let lowered = |max_sessions, needed| Fit::Lowered {
            max_sessions,
            needed,
        };
        for (descriptors, sessions, connections, expected) in [
            (524_288, 1000, 500, Fit::Enough),
            (2100, 1000, 500, Fit::Enough),
            (2099, 1000, 500, lowered(999, 2100)),
            (1024, 1000, 400, lowered(124, 1900)),
            (1024, 1000, 500, lowered(1, 2100)), // nothing is left
            (u64::MAX, usize::MAX, usize::MAX, Fit::Enough), // no overflow
        ] {
            let got = fit(descriptors, sessions, connections);
            assert_eq!(got, expected, "{descriptors} {sessions} {connections}");
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
