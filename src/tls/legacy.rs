//! A ClientHello for TLS 1.0 to 1.2 and the answer to it, for surveys: which version and suite a server takes when
//! it is offered what rustls does not have. No keys are made and nothing is encrypted: the connection is closed when
//! the answer has been read.
//!
//! Building and reading are pure; what is read is a stranger's, bounded, and read strictly (RFC 5246 §6.2.1, §7.4).

use super::suites::is_dhe;
use crate::names::DomainName;
use std::io;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};

/// Octets of an answer that are read: a ServerHello, and a chain before the parameters of Diffie-Hellman.
const MAX_ANSWER: usize = 48 * 1024;
/// RFC 5246 §6.2.1.
const MAX_RECORD: usize = 1 << 14;
/// "We know secure renegotiation" (RFC 5746 §3.3).
const RENEGOTIATION_SCSV: u16 = 0x00FF;
/// RFC 3749, and no compression.
const COMPRESSIONS: [u8; 2] = [1, 0];

const ALERT: u8 = 21;
const HANDSHAKE: u8 = 22;
const SERVER_HELLO: u8 = 2;
const SERVER_KEY_EXCHANGE: u8 = 12;
const SERVER_HELLO_DONE: u8 = 14;
const EXTENDED_MASTER_SECRET: u16 = 23;
const RENEGOTIATION_INFO: u16 = 0xFF01;

/// A version that is offered as the highest.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum HelloVersion {
    Tls10,
    Tls11,
    Tls12,
}

impl HelloVersion {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Tls10 => "1.0",
            Self::Tls11 => "1.1",
            Self::Tls12 => "1.2",
        }
    }

    fn octets(self) -> [u8; 2] {
        match self {
            Self::Tls10 => [3, 1],
            Self::Tls11 => [3, 2],
            Self::Tls12 => [3, 3],
        }
    }

    fn of(octets: [u8; 2]) -> Option<Self> {
        let all = [Self::Tls10, Self::Tls11, Self::Tls12];
        all.into_iter().find(|version| version.octets() == octets)
    }
}

/// What is offered.
#[derive(Debug, Clone)]
pub struct Hello<'a> {
    pub version: HelloVersion,
    /// In the order of preference; at most 200 count.
    pub suites: &'a [u16],
    pub server_name: Option<&'a DomainName>,
}

/// What a server makes of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Answer {
    Chosen(Chosen),
    /// It refused, with this alert.
    Alert(u8),
}

/// What a ServerHello says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Chosen {
    pub version: HelloVersion,
    pub suite: u16,
    pub compression: Compression,
    pub extras: Extras,
    /// Length of the prime, where Diffie-Hellman over a finite field was chosen.
    pub dh_bits: Option<u32>,
}

/// Whether the server would compress.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Compression {
    Off,
    On,
}

/// Extensions that the server has answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Extras(u8);

impl Extras {
    const RENEGOTIATION: u8 = 1;
    const MASTER_SECRET: u8 = 2;

    pub fn has_secure_renegotiation(self) -> bool {
        self.0 & Self::RENEGOTIATION != 0
    }

    pub fn has_extended_master_secret(self) -> bool {
        self.0 & Self::MASTER_SECRET != 0
    }
}

/// Why there is no answer.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NoAnswer {
    #[error("connection lost")]
    Lost,
    #[error("the answer is no TLS")]
    Malformed,
}

