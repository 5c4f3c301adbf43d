//! The frame of a line: when, which machine, which of Postfix's programs, and what it said.
//!
//! Frames are RFC 3164 (`Nov 26 07:00:01 host postfix/smtp[123]: ...`), the same with an RFC 3339 stamp, and
//! RFC 5424; each with or without a priority.

use super::stamp::Stamp;
use memchr::{memchr, memrchr};

/// Which program speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Service {
    Smtp,
    Lmtp,
    Smtpd,
    /// An smtpd for users: its name in `master.cf` says so.
    Submission,
}

/// A line of a program that matters.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Line<'a> {
    pub(super) stamp: Stamp<'a>,
    pub(super) host: &'a [u8],
    pub(super) service: Service,
    pub(super) pid: u32,
    pub(super) text: &'a [u8],
}

/// What a line of a log is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Framed<'a> {
    Ours(Line<'a>),
    /// Of another program.
    Foreign,
    /// No line of a log.
    Unreadable,
}

/// Reads the frame of a line without its line end.
pub(super) fn frame(line: &[u8]) -> Framed<'_> {
    let Some((stamp, rest)) = stamped(line) else {
        return Framed::Unreadable;
    };
    match stamp {
        Timed::Classic(stamp) => classic(stamp, rest),
        Timed::Structured(stamp) => structured(stamp, rest),
    }
}

/// The stamp of any line of a log.
pub(super) fn stamp(line: &[u8]) -> Option<Stamp<'_>> {
    match stamped(line)?.0 {
        Timed::Classic(stamp) | Timed::Structured(stamp) => Some(stamp),
    }
}

