//! The part of `[policy]` that concerns what domains publish, and lists of it that are loaded beforehand.

use super::problems::Source;
use super::reader::Section;
use crate::clock;
use crate::discovery::PreloadedList;
use crate::mta_sts::Preload;
use crate::policy::Published;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::UNIX_EPOCH;

/// What counts of what domains publish.
pub(super) struct Switches {
    pub dane: Published,
    pub mta_sts: Published,
}

pub(super) fn switches(policy: &mut Section<'_>) -> Switches {
    let mut switch = |key| {
        if policy.take(key, true) {
            Published::Honor
        } else {
            Published::Ignore
        }
    };
    Switches {
        dane: switch("dane"),
        mta_sts: switch("mta_sts"),
    }
}

/// Reads the lists. One that cannot be read is a problem; one that has expired says nothing, and is told.
pub(super) fn preload(policy: &mut Section<'_>) -> Vec<PreloadedList> {
    let paths = policy.take::<Vec<PathBuf>>("preload", Vec::new());
    let mut lists = Vec::new();
    for path in paths {
        match load(&path) {
            Ok(list) => {
                warn_if_expired(policy.source, &path, &list);
                lists.push(PreloadedList {
                    path,
                    list: Arc::new(list),
                });
            }
            Err(reason) => policy.object(
                "preload",
                format!("{} {reason}", path.display()),
                "name a list of STARTTLS Everywhere, or remove it",
            ),
        }
    }
    lists
}

fn load(path: &Path) -> Result<Preload, String> {
    let text = super::read_bounded(path)?;
    Preload::parse(text.as_bytes()).map_err(|fault| format!("is no list of policies: {fault}"))
}

fn warn_if_expired(source: &Source<'_>, path: &Path, list: &Preload) {
    let now = clock::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    if now.as_secs() >= list.expires {
        source.notice(format!(
            "policy.preload: {} has expired and is ignored; get a newer edition, or remove it",
            path.display()
        ));
    }
}
