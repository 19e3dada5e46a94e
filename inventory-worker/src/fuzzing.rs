//! What the readers of bytes from outside are held to, whatever those bytes are: see [`common::fuzzing`].

use common::{
    events::{Opened, OrderCreated, open},
    fuzzing::refusal,
    http::{JsonText, Problem},
};

use crate::{
    ABOUT, Inventory,
    http::{lock::LockStock, product::Put},
    reservation::{Quantities, Stock, quantities},
    stock::{Change, Counted, MOST},
};

/// What asks for stock, by request and by event, and what counts it.
pub fn stock(bytes: &[u8]) {
    match JsonText::from(bytes.to_vec()).parse::<LockStock>() {
        Ok(request) => match request.check() {
            Ok(wanted) => {
                assert!(wanted.quantities.keys().eq(wanted.lines.keys()));
                assert!(wanted.quantities.values().all(|quantity| (1..=100 * 1_000_000).contains(quantity)));
                share_out(&wanted.quantities);
            }
            Err(errors) => refusal(&Problem::invalid(errors)),
        },
        Err(problem) => refusal(&problem),
    }
    for one in open(bytes).unwrap_or_default() {
        let Opened::Event(event) = one else { continue };
        if let Ok(quantities) = event.payload().and_then(|created: OrderCreated| quantities(&created.items)) {
            assert!(quantities.values().all(|quantity| *quantity > 0));
            share_out(&quantities);
        }
    }
    match JsonText::from(bytes.to_vec()).parse::<Put>() {
        Ok(put) => count(put),
        Err(problem) => refusal(&problem),
    }
}

/// All of it is taken, or nothing.
fn share_out(wanted: &Quantities) {
    const THERE: i64 = 1_000;
    let mut stock = Stock::new(wanted.keys().map(|product| (product.clone(), THERE)).collect());
    let enough = wanted.values().all(|quantity| *quantity <= THERE);
    assert_eq!(stock.take(wanted).is_ok(), enough);
    assert_eq!(stock.taken().is_empty(), !enough);
    // As of a product that nobody knows.
    assert!(Stock::default().take(wanted).is_err());
}

fn count(put: Put) {
    let mut errors = Vec::new();
    match put.check(&mut errors) {
        Some((change, reason)) if errors.is_empty() => {
            assert!((1..=200).contains(&reason.chars().count()) && !reason.contains(char::is_control));
            let before = Counted { on_hand: 10, reserved: 4 };
            if let Ok(after) = before.change(change) {
                assert!((before.reserved..=MOST).contains(&after.on_hand) && after.reserved == before.reserved);
                assert!(
                    matches!(change, Change::Adjust(by) if by == after.on_hand - before.on_hand)
                        || change == Change::Set(after.on_hand)
                );
            }
        }
        _ => refusal(&Problem::invalid(errors)),
    }
}

/// The whole configuration.
pub fn config(bytes: &[u8]) {
    common::fuzzing::config::<Inventory>(ABOUT.section, bytes, |settings| settings.own.check());
}

#[cfg(test)]
mod tests {
    use common::fuzzing::seeds;

    use super::*;

    #[test]
    fn every_seed_is_well() {
        seeds("stock", stock);
        seeds("config", config);
    }
}
