//! What a reservation may become, and how stock is shared out. Pure: no I/O, no clock.
//!
//! ```text
//! order.created ── enough ──► locked ── confirm ──► confirmed
//!     │  └── not enough ──► rejected └─ release ──► released
//!     └── a release came first ──► released, at which the late lock stops
//! ```

use std::{collections::BTreeMap, fmt, str::FromStr};

use common::{
    events::{Line, Shortage},
    ids::ProductId,
};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    /// Its stock is reserved.
    Locked,
    /// There was not enough.
    Rejected,
    /// Its stock has left.
    Confirmed,
    /// Its stock was given back, or was never taken.
    Released,
}

impl State {
    const NAMES: [(Self, &'static str); 4] = [
        (Self::Locked, "locked"),
        (Self::Rejected, "rejected"),
        (Self::Confirmed, "confirmed"),
        (Self::Released, "released"),
    ];

    #[must_use]
    pub fn as_str(self) -> &'static str {
        Self::NAMES.iter().find(|(state, _)| *state == self).map_or("", |(_, name)| name)
    }
}

impl fmt::Display for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for State {
    type Err = String;

    fn from_str(name: &str) -> Result<Self, String> {
        let known = Self::NAMES.iter().find(|(_, n)| *n == name);
        known.map(|(state, _)| *state).ok_or_else(|| format!("{name:?} is not the state of a reservation"))
    }
}

/// So many of each product, in the order of their ids.
pub type Quantities = BTreeMap<ProductId, i64>;

/// The quantities of an order, lines of one product added up. An error names what cannot be held.
pub fn quantities(lines: &[Line]) -> Result<Quantities, String> {
    let mut quantities = Quantities::new();
    for Line { product_id, quantity, .. } in lines {
        let sum = quantities.entry(product_id.clone()).or_default();
        *sum = sum
            .checked_add(*quantity)
            .filter(|_| *quantity > 0)
            .ok_or_else(|| format!("{quantity} of {product_id} cannot be held"))?;
    }
    if quantities.is_empty() {
        return Err("there is nothing to hold".to_owned());
    }
    Ok(quantities)
}

/// What can still be had of each product of a batch. Taking from it is how a batch shares out stock.
#[derive(Debug, Default)]
pub struct Stock {
    available: BTreeMap<ProductId, i64>,
    taken: Quantities,
}

impl Stock {
    #[must_use]
    pub fn new(available: BTreeMap<ProductId, i64>) -> Self {
        Self { available, taken: Quantities::new() }
    }

    /// Takes all of it, or nothing and says what is short.
    pub fn take(&mut self, wanted: &Quantities) -> Result<(), Vec<Shortage>> {
        let shortages: Vec<Shortage> = wanted
            .iter()
            .filter_map(|(product_id, asked)| {
                let available = self.available.get(product_id).copied().unwrap_or(0);
                (available < *asked).then(|| Shortage { product_id: product_id.clone(), asked: *asked, available })
            })
            .collect();
        if !shortages.is_empty() {
            return Err(shortages);
        }
        for (product_id, asked) in wanted {
            if let Some(available) = self.available.get_mut(product_id) {
                *available -= asked;
            }
            *self.taken.entry(product_id.clone()).or_default() += asked;
        }
        Ok(())
    }

    /// All that was taken.
    #[must_use]
    pub fn taken(self) -> Quantities {
        self.taken
    }
}

#[cfg(test)]
mod tests {
    use common::money::Money;

    use super::*;

    fn id(text: &str) -> ProductId {
        ProductId::try_from(text.to_owned()).unwrap()
    }

    fn line(product: &str, quantity: i64) -> Line {
        Line { product_id: id(product), quantity, unit_price: Money(1) }
    }

    #[test]
    fn lines_of_one_product_are_added_up() {
        let sums = quantities(&[line("A", 2), line("B", 1), line("A", 3)]).unwrap();
        assert_eq!(sums, Quantities::from([(id("A"), 5), (id("B"), 1)]));
        assert!(quantities(&[]).is_err());
        assert!(quantities(&[line("A", 0)]).is_err());
        assert!(quantities(&[line("A", i64::MAX), line("A", 1)]).is_err());
    }

    #[test]
    fn an_order_gets_all_of_it_or_nothing() {
        let mut stock = Stock::new(BTreeMap::from([(id("A"), 5), (id("B"), 0)]));
        let shortages = stock.take(&Quantities::from([(id("A"), 2), (id("B"), 1), (id("C"), 1)])).unwrap_err();
        let short: Vec<_> = shortages.iter().map(|s| (s.product_id.as_str(), s.asked, s.available)).collect();
        assert_eq!(short, [("B", 1, 0), ("C", 1, 0)]);
        assert!(stock.take(&Quantities::from([(id("A"), 5)])).is_ok());
        assert!(stock.take(&Quantities::from([(id("A"), 1)])).is_err());
        assert_eq!(stock.taken(), Quantities::from([(id("A"), 5)]));
    }
}