impl Hello<'_> {
    /// Says it and reads the answer. The caller bounds the time.
    pub async fn ask<S>(&self, mut stream: S) -> Result<Answer, NoAnswer>
    where
        S: AsyncRead + AsyncWrite + Unpin,
    {
        let lost = |_: io::Error| NoAnswer::Lost;
        stream.write_all(&self.to_wire()).await.map_err(lost)?;
        stream.flush().await.map_err(lost)?;
        let mut answer = Vec::new();
        loop {
            answer.reserve(2048);
            let read = stream.read_buf(&mut answer).await.map_err(lost)?;
            match read_answer(&answer)? {
                Reading::Done(answer) => return Ok(answer),
                Reading::AtLeast(answer) if read == 0 => return Ok(answer),
                Reading::More if read == 0 => return Err(NoAnswer::Lost),
                Reading::AtLeast(_) | Reading::More if answer.len() > MAX_ANSWER => {
                    return Err(NoAnswer::Malformed);
                }
                Reading::AtLeast(_) | Reading::More => {}
            }
        }
    }

    /// The record. Its random octets protect nothing.
    pub fn to_wire(&self) -> Vec<u8> {
        let mut body = Vec::with_capacity(512);
        body.extend(self.version.octets());
        body.extend(std::iter::repeat_with(|| fastrand::u8(..)).take(32));
        body.push(0); // no session
        let suites = self.suites.iter().take(200).chain(&[RENEGOTIATION_SCSV]);
        let suites: Vec<u8> = suites.flat_map(|suite| suite.to_be_bytes()).collect();
        push16(&mut body, &suites);
        push8(&mut body, &COMPRESSIONS);
        push16(&mut body, &self.extensions());
        let mut record = vec![HANDSHAKE, 3, 1];
        let length = u32::try_from(body.len()).unwrap_or(0).to_be_bytes();
        let message = [&[1][..], &length[1..], &body].concat();
        push16(&mut record, &message);
        record
    }

    fn extensions(&self) -> Vec<u8> {
        /// X25519, P-256, P-384, P-521.
        const GROUPS: [u8; 8] = [0, 29, 0, 23, 0, 24, 0, 25];
        /// All that servers of these versions can do, SHA-1 included.
        const SIGNATURES: [u8; 20] = [4, 3, 5, 3, 6, 3, 8, 4, 8, 5, 8, 6, 4, 1, 5, 1, 2, 3, 2, 1];
        let mut all = Vec::new();
        let mut add = |kind: u16, data: &[u8]| {
            all.extend(kind.to_be_bytes());
            push16(&mut all, data);
        };
        if let Some(name) = self.server_name {
            let mut entry = vec![0];
            push16(&mut entry, name.as_str().as_bytes());
            add(0, &list(&entry));
        }
        add(10, &list(&GROUPS));
        add(11, &[1, 0]);
        add(EXTENDED_MASTER_SECRET, &[]);
        match self.version {
            HelloVersion::Tls12 => add(13, &list(&SIGNATURES)),
            HelloVersion::Tls10 | HelloVersion::Tls11 => {}
        }
        all
    }
}

fn list(data: &[u8]) -> Vec<u8> {
    let mut list = Vec::with_capacity(data.len() + 2);
    push16(&mut list, data);
    list
}

/// All data here are far shorter than the length can say.
fn push16(to: &mut Vec<u8>, data: &[u8]) {
    let length = u16::try_from(data.len()).unwrap_or(u16::MAX);
    to.extend(length.to_be_bytes());
    to.extend(&data[..length.into()]);
}

fn push8(to: &mut Vec<u8>, data: &[u8]) {
    let length = u8::try_from(data.len()).unwrap_or(u8::MAX);
    to.push(length);
    to.extend(&data[..length.into()]);
}

/// How much of an answer is there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Reading {
    More,
    /// A ServerHello, but the parameters of its key exchange are not there yet.
    AtLeast(Answer),
    Done(Answer),
}

/// Reads what has come so far.
fn read_answer(octets: &[u8]) -> Result<Reading, NoAnswer> {
    let mut messages = Vec::new();
    let mut rest = Octets(octets);
    let mut alert = None;
    while let Some(record) = rest.record()? {
        match record {
            (HANDSHAKE, data) => messages.extend_from_slice(data),
            (ALERT, &[_, description]) => {
                alert = Some(Answer::Alert(description));
                break;
            }
            _ => return Err(NoAnswer::Malformed),
        }
    }
    let found = read_messages(&messages)?;
    Ok(match (found, alert) {
        // What was chosen was chosen, whatever the server says next.
        (Reading::AtLeast(answer), Some(_)) => Reading::Done(answer),
        (Reading::More, Some(alert)) => Reading::Done(alert),
        (found, _) => found,
    })
}

