//! What a query says besides its question.

use hickory_resolver::proto::op::{Edns, Message, Query};

/// UDP payload that we announce: no fragments on the way (RFC 9715 §3).
const UDP_PAYLOAD: u16 = 1232;

/// What is asked of a server besides the question.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Asking {
    /// Nothing.
    Plain,
    /// Signatures, and data even if the server finds them bogus: we judge (RFC 4035 §3.2.2, RFC 6840 §5.9).
    Signatures,
    /// The server's own judgement (RFC 6840 §5.7).
    Verdict,
}

/// Whether a question is asked again because the answer to it was bogus.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Turn {
    First,
    /// Another server is asked if there is one, and without CD: a server that validates then tries other
    /// sources, until what it has is not bogus (RFC 6840 appendix B).
    Second {
        not: usize,
    },
}

/// What a query says besides the question.
#[derive(Debug, Clone, Copy)]
pub(super) struct Form {
    pub asking: Asking,
    pub turn: Turn,
}

impl Form {
    pub(super) fn edns(self) -> Edns {
        let mut edns = Edns::new();
        edns.set_max_payload(UDP_PAYLOAD);
        edns.set_dnssec_ok(self.asking != Asking::Plain);
        edns
    }
}

pub(super) fn query_for(question: &Query, form: Form, edns: Option<Edns>) -> Message {
    // The identifier comes from the thread's cryptographic generator (RFC 5452 §9.2).
    let mut message = Message::query();
    message.metadata.recursion_desired = true;
    message.metadata.checking_disabled =
        form.asking == Asking::Signatures && form.turn == Turn::First;
    message.metadata.authentic_data = form.asking == Asking::Verdict;
    message.add_query(question.clone());
    message.edns = edns;
    message
}
