//! How much is asked of the gateway at once, how often, and whether at all.

use std::{
    num::NonZeroU32,
    sync::{Mutex, PoisonError},
    time::{Duration, Instant},
};

use governor::{DefaultDirectRateLimiter, Quota, RateLimiter, clock::Clock as _, clock::DefaultClock};
use tokio::sync::{Semaphore, SemaphorePermit};

use super::breaker::{Breaker, State};

pub(super) struct Throttle {
    breaker: Mutex<Breaker>,
    at_once: Semaphore,
    rate: Option<DefaultDirectRateLimiter>,
}

/// Whoever has one may ask. It is the breaker's one question when it is half open, so it must hear how it went; whoever
/// is cut off in the middle has failed.
pub(super) struct Turn<'a> {
    throttle: &'a Throttle,
    is_told: bool,
    _permit: SemaphorePermit<'a>,
}

impl Throttle {
    pub(super) fn new(trips_at: u32, rests: Duration, at_once: usize, per_second: u32) -> Self {
        let throttle = Self {
            breaker: Mutex::new(Breaker::new(trips_at, rests)),
            at_once: Semaphore::new(at_once),
            // After a rest a tenth of a second's worth may be asked at once: whoever comes back is not run over.
            rate: NonZeroU32::new(per_second).map(|rate| {
                let burst = NonZeroU32::new(per_second / 10).unwrap_or(NonZeroU32::MIN);
                RateLimiter::direct(Quota::per_second(rate).allow_burst(burst))
            }),
        };
        throttle.with(|_| ());
        throttle
    }

    /// Waits for a turn. None while the gateway is left alone.
    pub(super) async fn turn(&self) -> Option<Turn<'_>> {
        let may = |throttle: &Self| throttle.with(|breaker| breaker.would_admit(Instant::now()));
        if !may(self) {
            return None;
        }
        // Closed by nobody.
        let permit = self.at_once.acquire().await.ok()?;
        if let Some(rate) = &self.rate {
            while let Err(later) = rate.check() {
                tokio::time::sleep(later.wait_time_from(DefaultClock::default().now())).await;
            }
        }
        if !self.with(|breaker| breaker.admit(Instant::now())) {
            return None;
        }
        Some(Turn { throttle: self, is_told: false, _permit: permit })
    }

    /// How many may ask now.
    pub(super) fn room(&self) -> usize {
        match self.with(|breaker| (breaker.state(), breaker.would_admit(Instant::now()))) {
            (State::Closed { .. }, _) => usize::MAX,
            (_, may) => usize::from(may),
        }
    }

    /// Does something with the breaker, and says how it stands since.
    fn with<T>(&self, act: impl FnOnce(&mut Breaker) -> T) -> T {
        let mut breaker = self.breaker.lock().unwrap_or_else(PoisonError::into_inner);
        let before = breaker.state();
        let result = act(&mut breaker);
        let level = |state| match state {
            State::Closed { .. } => 0,
            State::HalfOpen { .. } => 1,
            State::Open { .. } => 2,
        };
        let (was, is) = (level(before), level(breaker.state()));
        metrics::gauge!("conveyor_gateway_breaker").set(f64::from(is));
        match (was, is) {
            (0 | 1, 2) => {
                metrics::counter!("conveyor_gateway_breaker_opened_total").increment(1);
                if was == 0 {
                    tracing::error!("the payment gateway is down: it is left alone, and what is due waits");
                }
            }
            (1, 0) => tracing::info!("the payment gateway is back"),
            _ => {}
        }
        result
    }
}

impl Turn<'_> {
    /// It answered, whatever it said; or it did not, or said that it could not.
    pub(super) fn went(mut self, well: bool) {
        self.tell(well);
    }

    fn tell(&mut self, well: bool) {
        if !std::mem::replace(&mut self.is_told, true) {
            self.throttle.with(|breaker| if well { breaker.succeeded() } else { breaker.failed(Instant::now()) });
        }
    }
}

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        self.tell(false);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn nobody_asks_while_it_is_left_alone_and_then_one() {
        let throttle = Throttle::new(1, Duration::from_millis(20), 8, 0);
        throttle.turn().await.unwrap().went(true);
        assert_eq!(throttle.room(), usize::MAX);
        drop(throttle.turn().await.unwrap());
        assert!(throttle.turn().await.is_none() && throttle.room() == 0);
        tokio::time::sleep(Duration::from_millis(25)).await;
        assert_eq!(throttle.room(), 1);
        let one = throttle.turn().await.unwrap();
        assert!(throttle.turn().await.is_none() && throttle.room() == 0);
        one.went(true);
        assert_eq!(throttle.room(), usize::MAX);
    }

    #[tokio::test]
    async fn no_more_ask_in_a_second_than_may() {
        let throttle = Throttle::new(1, Duration::from_secs(1), 8, 100);
        let began = Instant::now();
        for _ in 0..30 {
            throttle.turn().await.unwrap().went(true);
        }
        assert!(began.elapsed() >= Duration::from_millis(190), "{:?}", began.elapsed());
    }
}