/// A stamp, and what form the rest has.
#[derive(Debug, Clone, Copy)]
enum Timed<'a> {
    Classic(Stamp<'a>),
    /// RFC 5424.
    Structured(Stamp<'a>),
}

fn stamped(line: &[u8]) -> Option<(Timed<'_>, &[u8])> {
    let line = match line.strip_prefix(b"<") {
        Some(rest) => {
            let end = rest.iter().take(4).position(|b| *b == b'>')?;
            &rest[end + 1..]
        }
        None => line,
    };
    if let Some(rest) = line.strip_prefix(b"1 ") {
        let (stamp, rest) = word(rest)?;
        return is_long(stamp).then_some((Timed::Structured(Stamp::Long(stamp)), rest));
    }
    if line.first()?.is_ascii_digit() {
        let (stamp, rest) = word(line)?;
        return is_long(stamp).then_some((Timed::Classic(Stamp::Long(stamp)), rest));
    }
    let stamp = line.get(..15)?;
    let sound = line.get(15) == Some(&b' ') && stamp[3] == b' ' && stamp[9] == b':';
    sound.then(|| (Timed::Classic(Stamp::Short(stamp)), &line[16..]))
}

fn is_long(stamp: &[u8]) -> bool {
    stamp.len() >= 19 && stamp[4] == b'-' && stamp[10] == b'T'
}

/// `host postfix/smtp[123]: text`
fn classic<'a>(stamp: Stamp<'a>, rest: &'a [u8]) -> Framed<'a> {
    let tagged = word(rest).and_then(|(host, rest)| Some((host, word(rest)?)));
    let Some((host, (tag, text))) = tagged else {
        return Framed::Foreign;
    };
    let Some(tag) = tag.strip_suffix(b"]:") else {
        return Framed::Foreign;
    };
    let Some(bracket) = memrchr(b'[', tag) else {
        return Framed::Foreign;
    };
    match (service(&tag[..bracket]), pid(&tag[bracket + 1..])) {
        (Some(service), Some(pid)) => Framed::Ours(Line {
            stamp,
            host,
            service,
            pid,
            text,
        }),
        _ => Framed::Foreign,
    }
}

/// `host postfix/smtp 123 - - text`
fn structured<'a>(stamp: Stamp<'a>, rest: &'a [u8]) -> Framed<'a> {
    let read = || {
        let (host, rest) = word(rest)?;
        let (name, rest) = word(rest)?;
        let service = service(name)?;
        let (number, rest) = word(rest)?;
        let (_, rest) = word(rest)?;
        let text = after_data(rest)?;
        Some(Line {
            stamp,
            host,
            service,
            pid: pid(number)?,
            text: text.strip_prefix(b"\xef\xbb\xbf").unwrap_or(text),
        })
    };
    read().map_or(Framed::Foreign, Framed::Ours)
}

/// What follows the structured data (RFC 5424 §6.3).
fn after_data(rest: &[u8]) -> Option<&[u8]> {
    if let Some(text) = rest.strip_prefix(b"- ") {
        return Some(text);
    }
    let (mut quoted, mut escaped) = (false, false);
    for (i, b) in rest.iter().enumerate() {
        match b {
            _ if escaped => escaped = false,
            b'\\' if quoted => escaped = true,
            b'"' => quoted = !quoted,
            b']' if !quoted && rest.get(i + 1) == Some(&b' ') => return Some(&rest[i + 2..]),
            _ => {}
        }
    }
    None
}

/// Postfix's programs are named `syslog_name/program`; the syslog_name may be anything.
pub(super) fn service(name: &[u8]) -> Option<Service> {
    let slash = memrchr(b'/', name)?;
    match &name[slash + 1..] {
        b"smtp" => Some(Service::Smtp),
        b"lmtp" => Some(Service::Lmtp),
        b"smtpd" => {
            let for_users = [&b"submission"[..], b"submissions", b"smtps"];
            let mut parts = name[..slash].split(|b| *b == b'/');
            Some(if parts.any(|part| for_users.contains(&part)) {
                Service::Submission
            } else {
                Service::Smtpd
            })
        }
        _ => None,
    }
}

pub(super) fn pid(digits: &[u8]) -> Option<u32> {
    let sound = (1..=9).contains(&digits.len()) && digits.iter().all(u8::is_ascii_digit);
    sound.then(|| digits.iter().fold(0, |n, d| 10 * n + u32::from(d - b'0')))
}

/// Up to the next blank, and what follows that.
fn word(text: &[u8]) -> Option<(&[u8], &[u8])> {
    let end = memchr(b' ', text)?;
    Some((&text[..end], &text[end + 1..]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames() {
        for (line, expected) in [
            (
                "Nov 26 07:00:01 mail postfix/smtp[123]: x y",
                Some((Service::Smtp, 123)),
            ),
            (
                "<22>Nov  6 07:00:01 mail postfix-out/smtp[123]: x y",
                Some((Service::Smtp, 123)),
            ),
            (
                "2026-11-26T07:00:01.123456+01:00 mail postfix/relay/smtp[1]: x y",
                Some((Service::Smtp, 1)),
            ),
            (
                "2026-11-26T07:00:01+0100 mail mta/lmtp[1]: x y",
                Some((Service::Lmtp, 1)),
            ),
            (
                "Nov 26 07:00:01 mail postfix/submission/smtpd[7]: x y",
                Some((Service::Submission, 7)),
            ),
            (
                "Nov 26 07:00:01 mail postfix/smtpd[7]: x y",
                Some((Service::Smtpd, 7)),
            ),
            (
                "<22>1 2026-11-26T07:00:01Z mail postfix/smtp 9 - - x y",
                Some((Service::Smtp, 9)),
            ),
            (
                "<22>1 2026-11-26T07:00:01Z mail postfix/smtp 9 ID47 [a b=\"c] \\\" d\"][e] \u{feff}x y",
                Some((Service::Smtp, 9)),
            ),
        ] {
            let Framed::Ours(read) = frame(line.as_bytes()) else {
                panic!("{line}")
            };
            assert_eq!(Some((read.service, read.pid)), expected, "{line}");
            assert_eq!(
                (read.host, read.text),
                (&b"mail"[..], &b"x y"[..]),
                "{line}"
            );
        }
    }

    #[test]
    fn other_lines() {
        for (line, expected) in [
            (
                "Nov 26 07:00:01 mail postfix/qmgr[123]: x y",
                Framed::Foreign,
            ),
            (
                "Nov 26 07:00:01 mail sshd[1]: postfix/smtp[2]: x",
                Framed::Foreign,
            ),
            ("Nov 26 07:00:01 mail postfix/smtp: x", Framed::Foreign),
            ("Nov 26 07:00:01 mail postfix/smtp[x]: x", Framed::Foreign),
            (
                "Nov 26 07:00:01 mail postfix/smtp[99999999999]: x",
                Framed::Foreign,
            ),
            ("Nov 26 07:00:01 mail kernel: x", Framed::Foreign),
            ("Nov 26 07:00:01 mail", Framed::Foreign),
            (
                "<22>1 2026-11-26T07:00:01Z mail postfix/smtp 9 - [open x",
                Framed::Foreign,
            ),
            ("", Framed::Unreadable),
            ("<", Framed::Unreadable),
            ("<999999>Nov 26 07:00:01 mail x", Framed::Unreadable),
            ("-- Journal begins --", Framed::Unreadable),
            ("\0\0\0\0", Framed::Unreadable),
            ("2026 words", Framed::Unreadable),
        ] {
            assert_eq!(frame(line.as_bytes()), expected, "{line}");
        }
    }
}
