//! A DNS server that answers as a recursive resolver would, from records that a test writes down.
//!
//! ```no_run
//! # async fn example() -> std::io::Result<()> {
//! use lab::dns::{DnsServer, Fault, RecordType};
//! let dns = DnsServer::start().await?;
//! dns.mx("example.test", 10, "mx1.example.test").a("mx1.example.test", "127.0.1.1");
//! dns.fault("slow.test", RecordType::MX, Fault::Timeout);
//! assert_eq!(dns.queries("example.test", RecordType::MX), 0);
//! # Ok(()) }
//! ```

mod answer;
mod export;
pub mod lie;
mod proof;
mod records;
mod resolve;
mod serve;
mod store;
mod text;
mod tree;

use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex};
use std::time::Duration;

pub use hickory_proto::op::{Message, ResponseCode};
pub use hickory_proto::rr::{Record, RecordType};
use tempfile::TempDir;
use tokio::sync::watch;

use crate::dnssec::{Verdict, Zone};
pub use crate::fault::Fault;
pub use crate::name::normal;
use crate::tasks::{Tasks, lock};
pub use records::{tlsa_data, tlsa_owner};
use store::Store;

/// One question as it came.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "they are bits of the wire format"
)]
pub struct Question {
    /// In lower case, without the final dot.
    pub name: String,
    /// The type asked for.
    pub record_type: RecordType,
    /// Whether it came over TCP.
    pub transport: Transport,
    /// DO: the client wants signatures (RFC 3225).
    pub dnssec_ok: bool,
    /// CD: the client validates itself (RFC 4035 §3.2.2).
    pub checking_disabled: bool,
    /// AD: the client understands AD in the answer (RFC 6840 §5.7).
    pub authentic_data: bool,
}

/// How a question came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Transport {
    Udp,
    Tcp,
}

/// The running server: UDP and TCP on one port of 127.0.0.1. Records may be changed at any time.
#[derive(Debug)]
pub struct DnsServer {
    shared: Arc<Shared>,
    address: SocketAddr,
    directory: TempDir,
    tasks: Mutex<Tasks>,
}

#[derive(Debug)]
pub(crate) struct Shared {
    store: Mutex<Store>,
    kind: Mutex<Kind>,
    lie: Mutex<Option<lie::Lie>>,
    asked: watch::Sender<Vec<Question>>,
}

/// What kind of resolver it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Forwarder,
    Validating,
    Stripping,
    Authority,
}

/// Who is asked at an address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Office {
    Resolver,
    Authority,
}

/// Knows the right answer to every question; see [`DnsServer::honest`].
#[derive(Clone, Debug)]
pub struct Oracle(Arc<Shared>);

impl Oracle {
    /// The right answer with all signatures and proofs.
    pub fn honest(&self, owner: &str, record_type: RecordType) -> Message {
        answer::honest(&self.0, owner, record_type)
    }

    /// With what this zone would deny the name if it were asked in place of the zone that has the name: its SOA record
    /// and proofs, signed. Empty if there is no such zone.
    pub fn denial(&self, apex: &str, owner: &str) -> Vec<Record> {
        answer::denial(&self.0, apex, owner)
    }
}

impl DnsServer {
    /// Starts one on a free port.
    ///
    /// # Errors
    /// If no port was free for both protocols.
    pub async fn start() -> io::Result<Self> {
        let shared = Arc::new(Shared {
            store: Mutex::default(),
            kind: Mutex::new(Kind::Forwarder),
            lie: Mutex::default(),
            asked: watch::Sender::new(Vec::new()),
        });
        let mut tasks = Tasks::default();
        let any = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
        let address = open(&shared, &mut tasks, any, Office::Resolver).await?;
        Ok(Self {
            shared,
            address,
            directory: tempfile::tempdir()?,
            tasks: Mutex::new(tasks),
        })
    }

    /// Serves all zones at another address as well, as their authoritative server: every answer comes from
    /// the zone that has the name, never a referral. Lies and faults are the same. The only name server of all zones
    /// is `ns.lab` with this address, so that a resolver that starts at the root needs port 53.
    ///
    /// # Errors
    /// If the address cannot be bound.
    pub async fn serve_authoritatively(&self, address: SocketAddr) -> io::Result<SocketAddr> {
        let mut tasks = Tasks::default();
        let bound = open(&self.shared, &mut tasks, address, Office::Authority).await?;
        if let IpAddr::V4(ip) = bound.ip() {
            lock(&self.shared.store).set_server(ip);
        }
        lock(&self.tasks).adopt(tasks);
        Ok(bound)
    }

    /// Answers as a resolver at another address as well, such as port 53 of a network namespace, which the
    /// libraries of others ask and no other.
    ///
    /// # Errors
    /// If the address cannot be bound.
    pub async fn resolve_also_at(&self, address: SocketAddr) -> io::Result<SocketAddr> {
        let mut tasks = Tasks::default();
        let bound = open(&self.shared, &mut tasks, address, Office::Resolver).await?;
        lock(&self.tasks).adopt(tasks);
        Ok(bound)
    }

