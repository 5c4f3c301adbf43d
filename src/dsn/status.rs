//! The part for machines: `message/delivery-status` (RFC 3464 §2), or `message/global-delivery-status`
//! (RFC 6533 §4).

use super::lines::{field, folded_field, is_unseen, literal, printable};
use super::{Action, Remote, Report, Told};
use crate::smtp::address::Mailbox;
use crate::smtp::date::rfc5322_date;
use crate::smtp::envelope::Utf8;
use crate::smtp::reply::Reply;
use crate::smtp::status::EnhancedStatus;
use crate::smtp::xtext;

/// Longest diagnostic that is passed on, characters: a reply may be half a megabyte, and there are two
/// copies of it for each recipient.
const MAX_DIAGNOSTIC: usize = 1024;

/// The fields of the message, and a group for each recipient.
pub(super) fn fields(report: &Report<'_>) -> String {
    let mut out = String::with_capacity(512 * (1 + report.recipients.len()));
    per_message(&mut out, report);
    for told in report.recipients {
        out.push_str("\r\n");
        per_recipient(&mut out, report, told);
    }
    out
}

/// RFC 3464 §2.2.
fn per_message(out: &mut String, report: &Report<'_>) {
    let envid = report.original.envid.as_deref();
    if let Some(envid) = envid.and_then(xtext::decode) {
        // Blanks are the sender's, who may compare it octet by octet (RFC 3464 §2.2.1).
        field(out, "Original-Envelope-Id", &ascii(&envid));
    }
    let own = format!("dns; {}", report.reporting_mta);
    field(out, "Reporting-MTA", &own);
    field(out, "Arrival-Date", &rfc5322_date(report.arrival));
    field(out, "X-Sealpost-ID", &printable(report.original_id));
}

/// RFC 3464 §2.3.
fn per_recipient(out: &mut String, report: &Report<'_>, told: &Told<'_>) {
    let utf8 = report.needs_utf8;
    let orcpt = told.recipient.orcpt.as_deref();
    if let Some(original) = orcpt.and_then(|orcpt| original_recipient(orcpt, utf8)) {
        field(out, "Original-Recipient", &original);
    }
    let last = final_recipient(&told.recipient.mailbox, utf8);
    field(out, "Final-Recipient", &last);
    field(out, "Action", report.action.as_str());
    let status = status(report.action, told.status);
    field(out, "Status", &status.to_string());
    let spoken_by = match told.remote {
        Some(Remote { name, ip }) => {
            let name = name.map_or_else(|| literal(ip), ToString::to_string);
            field(out, "Remote-MTA", &format!("dns; {name}"));
            "smtp"
        }
        None => "x-sealpost",
    };
    let diagnostic = diagnostic(told.diagnostic);
    folded_field(
        out,
        "Diagnostic-Code",
        &format!("{spoken_by}; {diagnostic}"),
    );
    if let Some(time) = told.last_attempt {
        field(out, "Last-Attempt-Date", &rfc5322_date(time));
    }
    match (report.action, report.until) {
        (Action::Delayed, Some(until)) => field(out, "Will-Retry-Until", &rfc5322_date(until)),
        (Action::Delayed, None) | (Action::Failed | Action::Relayed, _) => {}
    }
}

/// The status as the action allows it: failures are of class 5, delays of 4, and what was relayed is a
/// success (RFC 3464 §2.3.4). Subject and detail are the same in 4 and 5, and others for successes: 2.1.5
/// is a valid address.
pub(super) fn status(action: Action, given: EnhancedStatus) -> EnhancedStatus {
    let class = match action {
        Action::Failed => 5,
        Action::Delayed => 4,
        Action::Relayed => 2,
    };
    match (given.class, class) {
        (is, ought) if is == ought => given,
        (4 | 5, 4 | 5) => EnhancedStatus { class, ..given },
        _ => EnhancedStatus::new(class, 0, 0),
    }
}

/// What was said about a recipient, as one printable line of bounded length.
pub(super) fn diagnostic(reply: &Reply) -> String {
    let mut text = printable(&reply.to_string());
    if text.len() > MAX_DIAGNOSTIC {
        text.truncate(MAX_DIAGNOSTIC);
        text.push_str(" ...");
    }
    text
}

/// The address that we tried (RFC 3464 §2.3.2), of type `utf-8` where ASCII does not do (RFC 6533 §3).
fn final_recipient(mailbox: &Mailbox, utf8: Utf8) -> String {
    let address = mailbox.for_wire(utf8);
    if address.is_ascii() {
        return format!("rfc822; {address}");
    }
    let address = match utf8 {
        Utf8::Needed => embedded(&address, |c| !is_unseen(c)),
        // utf-8-addr-xtext; a backslash would begin an embedded character.
        Utf8::NotNeeded => embedded(&address, |c| is_qchar(c) && c != '\\'),
    };
    format!("utf-8; {address}")
}

