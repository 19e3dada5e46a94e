//! Who may still wait. An order that would wait too long is refused before anybody looks at it: that costs next to
//! nothing, while one that is written too late costs as much as any, and its client has gone.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, AtomicUsize, Ordering::Relaxed},
    },
    time::Duration,
};

use tokio::time::Instant;

use crate::Orders;

/// What one group took counts so much for what the next will take: 1 part in this many.
const MEMORY: u64 = 4;
/// And after so long without one it says nothing any more.
const FORGOTTEN: Duration = Duration::from_secs(1);

/// How many wait, and how quickly they are written.
pub(super) struct Admission {
    waiting: AtomicUsize,
    /// How long a group takes to be written, lately.
    group_micros: AtomicU64,
    /// When the last of them was, in milliseconds since the beginning.
    last_ms: AtomicU64,
    began: Instant,
    group: usize,
    most_waiting: usize,
    most_per_second: u32,
    longest_wait: Option<Duration>,
}

impl Admission {
    pub(super) fn new(settings: &Orders) -> Self {
        Self {
            waiting: AtomicUsize::new(0),
            group_micros: AtomicU64::new(0),
            last_ms: AtomicU64::new(0),
            began: Instant::now(),
            group: settings.group_commit,
            most_waiting: settings.waiting,
            most_per_second: settings.most_per_second,
            longest_wait: (settings.longest_wait_ms > 0).then(|| Duration::from_millis(settings.longest_wait_ms)),
        }
    }

    /// A place in the queue, if the wait in it is not too long. So many are queued and not being written yet.
    pub(super) fn admit(self: &Arc<Self>, queued: usize) -> Option<Place> {
        let ahead = self.waiting.fetch_add(1, Relaxed);
        let place = Place(Arc::clone(self));
        let is_in_time = self.longest_wait.is_none_or(|longest| self.wait(ahead, queued) <= longest);
        (ahead < self.most_waiting && is_in_time).then_some(place)
    }

    /// How long it takes until so many are written, and until so many may be.
    fn wait(&self, ahead: usize, queued: usize) -> Duration {
        let written = self.lately() as f64 / 1e6 * ahead as f64 / self.group as f64;
        let allowed = match self.most_per_second {
            0 => 0.0,
            most => queued as f64 / f64::from(most),
        };
        Duration::from_secs_f64(written.max(allowed))
    }

    /// A group took so long to be written.
    pub(super) fn wrote(&self, took: Duration) {
        let took = u64::try_from(took.as_micros()).unwrap_or(u64::MAX / MEMORY);
        let lately = self.lately();
        self.group_micros.store(lately - lately / MEMORY + took / MEMORY, Relaxed);
        self.last_ms.store(self.now_ms(), Relaxed);
    }

    /// How long a group takes, as far as that is known: what was slow before a pause may be quick after it.
    fn lately(&self) -> u64 {
        let since = self.now_ms().saturating_sub(self.last_ms.load(Relaxed));
        if Duration::from_millis(since) > FORGOTTEN { 0 } else { self.group_micros.load(Relaxed) }
    }

    fn now_ms(&self) -> u64 {
        u64::try_from(self.began.elapsed().as_millis()).unwrap_or(u64::MAX)
    }
}

/// A place in the queue. Whoever drops it leaves.
pub(crate) struct Place(Arc<Admission>);

impl Drop for Place {
    fn drop(&mut self) {
        self.0.waiting.fetch_sub(1, Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn places(settings: Orders, took: Duration) -> usize {
        let admission = Arc::new(Admission::new(&settings));
        (0..20).for_each(|_| admission.wrote(took));
        let places: Vec<Place> =
            std::iter::from_fn(|| admission.admit(admission.waiting.load(Relaxed))).take(10_000).collect();
        let many = places.len();
        drop(places);
        assert_eq!(admission.waiting.load(Relaxed), 0);
        many
    }

    fn settings() -> Orders {
        Orders { group_commit: 100, waiting: 2_000, longest_wait_ms: 100, ..Orders::default() }
    }

    #[test]
    fn only_so_many_wait_as_are_written_in_time() {
        let ms = Duration::from_millis;
        // Four groups of 100 in 100 ms, and the one that is looked at.
        let many = places(settings(), ms(25));
        assert!((400..=410).contains(&many), "{many}");
        assert_eq!(places(Orders { most_per_second: 500, ..settings() }, ms(25)), 51);
        assert_eq!(places(settings(), ms(1)), 2_000);
        assert_eq!(places(Orders { longest_wait_ms: 0, ..settings() }, ms(1_000)), 2_000);
    }

    #[tokio::test(start_paused = true)]
    async fn what_was_slow_before_a_pause_is_forgotten() {
        let admission = Arc::new(Admission::new(&settings()));
        admission.wrote(Duration::from_secs(60));
        let place = admission.admit(0);
        assert!(place.is_some() && admission.admit(1).is_none());
        tokio::time::advance(FORGOTTEN + Duration::from_millis(1)).await;
        assert!(admission.admit(1).is_some());
    }

    #[test]
    fn however_slow_it_is_one_may_always_wait() {
        assert_eq!(places(settings(), Duration::from_secs(600)), 1);
    }
}
