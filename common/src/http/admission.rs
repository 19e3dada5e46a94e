//! Who may still wait. What would wait too long is refused before anybody looks at it: that costs next to nothing, while
//! an order that is written too late, or an answer that is read too late, costs as much as any, and its client has gone.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, AtomicUsize, Ordering::Relaxed},
    },
    time::Duration,
};

use tokio::time::Instant;

/// After so long without a group, what one took says nothing any more about the next; and if others have been waiting all
/// that time, everything stands still.
const FORGOTTEN: Duration = Duration::from_secs(1);

/// One that took far longer than usual may be an accident, such as a connection that had to be made first. It counts for so
/// many times the usual at most, or for this.
const ACCIDENT: u64 = 8;
const ACCIDENT_MICROS: u64 = 50_000;

/// What bounds a queue.
#[derive(Debug, Clone)]
pub struct Limits {
    /// So many are served together.
    pub group: usize,
    /// What one group took counts so much for what the next will take: 1 part in this many.
    pub memory: u64,
    pub most_waiting: usize,
    /// 0 for as many as can be.
    pub most_per_second: u32,
    /// 0 for however long it takes.
    pub longest_wait_ms: u64,
}

/// How many wait, and how quickly they are served.
#[derive(Debug)]
pub struct Admission {
    limits: Limits,
    waiting: AtomicUsize,
    /// How long a group takes, lately.
    group_micros: AtomicU64,
    /// When the last of them was, and since when there has always been somebody waiting, in milliseconds since the
    /// beginning.
    last_ms: AtomicU64,
    busy_since_ms: AtomicU64,
    began: Instant,
}

impl Admission {
    #[must_use]
    pub fn new(limits: Limits) -> Self {
        Self {
            limits,
            waiting: AtomicUsize::new(0),
            group_micros: AtomicU64::new(0),
            last_ms: AtomicU64::new(0),
            busy_since_ms: AtomicU64::new(0),
            began: Instant::now(),
        }
    }

    /// A place in the queue, if the wait in it is not too long. So many are queued and not being served yet.
    #[must_use]
    pub fn admit(self: &Arc<Self>, queued: usize) -> Option<Place> {
        let ahead = self.waiting.fetch_add(1, Relaxed);
        if ahead == 0 {
            self.busy_since_ms.store(self.now_ms(), Relaxed);
        }
        let place = Place(Arc::clone(self));
        let longest = Duration::from_millis(self.limits.longest_wait_ms);
        let is_in_time = longest.is_zero()
            || ahead == 0
            || (self.wait(ahead, queued) <= longest && self.in_vain() <= longest.max(FORGOTTEN));
        (ahead < self.limits.most_waiting && is_in_time).then_some(place)
    }

    /// How long it takes until so many are served, and until so many may be.
    fn wait(&self, ahead: usize, queued: usize) -> Duration {
        let served = self.lately() as f64 / 1e6 * ahead as f64 / self.limits.group as f64;
        let allowed = match self.limits.most_per_second {
            0 => 0.0,
            most => queued as f64 / f64::from(most),
        };
        Duration::from_secs_f64(served.max(allowed))
    }

    /// A group took so long.
    pub fn served(&self, took: Duration) {
        let took = u64::try_from(took.as_micros()).unwrap_or(u64::MAX);
        let (lately, memory) = (self.lately(), self.limits.memory);
        let took = took.min((lately * ACCIDENT).max(ACCIDENT_MICROS));
        self.group_micros.store(lately - lately / memory + took / memory, Relaxed);
        self.last_ms.store(self.now_ms(), Relaxed);
    }

    /// How long a group takes, as far as that is known: what was slow before a pause may be quick after it. While somebody
    /// waits, there is no pause.
    fn lately(&self) -> u64 {
        let (last, busy_since) = (self.last_ms.load(Relaxed), self.busy_since_ms.load(Relaxed));
        let pause = if busy_since > last { self.now_ms().saturating_sub(last) } else { 0 };
        if Duration::from_millis(pause) > FORGOTTEN { 0 } else { self.group_micros.load(Relaxed) }
    }

