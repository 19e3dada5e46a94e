//! A circuit breaker: whoever is down is left alone for a while, and then asked by one before all.

use std::{
    sync::{Mutex, PoisonError},
    time::{Duration, Instant},
};

use tokio::sync::Notify;

/// How it stands, and what is told to it. It has no clock of its own.
#[derive(Debug)]
pub struct Breaker {
    state: State,
    limits: Limits,
    /// How long it would rest next, at the most.
    rest: Duration,
}

/// When it opens, and for how long.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// After so many failures in a row.
    pub trips_at: u32,
    /// For so long before somebody looks, or for half of that: not all processes at the same moment.
    pub rests: Duration,
    /// Twice as long after each look in vain, up to this.
    pub rests_most: Duration,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
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
    pub fn new(limits: Limits) -> Self {
        Self { state: State::Closed { failures: 0 }, limits, rest: limits.rests }
    }

    #[must_use]
    pub fn state(&self) -> State {
        self.state
    }

    /// Whether somebody may ask now. Whoever may, must say how it went.
    pub fn admit(&mut self, now: Instant) -> bool {
        let may = self.would_admit(now);
        if may && !matches!(self.state, State::Closed { .. }) {
            self.state = State::HalfOpen { since: now };
        }
        may
    }

    /// Whether somebody might. One who asked for all and was never heard of again is not waited for.
    #[must_use]
    pub fn would_admit(&self, now: Instant) -> bool {
        match self.state {
            State::Closed { .. } => true,
            State::Open { until } => now >= until,
            State::HalfOpen { since } => now.saturating_duration_since(since) > self.limits.rests * 10,
        }
    }

    pub fn succeeded(&mut self) {
        // What was asked before it opened says nothing of now.
        if !matches!(self.state, State::Open { .. }) {
            self.state = State::Closed { failures: 0 };
            self.rest = self.limits.rests;
        }
    }

    pub fn failed(&mut self, now: Instant) {
        self.state = match self.state {
            State::Closed { failures } if failures + 1 < self.limits.trips_at => {
                State::Closed { failures: failures + 1 }
            }
            State::Closed { .. } | State::HalfOpen { .. } => {
                let rest = self.rest.mul_f64(0.5 + fastrand::f64() / 2.0);
                self.rest = (self.rest * 2).min(self.limits.rests_most.max(self.limits.rests));
                State::Open { until: now + rest }
            }
            open @ State::Open { .. } => open,
        };
    }

    /// Who was cut off before there was an answer has learned nothing; but if one asked for all, another must.
    pub fn cut_off(&mut self, now: Instant) {
        if matches!(self.state, State::HalfOpen { .. }) {
            self.failed(now);
        }
    }
}

/// A breaker that is shared by all who ask, and seen by those who watch the metrics.
#[derive(Debug)]
pub struct Fuse {
    breaker: Mutex<Breaker>,
    names: Names,
    /// Told when one who asked for all has an answer.
    looked: Notify,
}

/// What a fuse is called.
#[derive(Debug, Clone, Copy)]
pub struct Names {
    /// For people: `the payment gateway`.
    pub what: &'static str,
    /// 0 while it is closed, 1 while one asks for all, 2 while it is open.
    pub gauge: &'static str,
    /// How often it has opened.
    pub opened: &'static str,
}

/// Whoever has one may ask, and says how it went.
#[derive(Debug)]
pub struct Asking<'a> {
    fuse: &'a Fuse,
    /// None until it says so.
    went: Option<bool>,
}

impl Fuse {
    #[must_use]
    pub fn new(names: Names, limits: Limits) -> Self {
        Self { breaker: Mutex::new(Breaker::new(limits)), names, looked: Notify::new() }
    }

    /// None while it is left alone.
    pub fn ask(&self) -> Option<Asking<'_>> {
        self.with(|breaker| breaker.admit(Instant::now())).then(|| Asking { fuse: self, went: None })
    }

    /// The same, but while one asks for all, waits for what that one hears, though no longer than so.
    pub async fn ask_after_another(&self, patience: Duration) -> Option<Asking<'_>> {
        let until = tokio::time::Instant::now() + patience;
        loop {
            let looked = self.looked.notified();
            if let Some(asking) = self.ask() {
                return Some(asking);
            }
            let is_looking = matches!(self.state(), State::HalfOpen { .. });
            if !is_looking || tokio::time::timeout_at(until, looked).await.is_err() {
                return None;
            }
        }
    }

    #[must_use]
    pub fn state(&self) -> State {
        self.with(|breaker| breaker.state())
    }

    #[must_use]
    pub fn would_admit(&self) -> bool {
        self.with(|breaker| breaker.would_admit(Instant::now()))
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
        metrics::gauge!(self.names.gauge).set(f64::from(is));
        match (was, is) {
            (0 | 1, 2) => {
                metrics::counter!(self.names.opened).increment(1);
                if was == 0 {
                    tracing::error!("{} is down: it is left alone, and what is due waits", self.names.what);
                }
            }
            (1, 0) => tracing::info!("{} is back", self.names.what),
            _ => {}
        }
        result
    }
}

