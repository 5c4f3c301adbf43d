//! What a server's EHLO reply offers (RFC 5321 §4.1.1.1).

use super::reply::Reply;

/// The extensions that matter to us; unknown keywords are ignored.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Extensions {
    keywords: u16,
    /// SIZE: the largest message; `None` without SIZE, with `SIZE` alone and `SIZE 0` (RFC 1870 §4).
    pub max_size: Option<u64>,
}

/// One service extension.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u16)]
pub enum Extension {
    StartTls = 1,
    Pipelining = 1 << 1,
    Size = 1 << 2,
    EightBitMime = 1 << 3,
    SmtpUtf8 = 1 << 4,
    Dsn = 1 << 5,
    Chunking = 1 << 6,
    RequireTls = 1 << 7,
    EnhancedStatusCodes = 1 << 8,
}

impl Extensions {
    /// Reads the lines after the first of a 250 to EHLO.
    pub fn from_ehlo(reply: &Reply) -> Self {
        let mut offered = Self::default();
        for line in reply.lines.iter().skip(1) {
            let mut words = line.split_ascii_whitespace();
            let Some(keyword) = words.next() else {
                continue;
            };
            let extension = match keyword.to_ascii_uppercase().as_str() {
                "STARTTLS" => Extension::StartTls,
                "PIPELINING" => Extension::Pipelining,
                "SIZE" => {
                    let size = words.next().and_then(|n| n.parse().ok());
                    offered.max_size = size.filter(|&n| n > 0);
                    Extension::Size
                }
                "8BITMIME" => Extension::EightBitMime,
                "SMTPUTF8" => Extension::SmtpUtf8,
                "DSN" => Extension::Dsn,
                "CHUNKING" => Extension::Chunking,
                "REQUIRETLS" => Extension::RequireTls,
                "ENHANCEDSTATUSCODES" => Extension::EnhancedStatusCodes,
                _ => continue,
            };
            offered.keywords |= extension as u16;
        }
        // A server that takes SMTPUTF8 takes 8-bit content (RFC 6531 §3.1 item 8).
        if offered.has(Extension::SmtpUtf8) {
            offered.keywords |= Extension::EightBitMime as u16;
        }
        offered
    }

    pub fn has(&self, extension: Extension) -> bool {
        self.keywords & extension as u16 != 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keywords_of_ehlo() {
        let ehlo = |lines: &[&str]| {
            let lines = lines.iter().map(|l| (*l).to_owned()).collect();
            Extensions::from_ehlo(&Reply {
                code: 250,
                enhanced: None,
                lines,
            })
        };
        let offered = ehlo(&[
            "mx.example STARTTLS",
            "size 1000",
            "8bitmime",
            "X-OTHER a b",
            "",
        ]);
        assert!(
            !offered.has(Extension::StartTls),
            "the first line is the name"
        );
        assert!(offered.has(Extension::EightBitMime));
        assert_eq!(offered.max_size, Some(1000));
        for unknown in ["SIZE", "SIZE 0", "SIZE x"] {
            assert_eq!(ehlo(&["mx", unknown]).max_size, None, "{unknown}");
        }
        assert!(ehlo(&["mx", "SMTPUTF8"]).has(Extension::EightBitMime));
    }
}
