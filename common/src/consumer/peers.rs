//! How many consumers share a queue: what comes is handed out to them in turn, and each sees only its part of it.

use std::sync::{
    Arc,
    atomic::{AtomicU32, Ordering},
};

use tokio::time::{Duration, Instant};
use tokio_util::sync::CancellationToken;

use super::session::Shared;
use crate::{broker::Link, pace::Pace, pressure::Pressure};

/// Processes are started and stopped by people.
const EVERY: Duration = Duration::from_secs(2);
/// Where batches are hardly set apart there is not enough to be shared out; and nobody needs to be asked.
const WORTH_SHARING: Duration = Duration::from_millis(1);
/// To make no more batches of what comes than one alone would, each of several must wait for what is handed to all the
/// others: for as many times as they are. Where no processor is free, what a small batch costs is taken from somebody who
/// has more to do, so each waits so many times longer still. (ARCHITECTURE has the figures.)
const LONGER: f64 = 12.0;
/// From which share of pressed time on they wait longer, and where they wait longest. (It is less once they do.)
const PRESSED: [f64; 2] = [0.35, 0.55];
/// No longer than that: orders wait meanwhile.
const MOST: Duration = Duration::from_millis(100);

pub(super) struct Peers {
    link: Link,
    stop: CancellationToken,
    queue: &'static str,
    count: Arc<AtomicU32>,
    asked: Option<Instant>,
    pressure: Pressure,
}

impl Peers {
    pub(super) fn new(shared: &Shared, queue: &'static str) -> Self {
        let (link, stop) = (shared.link.clone(), shared.stop.clone());
        Self { link, stop, queue, count: Arc::new(AtomicU32::new(1)), asked: None, pressure: Pressure::default() }
    }

    /// When the next batch may begin, where one consumer alone would begin it `next`.
    pub(super) fn apart(&mut self, pace: &Pace, began: Instant, next: Instant) -> Instant {
        if next - began < WORTH_SHARING {
            return next;
        }
        match self.count() {
            0 | 1 => next,
            several => began + pace.apart(times(several, self.pressure.share())).min(MOST).max(next - began),
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

/// How many times as long each of several waits, with the processors taken for this share of the time.
fn times(several: u32, pressure: f64) -> f64 {
    let [from, to] = PRESSED;
    let pressed = ((pressure - from) / (to - from)).clamp(0.0, 1.0);
    f64::from(several) * (1.0 + pressed * (LONGER - 1.0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn several_wait_for_what_the_others_get_and_longer_where_no_processor_is_free() {
        assert_eq!([0.0, 0.2, 0.35].map(|pressure| times(3, pressure)), [3.0; 3]);
        assert_eq!([0.55, 1.0].map(|pressure| times(3, pressure)), [36.0; 2]);
        let between = times(2, 0.45);
        assert!(between > 2.0 && between < 24.0, "{between}");
    }
}