    /// For how long somebody has been waiting and nothing was served.
    fn in_vain(&self) -> Duration {
        let since = self.last_ms.load(Relaxed).max(self.busy_since_ms.load(Relaxed));
        Duration::from_millis(self.now_ms().saturating_sub(since))
    }

    fn now_ms(&self) -> u64 {
        u64::try_from(self.began.elapsed().as_millis()).unwrap_or(u64::MAX)
    }
}

/// A place in the queue. Whoever drops it leaves.
#[derive(Debug)]
pub struct Place(Arc<Admission>);

impl Drop for Place {
    fn drop(&mut self) {
        self.0.waiting.fetch_sub(1, Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn places(limits: Limits, took: Duration) -> usize {
        let admission = Arc::new(Admission::new(limits));
        (0..20).for_each(|_| admission.served(took));
        let places: Vec<Place> =
            std::iter::from_fn(|| admission.admit(admission.waiting.load(Relaxed))).take(10_000).collect();
        let many = places.len();
        drop(places);
        assert_eq!(admission.waiting.load(Relaxed), 0);
        many
    }

    fn limits() -> Limits {
        Limits { group: 100, memory: 4, most_waiting: 2_000, most_per_second: 0, longest_wait_ms: 100 }
    }

    #[test]
    fn only_so_many_wait_as_are_served_in_time() {
        let ms = Duration::from_millis;
        // Four groups of 100 in 100 ms, and the one that is looked at.
        let many = places(limits(), ms(25));
        assert!((400..=410).contains(&many), "{many}");
        assert_eq!(places(Limits { most_per_second: 500, ..limits() }, ms(25)), 51);
        assert_eq!(places(limits(), ms(1)), 2_000);
        assert_eq!(places(Limits { longest_wait_ms: 0, ..limits() }, ms(1_000)), 2_000);
    }

    #[tokio::test(start_paused = true)]
    async fn what_was_slow_before_a_pause_is_forgotten() {
        let admission = Arc::new(Admission::new(limits()));
        (0..20).for_each(|_| admission.served(Duration::from_secs(60)));
        let place = admission.admit(0);
        assert!(place.is_some() && admission.admit(1).is_none());
        drop(place);
        tokio::time::advance(FORGOTTEN + Duration::from_millis(1)).await;
        let place = admission.admit(0);
        assert!(place.is_some() && admission.admit(1).is_some());
    }

    #[test]
    fn a_slow_beginning_makes_nobody_wait() {
        let admission = Arc::new(Admission::new(Limits { group: 3, memory: 32, ..limits() }));
        (0..3).for_each(|_| admission.served(Duration::from_millis(400)));
        let places: Vec<_> = (0..64).filter_map(|_| admission.admit(0)).collect();
        assert_eq!(places.len(), 64);
    }

    #[tokio::test(start_paused = true)]
    async fn what_takes_seconds_is_learned_too() {
        let admission = Arc::new(Admission::new(Limits { group: 3, memory: 32, ..limits() }));
        let _waiting: Vec<_> = (0..10).filter_map(|_| admission.admit(0)).collect();
        for _ in 0..15 {
            tokio::time::advance(Duration::from_secs(2)).await;
            (0..3).for_each(|_| admission.served(Duration::from_secs(2)));
        }
        assert!(admission.admit(0).is_none());
    }

    #[tokio::test(start_paused = true)]
    async fn while_nothing_is_served_only_few_may_wait() {
        let admission = Arc::new(Admission::new(limits()));
        let mut places: Vec<Place> = (0..150).filter_map(|_| admission.admit(0)).collect();
        assert_eq!(places.len(), 150);
        tokio::time::advance(FORGOTTEN + Duration::from_millis(1)).await;
        assert!(admission.admit(0).is_none());
        // But the first may always try.
        places.clear();
        tokio::time::advance(Duration::from_secs(5)).await;
        assert!(admission.admit(0).is_some());
    }

    #[test]
    fn however_slow_it_is_one_may_always_wait() {
        assert_eq!(places(limits(), Duration::from_secs(600)), 1);
    }
}
