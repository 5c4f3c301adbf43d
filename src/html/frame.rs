//! What all pages have around their content.

use data_encoding::BASE64;
use maud::{DOCTYPE, Markup, PreEscaped, html};
use sha2::{Digest, Sha256};

const STYLE: &str = include_str!("style.css");
const SEARCH: &str = include_str!("search.js");
const REFRESH: &str = include_str!("refresh.js");

/// What a page may do beyond being read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Script {
    None,
    /// Tables of class `searched` are filtered and sorted in the browser.
    Search,
    /// The page is fetched anew every half minute while somebody looks at it.
    Refresh,
}

impl Script {
    fn text(self) -> Option<&'static str> {
        match self {
            Self::None => None,
            Self::Search => Some(SEARCH),
            Self::Refresh => Some(REFRESH),
        }
    }
}

/// What stands in the frame.
#[derive(Debug, Clone, Copy)]
pub struct Frame<'a> {
    /// Of the window.
    pub title: &'a str,
    pub script: Script,
}

/// A whole page. Its policy is in the page as well, for pages that are opened as files.
pub fn document(frame: Frame<'_>, body: &Markup) -> String {
    let page = html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta http-equiv="Content-Security-Policy" content=(meta_policy(frame.script));
                meta name="viewport" content="width=device-width, initial-scale=1";
                meta name="color-scheme" content="light dark";
                meta name="referrer" content="no-referrer";
                title { (frame.title) }
                link rel="icon" href="data:,";
                style { (PreEscaped(STYLE)) }
            }
            body {
                (body)
                @if let Some(script) = frame.script.text() { script { (PreEscaped(script)) } }
            }
        }
    };
    page.into_string()
}

/// The `Content-Security-Policy` of a page with this script, as an HTTP header.
pub fn policy(script: Script) -> String {
    // These two are not allowed in a page itself.
    format!(
        "{}; frame-ancestors 'none'; base-uri 'none'",
        meta_policy(script)
    )
}

fn meta_policy(script: Script) -> String {
    let connect = match script {
        Script::Refresh => "'self'",
        Script::None | Script::Search => "'none'",
    };
    let script = match script.text() {
        Some(text) => format!("'{}'", hash(text)),
        None => "'none'".to_owned(),
    };
    let style = hash(STYLE);
    format!(
        "default-src 'none'; style-src '{style}'; script-src {script}; connect-src {connect}; img-src data:; form-action 'self'"
    )
}

fn hash(text: &str) -> String {
    format!("sha256-{}", BASE64.encode(&Sha256::digest(text.as_bytes())))
}
