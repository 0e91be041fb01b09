//! Asking the node and waiting for what it tells.

use std::time::Duration;

use tokio::sync::oneshot;

use crate::error::{ApiError, ApiRule};
use crate::ports::{StateView, Venue};

/// Looks at the state between two blocks, and waits until what was seen is durable.
pub async fn look<T: Send + 'static>(
    venue: &dyn Venue,
    look: impl FnOnce(&StateView<'_>) -> T + Send + 'static,
) -> Result<T, ApiError> {
    let (sender, seen) = oneshot::channel();
    venue.ask(Box::new(move |view| {
        let found = look(view);
        // Whoever asked may have gone away.
        Box::new(move || drop(sender.send(found)))
    }))?;
    within(ANSWER_WAIT_MAX, async { seen.await.map_err(|_dropped| node_failed()) }).await
}

/// Work that waits for the disk, off the thread that serves everybody.
pub async fn off_thread<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, ApiError> + Send + 'static,
) -> Result<T, ApiError> {
    let done = tokio::task::spawn_blocking(work);
    within(ANSWER_WAIT_MAX, async { done.await.map_err(|_panicked| node_failed())? }).await
}

/// Bounds a wait.
pub async fn within<T>(at_most: Duration, answer: impl Future<Output = Result<T, ApiError>>) -> Result<T, ApiError> {
    let too_slow = |_elapsed| {
        let message = format!("no answer within `{}` ms", at_most.as_millis());
        ApiError::of(ApiRule::AnswerTooSlow, message)
    };
    tokio::time::timeout(at_most, answer).await.map_err(too_slow)?
}

/// Nobody will answer any more.
pub fn node_failed() -> ApiError {
    ApiError::of(ApiRule::MachineFailed, "the node stopped before it could answer")
}

/// Longest wait for the node. Blocks close within milliseconds, so this is reached only when something is wrong.
pub const ANSWER_WAIT_MAX: Duration = Duration::from_secs(10);
