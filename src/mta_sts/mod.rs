//! MTA-STS (RFC 8461): the record in DNS, the policy file, how long a policy holds, and lists that are
//! loaded beforehand. Pure; fetching and remembering are `discovery`'s business.

mod policy;
mod preload;
mod record;
mod schedule;

pub use policy::{Mode, MxPattern, Policy, PolicyFault};
pub use preload::{Preload, PreloadFault};
pub use record::{PolicyId, RecordFault, is_candidate, read_records};
pub use schedule::{expires, refresh_after_failure, refresh_after_success};

/// Where the record of a policy domain is (RFC 8461 §3.1).
pub const RECORD_LABEL: &str = "_mta-sts";

/// The first label of the policy host (RFC 8461 §3.3).
pub const HOST_LABEL: &str = "mta-sts";

/// Where the policy is on its host (RFC 8461 §3.3).
pub const POLICY_PATH: &str = "/.well-known/mta-sts.txt";
