//! How often somebody may ask: a token bucket for each user, and one for each address.
//!
//! The answers say how one stands as most clients read it (`RateLimit-Limit`, `-Remaining`, `-Reset`: the IETF draft up
//! to its seventh version; later ones pack the same into one structured field that hardly a client knows yet).

use std::{hash::Hash, net::IpAddr, num::NonZeroU32, time::Duration};

use axum::http::{HeaderMap, HeaderName, HeaderValue};
use governor::{
    Quota, RateLimiter,
    clock::{Clock as _, DefaultClock},
    middleware::StateInformationMiddleware,
    state::keyed::HashMapStateStore,
};

use super::problem::Problem;
use crate::{config, ids::UserId};

pub(super) const LIMIT: HeaderName = HeaderName::from_static("ratelimit-limit");
pub(super) const REMAINING: HeaderName = HeaderName::from_static("ratelimit-remaining");
pub(super) const RESET: HeaderName = HeaderName::from_static("ratelimit-reset");

/// How often those who have not asked for so long that their bucket is full again are forgotten.
pub(super) const TIDY_EVERY: Duration = Duration::from_secs(5);

/// All limits on how often somebody may ask.
pub(super) struct Rates {
    users: Option<Buckets<UserId>>,
    addresses: Option<Buckets<IpAddr>>,
}

impl Rates {
    pub(super) fn new(settings: &config::Http) -> Self {
        Self {
            users: Buckets::new(settings.rate_per_user_per_second, settings.burst_per_user),
            addresses: Buckets::new(settings.rate_per_address_per_second, settings.burst_per_address),
        }
    }

    pub(super) fn user(&self, user: &UserId) -> Option<Result<Standing, Refused>> {
        self.users.as_ref().map(|buckets| buckets.take(user))
    }

    pub(super) fn limits_addresses(&self) -> bool {
        self.addresses.is_some()
    }

    pub(super) fn address(&self, address: IpAddr) -> Option<Result<Standing, Refused>> {
        self.addresses.as_ref().map(|buckets| buckets.take(&address))
    }

    /// Forgets whoever could ask as often as anybody new.
    pub(super) fn tidy(&self) {
        if let Some(users) = &self.users {
            users.tidy();
        }
        if let Some(addresses) = &self.addresses {
            addresses.tidy();
        }
    }
}

struct Buckets<K: Hash + Eq + Clone> {
    limiter: RateLimiter<K, HashMapStateStore<K>, DefaultClock, StateInformationMiddleware>,
    clock: DefaultClock,
    burst: u32,
    per_second: u32,
}

impl<K: Hash + Eq + Clone> Buckets<K> {
    /// None where there is no limit.
    fn new(per_second: u32, burst: u32) -> Option<Self> {
        let (rate, burst) = (NonZeroU32::new(per_second)?, NonZeroU32::new(burst)?);
        let limiter =
            RateLimiter::hashmap_with_clock(Quota::per_second(rate).allow_burst(burst), DefaultClock::default());
        Some(Self {
            limiter: limiter.with_middleware(),
            clock: DefaultClock::default(),
            burst: burst.get(),
            per_second,
        })
    }

    fn take(&self, key: &K) -> Result<Standing, Refused> {
        match self.limiter.check_key(key) {
            Ok(state) => Ok(self.standing(state.remaining_burst_capacity())),
            Err(until) => {
                let wait = until.wait_time_from(self.clock.now());
                Err(Refused { standing: self.standing(0), wait })
            }
        }
    }

    fn standing(&self, remaining: u32) -> Standing {
        let reset = self.burst.saturating_sub(remaining).div_ceil(self.per_second);
        Standing { limit: self.burst, remaining, reset }
    }

    fn tidy(&self) {
        if !self.limiter.is_empty() {
            self.limiter.retain_recent();
            self.limiter.shrink_to_fit();
        }
    }
}

/// How somebody stands with a limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Standing {
    limit: u32,
    remaining: u32,
    /// In so many seconds the bucket is full again.
    reset: u32,
}

impl Standing {
    /// Of two limits, the one that will be met first.
    pub(super) fn tighter(self, other: Self) -> Self {
        if other.remaining <= self.remaining { other } else { self }
    }

    pub(super) fn tell(self, headers: &mut HeaderMap) {
        headers.insert(LIMIT, HeaderValue::from(self.limit));
        headers.insert(REMAINING, HeaderValue::from(self.remaining));
        headers.insert(RESET, HeaderValue::from(self.reset));
    }
}

/// Somebody has asked too often, and may ask again after a while.
#[derive(Debug)]
pub(super) struct Refused {
    pub(super) standing: Standing,
    wait: Duration,
}

impl Refused {
    pub(super) fn problem(&self, whose: &str) -> Problem {
        // Whole seconds are all that the header can say: rounded up, for before that it would be in vain.
        let seconds = u32::try_from(self.wait.as_millis().div_ceil(1_000)).unwrap_or(u32::MAX).max(1);
        Problem::rate_limited(format!("{whose} asks too often; try again in {seconds} s"), seconds)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bucket_gives_what_it_holds_and_then_says_when_to_come_back() {
        let buckets = Buckets::new(2, 3).unwrap();
        let left: Vec<u32> = (0..3).map(|_| buckets.take(&"one").unwrap().remaining).collect();
        assert_eq!(left, [2, 1, 0]);
        let refused = buckets.take(&"one").unwrap_err();
        assert!(refused.wait > Duration::ZERO && refused.wait <= Duration::from_millis(500), "{refused:?}");
        assert_eq!(refused.standing, Standing { limit: 3, remaining: 0, reset: 2 });
        assert_eq!(refused.problem("this user").retry_after_seconds, Some(1));
        assert!(buckets.take(&"another").is_ok());
    }

    #[test]
    fn whoever_is_no_different_from_somebody_new_is_forgotten() {
        let buckets = Buckets::new(1_000_000, 1).unwrap();
        for i in 0..1_000 {
            assert!(buckets.take(&i).is_ok());
        }
        while !buckets.limiter.is_empty() {
            buckets.tidy();
        }
    }

    #[test]
    fn nothing_a_second_means_no_limit() {
        assert!(Buckets::<IpAddr>::new(0, 10).is_none());
    }

    #[test]
    fn of_two_limits_the_tighter_is_told() {
        let (few, many) =
            (Standing { limit: 10, remaining: 1, reset: 1 }, Standing { limit: 400, remaining: 90, reset: 2 });
        assert_eq!((few.tighter(many), many.tighter(few)), (few, few));
    }
}