impl Asking<'_> {
    /// It answered, whatever it said; or it did not, or said that it could not.
    pub fn went(mut self, well: bool) {
        self.went = Some(well);
    }
}

impl Drop for Asking<'_> {
    fn drop(&mut self) {
        let now = Instant::now();
        self.fuse.with(|breaker| match self.went {
            Some(true) => breaker.succeeded(),
            Some(false) => breaker.failed(now),
            None => breaker.cut_off(now),
        });
        self.fuse.looked.notify_waiters();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const REST: Duration = Duration::from_secs(5);

    fn breaker(trips_at: u32) -> Breaker {
        Breaker::new(Limits { trips_at, rests: REST, rests_most: REST })
    }

    fn fuse(trips_at: u32, rests: Duration) -> Fuse {
        let names = Names { what: "a test", gauge: "test_breaker", opened: "test_breaker_opened" };
        Fuse::new(names, Limits { trips_at, rests, rests_most: rests })
    }

    #[test]
    fn it_opens_after_failures_in_a_row_and_lets_one_look_when_it_has_rested() {
        let mut breaker = breaker(3);
        let now = Instant::now();
        breaker.failed(now);
        breaker.failed(now);
        breaker.succeeded();
        breaker.failed(now);
        breaker.failed(now);
        assert!(breaker.admit(now), "not three in a row");
        breaker.failed(now);
        assert!(!breaker.admit(now) && !breaker.admit(now + REST.mul_f64(0.49)));
        // What was under way when it opened changes nothing, nor how long it rests.
        breaker.succeeded();
        breaker.failed(now + REST / 2);
        let rested = now + REST;
        assert!(breaker.would_admit(rested) && breaker.admit(rested));
        assert!(!breaker.admit(rested) && !breaker.would_admit(rested), "one looks");
        breaker.failed(rested);
        assert!(!breaker.admit(rested + REST.mul_f64(0.49)));
        assert!(breaker.admit(rested + REST));
        breaker.succeeded();
        assert_eq!(breaker.state(), State::Closed { failures: 0 });
        assert!(breaker.admit(rested + REST) && breaker.admit(rested + REST));
    }

    #[test]
    fn who_was_cut_off_has_learned_nothing_unless_they_asked_for_all() {
        let mut breaker = breaker(1);
        let now = Instant::now();
        breaker.cut_off(now);
        assert_eq!(breaker.state(), State::Closed { failures: 0 });
        breaker.failed(now);
        assert!(breaker.admit(now + REST));
        breaker.cut_off(now + REST);
        assert!(matches!(breaker.state(), State::Open { .. }));
    }

    #[test]
    fn one_who_never_came_back_is_not_waited_for() {
        let mut breaker = breaker(1);
        let now = Instant::now();
        breaker.failed(now);
        assert!(breaker.admit(now + REST));
        assert!(!breaker.admit(now + REST * 2));
        assert!(breaker.admit(now + REST * 12));
    }

    #[test]
    fn it_rests_longer_after_each_look_in_vain_and_shortly_again_after_a_good_one() {
        let mut breaker = Breaker::new(Limits { trips_at: 1, rests: REST, rests_most: REST * 4 });
        let mut now = Instant::now();
        for longest in [1, 2, 4, 4] {
            breaker.failed(now);
            let State::Open { until } = breaker.state() else { panic!("{:?}", breaker.state()) };
            assert!((REST * longest / 2..=REST * longest).contains(&(until - now)), "{:?}", until - now);
            now = until;
            assert!(breaker.admit(now));
        }
        breaker.succeeded();
        breaker.failed(now);
        assert!(breaker.admit(now + REST));
    }

    #[tokio::test(start_paused = true)]
    async fn whoever_comes_while_one_looks_hears_what_that_one_hears() {
        let patience = Duration::from_secs(1);
        let fuse = fuse(1, Duration::from_millis(20));
        let rested = || {
            while !fuse.would_admit() {
                std::thread::yield_now();
            }
        };
        fuse.ask().unwrap().went(false);
        rested();
        let one = fuse.ask().unwrap();
        assert!(fuse.ask().is_none());
        let looking = async {
            tokio::time::sleep(patience / 2).await;
            one.went(true);
        };
        let (others, ()) = tokio::join!(fuse.ask_after_another(patience), looking);
        others.unwrap().went(false);
        rested();
        let one = fuse.ask().unwrap();
        let began = tokio::time::Instant::now();
        assert!(fuse.ask_after_another(patience).await.is_none(), "one who takes long is not waited for");
        assert_eq!(began.elapsed(), patience);
        drop(one);
        assert!(matches!(fuse.state(), State::Open { .. }), "another must look");
    }
}
