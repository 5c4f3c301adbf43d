//! Keys whose feature comes in a later version: their shape is checked now, so that a file written
//! for it is read alike by both; what asks for something that is not there is an error.

use super::reader::Section;
use super::setting::Size;
use std::path::PathBuf;

const NOT_YET: &str = "is not in this version";

/// `[store]`: the path of the embedded database.
pub(super) fn store(root: &mut Section<'_>, state_dir: &std::path::Path) -> PathBuf {
    let mut store = root.section("store");
    let default = format!("sqlite://{}", state_dir.join("sealpost.db").display());
    let url = store.take("url", default);
    let path = match url.split_once("://") {
        Some(("sqlite", path)) if path.starts_with('/') => PathBuf::from(path),
        Some(("postgres" | "postgresql", _)) => {
            store.object(
                "url",
                "a shared database is not in this version",
                "remove it",
            );
            PathBuf::new()
        }
        Some(_) | None => {
            store.object(
                "url",
                "names no database",
                "write \"sqlite:///PATH\", three slashes and all",
            );
            PathBuf::new()
        }
    };
    store.finish();
    path
}

/// `[tlsrpt]`
pub(super) fn tlsrpt(root: &mut Section<'_>) {
    let mut tlsrpt = root.section("tlsrpt");
    if tlsrpt.take("enabled", false) {
        tlsrpt.object("enabled", NOT_YET, "write false");
    }
    for key in ["from", "organization", "contact"] {
        tlsrpt.optional::<String>(key);
    }
    tlsrpt.finish();
}

/// `client.max_message_size` in octets; not zero.
pub(super) fn message_size(client: &mut Section<'_>) -> u64 {
    let Size(size) = client.take("max_message_size", Size(50 << 20));
    if size == 0 {
        client.object(
            "max_message_size",
            "is zero",
            "write for instance \"50MiB\"",
        );
    }
    size
}
