//! What a reservation may become, and how stock is shared out. Pure: no I/O, no clock.
//!
//! ```text
//! order.created ── enough ──► locked ── confirm ──► confirmed ── release ──► restocked
//!     │  └── not enough ──► rejected └─ release ──► released
//!     └── a release came first ──► released, at which the late lock stops
//! ```
//!
//! A lock that was asked for ahead of its order is provisional: it is given back after a while, unless `order.created`
//! adopts it before. Only what an order has locked or adopted is confirmed.

use std::{collections::BTreeMap, fmt, str::FromStr};

use common::{
    events::{Line, Shortage},
    ids::ProductId,
};

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum State {
    /// Its stock is reserved.
    Locked,
    /// There was not enough.
    Rejected,
    /// Its stock has left.
    Confirmed,
    /// Its stock had left, and is back.
    Restocked,
    /// Its stock was given back, or was never taken.
    Released,
}

impl State {
    const NAMES: [(Self, &'static str); 5] = [
        (Self::Locked, "locked"),
        (Self::Rejected, "rejected"),
        (Self::Confirmed, "confirmed"),
        (Self::Restocked, "restocked"),
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

/// How a reservation stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Standing {
    pub state: State,
    /// The version of the order that last settled it; 0 as long as none has.
    pub version: i32,
    /// It was locked ahead of its order, and is given back unless that adopts it.
    pub is_provisional: bool,
}

impl Standing {
    /// As an order's own lock leaves it: locked or rejected.
    #[must_use]
    pub fn new(state: State) -> Self {
        Self { state, version: 0, is_provisional: false }
    }
}

/// What an order says of its stock.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Settlement {
    /// It is paid: the goods leave.
    Confirm,
    /// It is off: they come back.
    Release,
}

/// What the reservation becomes by what its order says, if anything. An error says why this cannot be, at least not yet.
///
/// What an order says may be heard late and in any order. Its version tells: once an order has been called off, it is
/// never paid, so a confirmation that is heard after a release, but was said before it, finds the goods back already. One
/// that was said after it is a contradiction, which somebody must see.
pub fn settle(before: Option<Standing>, settlement: Settlement, version: i32) -> Result<Option<Standing>, String> {
    let becomes = |state| Ok(Some(Standing { state, version, is_provisional: false }));
    let Some(Standing { state, version: known, is_provisional }) = before else {
        return match settlement {
            Settlement::Confirm => Err("the order is paid, but its stock was never locked".to_owned()),
            // The fence at which a late lock stops.
            Settlement::Release => becomes(State::Released),
        };
    };
    match (settlement, state) {
        (Settlement::Confirm, State::Locked) if is_provisional => {
            Err("the order is paid, but has not adopted the stock that was locked ahead of it".to_owned())
        }
        (Settlement::Confirm, State::Locked) => becomes(State::Confirmed),
        (Settlement::Confirm, State::Confirmed) => Ok(None),
        (Settlement::Confirm, State::Rejected | State::Released | State::Restocked) if version < known => Ok(None),
        (Settlement::Confirm, state) => Err(format!("the order is paid, but its stock is {state}")),
        (Settlement::Release, State::Locked) => becomes(State::Released),
        (Settlement::Release, State::Confirmed) if version > known => becomes(State::Restocked),
        (Settlement::Release, State::Confirmed) => Err("the order was off before it was paid".to_owned()),
        // It has paid for what was locked ahead of it, was refused what it wanted itself, and was called off for that.
        (Settlement::Release, State::Rejected) if version > known => becomes(State::Rejected),
        (Settlement::Release, State::Rejected | State::Released | State::Restocked) => Ok(None),
    }
}

/// By how much a product's stock changes.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Move {
    pub on_hand: i64,
    pub reserved: i64,
}

/// What each piece that is held does when a reservation goes from one state to another.
#[must_use]
pub fn moves(from: State, to: State) -> Move {
    match (from, to) {
        (State::Locked, State::Confirmed) => Move { on_hand: -1, reserved: -1 },
        (State::Locked, State::Released) => Move { on_hand: 0, reserved: -1 },
        (State::Confirmed, State::Restocked) => Move { on_hand: 1, reserved: 0 },
        _ => Move::default(),
    }
}

/// What becomes of an order's request for stock.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Lock {
    /// It takes what it wants, if there is enough.
    Take,
    /// It wants just what was locked ahead of it.
    Adopt,
    /// It wants something else than was locked ahead of it: that is given back, and then it takes what it wants.
    Replace,
    /// It has had its answer: locked, rejected, or too late.
    Keep,
}

/// `order.created` is heard: an order wants stock. `before` is the reservation that there is, and what it holds.
#[must_use]
pub fn lock(before: Option<(Standing, &Quantities)>, wanted: &Quantities) -> Lock {
    match before {
        None => Lock::Take,
        Some((standing, held)) if standing.is_provisional && held == wanted => Lock::Adopt,
        Some((standing, _)) if standing.is_provisional => Lock::Replace,
        Some(_) => Lock::Keep,
    }
}

/// What becomes of a request to lock an order's stock, perhaps ahead of the order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Ahead {
    /// It takes what it wants, if there is enough.
    Take,
    /// It is locked already.
    Keep,
    /// Something else is locked for the order.
    OtherItems,
    /// The order was told that there is not enough, and that is the end of it.
    Rejected,
    /// The order is off.
    Off,
}

/// Somebody asks for stock on behalf of an order that may not be known here yet.
#[must_use]
pub fn lock_ahead(before: Option<(State, &Quantities)>, wanted: &Quantities) -> Ahead {
    match before {
        None => Ahead::Take,
        Some((State::Rejected, _)) => Ahead::Rejected,
        Some((State::Released | State::Restocked, _)) => Ahead::Off,
        Some((State::Locked | State::Confirmed, held)) if held == wanted => Ahead::Keep,
        Some((State::Locked | State::Confirmed, _)) => Ahead::OtherItems,
    }
}

/// So many of each product, in the order of their ids.
pub type Quantities = BTreeMap<ProductId, i64>;

/// The quantities of an order, lines of one product added up. An error names what cannot be held.
pub fn quantities(lines: &[Line]) -> Result<Quantities, String> {
    sum(lines.iter().map(|line| (&line.product_id, line.quantity)))
}

/// The same of any lines.
pub fn sum<'a>(lines: impl IntoIterator<Item = (&'a ProductId, i64)>) -> Result<Quantities, String> {
    let mut quantities = Quantities::new();
    for (product_id, quantity) in lines {
        let sum = quantities.entry(product_id.clone()).or_default();
        *sum = sum
            .checked_add(quantity)
            .filter(|_| quantity > 0)
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

    /// Whether there is such a product, with stock or without.
    #[must_use]
    pub fn has(&self, product_id: &ProductId) -> bool {
        self.available.contains_key(product_id)
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
            self.change(product_id, *asked);
        }
        Ok(())
    }

    /// Takes back what was held before.
    pub fn give_back(&mut self, held: &Quantities) {
        for (product_id, quantity) in held {
            self.change(product_id, -quantity);
        }
    }

    fn change(&mut self, product_id: &ProductId, taken: i64) {
        if let Some(available) = self.available.get_mut(product_id) {
            *available -= taken;
        }
        *self.taken.entry(product_id.clone()).or_default() += taken;
    }

    /// All that was taken, less what was given back.
    #[must_use]
    pub fn taken(self) -> Quantities {
        self.taken
    }
}

#[cfg(test)]
mod tests;
