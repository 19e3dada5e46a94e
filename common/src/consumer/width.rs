//! How much a consumer may be sent ahead of its work.

use crate::{
    broker::{BrokerError, Lane},
    config,
};

/// What has piled up one by one is worked off in batches of hundreds, as many as are usually sent ahead, and after each of them
/// a worker would wait for the broker: so it may be sent so many times as much.
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

    /// What suits a queue whose last parcel has this size. A wide one stays for as long as the session.
    pub(super) async fn after(
        lane: &Lane,
        queue: &str,
        parcel_bytes: usize,
        felt: &mut Felt,
        settings: &config::Consumer,
    ) -> Result<Self, BrokerError> {
        if felt.small == 0 && parcel_bytes <= SMALL_BYTES {
            felt.deep = deep(lane.look_at(queue).await?.messages, settings.prefetch);
        }
        Ok(felt.after(parcel_bytes, settings.prefetch))
    }
}

/// What a session has found out about its queue, parcel by parcel.
#[derive(Debug, Default)]
pub(super) struct Felt {
    small: u8,
    /// How much may be sent ahead if all that waits is small; none where not so much waits.
    deep: Option<u16>,
}

impl Felt {
    fn after(&mut self, parcel_bytes: usize, prefetch: u16) -> Width {
        self.small += 1;
        match self.deep.filter(|_| parcel_bytes <= SMALL_BYTES) {
            Some(deep) if self.small >= ENOUGH_SMALL => Width::Wide(deep),
            Some(_) => Width::Narrow,
            None => Width::Wide(prefetch),
        }
    }
}

/// With so many messages waiting.
fn deep(waiting: u32, prefetch: u16) -> Option<u16> {
    let deep = prefetch.saturating_mul(DEEP).min(MOST);
    (deep > prefetch && waiting > deep.into()).then_some(deep)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_backlog_is_sent_in_large_numbers() {
        let much = Some(1_024);
        assert_eq!([0, 256, 1_024, 1_025, 500_000].map(|waiting| deep(waiting, 256)), [None, None, None, much, much]);
        // One at a time stays as it was wanted, or nearly; and the broker has its own limit.
        assert_eq!([1, 1_000, 2_000].map(|prefetch| deep(100_000, prefetch)), [Some(4), Some(2_000), None]);
    }

    #[test]
    fn only_after_some_small_ones() {
        let widths = |deep, sizes: [usize; 8]| {
            let mut felt = Felt { deep, ..Felt::default() };
            sizes.map(|bytes| felt.after(bytes, 256))
        };
        let small = widths(Some(1_024), [SMALL_BYTES; 8]);
        assert_eq!((&small[..7], small[7]), (&[Width::Narrow; 7][..], Width::Wide(1_024)));
        let mut sizes = [SMALL_BYTES; 8];
        sizes[3] += 1;
        assert_eq!(widths(Some(1_024), sizes)[3], Width::Wide(256));
        assert_eq!(widths(None, [1; 8])[0], Width::Wide(256));
    }
}
