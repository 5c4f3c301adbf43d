//! One question to the configured servers: UDP, TCP for what does not fit (RFC 1035 §4.2, RFC 7766),
//! the next server when one fails or is slow.

use super::LookupFailure;
use super::query::{Asking, Form, Turn, query_for};
use super::wire::{Flags, HEADER, Reply, explained, mnemonic};
use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use hickory_resolver::proto::op::{Message, Query, ResponseCode};
use std::collections::VecDeque;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::atomic::{AtomicUsize, Ordering};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpStream, UdpSocket};
use tokio::sync::Semaphore;
use tokio::time::{Instant, sleep_until, timeout_at};

/// Room for what a server sends over UDP all the same.
const UDP_BUFFER: usize = 4096;

/// Datagrams that do not answer the question, before an attempt gives up.
const MAX_STRAY: usize = 100;

/// Times a server is asked the same question.
const TRIES_PER_SERVER: usize = 2;

/// Servers that are asked one question, at most.
const MAX_SERVERS: usize = 3;

/// Questions on the wire at once; each has a socket of its own. The others wait.
const MAX_QUESTIONS: usize = 512;

/// A reply, and who gave it, as an index into the servers.
pub(super) struct Answered {
    pub reply: Reply,
    pub server: usize,
}

/// Why there is no answer.
#[derive(Debug)]
pub(super) struct Unanswered {
    pub failure: LookupFailure,
    /// What the server said, if it said anything.
    pub code: Option<ResponseCode>,
}

impl From<LookupFailure> for Unanswered {
    fn from(failure: LookupFailure) -> Self {
        Self {
            failure,
            code: None,
        }
    }
}

/// The servers that are asked, the one that answered last first.
pub(super) struct Servers {
    addresses: Vec<SocketAddr>,
    preferred: AtomicUsize,
    slots: Semaphore,
}

impl Servers {
    /// At least one address.
    pub(super) fn new(addresses: Vec<SocketAddr>) -> Self {
        Self {
            addresses,
            preferred: AtomicUsize::new(0),
            slots: Semaphore::new(MAX_QUESTIONS),
        }
    }

    pub(super) fn addresses(&self) -> &[SocketAddr] {
        &self.addresses
    }

    /// Asks until a server answers with NOERROR or NXDOMAIN, until all have failed, or until the
    /// deadline. An earlier attempt is still listened to when the next one has begun.
    pub(super) async fn ask(
        &self,
        question: &Query,
        asking: Asking,
        turn: Turn,
        deadline: Instant,
    ) -> Result<Answered, Unanswered> {
        let Ok(Ok(_slot)) = timeout_at(deadline, self.slots.acquire()).await else {
            return Err(LookupFailure::TimedOut.into());
        };
        let patience = deadline.saturating_duration_since(Instant::now()) / 4;
        let mut plan = self.plan(turn);
        let form = Form { asking, turn };
        let mut running = FuturesUnordered::new();
        let mut next_at = Instant::now();
        let mut unanswered = Unanswered::from(LookupFailure::TimedOut);
        loop {
            if running.is_empty() || Instant::now() >= next_at {
                match plan.pop_front() {
                    Some(server) => {
                        let address = self.addresses[server];
                        running
                            .push(async move { (server, attempt(address, question, form).await) });
                        next_at = Instant::now() + patience;
                    }
                    None if running.is_empty() => {
                        self.pass_over(&unanswered);
                        return Err(unanswered);
                    }
                    None => {}
                }
            }
            tokio::select! {
                Some((server, result)) = running.next() => match result {
                    Ok(reply) => {
                        self.preferred.store(server, Ordering::Relaxed);
                        return Ok(Answered { reply, server });
                    }
                    Err(reason) => {
                        if !matches!(reason.failure, LookupFailure::Malformed(_)) {
                            plan.retain(|other| *other != server);
                        }
                        unanswered = reason;
                        next_at = Instant::now();
                    }
                },
                () = sleep_until(next_at), if !plan.is_empty() => {}
                () = sleep_until(deadline) => {
                    self.pass_over(&unanswered);
                    return Err(unanswered);
                }
            }
        }
    }

    /// None of those that were asked is there: the next question begins with others, if there are any.
    fn pass_over(&self, unanswered: &Unanswered) {
        if self.addresses.len() > MAX_SERVERS && unanswered.code.is_none() {
            self.preferred.fetch_add(MAX_SERVERS, Ordering::Relaxed);
        }
    }

    /// Asks this one server; a second time if nothing is heard.
    pub(super) async fn ask_one(
        &self,
        server: usize,
        question: &Query,
        asking: Asking,
        deadline: Instant,
    ) -> Result<Reply, Unanswered> {
        let address = self.addresses[server];
        let form = Form {
            asking,
            turn: Turn::First,
        };
        let left = deadline.saturating_duration_since(Instant::now());
        for until in [Instant::now() + left / 2, deadline] {
            if let Ok(result) = timeout_at(until, attempt(address, question, form)).await {
                return result;
            }
        }
        Err(LookupFailure::TimedOut.into())
    }

