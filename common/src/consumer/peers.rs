//! How far apart batches begin where that is not the pace alone: where several consumers share a queue, for what comes is
//! handed out to them in turn and each sees only its part of it; and where no processor is free.

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
/// No processor is free, so what a small batch costs is taken from somebody who has more to do: batches are set so many
/// times farther apart. (ARCHITECTURE has the figures.)
struct Pressed {
    longer: f64,
    /// From which share of pressed time on they wait longer, and where they wait longest. (It is less once they do.)
    share: [f64; 2],
    /// No longer than that: orders wait meanwhile.
    most: Duration,
}

/// One that has the queue for itself: only where the processors are what everything waits for.
const ALONE: Pressed = Pressed { longer: 5.0, share: [0.55, 0.75], most: Duration::from_millis(20) };
/// To make no more batches of what comes than one alone would, each of several must wait for what is handed to all the
/// others: for as many times as they are, and so many times longer still.
const SHARED: Pressed = Pressed { longer: 12.0, share: [0.35, 0.55], most: Duration::from_millis(100) };

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

    /// How far apart batches begin by now.
    pub(super) fn apart(&mut self, pace: &Pace) -> Duration {
        let usual = pace.apart(1.0);
        if usual < WORTH_SHARING {
            return usual;
        }
        let several = self.count().max(1);
        apart(pace, several, self.pressure.share())
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

/// Where so many share a queue, and the processors are taken for this share of the time.
fn apart(pace: &Pace, several: u32, pressure: f64) -> Duration {
    let pressed = if several == 1 { &ALONE } else { &SHARED };
    pace.apart(pressed.times(several, pressure)).min(pressed.most).max(pace.apart(1.0))
}

impl Pressed {
    /// How many times as long each of several waits, with the processors taken for this share of the time.
    fn times(&self, several: u32, pressure: f64) -> f64 {
        let [from, to] = self.share;
        let pressed = ((pressure - from) / (to - from)).clamp(0.0, 1.0);
        f64::from(several) * (1.0 + pressed * (self.longer - 1.0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The pace of a queue to which very much comes.
    fn busy(most_ms: u64) -> Pace {
        let mut pace = Pace::new(Duration::from_millis(most_ms), 100);
        let mut now = Instant::now();
        for _ in 0..200 {
            pace.begin(now, 10_000);
            now += Duration::from_millis(10);
        }
        pace
    }

    fn is_about(apart: Duration, ms: u64) -> bool {
        apart.abs_diff(Duration::from_millis(ms)) < Duration::from_micros(500)
    }

    #[test]
    fn several_wait_for_what_the_others_get_and_longer_where_no_processor_is_free() {
        for free in [0.0, 0.2, 0.35] {
            assert!(is_about(apart(&busy(2), 3, free), 6), "{free}");
        }
        assert!(is_about(apart(&busy(2), 3, 0.55), 72) && is_about(apart(&busy(2), 3, 1.0), 72));
        // Orders wait meanwhile.
        assert!(is_about(apart(&busy(4), 3, 1.0), 100) && is_about(apart(&busy(50), 3, 1.0), 100));
        let between = apart(&busy(2), 3, 0.45);
        assert!(between > Duration::from_millis(7) && between < Duration::from_millis(71), "{between:?}");
    }

    #[test]
    fn one_alone_waits_longer_only_where_everything_waits_for_the_processors() {
        for free in [0.0, 0.35, 0.55] {
            assert!(is_about(apart(&busy(4), 1, free), 4), "{free}");
        }
        assert!(is_about(apart(&busy(4), 1, 0.65), 12));
        assert!(is_about(apart(&busy(4), 1, 0.75), 20) && is_about(apart(&busy(8), 1, 1.0), 20));
        // What waits longer anyway waits no longer for that.
        assert!(is_about(apart(&busy(50), 1, 1.0), 50));
    }

    #[test]
    fn what_comes_alone_waits_for_nothing() {
        let quiet = Pace::new(Duration::from_millis(4), 100);
        assert!(apart(&quiet, 3, 1.0) < Duration::from_micros(100));
    }
}