    /// Where it listens, for `dns.servers`.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Declares a zone that is signed as it should be; its records are written down as all others.
    pub fn secure(&self, apex: &str) -> &Self {
        self.zone(apex, Zone::secure())
    }

    /// Declares a zone, or changes it: from now on it is like this. The root (`.`), top-level zones and `test` are
    /// signed without declaration, names of two labels with records or faults are unsigned zones. A zone that is declared
    /// again keeps the keys that it still has.
    pub fn zone(&self, apex: &str, zone: Zone) -> &Self {
        lock(&self.shared.store).declare(apex, zone);
        self
    }

    /// Gives a zone new keys, and its parent new DS records.
    pub fn new_keys(&self, apex: &str) -> &Self {
        lock(&self.shared.store).forget_keys(apex);
        self
    }

    /// Answers as a resolver that does not validate, but hands signatures and proofs on. It is one from the start.
    pub fn forwards(&self) -> &Self {
        self.behave(Kind::Forwarder)
    }

    /// Answers as a validating resolver: the AD bit on secure answers, SERVFAIL with extended error 6 in place of
    /// bogus ones, unless CD is set. It knows the verdict from the declarations and does not validate. Records that
    /// come from lies are not judged.
    pub fn validates(&self) -> &Self {
        self.behave(Kind::Validating)
    }

    /// Answers as an old resolver that knows nothing of DNSSEC.
    pub fn strips_dnssec(&self) -> &Self {
        self.behave(Kind::Stripping)
    }

    fn behave(&self, kind: Kind) -> &Self {
        *lock(&self.shared.kind) = kind;
        self
    }

    /// Changes every answer before it is sent, in place of an earlier lie. See [`lie`] for what liars need.
    pub fn lie(&self, lie: impl Fn(&Question, &mut Message) + Send + Sync + 'static) -> &Self {
        *lock(&self.shared.lie) = Some(lie::Lie(Arc::new(lie)));
        self
    }

    /// No more lies.
    pub fn tell_the_truth(&self) -> &Self {
        *lock(&self.shared.lie) = None;
        self
    }

    /// The right answer to a question with all signatures and proofs, whatever faults and lies there are.
    pub fn honest(&self, owner: &str, record_type: RecordType) -> Message {
        answer::honest(&self.shared, owner, record_type)
    }

    /// What a validator says to the right answer, by what was declared, the faults of zones included.
    pub fn verdict(&self, owner: &str, record_type: RecordType) -> Verdict {
        answer::verdict(&self.shared, owner, record_type)
    }

    /// The same for liars that ask as they go.
    pub fn oracle(&self) -> Oracle {
        Oracle(Arc::clone(&self.shared))
    }

    /// Seconds to live of all records that are added from now on (60 by default).
    pub fn ttl(&self, seconds: u32) -> &Self {
        lock(&self.shared.store).ttl = seconds;
        self
    }

    /// Seconds to live of negative answers from now on (60 by default).
    pub fn negative_ttl(&self, seconds: u32) -> &Self {
        lock(&self.shared.store).set_negative_ttl(seconds);
        self
    }

    /// Lets something go wrong with this question from now on.
    pub fn fault(&self, owner: &str, record_type: RecordType, fault: Fault) -> &Self {
        lock(&self.shared.store).set_fault(owner, Some(record_type), fault);
        self
    }

    /// The same for every type of this name; a fault of one type goes before it.
    pub fn fault_all(&self, owner: &str, fault: Fault) -> &Self {
        lock(&self.shared.store).set_fault(owner, None, fault);
        self
    }

    /// All is well again with this name.
    pub fn mend(&self, owner: &str) -> &Self {
        lock(&self.shared.store).mend(owner);
        self
    }

    /// How often this was asked.
    pub fn queries(&self, owner: &str, record_type: RecordType) -> usize {
        count(&self.shared.asked.borrow(), &normal(owner), record_type)
    }

    /// Everything that was asked, in order.
    pub fn questions(&self) -> Vec<Question> {
        self.shared.asked.borrow().clone()
    }

    /// Waits until this was asked at least `n` times; false when `timeout` passed before.
    pub async fn wait_for_queries(
        &self,
        owner: &str,
        record_type: RecordType,
        n: usize,
        timeout: Duration,
    ) -> bool {
        let owner = normal(owner);
        let mut asked = self.shared.asked.subscribe();
        let enough = asked.wait_for(|asked| count(asked, &owner, record_type) >= n);
        tokio::time::timeout(timeout, enough)
            .await
            .is_ok_and(|waited| waited.is_ok())
    }
}

/// Listens, and answers as this.
async fn open(
    shared: &Arc<Shared>,
    tasks: &mut Tasks,
    address: SocketAddr,
    office: Office,
) -> io::Result<SocketAddr> {
    let (udp, tcp) = serve::bind(address).await?;
    let bound = udp.local_addr()?;
    tasks.spawn(serve::udp(Arc::clone(shared), Arc::new(udp), office));
    tasks.spawn(serve::tcp(Arc::clone(shared), tcp, office));
    Ok(bound)
}

fn count(asked: &[Question], owner: &str, record_type: RecordType) -> usize {
    asked
        .iter()
        .filter(|q| q.name == owner && q.record_type == record_type)
        .count()
}
