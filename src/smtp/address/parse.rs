//! Strict readers of paths (RFC 5321 §4.1.2, RFC 6531 §3.3).
//!
//! Non-ASCII is read here and judged by the caller, who knows whether SMTPUTF8 is in force. A local
//! part may fill the whole path: VERP and SRS addresses are longer than the 64 octets that RFC 5321
//! §4.5.3.1.1 asks every host to take, and a relay that refused them would bounce good mail.

use super::{MailDomain, Mailbox, ReversePath};
use crate::names::{DomainName, NameError};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// Longest path, octets, with its brackets (RFC 5321 §4.5.3.1.3).
const MAX_PATH: usize = 256;
/// Longest domain, octets (RFC 5321 §4.5.3.1.2).
const MAX_DOMAIN: usize = 255;

/// RCPT TO's path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ForwardPath {
    Mailbox(Mailbox),
    /// `<postmaster>`, in any case: the one local part that needs no domain (RFC 5321 §4.1.1.3).
    Postmaster(String),
}

/// Why a path cannot be understood.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum AddressError {
    #[error("a path stands in angle brackets")]
    NoBrackets,
    #[error("the path is longer than 256 octets")]
    TooLong,
    #[error("the recipient is empty")]
    Empty,
    #[error("the address has no domain")]
    NoDomain,
    #[error("the local part is malformed")]
    LocalPart,
    #[error("the source route is malformed")]
    Route,
    #[error("the address literal is malformed")]
    Literal,
    #[error("in the domain, {0}")]
    Domain(#[from] NameError),
}

/// A path cut out of a command, brackets taken off, and what follows it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PathAndRest<'a> {
    path: &'a str,
    pub rest: &'a str,
}

impl<'a> PathAndRest<'a> {
    /// Finds the closing bracket, which may also occur inside a quoted local part.
    pub fn split(text: &'a str) -> Result<Self, AddressError> {
        let inside = text.strip_prefix('<').ok_or(AddressError::NoBrackets)?;
        let mut quoted = false;
        let mut escaped = false;
        for (at, octet) in inside.bytes().enumerate() {
            match octet {
                _ if escaped => escaped = false,
                b'\\' if quoted => escaped = true,
                b'"' => quoted = !quoted,
                b'>' if !quoted => {
                    let (path, rest) = (&inside[..at], &inside[at + 1..]);
                    return Ok(Self { path, rest });
                }
                _ => {}
            }
        }
        Err(AddressError::NoBrackets)
    }

    /// The path of MAIL FROM.
    pub fn reverse(&self) -> Result<ReversePath, AddressError> {
        if self.path.is_empty() {
            return Ok(ReversePath::Null);
        }
        mailbox(self.path).map(ReversePath::Mailbox)
    }

    /// The path of RCPT TO.
    pub fn forward(&self) -> Result<ForwardPath, AddressError> {
        if self.path.is_empty() {
            return Err(AddressError::Empty);
        }
        if self.path.eq_ignore_ascii_case("postmaster") {
            return Ok(ForwardPath::Postmaster(self.path.to_owned()));
        }
        mailbox(self.path).map(ForwardPath::Mailbox)
    }
}

fn mailbox(path: &str) -> Result<Mailbox, AddressError> {
    let path = without_route(path)?;
    if path.len() + 2 > MAX_PATH {
        return Err(AddressError::TooLong);
    }
    let end = local_end(path)?;
    let (local, rest) = path.split_at(end);
    let domain = rest.strip_prefix('@').ok_or(AddressError::NoDomain)?;
    Ok(Mailbox {
        local: local.to_owned(),
        domain: mail_domain(domain)?,
    })
}

/// Drops `@a,@b:` (RFC 5321 appendix C: accepted, ignored).
fn without_route(path: &str) -> Result<&str, AddressError> {
    if !path.starts_with('@') {
        return Ok(path);
    }
    let (route, rest) = path.split_once(':').ok_or(AddressError::Route)?;
    for hop in route.split(',') {
        let domain = hop.strip_prefix('@').ok_or(AddressError::Route)?;
        mail_domain(domain).map_err(|_| AddressError::Route)?;
    }
    Ok(rest)
}

/// Where the local part ends: a dot-string or a quoted string.
fn local_end(path: &str) -> Result<usize, AddressError> {
    if path.starts_with('"') {
        return quoted_end(path).ok_or(AddressError::LocalPart);
    }
    let end = path.find('@').ok_or(AddressError::NoDomain)?;
    let atom = |a: &str| !a.is_empty() && a.bytes().all(is_atext);
    if path[..end].split('.').all(atom) {
        Ok(end)
    } else {
        Err(AddressError::LocalPart)
    }
}

fn is_atext(octet: u8) -> bool {
    octet.is_ascii_alphanumeric() || !octet.is_ascii() || b"!#$%&'*+-/=?^_`{|}~".contains(&octet)
}

/// Octets up to and with the closing quote (RFC 5321 §4.1.2, Quoted-string).
fn quoted_end(path: &str) -> Option<usize> {
    let mut escaped = false;
    for (at, octet) in path.bytes().enumerate().skip(1) {
        match octet {
            b' '..=b'~' if escaped => escaped = false,
            _ if escaped => return None,
            b'\\' => escaped = true,
            b'"' => return Some(at + 1),
            b' '..=b'~' | 128.. => {}
            _ => return None,
        }
    }
    None
}