fn read_messages(messages: &[u8]) -> Result<Reading, NoAnswer> {
    let mut rest = Octets(messages);
    let Some((kind, hello)) = rest.message() else {
        return Ok(Reading::More);
    };
    if kind != SERVER_HELLO {
        return Err(NoAnswer::Malformed);
    }
    let mut chosen = server_hello(hello).ok_or(NoAnswer::Malformed)?;
    if !is_dhe(chosen.suite) {
        return Ok(Reading::Done(Answer::Chosen(chosen)));
    }
    while let Some((kind, message)) = rest.message() {
        if kind == SERVER_KEY_EXCHANGE {
            let prime = Octets(message).vector16().ok_or(NoAnswer::Malformed)?;
            chosen.dh_bits = Some(bits(prime));
        }
        if [SERVER_KEY_EXCHANGE, SERVER_HELLO_DONE].contains(&kind) {
            return Ok(Reading::Done(Answer::Chosen(chosen)));
        }
    }
    Ok(Reading::AtLeast(Answer::Chosen(chosen)))
}

fn server_hello(message: &[u8]) -> Option<Chosen> {
    let mut rest = Octets(message);
    let version = HelloVersion::of([rest.octet()?, rest.octet()?])?;
    rest.take(32)?;
    let session = usize::from(rest.octet()?);
    rest.take(session).filter(|session| session.len() <= 32)?;
    let suite = rest.number16()?;
    let compression = match rest.octet()? {
        0 => Compression::Off,
        1 => Compression::On,
        _ => return None,
    };
    let mut extras = Extras::default();
    if !rest.0.is_empty() {
        let mut extensions = Octets(rest.vector16()?);
        while !extensions.0.is_empty() {
            let kind = extensions.number16()?;
            extensions.vector16()?;
            if kind == RENEGOTIATION_INFO {
                extras.0 |= Extras::RENEGOTIATION;
            }
            if kind == EXTENDED_MASTER_SECRET {
                extras.0 |= Extras::MASTER_SECRET;
            }
        }
    }
    rest.0.is_empty().then_some(Chosen {
        version,
        suite,
        compression,
        extras,
        dh_bits: None,
    })
}

/// Length of a big-endian number.
fn bits(number: &[u8]) -> u32 {
    let bits = super::certificate::bits(number);
    u32::try_from(bits).unwrap_or(u32::MAX)
}

/// What is left to be read.
struct Octets<'a>(&'a [u8]);

impl<'a> Octets<'a> {
    fn take(&mut self, length: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(length)?;
        self.0 = rest;
        Some(taken)
    }

    fn octet(&mut self) -> Option<u8> {
        self.take(1)?.first().copied()
    }

    fn number16(&mut self) -> Option<u16> {
        let octets = self.take(2)?.try_into().ok()?;
        Some(u16::from_be_bytes(octets))
    }

    fn vector16(&mut self) -> Option<&'a [u8]> {
        let length = self.number16()?;
        self.take(length.into())
    }

    /// The next whole record: type and data; `None` if it has not come yet.
    fn record(&mut self) -> Result<Option<(u8, &'a [u8])>, NoAnswer> {
        let [kind, major, _, high, low, ..] = *self.0 else {
            return Ok(None);
        };
        let length = usize::from(u16::from_be_bytes([high, low]));
        if major != 3 || length == 0 || length > MAX_RECORD || ![ALERT, HANDSHAKE].contains(&kind) {
            return Err(NoAnswer::Malformed);
        }
        if self.0.len() < 5 + length {
            return Ok(None);
        }
        self.take(5);
        Ok(self.take(length).map(|data| (kind, data)))
    }

    /// The next whole message of a handshake; `None` if it has not come yet.
    fn message(&mut self) -> Option<(u8, &'a [u8])> {
        let [kind, a, b, c, ..] = *self.0 else {
            return None;
        };
        let length = u32::from_be_bytes([0, a, b, c]) as usize;
        let (_, data) = self.0.get(..4 + length)?.split_at(4);
        self.0 = &self.0[4 + length..];
        Some((kind, data))
    }
}

#[cfg(test)]
#[path = "legacy_tests.rs"]
mod tests;
