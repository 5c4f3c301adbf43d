//! The notice as a message: `multipart/report` (RFC 6522 §3) with its three parts.

use super::lines::{address, field};
use super::{Action, EightBitContent, Report, Returned, TlsRequiredField, status, text};
use crate::smtp::address::ReversePath;
use crate::smtp::date::rfc5322_date;
use crate::smtp::envelope::Utf8;

/// A notice around what is returned: the original's header or the whole original, as told to [`compose`],
/// belongs between the two, as it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Notice {
    /// Up to the blank line behind the third part's header.
    pub head: Vec<u8>,
    /// From the line end before the last boundary on.
    pub tail: Vec<u8>,
}

/// Writes a notice. `eight_bit` speaks of what is returned.
pub fn compose(report: &Report<'_>, returned: Returned, eight_bit: EightBitContent) -> Notice {
    let boundary = boundary(report.message_id);
    let parts = [
        people(report, returned),
        machines(report),
        original(report, returned, eight_bit),
    ];
    let any = |part: &Part| part.eight_bit == EightBitContent::Yes;
    let whole = if parts.iter().any(any) {
        EightBitContent::Yes
    } else {
        EightBitContent::No
    };
    let mut head = String::with_capacity(1024 + parts.iter().map(|p| p.body.len()).sum::<usize>());
    header(&mut head, report);
    // By hand: the boundary is quoted, and has a line for itself.
    head.push_str("Content-Type: multipart/report; report-type=delivery-status;\r\n");
    head.push_str(&format!("\tboundary=\"{boundary}\"\r\n"));
    encoding(&mut head, whole);
    head.push_str("\r\nThis is a delivery status notification in MIME format.\r\n");
    for part in &parts {
        head.push_str(&format!("\r\n--{boundary}\r\n"));
        field(&mut head, "Content-Description", part.description);
        field(&mut head, "Content-Type", part.media_type);
        encoding(&mut head, part.eight_bit);
        head.push_str("\r\n");
        // Some readers look for it anywhere in a line, not at its beginning only.
        head.push_str(&part.body.replace(&boundary, "?"));
    }
    Notice {
        head: head.into_bytes(),
        tail: format!("\r\n--{boundary}--\r\n").into_bytes(),
    }
}

/// One part of the notice.
struct Part {
    description: &'static str,
    media_type: &'static str,
    eight_bit: EightBitContent,
    body: String,
}

fn people(report: &Report<'_>, returned: Returned) -> Part {
    let body = text::text(report, returned);
    let eight_bit = of(&body);
    Part {
        description: "Notification",
        media_type: match eight_bit {
            EightBitContent::No => "text/plain; charset=us-ascii",
            EightBitContent::Yes => "text/plain; charset=utf-8",
        },
        eight_bit,
        body,
    }
}

fn machines(report: &Report<'_>) -> Part {
    let body = status::fields(report);
    Part {
        description: "Delivery report",
        media_type: match report.needs_utf8 {
            Utf8::NotNeeded => "message/delivery-status",
            Utf8::Needed => "message/global-delivery-status", // RFC 6533 §4
        },
        eight_bit: of(&body),
        body,
    }
}

/// What is returned (RFC 6522 §3 and §4, RFC 6533 §4), without its content.
fn original(report: &Report<'_>, returned: Returned, eight_bit: EightBitContent) -> Part {
    Part {
        description: match (report.action, returned) {
            (Action::Failed, Returned::Full) => "Undelivered message",
            (Action::Failed, Returned::Headers) => "Undelivered message's header",
            (Action::Delayed | Action::Relayed, Returned::Full) => "Message",
            (Action::Delayed | Action::Relayed, Returned::Headers) => "Message's header",
        },
        media_type: match (report.needs_utf8, returned) {
            (Utf8::NotNeeded, Returned::Full) => "message/rfc822",
            (Utf8::NotNeeded, Returned::Headers) => "text/rfc822-headers",
            (Utf8::Needed, Returned::Full) => "message/global",
            (Utf8::Needed, Returned::Headers) => "message/global-headers",
        },
        eight_bit: match report.needs_utf8 {
            Utf8::NotNeeded => eight_bit,
            Utf8::Needed => EightBitContent::Yes,
        },
        body: String::new(),
    }
}

/// The fields of the notice that are not MIME's.
fn header(out: &mut String, report: &Report<'_>) {
    let host = report.reporting_mta;
    let from = format!("Mail Delivery System <MAILER-DAEMON@{host}>");
    field(out, "From", &from);
    let to = match &report.original.path {
        // Nobody is told; and yet the field is not empty (RFC 5322 §3.4, group).
        ReversePath::Null => "undisclosed-recipients:;".to_owned(),
        ReversePath::Mailbox(mailbox) => format!("<{}>", address(mailbox, report.needs_utf8)),
    };
    field(out, "To", &to);
    let subject = match report.action {
        Action::Failed => "Undelivered Mail Returned to Sender",
        Action::Delayed => "Delayed Mail (still being retried)",
        Action::Relayed => "Mail Passed On (as you asked to be told)",
    };
    field(out, "Subject", subject);
    field(out, "Date", &rfc5322_date(report.now));
    let id = format!("<{}@{host}>", unique(report.message_id));
    field(out, "Message-ID", &id);
    // RFC 3834 §5: nobody's vacation answers it.
    field(out, "Auto-Submitted", "auto-replied");
    match report.tls_required_no {
        TlsRequiredField::Unsaid => {}
        TlsRequiredField::No => field(out, "TLS-Required", "No"),
    }
    field(out, "MIME-Version", "1.0");
}

/// RFC 2046 §5.1.1. What is returned was written before the id was made. `=_` is in no encoded content
/// (RFC 2045 §6.7), and the end keeps one boundary from being the beginning of another, which is how
/// they are compared.
fn boundary(message_id: &str) -> String {
    format!("=_sealpost_{}_=", unique(message_id))
}

/// The id, of which nothing can break out of the fields that it is in.
fn unique(message_id: &str) -> String {
    let plain = message_id.chars().filter(char::is_ascii_alphanumeric);
    plain.take(40).collect()
}

/// `7bit` goes without saying (RFC 2045 §6.1).
fn encoding(out: &mut String, eight_bit: EightBitContent) {
    match eight_bit {
        EightBitContent::No => {}
        EightBitContent::Yes => field(out, "Content-Transfer-Encoding", "8bit"),
    }
}

fn of(text: &str) -> EightBitContent {
    if text.is_ascii() {
        EightBitContent::No
    } else {
        EightBitContent::Yes
    }
}