/// ORCPT as a field: the type, and the address without its xtext (RFC 3464 §2.3.1). The encodings of
/// RFC 6533 §3 have the same meaning here, and are left as they came.
fn original_recipient(orcpt: &str, utf8: Utf8) -> Option<String> {
    let (kind, address) = orcpt.split_once(';')?;
    let address = if !kind.eq_ignore_ascii_case("utf-8") {
        ascii(&xtext::decode(address)?)
    } else {
        match utf8 {
            Utf8::Needed => embedded(address, |c| !is_unseen(c)),
            Utf8::NotNeeded => embedded(address, is_qchar),
        }
    };
    Some(format!("{kind}; {address}"))
}

/// RFC 6533 §3's QCHAR, and the backslash, which stands for itself or begins what is embedded already.
fn is_qchar(c: char) -> bool {
    matches!(c, '!'..='~') && !matches!(c, '+' | '=')
}

/// RFC 6533 §3's EmbeddedUnicodeChar for what is not to be kept.
fn embedded(address: &str, keep: impl Fn(char) -> bool) -> String {
    let mut out = String::with_capacity(address.len());
    for c in address.chars() {
        if keep(c) {
            out.push(c);
        } else {
            out.push_str(&format!("\\x{{{:02X}}}", u32::from(c)));
        }
    }
    out
}

/// Octets that ought to be printable ASCII.
fn ascii(octets: &[u8]) -> String {
    let shown = |&octet: &u8| match octet {
        b' '..=b'~' => char::from(octet),
        _ => '?',
    };
    octets.iter().map(shown).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dsn::tests::mailbox;

    #[test]
    fn the_class_is_the_actions() {
        for (action, given, expected) in [
            (Action::Failed, (5, 1, 1), "5.1.1"),
            (Action::Failed, (4, 4, 7), "5.4.7"),
            (Action::Failed, (2, 1, 5), "5.0.0"), // a valid address is no failure
            (Action::Failed, (3, 1, 5), "5.0.0"),
            (Action::Delayed, (4, 7, 5), "4.7.5"),
            (Action::Delayed, (5, 7, 1), "4.7.1"),
            (Action::Delayed, (2, 0, 0), "4.0.0"),
            (Action::Relayed, (2, 1, 5), "2.1.5"),
            (Action::Relayed, (5, 1, 1), "2.0.0"),
        ] {
            let (class, subject, detail) = given;
            let got = status(action, EnhancedStatus::new(class, subject, detail));
            assert_eq!(got.to_string(), expected, "{action:?} {given:?}");
        }
    }

    #[test]
    fn original_recipients() {
        for (orcpt, plain, utf8) in [
            ("rfc822;a+2Bb@c.example", "rfc822; a+b@c.example", None),
            ("RFC822;a@c.example", "RFC822; a@c.example", None),
            ("rfc822;a+0D+0AX:+20y", "rfc822; a??X: y", None),
            ("x400;/S=+3D", "", None), // no xtext
            ("rfc822", "", None),
            (
                "utf-8;j\\x{FC}rgen@c.example",
                "utf-8; j\\x{FC}rgen@c.example",
                None,
            ),
            (
                "utf-8;jürgen+x@c.example",
                "utf-8; j\\x{FC}rgen\\x{2B}x@c.example",
                Some("utf-8; jürgen+x@c.example"),
            ),
            (
                "UTF-8;用户@例.example",
                "UTF-8; \\x{7528}\\x{6237}@\\x{4F8B}.example",
                Some("UTF-8; 用户@例.example"),
            ),
            (
                "utf-8;a\u{202E}b@c.example",
                "utf-8; a\\x{202E}b@c.example",
                None,
            ),
        ] {
            let got = |utf8| original_recipient(orcpt, utf8).unwrap_or_default();
            assert_eq!(got(Utf8::NotNeeded), plain, "{orcpt}");
            assert_eq!(got(Utf8::Needed), utf8.unwrap_or(plain), "{orcpt}");
        }
    }

    #[test]
    fn final_recipients() {
        for (address, plain, utf8) in [
            ("a@c.example", "rfc822; a@c.example", None),
            ("\"a b\"@c.example", "rfc822; \"a b\"@c.example", None),
            ("a@[192.0.2.1]", "rfc822; a@[192.0.2.1]", None),
            (
                "a@bücher.example",
                "rfc822; a@xn--bcher-kva.example",
                Some("utf-8; a@bücher.example"),
            ),
            (
                "\"jü\\ +\"@c.example",
                "utf-8; \"j\\x{FC}\\x{5C}\\x{20}\\x{2B}\"@c.example",
                Some("utf-8; \"jü\\ +\"@c.example"),
            ),
            (
                "j\u{85}@c.example",
                "utf-8; j\\x{85}@c.example",
                None, // a line break to some
            ),
        ] {
            let mailbox = mailbox(address);
            assert_eq!(final_recipient(&mailbox, Utf8::NotNeeded), plain);
            let utf8 = utf8.unwrap_or(plain);
            assert_eq!(final_recipient(&mailbox, Utf8::Needed), utf8);
        }
    }

    #[test]
    fn diagnostics_are_bounded() {
        let reply = Reply::plain(550, "x".repeat(100_000));
        assert_eq!(diagnostic(&reply).len(), MAX_DIAGNOSTIC + 4);
    }
}
