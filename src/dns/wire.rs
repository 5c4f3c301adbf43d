//! A reply as octets, read strictly (RFC 1035 §4.1), but no more of it than we need: record data stay
//! octets, so that one malformed TLSA record does not spoil the message, and what was signed is what is
//! checked.

use hickory_resolver::proto::op::{Query, ResponseCode};
use hickory_resolver::proto::rr::{DNSClass, Name, RecordType};
use hickory_resolver::proto::serialize::binary::{BinDecodable, BinDecoder};

/// Header of a message (RFC 1035 §4.1.1).
pub(super) const HEADER: usize = 12;

/// Records read of one reply.
const MAX_RECORDS: usize = 4000;

/// Octets of record data kept of one reply: names in it may be longer than on the wire.
const MAX_DATA: usize = 256 * 1024;

/// Labels and pointers of one name: a name has at most 127 labels, and who compresses needs one pointer.
const MAX_STEPS: usize = 192;

/// EDE texts kept, and their length.
const MAX_EXPLANATIONS: usize = 4;
const MAX_EXPLANATION: usize = 120;

/// RFC 8914 §2.
const OPTION_EDE: u16 = 15;

/// A message that is an answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Reply {
    pub id: u16,
    pub flags: Flags,
    /// With the upper bits of EDNS (RFC 6891 §6.1.3).
    pub code: ResponseCode,
    /// Some servers send errors without it.
    pub question: Option<Query>,
    pub answers: Vec<Record>,
    pub authorities: Vec<Record>,
    pub explanations: Vec<Explanation>,
}

/// The flags of the header (RFC 1035 §4.1.1, RFC 4035 §3).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Flags(pub u16);

impl Flags {
    pub(super) const RESPONSE: Self = Self(0x8000);
    pub(super) const AUTHORITATIVE: Self = Self(0x0400);
    pub(super) const TRUNCATED: Self = Self(0x0200);
    pub(super) const RECURSION_AVAILABLE: Self = Self(0x0080);
    pub(super) const AUTHENTIC: Self = Self(0x0020);
    const OPCODE: Self = Self(0x7800);

    pub(super) fn has(self, flag: Self) -> bool {
        self.0 & flag.0 != 0
    }
}

/// A record whose class is that of the question; others are left out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Record {
    pub owner: Name,
    pub record_type: RecordType,
    /// In seconds; one with its top bit set is zero (RFC 2181 §8).
    pub ttl: u32,
    /// Names in it are decompressed where they may be compressed, and their case is kept.
    pub data: Box<[u8]>,
}

/// What a server says about a failure (RFC 8914).
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Explanation {
    pub code: u16,
    pub text: String,
}

/// Why octets are no reply.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(super) enum WireError {
    #[error("shorter than a header")]
    NoHeader,
    #[error("not the answer to a query")]
    NoResponse,
    #[error("more than one question")]
    Questions,
    #[error("cut off")]
    Cut,
    #[error("a malformed name")]
    Name,
    #[error("record data of the wrong length")]
    DataLength,
    #[error("too many records")]
    TooMuch,
    #[error("more than one OPT record")]
    Edns,
}

impl Reply {
    /// Octets after the last record are not looked at.
    pub(super) fn read(bytes: &[u8]) -> Result<Self, WireError> {
        let Some(header) = bytes.get(..HEADER) else {
            return Err(WireError::NoHeader);
        };
        let word = |at: usize| u16::from_be_bytes([header[at], header[at + 1]]);
        let flags = Flags(word(2));
        if !flags.has(Flags::RESPONSE) || flags.has(Flags::OPCODE) {
            return Err(WireError::NoResponse);
        }
        let mut reader = Reader { bytes, at: HEADER };
        let question = match word(4) {
            0 => None,
            1 => Some(reader.question()?),
            _ => return Err(WireError::Questions),
        };
        let class = question.as_ref().map_or(DNSClass::IN, Query::query_class);
        let counts = [word(6), word(8), word(10)].map(usize::from);
        if counts.iter().sum::<usize>() > MAX_RECORDS {
            return Err(WireError::TooMuch);
        }
        let mut room = MAX_DATA;
        let answers = reader.section(counts[0], class, &mut room)?;
        let authorities = reader.section(counts[1], class, &mut room)?;
        let edns = reader.additional(counts[2])?;
        let low = header[3] & 0x0f;
        Ok(Self {
            id: word(0),
            flags,
            code: ResponseCode::from(edns.code_high, low),
            question,
            answers,
            authorities,
            explanations: edns.explanations,
        })
    }
}

