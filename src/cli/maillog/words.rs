//! What is said beside the numbers.

use crate::maillog::Summary;

pub(super) const NOTHING: &str = "there is no mail in it: no line of Postfix's smtp or smtpd was found. In the journal: \
    journalctl -t postfix/smtp -t postfix/smtpd -o export | sealpost maillog -";

pub(in crate::cli) const NO_OUTBOUND: &str = "the log says nothing of TLS to others, so that nobody knows how much of it was encrypted; \
    with postconf smtp_tls_loglevel=1 and postfix reload it will";
const NO_INBOUND: &str = "the log says nothing of TLS from others; with postconf smtpd_tls_loglevel=1 and postfix reload \
    it will";

/// What an administrator should mend so that the next report says more.
pub(super) fn hints(summary: &Summary) -> Vec<&'static str> {
    let mut hints = Vec::new();
    if summary.outbound.messages.total() > 0 && !summary.tells_outbound() {
        hints.push(NO_OUTBOUND);
    }
    let came = summary.inbound.messages.total() + summary.submitted.messages.total();
    if came > 0 && !summary.tells_inbound() {
        hints.push(NO_INBOUND);
    }
    hints
}
