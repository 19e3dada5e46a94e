//! How much is asked of the gateway at once, how often, and whether at all.

use std::num::NonZeroU32;

use common::breaker::{Asking, Fuse, Limits, Names, State};
use governor::{DefaultDirectRateLimiter, Quota, RateLimiter, clock::Clock as _, clock::DefaultClock};
use tokio::sync::{Semaphore, SemaphorePermit};

const GATEWAY: Names = Names {
    what: "the payment gateway",
    gauge: "conveyor_gateway_breaker",
    opened: "conveyor_gateway_breaker_opened_total",
};

pub(super) struct Throttle {
    fuse: Fuse,
    at_once: Semaphore,
    rate: Option<DefaultDirectRateLimiter>,
}

/// Whoever has one may ask. It is the breaker's one question when it is half open, so it must hear how it went.
pub(super) struct Turn<'a> {
    asking: Asking<'a>,
    _permit: SemaphorePermit<'a>,
}

impl Throttle {
    pub(super) fn new(limits: Limits, at_once: usize, per_second: u32) -> Self {
        Self {
            fuse: Fuse::new(GATEWAY, limits),
            at_once: Semaphore::new(at_once),
            // After a rest a tenth of a second's worth may be asked at once: whoever comes back is not run over.
            rate: NonZeroU32::new(per_second).map(|rate| {
                let burst = NonZeroU32::new(per_second / 10).unwrap_or(NonZeroU32::MIN);
                RateLimiter::direct(Quota::per_second(rate).allow_burst(burst))
            }),
        }
    }

    /// Waits for a turn. None while the gateway is left alone.
    pub(super) async fn turn(&self) -> Option<Turn<'_>> {
        if !self.fuse.would_admit() {
            return None;
        }
        // Closed by nobody.
        let permit = self.at_once.acquire().await.ok()?;
        if let Some(rate) = &self.rate {
            while let Err(later) = rate.check() {
                tokio::time::sleep(later.wait_time_from(DefaultClock::default().now())).await;
            }
        }
        Some(Turn { asking: self.fuse.ask()?, _permit: permit })
    }

    /// How many may ask now.
    pub(super) fn room(&self) -> usize {
        match self.fuse.state() {
            State::Closed { .. } => usize::MAX,
            _ => usize::from(self.fuse.would_admit()),
        }
    }
}

impl Turn<'_> {
    /// It answered, whatever it said; or it did not, or said that it could not.
    pub(super) fn went(self, well: bool) {
        self.asking.went(well);
    }
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, Instant};

    use super::*;

    fn throttle(rests: Duration, per_second: u32) -> Throttle {
        Throttle::new(Limits { trips_at: 1, rests, rests_most: rests }, 8, per_second)
    }

    #[tokio::test]
    async fn nobody_asks_while_it_is_left_alone_and_then_one() {
        let throttle = throttle(Duration::from_millis(200), 0);
        throttle.turn().await.unwrap().went(true);
        assert_eq!(throttle.room(), usize::MAX);
        throttle.turn().await.unwrap().went(false);
        assert!(throttle.turn().await.is_none() && throttle.room() == 0);
        tokio::time::sleep(Duration::from_millis(205)).await;
        assert_eq!(throttle.room(), 1);
        let one = throttle.turn().await.unwrap();
        assert!(throttle.turn().await.is_none() && throttle.room() == 0);
        one.went(true);
        assert_eq!(throttle.room(), usize::MAX);
    }

    #[tokio::test]
    async fn no_more_ask_in_a_second_than_may() {
        let throttle = throttle(Duration::from_secs(1), 100);
        let began = Instant::now();
        for _ in 0..30 {
            throttle.turn().await.unwrap().went(true);
        }
        assert!(began.elapsed() >= Duration::from_millis(190), "{:?}", began.elapsed());
    }
}