/// What is taken from an OPT record (RFC 6891 §6.1.3).
#[derive(Default)]
struct Opt {
    code_high: u8,
    explanations: Vec<Explanation>,
}

struct Reader<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Reader<'a> {
    fn take(&mut self, length: usize) -> Result<&'a [u8], WireError> {
        let end = self.at.checked_add(length).ok_or(WireError::Cut)?;
        let taken = self.bytes.get(self.at..end).ok_or(WireError::Cut)?;
        self.at = end;
        Ok(taken)
    }

    fn word(&mut self) -> Result<u16, WireError> {
        let two = self.take(2)?;
        Ok(u16::from_be_bytes([two[0], two[1]]))
    }

    /// A name, compressed or not (RFC 1035 §4.1.4); pointers only lead back.
    fn name(&mut self) -> Result<Name, WireError> {
        self.check_pointers()?;
        let start = u16::try_from(self.at).map_err(|_| WireError::Cut)?;
        let mut decoder = BinDecoder::new(self.bytes).clone(start);
        let name = Name::read(&mut decoder).map_err(|_| WireError::Name)?;
        self.at = decoder.index();
        Ok(name)
    }

    /// Many records could otherwise share one chain of thousands of pointers.
    fn check_pointers(&self) -> Result<(), WireError> {
        let mut at = self.at;
        for _ in 0..=MAX_STEPS {
            match *self.bytes.get(at..).unwrap_or_default() {
                [0, ..] => return Ok(()),
                [length @ 1..=63, ..] => at += 1 + usize::from(length),
                [high @ 0xc0..=0xff, low, ..] => {
                    at = usize::from(high & 0x3f) << 8 | usize::from(low)
                }
                _ => return Err(WireError::Name),
            }
        }
        Err(WireError::Name)
    }

    fn question(&mut self) -> Result<Query, WireError> {
        let name = self.name()?;
        let mut query = Query::query(name, RecordType::from(self.word()?));
        query.set_query_class(DNSClass::from(self.word()?));
        Ok(query)
    }

    fn section(
        &mut self,
        count: usize,
        class: DNSClass,
        room: &mut usize,
    ) -> Result<Vec<Record>, WireError> {
        let mut records = Vec::new();
        for _ in 0..count {
            let owner = self.name()?;
            let record_type = RecordType::from(self.word()?);
            let its_class = DNSClass::from(self.word()?);
            let ttl = self.ttl()?;
            let data = self.data(record_type)?;
            *room = room.checked_sub(data.len()).ok_or(WireError::TooMuch)?;
            if its_class == class {
                records.push(Record {
                    owner,
                    record_type,
                    ttl,
                    data,
                });
            }
        }
        Ok(records)
    }

    fn ttl(&mut self) -> Result<u32, WireError> {
        let four = self.take(4)?;
        let ttl = u32::from_be_bytes([four[0], four[1], four[2], four[3]]);
        Ok(if ttl > i32::MAX.unsigned_abs() {
            0
        } else {
            ttl
        })
    }

    fn data(&mut self, record_type: RecordType) -> Result<Box<[u8]>, WireError> {
        let length = usize::from(self.word()?);
        let end = self.at + length;
        let Some((fixed, names)) = compressible(record_type) else {
            return Ok(self.take(length)?.into());
        };
        if end > self.bytes.len() {
            return Err(WireError::Cut);
        }
        let mut data = self.take(fixed.min(length))?.to_vec();
        for _ in 0..names {
            append(&self.name()?, &mut data);
        }
        let rest = end.checked_sub(self.at).ok_or(WireError::DataLength)?;
        data.extend_from_slice(self.take(rest)?);
        Ok(data.into())
    }

    /// Reads the additional section for its OPT record.
    fn additional(&mut self, count: usize) -> Result<Opt, WireError> {
        let mut opt: Option<Opt> = None;
        for _ in 0..count {
            self.name()?;
            let record_type = self.word()?;
            self.word()?;
            let ttl = self.take(4)?;
            let length = usize::from(self.word()?);
            let data = self.take(length)?;
            if RecordType::from(record_type) != RecordType::OPT {
                continue;
            }
            let read = Opt {
                code_high: ttl[0],
                explanations: explanations(data),
            };
            if opt.replace(read).is_some() {
                return Err(WireError::Edns);
            }
        }
        Ok(opt.unwrap_or_default())
    }
}

