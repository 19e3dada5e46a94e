//! What there is of a product, and how somebody may change it. Pure: no I/O.

/// The most of one product that there may be.
pub(crate) const MOST: i64 = 1_000_000_000_000;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Counted {
    pub on_hand: i64,
    pub reserved: i64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Change {
    /// So much was counted.
    Set(i64),
    /// So much more, or less.
    Adjust(i64),
}

/// Why stock cannot be changed like that.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Refused {
    /// There would be less than is reserved for orders.
    BelowReserved,
    /// There would be more than [`MOST`].
    TooMuch,
}

impl Counted {
    pub(crate) fn change(self, change: Change) -> Result<Self, Refused> {
        let on_hand = match change {
            Change::Set(on_hand) => on_hand,
            Change::Adjust(by) => self.on_hand.saturating_add(by),
        };
        match on_hand {
            on_hand if on_hand < self.reserved => Err(Refused::BelowReserved),
            on_hand if on_hand > MOST => Err(Refused::TooMuch),
            on_hand => Ok(Self { on_hand, ..self }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stock_is_never_below_what_is_reserved_nor_beyond_counting() {
        let there = Counted { on_hand: 10, reserved: 4 };
        for (change, after) in [
            (Change::Set(4), Ok(4)),
            (Change::Set(3), Err(Refused::BelowReserved)),
            (Change::Set(MOST), Ok(MOST)),
            (Change::Set(MOST + 1), Err(Refused::TooMuch)),
            (Change::Adjust(-6), Ok(4)),
            (Change::Adjust(-7), Err(Refused::BelowReserved)),
            (Change::Adjust(-11), Err(Refused::BelowReserved)),
            (Change::Adjust(5), Ok(15)),
            (Change::Adjust(i64::MAX), Err(Refused::TooMuch)),
            (Change::Adjust(i64::MIN), Err(Refused::BelowReserved)),
        ] {
            assert_eq!(there.change(change).map(|after| after.on_hand), after, "{change:?}");
        }
    }
}
