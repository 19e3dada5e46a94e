//! How much a consumer may be sent ahead of its work.

use crate::{
    broker::{BrokerError, Lane},
    config,
};

/// What has piled up one by one is worked off in batches of hundreds, and after each of them a worker would wait for the
/// broker: so it may be sent so many times as much.
const DEEP: u16 = 4;
/// The largest number that a quorum queue takes.
const MOST: u16 = 2_000;
/// Parcels above this size are not sent in such numbers, for all of them lie in memory.
const SMALL_BYTES: usize = 8 * 1024;
/// After so many small ones, one after the other, those behind them are taken to be small as well. (What has piled up begins
/// with what came when the line was still quiet, and each parcel was small.)
const ENOUGH_SMALL: u8 = 8;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Width {
    /// One at a time, to feel the way.
    Narrow,
    /// So many.
    Wide(u16),
}

impl Width {
    pub(super) fn prefetch(self) -> u16 {
        match self {
            Self::Narrow => 1,
            Self::Wide(parcels) => parcels,
        }
    }

    /// What suits a queue whose last parcel has this size, after so many small ones. A wide one stays for as long as the
    /// session.
    pub(super) async fn after(
        lane: &Lane,
        queue: &str,
        parcel_bytes: usize,
        small: &mut u8,
        settings: &config::Consumer,
    ) -> Result<Self, BrokerError> {
        if parcel_bytes > SMALL_BYTES {
            return Ok(Self::Wide(settings.prefetch));
        }
        let waiting = lane.look_at(queue).await?.message_count();
        *small += 1;
        Ok(match deep(waiting, settings.prefetch) {
            deep if deep > settings.prefetch && *small < ENOUGH_SMALL => Self::Narrow,
            wide => Self::Wide(wide),
        })
    }
}

/// With so many messages waiting.
fn deep(waiting: u32, prefetch: u16) -> u16 {
    let deep = prefetch.saturating_mul(DEEP).min(MOST);
    if waiting > deep.into() { deep } else { prefetch }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_backlog_is_sent_in_large_numbers() {
        assert_eq!([0, 256, 1_024, 1_025, 500_000].map(|waiting| deep(waiting, 256)), [256, 256, 256, 1_024, 1_024]);
        // One at a time stays as it was wanted, or nearly; and the broker has its own limit.
        assert_eq!([deep(100_000, 1), deep(100_000, 1_000), deep(100_000, 2_000)], [4, 2_000, 2_000]);
    }
}
