//! How a policy host behaves: [`PolicyScript::default`] is a good one, a scenario changes one thing.

use std::time::Duration;

use crate::ca::Identity;
use crate::mx::Versions;

/// The only host of the policies that nobody is to follow.
pub const TRAP_MX: &str = "elsewhere.invalid";

/// How long policies made here may be cached, in seconds.
const MAX_AGE: u64 = 86_400;

/// [`Answer::Big`] has room for a policy of any name.
const SMALLEST: usize = 512;

/// A line of padding that is a valid extension (RFC 8461 §3.2).
const PAD: &str = "x_pad: ";
const PAD_LINE: usize = 80;
const PAD_SHORTEST: usize = PAD.len() + "x\r\n".len();

/// A host's behaviour, to be written as the good one plus one change.
#[derive(Clone, Debug)]
pub struct PolicyScript {
    /// What becomes of a request, or of the connection before there is one.
    pub answer: Answer,
    /// Chain and key; `None`: a good certificate for the host's name.
    pub identity: Option<Identity>,
    /// TLS versions spoken.
    pub versions: Versions,
    /// How long a handshake, and then each request, may take to come; then the connection is closed.
    pub patience: Duration,
}

/// What a host does. Those that hang do so until the client goes or the host stops.
#[derive(Clone, Debug, Default)]
pub enum Answer {
    /// 200 with an enforcing policy for `mx.DOMAIN`, the host that [`crate::Internet::domain`] makes.
    #[default]
    Good,
    /// 200, text/plain, this body with a Content-Length.
    Policy(String),
    /// This status with a policy that is valid, enforcing, and names only [`TRAP_MX`].
    Status(u16),
    /// 301 to this Location, with the same policy.
    Redirect(String),
    /// Anything. Content-Length is added unless it or Transfer-Encoding is given; nothing else is.
    Custom {
        /// Of the status line.
        status: u16,
        /// In this order.
        headers: Vec<(String, String)>,
        /// As it is, also under Transfer-Encoding.
        body: Vec<u8>,
    },
    /// These octets as the whole response, then closed in order.
    Raw(Vec<u8>),
    /// The same, but closed without close_notify, as anybody on the way can do it (RFC 8446 §6.1).
    Cut(Vec<u8>),
    /// TCP is accepted, and nothing ever said.
    HangBeforeTls,
    /// The request is read, and no answer ever comes.
    Hang,
    /// The whole response to this policy an octet at a time.
    Drip {
        /// The pause after each octet.
        every: Duration,
        /// The policy.
        body: String,
    },
    /// 200 with a chunked body without end, which begins with the policy of [`Answer::Status`].
    Endless,
    /// The policy of [`Answer::Good`] with valid extensions up to exactly this many octets, at least 512.
    Big(usize),
    /// HTTP in the clear in answer to the ClientHello.
    BrokenTls,
    /// A fatal alert of this number in answer to the ClientHello, such as 112, unrecognized_name (RFC 6066 §3).
    Alert(u8),
    /// Closed as soon as TCP is accepted.
    CloseBeforeTls,
    /// Closed in order when the request has come.
    CloseAfterRequest,
    /// The policy of [`Answer::Status`] under 200, with a Content-Length that promises more; then closed in order.
    Truncated,
    /// 200 with this policy, late.
    Late {
        /// After the request has come.
        after: Duration,
        /// The policy.
        body: String,
    },
    /// 200 with this policy once [`super::PolicyHost::release`] was called.
    Gated {
        /// The policy.
        body: String,
    },
}

impl Default for PolicyScript {
    fn default() -> Self {
        Self {
            answer: Answer::default(),
            identity: None,
            versions: Versions::Both,
            patience: Duration::from_secs(30),
        }
    }
}

impl PolicyScript {
    /// Good, with this policy.
    pub fn policy(text: &str) -> Self {
        Answer::Policy(text.to_owned()).into()
    }

    /// Good, with this answer.
    pub fn with(answer: Answer) -> Self {
        answer.into()
    }

    /// Good, with this certificate.
    pub fn with_identity(identity: Identity) -> Self {
        Self::default().identity(identity)
    }

    /// The same script with this certificate.
    pub fn identity(self, identity: Identity) -> Self {
        Self {
            identity: Some(identity),
            ..self
        }
    }
}

impl From<Answer> for PolicyScript {
    fn from(answer: Answer) -> Self {
        Self {
            answer,
            ..Self::default()
        }
    }
}

/// The text of a policy with CRLF: version, mode, a line for each mx, max_age (RFC 8461 §3.2).
pub fn policy(mode: &str, mx: &[&str], max_age: u64) -> String {
    let hosts = mx.iter().map(|host| format!("mx: {host}\r\n"));
    let hosts = hosts.collect::<String>();
    format!("version: STSv1\r\nmode: {mode}\r\n{hosts}max_age: {max_age}\r\n")
}

/// Valid and enforcing; following it is noticed, because no domain has this host.
pub(super) fn trap() -> String {
    policy("enforce", &[TRAP_MX], MAX_AGE)
}

/// For the host of the domain whose policy host has this name.
pub(super) fn own(name: &str) -> String {
    let domain = name.strip_prefix("mta-sts.").unwrap_or(name);
    policy("enforce", &[&format!("mx.{domain}")], MAX_AGE)
}

/// Fails where a later connection would: it is a mistake of the test's author.
pub(super) fn check(answer: &Answer) {
    if let Answer::Big(octets) = answer {
        assert!(*octets >= SMALLEST, "a big policy has {SMALLEST} octets");
    }
}

/// [`own`] and extensions, so many octets in all.
pub(super) fn padded(name: &str, octets: usize) -> String {
    let mut text = own(name);
    while text.len() < octets {
        let missing = octets - text.len();
        // What is left after a line is nothing, or enough for another.
        let line = match missing {
            ..=PAD_LINE => missing,
            _ => PAD_LINE.min(missing - PAD_SHORTEST),
        };
        let value = line - PAD.len() - "\r\n".len();
        text.push_str(PAD);
        text.extend(std::iter::repeat_n('x', value));
        text.push_str("\r\n");
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_big_policy_has_exactly_the_size_that_was_asked_for() {
        for octets in (SMALLEST..SMALLEST + 2 * PAD_LINE).chain([65_535, 65_536, 65_537]) {
            let text = padded("mta-sts.a.test", octets);
            assert_eq!(text.len(), octets);
            assert!(text.starts_with("version: STSv1\r\nmode: enforce\r\nmx: mx.a.test\r\n"));
            let lines = text.strip_suffix("\r\n").unwrap().split("\r\n");
            let fields = lines.map(|line| line.split_once(": ").unwrap());
            assert!(
                fields
                    .clone()
                    .all(|(key, value)| !key.is_empty() && !value.is_empty()),
                "{octets}"
            );
            assert_eq!(fields.filter(|(key, _)| *key == "max_age").count(), 1);
        }
    }
}
