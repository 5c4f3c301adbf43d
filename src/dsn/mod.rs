use crate::names::DomainName;
use crate::smtp::envelope::{MailFrom, Recipient, Ret, Utf8};
use crate::smtp::reply::Reply;
use crate::smtp::status::EnhancedStatus;
use std::net::IpAddr;
use std::time::SystemTime;
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Action {
    Failed,
    Delayed,
    Relayed,
}
impl Action {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Failed => "failed",
            Self::Delayed => "delayed",
            Self::Relayed => "relayed",
        }
    }
}
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wanted {
    Yes,
    No,
}
pub fn wanted(notify: Option<&str>, action: Action) -> Wanted {
    let word = match action {
        Action::Failed => "FAILURE",
        Action::Delayed => "DELAY",
        Action::Relayed => "SUCCESS",
    };
    match notify {
        None => {
            if action == Action::Relayed {
                Wanted::No
            } else {
                Wanted::Yes
            }
        }
        Some(n) => {
            if n.contains(word) {
                Wanted::Yes
            } else {
                Wanted::No
            }
        }
    }
}
pub enum TlsRequiredField {
    Unsaid,
    No,
}
pub struct Report<'a> {
    pub action: Action,
    pub reporting_mta: &'a DomainName,
    pub message_id: &'a str,
    pub original_id: &'a str,
    pub now: SystemTime,
    pub arrival: SystemTime,
    pub original: &'a MailFrom,
    pub needs_utf8: Utf8,
    pub tls_required_no: TlsRequiredField,
    pub recipients: &'a [Told<'a>],
    pub until: Option<SystemTime>,
}
pub struct Told<'a> {
    pub recipient: &'a Recipient,
    pub status: EnhancedStatus,
    pub diagnostic: &'a Reply,
    pub remote: Option<Remote<'a>>,
    pub last_attempt: Option<SystemTime>,
}
pub struct Remote<'a> {
    pub name: Option<&'a DomainName>,
    pub ip: IpAddr,
}
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Returned {
    Full,
    Headers,
}
pub fn returned(_: Action, _: Option<Ret>, _: u64, _: u64) -> Returned {
    Returned::Headers
}
pub enum EightBitContent {
    No,
    Yes,
}
pub struct Notice {
    pub head: Vec<u8>,
    pub tail: Vec<u8>,
}
pub fn compose(r: &Report<'_>, _: Returned, _: EightBitContent) -> Notice {
    Notice {
        head: format!("Subject: stub {}\r\n\r\n", r.original_id).into_bytes(),
        tail: vec![],
    }
}
