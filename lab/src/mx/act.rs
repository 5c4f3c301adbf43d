//! What a host does when it is its turn.

use std::time::Duration;

/// What a host does in place of its usual reply. `(550, "5.1.1 no")` and `550` convert into one.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Act {
    /// What a good host would say.
    #[default]
    Normal,
    /// A reply; each line of the text becomes one, an empty text makes a bare code.
    Reply(u16, String),
    /// These octets, whatever they mean: stray lines, a changing code, no end.
    Raw(Vec<u8>),
    /// These octets again and again, until the client goes.
    Endless(Vec<u8>),
    /// Nothing. What the client sends is still read.
    Silence,
    /// Closes the connection in order.
    Close,
    /// Resets the connection.
    Reset,
    /// Waits first.
    After(Duration, Box<Act>),
    /// Says it octet by octet, with this pause after each.
    Dripped(Duration, Box<Act>),
    /// One after the other.
    Then(Box<Act>, Box<Act>),
}

impl Act {
    /// A reply.
    pub fn reply(code: u16, text: &str) -> Self {
        Self::Reply(code, text.to_owned())
    }

    /// These octets.
    pub fn raw(octets: impl AsRef<[u8]>) -> Self {
        Self::Raw(octets.as_ref().to_vec())
    }

    /// The same, then closes the connection.
    pub fn then_close(self) -> Self {
        self.then(Self::Close)
    }

    /// The same, then another.
    pub fn then(self, next: Self) -> Self {
        Self::Then(Box::new(self), Box::new(next))
    }

    /// The same, later.
    pub fn after(self, wait: Duration) -> Self {
        Self::After(wait, Box::new(self))
    }

    /// The same, octet by octet.
    pub fn dripped(self, pause: Duration) -> Self {
        Self::Dripped(pause, Box::new(self))
    }

    /// The same as a list of single steps; `pause` is the one between octets.
    pub(super) fn steps(&self, pause: Option<Duration>) -> Vec<Step> {
        match self {
            Self::Normal => vec![Step::Normal(pause)],
            Self::Reply(code, text) => vec![Step::Write(render(*code, text), pause)],
            Self::Raw(octets) => vec![Step::Write(octets.clone(), pause)],
            Self::Endless(octets) => vec![Step::Endless(octets.clone(), pause)],
            Self::Silence => vec![Step::Silence],
            Self::Close => vec![Step::Close],
            Self::Reset => vec![Step::Reset],
            Self::After(wait, act) => [vec![Step::Wait(*wait)], act.steps(pause)].concat(),
            Self::Dripped(pause, act) => act.steps(Some(*pause)),
            Self::Then(first, second) => [first.steps(pause), second.steps(pause)].concat(),
        }
    }

    /// The code that the client will see first; `None` if none ever comes.
    pub(super) fn code(&self, normal: u16) -> Option<u16> {
        match self {
            Self::Normal => Some(normal),
            Self::Reply(code, _) => Some(*code),
            Self::Raw(octets) | Self::Endless(octets) => {
                std::str::from_utf8(octets.get(..3)?).ok()?.parse().ok()
            }
            Self::Silence | Self::Close | Self::Reset => None,
            Self::After(_, act) | Self::Dripped(_, act) => act.code(normal),
            Self::Then(first, second) => first.code(normal).or_else(|| second.code(normal)),
        }
    }
}

/// One thing to do; the optional time is the pause after each octet.
#[derive(Clone, Debug)]
pub(super) enum Step {
    Normal(Option<Duration>),
    Write(Vec<u8>, Option<Duration>),
    Endless(Vec<u8>, Option<Duration>),
    Wait(Duration),
    Silence,
    Close,
    Reset,
}

impl From<u16> for Act {
    fn from(code: u16) -> Self {
        Self::Reply(code, "as scripted".to_owned())
    }
}

impl From<(u16, &str)> for Act {
    fn from((code, text): (u16, &str)) -> Self {
        Self::reply(code, text)
    }
}

/// A reply on the wire: `250-one`, `250 two`; without text just `250`.
pub(super) fn render(code: u16, text: &str) -> Vec<u8> {
    if text.is_empty() {
        return format!("{code}\r\n").into_bytes();
    }
    let lines = text.lines().collect::<Vec<_>>();
    let (last, before) = lines
        .split_last()
        .expect("a text that is not empty has a line");
    let mut reply = before
        .iter()
        .map(|line| format!("{code}-{line}\r\n"))
        .collect::<String>();
    reply.push_str(&format!("{code} {last}\r\n"));
    reply.into_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn replies_are_rendered() {
        for (code, text, wire) in [
            (250, "2.0.0 ok", "250 2.0.0 ok\r\n"),
            (250, "mx\nSIZE 1", "250-mx\r\n250 SIZE 1\r\n"),
            (250, "", "250\r\n"), // legal (RFC 5321 §4.2)
        ] {
            assert_eq!(render(code, text), wire.as_bytes(), "{text:?}");
        }
    }

    #[test]
    fn an_act_knows_the_first_code() {
        for (act, code) in [
            (Act::Normal, Some(250)),
            (Act::reply(550, "no").then_close(), Some(550)),
            (Act::raw("421 bye\r\n"), Some(421)),
            (Act::raw("??"), None),
            (Act::Close, None),
            (Act::Normal.after(Duration::from_secs(1)), Some(250)),
        ] {
            assert_eq!(act.code(250), code, "{act:?}");
        }
    }
}
