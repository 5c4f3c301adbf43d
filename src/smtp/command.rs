//! The commands of a client, and what they may carry (RFC 5321 §4.1, RFC 2033, RFC 3461 §4).
