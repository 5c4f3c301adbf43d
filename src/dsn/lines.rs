//! Lines of a notice: nothing of a stranger's in them but printable characters, and none too long
//! (RFC 5322 §2.1.1, §2.2.3).

use crate::smtp::address::{MailDomain, Mailbox};
use crate::smtp::envelope::Utf8;
use std::net::IpAddr;

/// What a line has at most if its words allow it, octets without its end.
pub(super) const WIDTH: usize = 76;
/// What a line has at most, octets without its end (RFC 5322 §2.1.1).
const MAX_LINE: usize = 998;

/// A stranger's words as one line of printable ASCII: anything else is `?`, runs of blanks are one space.
pub(super) fn printable(text: &str) -> String {
    let clean: String = text
        .chars()
        .map(|c| match c {
            ' '..='~' => c,
            '\t' => ' ',
            _ => '?',
        })
        .collect();
    let words: Vec<&str> = clean.split(' ').filter(|word| !word.is_empty()).collect();
    words.join(" ")
}

/// An address for people and for the To field: as for the wire, with `?` for what a reader must not see
/// or the notice cannot hold.
pub(super) fn address(mailbox: &Mailbox, utf8: Utf8) -> String {
    mailbox
        .for_wire(utf8)
        .chars()
        .map(|c| match utf8 {
            _ if c.is_ascii() => c,
            Utf8::Needed if !is_unseen(c) => c,
            Utf8::Needed | Utf8::NotNeeded => '?',
        })
        .collect()
}

/// Control characters, and those that break a line or turn the direction of writing (Unicode's TR9).
pub(super) fn is_unseen(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{200E}' | '\u{200F}' | '\u{2028}'..='\u{202E}' | '\u{2066}'..='\u{2069}')
}

/// An address literal (RFC 5321 §4.1.3).
pub(super) fn literal(ip: IpAddr) -> String {
    MailDomain::Literal(ip).to_string()
}

/// Adds a header field on one line, unless it would be too long for any.
pub(super) fn field(out: &mut String, name: &str, value: &str) {
    fold(out, name, value, MAX_LINE);
}

/// Adds a header field of prose, folded where it has spaces (RFC 5322 §2.2.3).
pub(super) fn folded_field(out: &mut String, name: &str, value: &str) {
    fold(out, name, value, WIDTH);
}

fn fold(out: &mut String, name: &str, value: &str, width: usize) {
    // Its callers have seen to that; a line break here would be a field of a stranger's making.
    let value = value.replace(char::is_control, "?");
    out.push_str(name);
    out.push_str(": ");
    let taken = name.len() + 2;
    out.push_str(&pieces(&value, taken, 1, width).join("\r\n "));
    out.push_str("\r\n");
}

/// Adds a paragraph, wrapped and indented.
pub(super) fn paragraph(out: &mut String, indent: usize, text: &str) {
    for line in pieces(text, indent, indent, WIDTH) {
        out.extend(std::iter::repeat_n(' ', indent));
        out.push_str(line);
        out.push_str("\r\n");
    }
}

/// `text` cut at spaces, which are left out, for a first line of which `taken` octets are used up and for
/// others of which `indent` are. A word that is longer than a line's `width` has a line for itself, and is
/// cut only where it would be too long for any.
fn pieces(text: &str, taken: usize, indent: usize, width: usize) -> Vec<&str> {
    let mut pieces = Vec::new();
    let mut rest = text;
    let mut used = taken;
    while rest.len() > width.saturating_sub(used) {
        let (room, most) = (width.saturating_sub(used), MAX_LINE.saturating_sub(used));
        // A space at the very beginning would leave a blank line, which ends a header.
        let octets = rest.as_bytes();
        let fits = memchr::memrchr(b' ', octets.get(1..=room).unwrap_or_default());
        let space = fits.or_else(|| memchr::memchr(b' ', octets.get(1..).unwrap_or_default()));
        let (piece, after) = match space.map(|at| at + 1) {
            Some(at) if at <= most => (&rest[..at], &rest[at + 1..]),
            Some(_) | None if rest.len() <= most => break,
            Some(_) | None => {
                let boundary = |at: &usize| rest.is_char_boundary(*at);
                rest.split_at((0..=most).rev().find(boundary).unwrap_or(most))
            }
        };
        pieces.push(piece);
        rest = after;
        used = indent;
    }
    pieces.push(rest);
    pieces
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn prose_is_cut_at_spaces() {
        let long = "x".repeat(30);
        for (text, expected) in [
            ("", vec![""]),
            ("one two", vec!["one two"]),
            ("one two three", vec!["one two", "three"]), // 10 of the first 20 are taken
            (&long, vec![&long[..]]),
            (&format!("a {long} b"), vec!["a", &long, "b"]),
            (" leading  twice", vec![" leading ", "twice"]),
        ] {
            assert_eq!(pieces(text, 10, 1, 20), expected, "{text}");
        }
    }

    #[test]
    fn a_word_is_cut_where_no_line_could_hold_it() {
        let text = format!("a {} b", "ü".repeat(1000));
        let got = pieces(&text, 10, 1, 76);
        let lengths: Vec<usize> = got.iter().map(|piece| piece.len()).collect();
        assert_eq!(lengths, [1, 996, 997 - 1, 10]);
        assert_eq!(got.concat().replace(' ', ""), text.replace(' ', ""));
    }

    #[test]
    fn strangers_say_nothing_but_printable_ascii() {
        for (text, expected) in [
            ("no such user", "no such user"),
            ("a\r\nSubject: x", "a??Subject: x"),
            ("\x1b[31mred\x07 naïve", "?[31mred? na?ve"),
            ("  a\t \tb ", "a b"),
        ] {
            assert_eq!(printable(text), expected);
        }
    }

    #[test]
    fn a_field_stays_one_field() {
        let mut out = String::new();
        field(&mut out, "A", "x\r\nB: y");
        assert_eq!(out, "A: x??B: y\r\n");
    }
}
