use std::time::Duration;

use serde::Deserialize;

use super::{ConfigError, bounded, lists::list_of_numbers};
use crate::pace::Pace;

/// Calls to the outside world are made in so many rounds at most, and then what came of them is recorded.
const ROUNDS: usize = 4;

/// How queues are worked on.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Consumer {
    /// The most events handled in one transaction; no more are gathered once so many are there. Where the outside world is
    /// called for each, no more than four times `effects`.
    pub max_events: usize,
    /// The most bytes of parcels gathered into one batch.
    pub max_bytes: usize,
    /// How many parcels the broker may send ahead, once the first has shown itself harmless; where many small ones have piled
    /// up by then, four times as many.
    pub prefetch: u16,
    /// While this many events a second arrive, batches begin half of `pace_ms` apart; with more, nearer to all of it. Where
    /// several processes share a queue, or no processor is free, farther.
    pub pace_half_per_second: u32,
    pub pace_ms: u64,
    /// The same for queues that no order waits for: those that come after it is paid.
    pub unawaited_pace_ms: u64,
    /// The delay before each further attempt. When they are used up, the event is dead-lettered. All processes
    /// on one vhost must agree, for the delay queues are made from this list.
    #[serde(deserialize_with = "list_of_numbers")]
    pub retry_delays_ms: Vec<u64>,
    /// How many calls to the outside world may be under way at once.
    pub effects: usize,
    /// How long one of them may take.
    pub effect_ms: u64,
    /// A hold longer than this gives its deliveries back to the broker.
    pub hold_ms: u64,
}

impl Default for Consumer {
    fn default() -> Self {
        Self {
            max_events: 1_024,
            max_bytes: 4 * 1024 * 1024,
            prefetch: 256,
            pace_half_per_second: 100,
            pace_ms: 4,
            unawaited_pace_ms: 50,
            retry_delays_ms: vec![1_000, 5_000, 30_000, 120_000, 600_000],
            effects: 64,
            effect_ms: 30_000,
            hold_ms: 60_000,
        }
    }
}

impl Consumer {
    /// The pace of a queue that an order waits for, or of one that none waits for.
    #[must_use]
    pub fn pace(&self, awaited: bool) -> Pace {
        let most = if awaited { self.pace_ms } else { self.unawaited_pace_ms };
        Pace::new(Duration::from_millis(most), self.pace_half_per_second)
    }

    /// The most events of a batch, where the outside world is called for each or where it is not.
    #[must_use]
    pub fn most_events(&self, outside: bool) -> usize {
        if outside { self.max_events.min(ROUNDS * self.effects) } else { self.max_events }
    }

    pub fn check(&self) -> Result<(), ConfigError> {
        bounded("consumer.max_events", self.max_events, 1, 10_000)?;
        bounded("consumer.max_bytes", self.max_bytes, 1_024, 256 * 1024 * 1024)?;
        // Beyond half an hour the broker takes its deliveries back.
        bounded("consumer.hold_ms", self.hold_ms, 100, 1_200_000)?;
        bounded("consumer.prefetch", self.prefetch, 1, 2_000)?;
        bounded("consumer.effects", self.effects, 1, 10_000)?;
        bounded("consumer.effect_ms", self.effect_ms, 10, 600_000)?;
        bounded("consumer.pace_half_per_second", self.pace_half_per_second, 1, 1_000_000)?;
        bounded("consumer.pace_ms", self.pace_ms, 0, 1_000)?;
        bounded("consumer.unawaited_pace_ms", self.unawaited_pace_ms, 0, 1_000)?;
        bounded("consumer.retry_delays_ms, the number of its values", self.retry_delays_ms.len(), 1, 20)?;
        match self.retry_delays_ms.iter().find(|ms| !(1..=86_400_000).contains(*ms)) {
            Some(ms) => Err(ConfigError(format!("consumer.retry_delays_ms: {ms} is not between 1 and 86400000"))),
            None => Ok(()),
        }
    }
}
