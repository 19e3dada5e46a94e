//! How many consumers share a queue: what comes is handed out to them in turn, and each sees only its part of it.

use std::sync::{
    Arc,
    atomic::{AtomicU32, Ordering},
};

use tokio::time::{Duration, Instant};
use tokio_util::sync::CancellationToken;

use super::session::Shared;
use crate::{broker::Link, pace::Pace};

/// Processes are started and stopped by people.
const EVERY: Duration = Duration::from_secs(2);
/// Where batches are hardly set apart there is not enough to be shared out; and nobody needs to be asked.
const WORTH_SHARING: Duration = Duration::from_millis(1);
/// To make no more batches of what comes than one alone would, each of several must wait for what is handed to all the
/// others, and then for what comes with it: so many times as long for each of them. (ARCHITECTURE has the figures.)
const EACH_WAITS: u32 = 3;
/// No longer than that: what is done waits as long to be acknowledged.
const MOST: Duration = Duration::from_millis(100);

pub(super) struct Peers {
    link: Link,
    stop: CancellationToken,
    queue: &'static str,
    count: Arc<AtomicU32>,
    asked: Option<Instant>,
}

impl Peers {
    pub(super) fn new(shared: &Shared, queue: &'static str) -> Self {
        let (link, stop) = (shared.link.clone(), shared.stop.clone());
        Self { link, stop, queue, count: Arc::new(AtomicU32::new(1)), asked: None }
    }

    /// When the next batch may begin, where one consumer alone would begin it `next`.
    pub(super) fn apart(&mut self, pace: &Pace, began: Instant, next: Instant) -> Instant {
        if next - began < WORTH_SHARING {
            return next;
        }
        match self.count() {
            0 | 1 => next,
            several => began + pace.apart(EACH_WAITS.saturating_mul(several)).min(MOST).max(next - began),
        }
    }

    /// All of them, this one included, as of a few seconds ago. The work does not wait for the answer.
    fn count(&mut self) -> u32 {
        if self.asked.is_none_or(|asked| asked.elapsed() >= EVERY) {
            self.asked = Some(Instant::now());
            let (link, stop, queue) = (self.link.clone(), self.stop.clone(), self.queue);
            let count = Arc::clone(&self.count);
            // It ends with its connection, or when told to stop: nothing is connected anew then.
            tokio::spawn(async move {
                match stop.run_until_cancelled(link.consumers(queue)).await {
                    Some(Ok(consumers)) => count.store(consumers, Ordering::Relaxed),
                    Some(Err(error)) => tracing::debug!(queue, %error, "it is not known how many share this queue"),
                    None => {}
                }
            });
        }
        self.count.load(Ordering::Relaxed)
    }
}
