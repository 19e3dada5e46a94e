//! From a batch to its verdicts, whatever happens on the way.
//!
//! An outage holds the batch and spends nothing. A conflict runs again. A fault, or a panic, splits the batch until
//! the culprit stands alone, and only the culprit spends an attempt.

use std::{panic::AssertUnwindSafe, time::Duration};

use futures_util::FutureExt as _;
use tokio::time::Instant;

use super::{handler::Failure, session::Shared};
use crate::{
    backoff::Backoff,
    crash::{self, Point},
};

/// The hold has lasted too long: the deliveries go back to the broker until what they need answers.
#[derive(Debug)]
pub(crate) struct Held(pub String);

/// How often conflicts of one batch are run again before the next counts as a fault.
const CONFLICTS: u32 = 5;

pub(crate) struct Judge<'a> {
    pub shared: &'a Shared,
    pub queue: &'static str,
}

/// Something done to many items together, and what is said of an item with which it fails alone.
pub(crate) trait Work<I: Sync, O: Send>: Sync {
    fn run(&self, items: &[I]) -> impl Future<Output = Result<Vec<O>, Failure>> + Send;
    fn blame(&self, why: String) -> O;
}

impl Judge<'_> {
    /// Does the work on all items; where it fails for a fault of theirs, on ever smaller parts of them. Returns one
    /// answer per item, in order.
    pub(crate) async fn split<I: Sync, O: Send>(&self, items: &[I], work: &impl Work<I, O>) -> Result<Vec<O>, Held> {
        let mut answers = Vec::with_capacity(items.len());
        let mut parts = vec![items];
        let mut conflicts = 0;
        while let Some(part) = parts.pop() {
            if part.is_empty() {
                continue;
            }
            match self.through_outages(part, work, &mut conflicts).await? {
                Ok(some) => answers.extend(some),
                Err(why) if part.len() == 1 => answers.push(work.blame(why)),
                Err(why) => {
                    tracing::warn!(queue = self.queue, events = part.len(), why, "a batch failed; splitting it");
                    metrics::counter!("conveyor_batches_split_total", "queue" => self.queue).increment(1);
                    crash::here(Point::BatchSplit);
                    let (left, right) = part.split_at(part.len() / 2);
                    parts.extend([right, left]);
                }
            }
        }
        Ok(answers)
    }

    /// Repeats the work for as long as what it needs is away. The inner error is a fault of the work itself.
    async fn through_outages<I: Sync, O: Send>(
        &self,
        items: &[I],
        work: &impl Work<I, O>,
        conflicts: &mut u32,
    ) -> Result<Result<Vec<O>, String>, Held> {
        let hold = Duration::from_millis(self.shared.settings.hold_ms);
        let mut since = None;
        let mut backoff = Backoff::new(Duration::from_millis(50), Duration::from_secs(2));
        let result = loop {
            match unwound(work.run(items)).await {
                Ok(Ok(answers)) => break Ok(Ok(answers)),
                Ok(Err(Failure::Fault(why))) => break Ok(Err(why)),
                Err(panic) => break Ok(Err(panic)),
                Ok(Err(Failure::Conflict(why))) => {
                    metrics::counter!("conveyor_conflicts_total", "queue" => self.queue).increment(1);
                    tracing::debug!(queue = self.queue, why, "a conflict: the batch looks again");
                    *conflicts += 1;
                    if *conflicts > CONFLICTS {
                        break Ok(Err(why));
                    }
                }
                Ok(Err(Failure::Outage(why))) => {
                    let since = *since.get_or_insert_with(|| {
                        let events = items.len();
                        tracing::warn!(queue = self.queue, events, why, "holding: nothing moves until it is back");
                        metrics::gauge!("conveyor_holding", "queue" => self.queue).set(1);
                        Instant::now()
                    });
                    // Whoever is leaving cannot wait for it either: the deliveries go back.
                    if since.elapsed() >= hold || self.shared.stop.is_cancelled() {
                        break Err(Held(why));
                    }
                }
            }
            self.shared.stop.run_until_cancelled(backoff.wait()).await;
        };
        if since.is_some() {
            metrics::gauge!("conveyor_holding", "queue" => self.queue).set(0);
            tracing::info!(queue = self.queue, "the hold is over");
        }
        result
    }
}

/// Runs something of the handler's; a panic is an error like any other.
pub(crate) async fn unwound<T>(work: impl Future<Output = T>) -> Result<T, String> {
    AssertUnwindSafe(work)
        .catch_unwind()
        .await
        .map_err(|panic| format!("the handler panicked: {}", panic_text(&*panic)))
}

fn panic_text(panic: &(dyn std::any::Any + Send)) -> String {
    panic
        .downcast_ref::<&str>()
        .map(|text| (*text).to_owned())
        .or_else(|| panic.downcast_ref::<String>().cloned())
        .unwrap_or_else(|| "without a message".to_owned())
}
