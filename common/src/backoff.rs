//! Waiting between tries: exponential, jittered, capped.

use std::time::Duration;

pub struct Backoff {
    next: Duration,
    least: Duration,
    most: Duration,
}

impl Backoff {
    #[must_use]
    pub fn new(least: Duration, most: Duration) -> Self {
        Self { next: least, least, most }
    }

    /// Waits for between half and all of the present delay, then doubles it.
    pub async fn wait(&mut self) {
        let jittered = self.next.mul_f64(0.5 + fastrand::f64() / 2.0);
        self.next = (self.next * 2).min(self.most);
        tokio::time::sleep(jittered).await;
    }

    pub fn reset(&mut self) {
        self.next = self.least;
    }
}
