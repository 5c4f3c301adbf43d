//! How a host behaves: [`Script::default`] is a good one, a scenario changes one thing.

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use super::act::Act;
use crate::ca::Identity;

/// A host's behaviour, to be written as the good one plus one change:
/// `Script { rcpt: (450, "4.2.1 later").into(), ..Script::default() }`.
#[derive(Clone, Debug)]
pub struct Script {
    /// Its name in the greeting and the EHLO reply; `None`: the name that the host was started with.
    pub hostname: Option<String>,
    /// Whether connections come about.
    pub listening: Listening,
    /// EHLO keywords in the clear, STARTTLS apart.
    pub keywords: Vec<String>,
    /// EHLO keywords after TLS; `None`: the same.
    pub tls_keywords: Option<Vec<String>>,
    /// Whether STARTTLS is among the keywords.
    pub offer: Offer,
    /// The TLS side.
    pub tls: Tls,
    /// What happens between the 220 to STARTTLS and the end of the handshake.
    pub handshake: Handshake,
    /// On connection.
    pub greeting: Act,
    /// To EHLO in the clear.
    pub ehlo: Act,
    /// To EHLO within TLS.
    pub tls_ehlo: Act,
    /// To HELO.
    pub helo: Act,
    /// To STARTTLS; the handshake begins after a 220 only.
    pub starttls: Act,
    /// To MAIL.
    pub mail: Act,
    /// To every RCPT that is not in `rcpts`.
    pub rcpt: Act,
    /// To the RCPT of certain addresses, compared without regard to case.
    pub rcpts: HashMap<String, Act>,
    /// 452 from this number of accepted recipients in one transaction on.
    pub rcpt_limit: Option<usize>,
    /// To DATA.
    pub data: Act,
    /// To DATA when no recipient was accepted.
    pub no_recipients: NoRecipients,
    /// While the content comes.
    pub content: Content,
    /// To the final dot, or the last BDAT.
    pub dot: Act,
    /// To RSET.
    pub rset: Act,
    /// To NOOP.
    pub noop: Act,
    /// To QUIT; the connection is closed after any.
    pub quit: Act,
    /// After a finished transaction, with the client idle.
    pub idle: Idle,
    /// Says every reply octet by octet with this pause after each.
    pub drip: Option<Duration>,
    /// Waits so long before each reply.
    pub delay_per_reply: Duration,
    /// Waits so long before the replies to all commands that arrived together, as a distant host would.
    pub delay_per_flight: Duration,
    /// Asked first, before all the fields above; see [`Script::on`].
    pub hook: Option<Hook>,
}

/// Whether and how connections come about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Listening {
    /// SMTP in the clear first.
    Normal,
    /// TLS from the first octet (RFC 8314 §3.3).
    ImplicitTls,
    /// Connection refused. Only at the start of the host.
    Refused,
    /// The attempt to connect is never answered. Only at the start of the host.
    Blackhole,
}

/// Whether STARTTLS is offered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Offer {
    StartTls,
    NoStartTls,
}

/// The TLS side of a host.
#[derive(Clone, Debug)]
pub struct Tls {
    /// Chain and key; `None`: the one that the host was started with, else a self-signed one.
    pub identity: Option<Identity>,
    /// Versions spoken.
    pub versions: Versions,
    /// Whether the client is asked for a certificate.
    pub client_cert: ClientCert,
    /// TLS 1.3 tickets per handshake; 0 switches resumption off, of TLS 1.2 too.
    pub tickets: usize,
}

/// TLS versions spoken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Versions {
    Both,
    Only12,
    Only13,
}

/// Whether a client certificate is asked for. Which issuer it has never matters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ClientCert {
    /// No.
    NotAsked,
    /// Yes, and recorded if there is one.
    Asked,
    /// The handshake fails without one; in TLS 1.3 the client learns it at its first read after the handshake.
    Required,
    /// The handshake fails with any, likewise.
    Refused,
}

/// Between the 220 to STARTTLS and the end of the handshake.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Handshake {
    /// As it should be.
    Normal,
    /// These octets follow the 220 in the same segment (CVE-2011-0411), then the handshake.
    Surplus(Vec<u8>),
    /// As it should be, but what came in the clear behind STARTTLS is taken for commands under TLS (CVE-2011-0411).
    KeepsBuffer,
    /// These octets in answer to the ClientHello, then silence.
    Garbage(Vec<u8>),
    /// Nothing, for ever.
    Stall,
    /// The connection is closed when the ClientHello has come.
    Close,
    /// The same with a reset.
    Reset,
    /// A fatal alert of this number (RFC 8446 §6), such as 40, handshake_failure, then close.
    Alert(u8),
    /// The handshake succeeds, and then the connection is closed.
    CloseAfter,
}

/// To DATA when no recipient was accepted (RFC 2920 §3.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NoRecipients {
    /// 554.
    Refuse,
    /// 354, and then the client is to send a lone dot, which is answered with 554.
    Accept,
}

/// While the content comes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Content {
    /// Read as fast as it comes.
    Normal,
    /// Read slowly: so many octets, then a pause. The socket's buffer is small.
    Slow {
        /// Octets in one read.
        octets: usize,
        /// The pause after it.
        pause: Duration,
    },
    /// Closed after so many octets.
    CloseAfter(usize),
    /// Reset after so many octets.
    ResetAfter(usize),
    /// These octets are sent after so many octets of content, then closed: such as `552 too big`.
    SayAfter(usize, &'static str),
    /// The same, and then it neither reads nor closes.
    SayAndStop(usize, &'static str),
    /// Not read at all any more, but open.
    Stop,
}

/// After a finished transaction, with the client idle.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Idle {
    /// Nothing.
    Wait,
    /// After this time these octets, such as `421 4.4.2 bye\r\n`, then closed.
    Say(Duration, Vec<u8>),
    /// Closed after this time.
    Close(Duration),
}