    /// Whom to ask in which order, as indices; one that is to be avoided only if there is no other.
    fn plan(&self, turn: Turn) -> VecDeque<usize> {
        let avoided = |server: &usize| turn == Turn::Second { not: *server };
        let count = self.addresses.len();
        let first = self.preferred.load(Ordering::Relaxed);
        let round = (0..count)
            .map(|i| (first + i) % count)
            .filter(|server| count == 1 || !avoided(server))
            .take(MAX_SERVERS);
        std::iter::repeat_n(round, TRIES_PER_SERVER)
            .flatten()
            .collect()
    }
}

/// Asks one server; an old one that chokes on EDNS once more without (RFC 6891 §6.2.2).
async fn attempt(server: SocketAddr, question: &Query, form: Form) -> Result<Reply, Unanswered> {
    let mut reply = over_udp_or_tcp(server, query_for(question, form, Some(form.edns()))).await?;
    if matches!(
        reply.code,
        ResponseCode::FormErr | ResponseCode::NotImp | ResponseCode::BADVERS
    ) {
        reply = over_udp_or_tcp(server, query_for(question, form, None)).await?;
    }
    let code = reply.code;
    if matches!(code, ResponseCode::NoError | ResponseCode::NXDomain) {
        return Ok(reply);
    }
    let said = format!(
        "{} from {server}{}",
        mnemonic(code),
        explained(&reply.explanations)
    );
    Err(Unanswered {
        failure: LookupFailure::ServerFailure(said),
        code: Some(code),
    })
}

async fn over_udp_or_tcp(server: SocketAddr, query: Message) -> Result<Reply, LookupFailure> {
    let bytes = query
        .to_vec()
        .map_err(|e| LookupFailure::Malformed(e.to_string()))?;
    match over_udp(server, &query, &bytes).await? {
        Some(reply) if !reply.flags.has(Flags::TRUNCATED) => return Ok(reply),
        Some(_) | None => {}
    }
    over_tcp(server, &query, &bytes).await
}

/// A socket of its own for each question: a source port that cannot be guessed, chosen by the kernel,
/// and connected, so that strangers are not heard and a closed port is noticed at once.
async fn over_udp(
    server: SocketAddr,
    query: &Message,
    bytes: &[u8],
) -> Result<Option<Reply>, LookupFailure> {
    let failed = |e: io::Error| unreachable(server, &e);
    let any: IpAddr = match server {
        SocketAddr::V4(_) => Ipv4Addr::UNSPECIFIED.into(),
        SocketAddr::V6(_) => Ipv6Addr::UNSPECIFIED.into(),
    };
    let socket = UdpSocket::bind((any, 0)).await.map_err(failed)?;
    socket.connect(server).await.map_err(failed)?;
    socket.send(bytes).await.map_err(failed)?;
    let mut buffer = vec![0; UDP_BUFFER];
    for _ in 0..MAX_STRAY {
        let length = socket.recv(&mut buffer).await.map_err(failed)?;
        match read_reply(&buffer[..length], query) {
            Heard::Ours(reply) => return Ok(Some(*reply)),
            Heard::Cut => return Ok(None),
            Heard::Stray => {}
            Heard::Broken(why) => return Err(malformed(server, &why)),
        }
    }
    Err(malformed(server, "too many stray datagrams"))
}

async fn over_tcp(
    server: SocketAddr,
    query: &Message,
    bytes: &[u8],
) -> Result<Reply, LookupFailure> {
    let failed = |e: io::Error| unreachable(server, &e);
    let mut stream = TcpStream::connect(server).await.map_err(failed)?;
    let length = u16::try_from(bytes.len())
        .map_err(|_| LookupFailure::Malformed("the question is too long".into()))?;
    let framed = [&length.to_be_bytes()[..], bytes].concat();
    stream.write_all(&framed).await.map_err(failed)?;
    let length = stream.read_u16().await.map_err(failed)?;
    let mut buffer = vec![0; usize::from(length)];
    stream.read_exact(&mut buffer).await.map_err(failed)?;
    match read_reply(&buffer, query) {
        Heard::Ours(reply) if reply.flags.has(Flags::TRUNCATED) => {
            Err(malformed(server, "truncated over TCP"))
        }
        Heard::Ours(reply) => Ok(*reply),
        Heard::Cut => Err(malformed(server, "truncated over TCP")),
        Heard::Stray => Err(malformed(server, "an answer to another question")),
        Heard::Broken(why) => Err(malformed(server, &why)),
    }
}

