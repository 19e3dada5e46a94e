//! A circuit breaker: whoever is down is left alone for a while, and then asked by one before all.

use std::time::{Duration, Instant};

/// How it stands, and what is told to it. It has no clock of its own.
#[derive(Debug)]
pub(super) struct Breaker {
    state: State,
    /// After so many failures in a row it opens.
    trips_at: u32,
    /// For so long it stays open before somebody looks.
    rests: Duration,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum State {
    Closed {
        failures: u32,
    },
    Open {
        until: Instant,
    },
    /// One is asking for all, since then.
    HalfOpen {
        since: Instant,
    },
}

impl Breaker {
    #[must_use]
    pub(super) fn new(trips_at: u32, rests: Duration) -> Self {
        Self { state: State::Closed { failures: 0 }, trips_at, rests }
    }

    #[must_use]
    pub(super) fn state(&self) -> State {
        self.state
    }

    /// Whether somebody may ask now. Whoever may, must say how it went.
    pub(super) fn admit(&mut self, now: Instant) -> bool {
        let may = self.would_admit(now);
        if may && !matches!(self.state, State::Closed { .. }) {
            self.state = State::HalfOpen { since: now };
        }
        may
    }

    /// Whether somebody might. One who asked for all and was never heard of again is not waited for.
    #[must_use]
    pub(super) fn would_admit(&self, now: Instant) -> bool {
        match self.state {
            State::Closed { .. } => true,
            State::Open { until } => now >= until,
            State::HalfOpen { since } => now.saturating_duration_since(since) > self.rests * 10,
        }
    }

    pub(super) fn succeeded(&mut self) {
        // What was asked before it opened says nothing of now.
        if !matches!(self.state, State::Open { .. }) {
            self.state = State::Closed { failures: 0 };
        }
    }

    pub(super) fn failed(&mut self, now: Instant) {
        self.state = match self.state {
            State::Closed { failures } if failures + 1 < self.trips_at => State::Closed { failures: failures + 1 },
            State::Closed { .. } | State::HalfOpen { .. } => State::Open { until: now + self.rests },
            open @ State::Open { .. } => open,
        };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const REST: Duration = Duration::from_secs(5);

    #[test]
    fn it_opens_after_failures_in_a_row_and_lets_one_look_when_it_has_rested() {
        let mut breaker = Breaker::new(3, REST);
        let now = Instant::now();
        breaker.failed(now);
        breaker.failed(now);
        breaker.succeeded();
        breaker.failed(now);
        breaker.failed(now);
        assert!(breaker.admit(now), "not three in a row");
        breaker.failed(now);
        assert!(!breaker.admit(now) && !breaker.admit(now + REST / 2));
        // What was under way when it opened changes nothing, nor how long it rests.
        breaker.succeeded();
        breaker.failed(now + REST / 2);
        let rested = now + REST;
        assert!(breaker.would_admit(rested) && breaker.admit(rested));
        assert!(!breaker.admit(rested) && !breaker.would_admit(rested), "one looks");
        breaker.failed(rested);
        assert!(!breaker.admit(rested + REST / 2));
        assert!(breaker.admit(rested + REST));
        breaker.succeeded();
        assert_eq!(breaker.state(), State::Closed { failures: 0 });
        assert!(breaker.admit(rested + REST) && breaker.admit(rested + REST));
    }

    #[test]
    fn one_who_never_came_back_is_not_waited_for() {
        let mut breaker = Breaker::new(1, REST);
        let now = Instant::now();
        breaker.failed(now);
        assert!(breaker.admit(now + REST));
        assert!(!breaker.admit(now + REST * 2));
        assert!(breaker.admit(now + REST * 12));
    }
}
