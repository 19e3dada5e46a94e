//! How often work is done that can be done together.
//!
//! Each commit and each message costs the same whether it carries one order or fifty, so under load the next batch waits
//! a moment for others to join it. The measure is how much has been arriving, not how large the last batch was: small
//! batches that follow each other closely are the very thing to avoid, and by their size nobody could tell.

use std::time::Duration;

use tokio::time::Instant;

/// Over which time arrivals are averaged.
const MEMORY: Duration = Duration::from_millis(250);

/// When the next batch may begin.
#[derive(Debug)]
pub struct Pace {
    most: Duration,
    half_per_second: f64,
    per_second: f64,
    began: Option<Instant>,
}

impl Pace {
    /// When `half_per_second` arrive, batches begin half of `most` apart; the more there are, the closer to all of it;
    /// what comes alone waits for nothing.
    #[must_use]
    pub fn new(most: Duration, half_per_second: u32) -> Self {
        Self { most, half_per_second: half_per_second.into(), per_second: 0.0, began: None }
    }

    /// A batch of so many begins. Returns when the next may.
    pub fn begin(&mut self, now: Instant, size: usize) -> Instant {
        let since = self.began.replace(now).map_or(MEMORY, |began| now - began).as_secs_f64().max(1e-6);
        let weight = 1.0 - (-since / MEMORY.as_secs_f64()).exp();
        self.per_second += weight * (size as f64 / since - self.per_second);
        now + self.apart(1.0)
    }

    /// How far apart batches begin by now. Where what comes is handed out to several, each sees less of it and has to wait
    /// longer for as much: so many times as long, but not where little comes.
    #[must_use]
    pub fn apart(&self, times: f64) -> Duration {
        self.most.mul_f64(times * self.per_second / (self.per_second + times * self.half_per_second))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MOST: Duration = Duration::from_millis(12);

    /// How long a batch gathers once one of this size has come so often for a second.
    fn gathers(size: usize, every: Duration) -> Duration {
        let mut pace = Pace::new(MOST, 200);
        let mut now = Instant::now();
        let end = now + Duration::from_secs(1);
        while now < end {
            pace.begin(now, size);
            now += every;
        }
        pace.begin(now, size) - now
    }

    #[test]
    fn the_more_arrives_the_longer_a_batch_gathers() {
        let ms = Duration::from_millis;
        let half = gathers(1, ms(5));
        assert!(half > ms(5) && half < ms(7), "{half:?}");
        // However they come: it is their number that counts.
        let same = gathers(4, ms(20));
        assert!(same.abs_diff(half) < ms(1), "{same:?}");
        assert!(gathers(6, ms(1)) > ms(11));
        assert!(gathers(1, ms(500)) < ms(1));
    }

    #[test]
    fn where_several_share_each_waits_longer_if_there_is_much() {
        let mut pace = Pace::new(MOST, 200);
        let mut apart = |per_second: f64| {
            pace.per_second = per_second;
            [1.0, 6.0].map(|times| pace.apart(times).as_secs_f64() * 1e3)
        };
        let [alone, shared] = apart(20_000.0);
        assert!(shared > 5.0 * alone && shared < 6.0 * MOST.as_secs_f64() * 1e3, "{alone} {shared}");
        let [alone, shared] = apart(20.0);
        assert!(shared < 1.2 * alone && shared < 1.5, "{alone} {shared}");
    }

    #[test]
    fn two_close_together_are_not_yet_a_load() {
        let mut pace = Pace::new(MOST, 200);
        let now = Instant::now();
        pace.begin(now, 1);
        let second = now + Duration::from_millis(5);
        assert!(pace.begin(second, 1) - second < Duration::from_millis(1));
    }
}