/// The EDE options among those of an OPT record; what is malformed is passed over.
fn explanations(data: &[u8]) -> Vec<Explanation> {
    let mut found = Vec::new();
    let mut options = Reader { bytes: data, at: 0 };
    while let (Ok(code), Ok(length)) = (options.word(), options.word()) {
        let Ok(value) = options.take(length.into()) else {
            break;
        };
        let [high, low, text @ ..] = value else {
            continue;
        };
        if code == OPTION_EDE && found.len() < MAX_EXPLANATIONS {
            let text = String::from_utf8_lossy(text);
            let printable = text.chars().filter(|c| !c.is_control());
            found.push(Explanation {
                code: u16::from_be_bytes([*high, *low]),
                text: printable.take(MAX_EXPLANATION).collect(),
            });
        }
    }
    found
}

/// What the server says of its failure (RFC 8914), as an addition to a sentence.
pub(super) fn explained(explanations: &[Explanation]) -> String {
    let texts = explanations.iter().map(|Explanation { code, text }| {
        let code = format!("; EDE {code}");
        match &text[..] {
            "" => code,
            _ => format!("{code}: {text}"),
        }
    });
    texts.collect()
}

/// The code as tools print it (RFC 1035 §4.1.1, RFC 2136 §2.2).
pub(super) fn mnemonic(code: ResponseCode) -> String {
    let names = [
        (ResponseCode::FormErr, "FORMERR"),
        (ResponseCode::ServFail, "SERVFAIL"),
        (ResponseCode::NotImp, "NOTIMP"),
        (ResponseCode::Refused, "REFUSED"),
        (ResponseCode::NotAuth, "NOTAUTH"),
    ];
    match names.iter().find(|(known, _)| *known == code) {
        Some((_, name)) => (*name).into(),
        None => format!("RCODE {}", u16::from(code)),
    }
}

/// Octets before the names in the data, and how many names there are, of types whose names may be
/// compressed: those of RFC 1035 §3.3, and those that receivers are to decompress (RFC 3597 §4).
fn compressible(record_type: RecordType) -> Option<(usize, usize)> {
    match u16::from(record_type) {
        2 | 3 | 4 | 5 | 7 | 8 | 9 | 12 => Some((0, 1)), // NS MD MF CNAME MB MG MR PTR
        6 | 14 | 17 => Some((0, 2)),                    // SOA MINFO RP
        15 | 18 | 21 => Some((2, 1)),                   // MX AFSDB RT
        33 => Some((6, 1)),                             // SRV
        _ => None,
    }
}

/// Appends a name without compression, its case as it is.
pub(super) fn append(name: &Name, to: &mut Vec<u8>) {
    for label in name {
        // A label has at most 63 octets.
        to.push(label.len() as u8);
        to.extend_from_slice(label);
    }
    to.push(0);
}

/// Reads a name that must not be compressed (RFC 3597 §4, RFC 4034 §3.1.7, §4.1.1) from the start of
/// record data, and what follows it.
pub(super) fn plain_name(data: &[u8]) -> Option<(Name, &[u8])> {
    let mut end = 0;
    loop {
        match *data.get(end)? {
            0 => break,
            length @ 1..=63 => end += 1 + usize::from(length),
            _ => return None,
        }
    }
    let (name, rest) = data.split_at_checked(end + 1)?;
    let name = Name::read(&mut BinDecoder::new(name)).ok()?;
    Some((name, rest))
}
