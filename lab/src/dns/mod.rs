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
mod serve;
mod zone;

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use hickory_proto::rr::RData;
pub use hickory_proto::rr::RecordType;
use hickory_proto::rr::rdata::{A, AAAA, CNAME, MX, NULL, PTR, TXT};
use tokio::sync::watch;

use crate::tasks::{Tasks, lock};
pub use zone::normal;
use zone::{Zone, name};

/// What goes wrong with a question.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fault {
    /// Never an answer.
    Timeout,
    /// RCODE 2.
    ServFail,
    /// RCODE 5.
    Refused,
    /// RCODE 4.
    NotImp,
    /// TC over UDP, the whole answer over TCP.
    Truncated,
    /// TC over UDP, and over TCP again.
    TruncatedAlways,
    /// The right answer, late.
    Delay(Duration),
    /// Random octets.
    Garbage,
    /// The right answer under a wrong query id.
    WrongId,
    /// The name is an alias of a name that is an alias of it.
    CnameLoop,
    /// NOERROR with a record of the type whose data is 7 random octets.
    Garbled,
}

/// One question as it came.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Question {
    /// In lower case, without the final dot.
    pub name: String,
    /// The type asked for.
    pub record_type: RecordType,
    /// Whether it came over TCP.
    pub transport: Transport,
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
    _tasks: Tasks,
}

#[derive(Debug)]
pub(crate) struct Shared {
    zone: Mutex<Zone>,
    asked: watch::Sender<Vec<Question>>,
}

impl DnsServer {
    /// Starts one on a free port.
    ///
    /// # Errors
    /// If no port was free for both protocols.
    pub async fn start() -> io::Result<Self> {
        let (udp, tcp) = serve::bind().await?;
        let address = udp.local_addr()?;
        let shared = Arc::new(Shared {
            zone: Mutex::default(),
            asked: watch::Sender::new(Vec::new()),
        });
        let mut tasks = Tasks::default();
        tasks.spawn(serve::udp(Arc::clone(&shared), Arc::new(udp)));
        tasks.spawn(serve::tcp(Arc::clone(&shared), tcp));
        Ok(Self {
            shared,
            address,
            _tasks: tasks,
        })
    }

    /// Where it listens, for `dns.servers`.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Adds an MX record.
    pub fn mx(&self, owner: &str, preference: u16, host: &str) -> &Self {
        self.record(owner, RData::MX(MX::new(preference, name(host))))
    }

    /// "Accepts no mail" (RFC 7505): `MX 0 .`
    pub fn null_mx(&self, owner: &str) -> &Self {
        self.mx(owner, 0, ".")
    }

    /// Adds an A record.
    pub fn a(&self, owner: &str, address: &str) -> &Self {
        self.record(
            owner,
            RData::A(A(address.parse().expect("an IPv4 address"))),
        )
    }

    /// Adds an AAAA record.
    pub fn aaaa(&self, owner: &str, address: &str) -> &Self {
        self.record(
            owner,
            RData::AAAA(AAAA(address.parse().expect("an IPv6 address"))),
        )
    }

    /// Adds an A or AAAA record.
    pub fn address_of(&self, owner: &str, address: IpAddr) -> &Self {
        match address {
            IpAddr::V4(v4) => self.record(owner, RData::A(A(v4))),
            IpAddr::V6(v6) => self.record(owner, RData::AAAA(AAAA(v6))),
        }
    }

    /// Makes the name an alias.
    pub fn cname(&self, owner: &str, target: &str) -> &Self {
        self.record(owner, RData::CNAME(CNAME(name(target))))
    }

    /// Adds a TXT record of one string, cut at 255 octets into several.
    pub fn txt(&self, owner: &str, text: &str) -> &Self {
        let strings = text.as_bytes().chunks(255).collect();
        self.record(owner, RData::TXT(TXT::from_bytes(strings)))
    }

    /// Adds a PTR record for an address.
    pub fn ptr(&self, address: IpAddr, target: &str) -> &Self {
        let owner = zone::reverse(address);
        self.record(&owner, RData::PTR(PTR(name(target))))
    }

    /// Adds a record of any type with these octets as its data.
    pub fn raw(&self, owner: &str, record_type: RecordType, data: &[u8]) -> &Self {
        let rdata = NULL::with(data.to_vec());
        self.record(
            owner,
            RData::Unknown {
                code: record_type,
                rdata,
            },
        )
    }

    /// Adds a record.
    pub fn record(&self, owner: &str, data: RData) -> &Self {
        lock(&self.shared.zone).add(owner, data);
        self
    }

    /// Takes all records of a type away.
    pub fn remove(&self, owner: &str, record_type: RecordType) -> &Self {
        lock(&self.shared.zone).remove(owner, record_type);
        self
    }

    /// Seconds to live of all records that are added from now on (60 by default).
    pub fn ttl(&self, seconds: u32) -> &Self {
        lock(&self.shared.zone).ttl = seconds;
        self
    }

    /// Seconds to live of negative answers from now on (60 by default).
    pub fn negative_ttl(&self, seconds: u32) -> &Self {
        lock(&self.shared.zone).negative_ttl = seconds;
        self
    }

    /// Lets something go wrong with this question from now on.
    pub fn fault(&self, owner: &str, record_type: RecordType, fault: Fault) -> &Self {
        lock(&self.shared.zone)
            .faults
            .insert((normal(owner), Some(record_type)), fault);
        self
    }

    /// The same for every type of this name; a fault of one type goes before it.
    pub fn fault_all(&self, owner: &str, fault: Fault) -> &Self {
        lock(&self.shared.zone)
            .faults
            .insert((normal(owner), None), fault);
        self
    }

    /// All is well again with this name.
    pub fn mend(&self, owner: &str) -> &Self {
        let owner = normal(owner);
        lock(&self.shared.zone)
            .faults
            .retain(|(faulty, _), _| *faulty != owner);
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

fn count(asked: &[Question], owner: &str, record_type: RecordType) -> usize {
    asked
        .iter()
        .filter(|q| q.name == owner && q.record_type == record_type)
        .count()
}
