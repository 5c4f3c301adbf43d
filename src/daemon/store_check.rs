//! Whether the store's file is sound: asked once, in the background, since a large file is not read in no
//! time. What is damaged fails where it is touched; this tells before.

use crate::admin::Health;
use crate::store::Store;
use tokio_util::sync::CancellationToken;

/// Checks and tells, unless it is stopped.
pub(super) async fn run(store: Store, health: Health, stop: CancellationToken) {
    let checked = tokio::select! {
        checked = store.verify() => checked,
        () = stop.cancelled() => return,
    };
    let problem = checked.err();
    // Not "store": what is written next would take it back.
    health.note("store check", problem.as_ref().map(ToString::to_string));
    if let Some(problem) = problem {
        tracing::error!(%problem, "the store did not pass its check");
    }
}
