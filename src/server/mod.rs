//! SMTP and LMTP in: the session is a pure state machine (input → effect) with a thin I/O shell.

mod settings;

pub use settings::{ListenAddress, ListenSettings, Protocol, ServerSettings, TlsRequiredNo};