fn unreachable(server: SocketAddr, error: &io::Error) -> LookupFailure {
    LookupFailure::Unreachable(format!("{server}: {error}"))
}

fn malformed(server: SocketAddr, why: &str) -> LookupFailure {
    LookupFailure::Malformed(format!("{why}, from {server}"))
}

/// What a datagram is to us.
enum Heard {
    Ours(Box<Reply>),
    /// Not an answer to our question (RFC 5452 §9.1): as if it had not come.
    Stray,
    /// Truncated, and in the middle of a record.
    Cut,
    Broken(String),
}

/// The bit of a header that says so (RFC 1035 §4.1.1), in its third octet.
const TRUNCATED: u8 = 0x02;

fn read_reply(bytes: &[u8], query: &Message) -> Heard {
    let Some([high, low, flags, ..]) = bytes.get(..HEADER) else {
        return Heard::Stray;
    };
    let is_response = flags & 0x80 != 0;
    if u16::from_be_bytes([*high, *low]) != query.id || !is_response {
        return Heard::Stray;
    }
    let reply = match Reply::read(bytes) {
        Ok(reply) => reply,
        // The last record may be cut in two: the rest is fetched over TCP (RFC 2181 §9).
        Err(_) if flags & TRUNCATED != 0 => return Heard::Cut,
        Err(error) => return Heard::Broken(error.to_string()),
    };
    // Some servers send errors without the question.
    let bare_error = reply.question.is_none()
        && !matches!(reply.code, ResponseCode::NoError | ResponseCode::NXDomain);
    if reply.question.as_ref() == query.queries.first() || bare_error {
        Heard::Ours(Box::new(reply))
    } else {
        Heard::Stray
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dns::interpret::{self, Chain};
    use hickory_resolver::proto::op::OpCode;
    use hickory_resolver::proto::rr::{Name, RecordType};
    use proptest::prelude::*;

    const PLAIN: Form = Form {
        asking: Asking::Plain,
        turn: Turn::First,
    };

    fn query() -> Message {
        let name = Name::from_ascii("example.com.").unwrap();
        query_for(&Query::query(name, RecordType::MX), PLAIN, None)
    }

    fn response_to(query: &Message) -> Message {
        let mut message = Message::response(query.id, OpCode::Query);
        message.add_queries(query.queries.iter().cloned());
        message
    }

    #[test]
    fn only_an_answer_to_our_question_is_ours() {
        let query = query();
        let with = |change: fn(&mut Message)| {
            let mut message = response_to(&query);
            change(&mut message);
            message.to_vec().unwrap()
        };
        let other = Query::query(Name::from_ascii("other.example.").unwrap(), RecordType::MX);
        let mut forged = response_to(&query);
        forged.queries = vec![other];
        let upper = Query::query(Name::from_ascii("EXAMPLE.com.").unwrap(), RecordType::MX);
        let mut same = response_to(&query);
        same.queries = vec![upper];
        for (what, bytes, expected) in [
            ("the answer", with(|_| {}), "ours"),
            ("in other case", same.to_vec().unwrap(), "ours"),
            ("wrong id", with(|m| m.metadata.id ^= 1), "stray"),
            ("a query", query.to_vec().unwrap(), "stray"),
            ("another name", forged.to_vec().unwrap(), "stray"),
            ("no question", with(|m| m.queries.clear()), "stray"),
            (
                "a bare error",
                with(|m| {
                    m.queries.clear();
                    m.metadata.response_code = ResponseCode::Refused;
                }),
                "ours",
            ),
            ("cut", with(|_| {})[..20].to_vec(), "broken"),
            ("a cut header", with(|_| {})[..11].to_vec(), "stray"),
        ] {
            let got = match read_reply(&bytes, &query) {
                Heard::Ours(_) => "ours",
                Heard::Stray => "stray",
                Heard::Cut => "cut",
                Heard::Broken(_) => "broken",
            };
            assert_eq!(got, expected, "{what}");
        }
    }

    #[test]
    fn announced_questions_reserve_nothing() {
        let query = query();
        let mut bytes = response_to(&query).to_vec().unwrap();
        bytes[4..6].copy_from_slice(&u16::MAX.to_be_bytes());
        assert!(matches!(read_reply(&bytes, &query), Heard::Broken(_)));
    }

    proptest! {
        #[test]
        fn no_bytes_make_it_panic(
            tail in proptest::collection::vec(any::<u8>(), 0..600),
            counts in proptest::array::uniform6(any::<u8>()),
        ) {
            let query = query();
            let mut bytes = response_to(&query).to_vec().unwrap();
            bytes[6..12].copy_from_slice(&counts);
            bytes.extend(tail);
            if let Heard::Ours(message) = read_reply(&bytes, &query) {
                let _ = interpret::read(&message, &query.queries[0], Chain::EMPTY);
            }
        }
    }
}
