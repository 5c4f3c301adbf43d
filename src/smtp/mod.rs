//! The grammar of SMTP and LMTP that both sides share (RFC 5321, 2033, 3461, 6531): pure, strict,
//! bounded.

pub mod address;
pub mod command;
pub mod date;
pub mod dot;
pub mod envelope;
pub mod extensions;
pub mod reply;
pub mod status;
pub mod xtext;