/// A command, or another point at which the host acts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Stage {
    Greeting,
    Ehlo,
    TlsEhlo,
    Helo,
    StartTls,
    Mail,
    Rcpt,
    Data,
    Dot,
    Bdat,
    Rset,
    Noop,
    Quit,
    Other,
}

/// What a hook is told.
#[derive(Clone, Debug)]
pub struct Moment<'a> {
    /// Where we are.
    pub stage: Stage,
    /// The command line; empty at the greeting and the dot.
    pub line: &'a str,
    /// The address of MAIL or RCPT.
    pub address: &'a str,
    /// The number of the connection to this host, from 0.
    pub connection: usize,
    /// The number of the transaction in the connection, from 0.
    pub transaction: usize,
    /// How often this host has come to this stage with this line under this sender, from 1.
    pub nth: usize,
}

/// See [`Script::on`].
#[derive(Clone)]
pub struct Hook(pub Arc<dyn Fn(&Moment<'_>) -> Act + Send + Sync>);

impl fmt::Debug for Hook {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Hook")
    }
}

impl Default for Script {
    fn default() -> Self {
        let keywords = [
            "PIPELINING",
            "SIZE 52428800",
            "8BITMIME",
            "SMTPUTF8",
            "ENHANCEDSTATUSCODES",
            "DSN",
        ];
        Self {
            hostname: None,
            listening: Listening::Normal,
            keywords: keywords.map(str::to_owned).to_vec(),
            tls_keywords: None,
            offer: Offer::StartTls,
            tls: Tls::default(),
            handshake: Handshake::Normal,
            greeting: Act::Normal,
            ehlo: Act::Normal,
            tls_ehlo: Act::Normal,
            helo: Act::Normal,
            starttls: Act::Normal,
            mail: Act::Normal,
            rcpt: Act::Normal,
            rcpts: HashMap::new(),
            rcpt_limit: None,
            data: Act::Normal,
            no_recipients: NoRecipients::Refuse,
            content: Content::Normal,
            dot: Act::Normal,
            rset: Act::Normal,
            noop: Act::Normal,
            quit: Act::Normal,
            idle: Idle::Wait,
            drip: None,
            delay_per_reply: Duration::ZERO,
            delay_per_flight: Duration::ZERO,
            hook: None,
        }
    }
}

impl Default for Tls {
    fn default() -> Self {
        Self {
            identity: None,
            versions: Versions::Both,
            client_cert: ClientCert::NotAsked,
            tickets: 2,
        }
    }
}

impl Script {
    /// Good, but without STARTTLS.
    pub fn no_starttls() -> Self {
        Self {
            offer: Offer::NoStartTls,
            ..Self::default()
        }
    }

    /// Good, with this certificate.
    pub fn with_identity(identity: Identity) -> Self {
        Self::default().identity(identity)
    }

    /// Accepts connections and never says anything.
    pub fn silent() -> Self {
        Self {
            greeting: Act::Silence,
            ..Self::default()
        }
    }

    /// Refuses connections.
    pub fn refused() -> Self {
        Self {
            listening: Listening::Refused,
            ..Self::default()
        }
    }

    /// Never answers attempts to connect.
    pub fn blackhole() -> Self {
        Self {
            listening: Listening::Blackhole,
            ..Self::default()
        }
    }

    /// 450 to the first RCPT of each sender and recipient.
    pub fn greylisting() -> Self {
        Self::default().on(|moment| match (moment.stage, moment.nth) {
            (Stage::Rcpt, 1) => Act::reply(450, "4.2.0 greylisted, try again"),
            _ => Act::Normal,
        })
    }

    /// The same script with this certificate.
    pub fn identity(mut self, identity: Identity) -> Self {
        self.tls.identity = Some(identity);
        self
    }

    /// The same script with one more keyword, before and after TLS.
    pub fn with(mut self, keyword: &str) -> Self {
        self.keywords.push(keyword.to_owned());
        self.tls_keywords
            .iter_mut()
            .for_each(|keywords| keywords.push(keyword.to_owned()));
        self
    }

    /// The same script without a keyword (its first word), before and after TLS.
    pub fn without(mut self, keyword: &str) -> Self {
        let other = |k: &String| {
            !k.split(' ')
                .next()
                .unwrap_or("")
                .eq_ignore_ascii_case(keyword)
        };
        self.keywords.retain(other);
        self.tls_keywords
            .iter_mut()
            .for_each(|keywords| keywords.retain(other));
        self
    }

    /// The same script with its own answer to one recipient.
    pub fn rcpt(mut self, address: &str, act: impl Into<Act>) -> Self {
        self.rcpts.insert(address.to_ascii_lowercase(), act.into());
        self
    }

    /// The same script with a closure that is asked first; [`Act::Normal`] leaves the answer to the other fields.
    pub fn on(self, hook: impl Fn(&Moment<'_>) -> Act + Send + Sync + 'static) -> Self {
        Self {
            hook: Some(Hook(Arc::new(hook))),
            ..self
        }
    }
}