fn mail_domain(domain: &str) -> Result<MailDomain, AddressError> {
    if domain.len() > MAX_DOMAIN {
        return Err(AddressError::TooLong);
    }
    if let Some(rest) = domain.strip_prefix('[') {
        let inside = rest.strip_suffix(']').ok_or(AddressError::Literal)?;
        return literal(inside)
            .map(MailDomain::Literal)
            .ok_or(AddressError::Literal);
    }
    if domain.ends_with('.') {
        return Err(NameError::BadLabel.into());
    }
    Ok(MailDomain::Name {
        ascii: DomainName::parse(domain)?,
        written: domain.to_owned(),
    })
}

/// RFC 5321 §4.1.3; no general address literal has ever been registered but IPv6.
fn literal(inside: &str) -> Option<IpAddr> {
    let tagged = inside.get(..5).filter(|t| t.eq_ignore_ascii_case("IPv6:"));
    match tagged {
        Some(_) => inside[5..].parse::<Ipv6Addr>().ok().map(IpAddr::V6),
        None => inside.parse::<Ipv4Addr>().ok().map(IpAddr::V4),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn forward(text: &str) -> Result<String, AddressError> {
        let cut = PathAndRest::split(text)?;
        Ok(match cut.forward()? {
            ForwardPath::Mailbox(mailbox) => mailbox.to_string(),
            ForwardPath::Postmaster(local) => local,
        })
    }

    #[test]
    fn forward_paths() {
        for (text, expected) in [
            ("<a@b.example>", Ok("a@b.example")),
            ("<A+x=y@B.Example>", Ok("A+x=y@B.Example")),
            ("<\"q l\"@b.example>", Ok("\"q l\"@b.example")),
            ("<\"a\\\">@\"@b.example>", Ok("\"a\\\">@\"@b.example")),
            ("<@x.example,@y.example:a@b.example>", Ok("a@b.example")),
            ("<a@[192.0.2.1]>", Ok("a@[192.0.2.1]")),
            ("<a@[ipv6:2001:DB8::1]>", Ok("a@[IPv6:2001:db8::1]")),
            ("<Postmaster>", Ok("Postmaster")),
            ("<jürgen@bücher.example>", Ok("jürgen@bücher.example")),
            ("a@b.example", Err(AddressError::NoBrackets)),
            ("<a@b.example", Err(AddressError::NoBrackets)),
            ("<>", Err(AddressError::Empty)),
            ("<a>", Err(AddressError::NoDomain)),
            ("<\"a\">", Err(AddressError::NoDomain)),
            ("<a..b@b.example>", Err(AddressError::LocalPart)),
            ("<.a@b.example>", Err(AddressError::LocalPart)),
            ("<@b.example>", Err(AddressError::Route)),
            ("<a b@b.example>", Err(AddressError::LocalPart)),
            ("<\"a\tb\"@b.example>", Err(AddressError::LocalPart)),
            ("<\"a@b.example>", Err(AddressError::NoBrackets)), // the quote never ends
            ("<a@b@c.example>", Err(NameError::BadCharacter.into())),
            ("<a@b.example.>", Err(NameError::BadLabel.into())),
            ("<a@>", Err(NameError::Empty.into())),
            ("<a@192.0.2.1>", Err(NameError::IsAddress.into())),
            ("<a@[192.0.2.300]>", Err(AddressError::Literal)),
            ("<a@[2001:db8::1]>", Err(AddressError::Literal)),
            ("<a@[192.0.2.1>", Err(AddressError::Literal)),
            ("<@x.example a@b.example>", Err(AddressError::Route)),
        ] {
            assert_eq!(forward(text), expected.map(String::from), "{text}");
        }
    }

    #[test]
    fn u_labels_are_routed_as_a_labels() {
        let cut = PathAndRest::split("<a@Bücher.example>").unwrap();
        let Ok(ForwardPath::Mailbox(mailbox)) = cut.forward() else {
            panic!("no mailbox");
        };
        assert!(!mailbox.is_ascii());
        let MailDomain::Name { ascii, written } = mailbox.domain else {
            panic!("no name");
        };
        assert_eq!(ascii.as_str(), "xn--bcher-kva.example");
        assert_eq!(written, "Bücher.example");
    }

    #[test]
    fn lengths_are_limited() {
        let of = |local: usize| forward(&format!("<{}@b.example>", "x".repeat(local)));
        assert!(of(100).is_ok(), "longer than 64: VERP");
        assert!(of(244).is_ok());
        assert_eq!(of(245), Err(AddressError::TooLong));
    }

    #[test]
    fn the_null_path_is_a_reverse_path_only() {
        let cut = PathAndRest::split("<> SIZE=1").unwrap();
        assert_eq!(cut.reverse(), Ok(ReversePath::Null));
        assert_eq!(cut.rest, " SIZE=1");
    }

    proptest! {
        #[test]
        fn whatever_comes_is_read_or_refused(text in "<?[\\PC\"<>@,:\\[\\]\\\\.]{0,40}>?") {
            if let Ok(cut) = PathAndRest::split(&text) {
                let mailbox = cut.reverse();
                let Ok(ReversePath::Mailbox(_)) = &mailbox else {
                    return Ok(());
                };
                // What was read says the same when it is sent on.
                let again = format!("<{}>", mailbox.clone().unwrap());
                prop_assert_eq!(PathAndRest::split(&again).unwrap().reverse(), mailbox);
            }
        }
    }
}
