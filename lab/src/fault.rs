//! What may go wrong with DNS questions.

use std::time::Duration;

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
    /// NOERROR with nothing at all, not even an SOA record.
    Lame,
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
    /// NOERROR with a record of the type whose data is 7 random octets, of type TXT those that are no strings.
    Garbled,
}
