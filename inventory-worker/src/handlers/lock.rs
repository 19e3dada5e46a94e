//! `inventory.lock`: new orders ask for stock.

use std::collections::{BTreeMap, hash_map::Entry};

use common::{
    consumer::{Failure, Handler, Verdict},
    db::Tx,
    events::{Event, InventoryLocked, InventoryRejected, OrderCreated},
    ids::OrderId,
    outbox::Outbox,
};

use crate::{
    reservation::{Quantities, State, Stock, quantities},
    store::{self, Before, Move, Reservation},
};

pub(crate) struct Lock;

impl Handler for Lock {
    async fn handle(&self, tx: &mut Tx, events: &[Event], outbox: &mut Outbox) -> Result<Vec<Verdict>, Failure> {
        let requests: Vec<Result<(OrderId, Quantities), String>> = events.iter().map(request).collect();
        let mut wanted: BTreeMap<OrderId, &Quantities> = BTreeMap::new();
        for (id, quantities) in requests.iter().flatten() {
            wanted.entry(*id).or_insert(quantities);
        }
        let Before { mut reservations, available } = store::reserve(tx, &wanted).await?;
        let mut stock = Stock::new(available);

        let mut verdicts = Vec::with_capacity(events.len());
        let mut rejected = Vec::new();
        for (event, request) in events.iter().zip(&requests) {
            let (order_id, quantities) = match request {
                Ok(request) => request,
                Err(why) => {
                    verdicts.push(Verdict::Reject(why.clone()));
                    continue;
                }
            };
            let reservation = match reservations.entry(*order_id) {
                Entry::Occupied(before) => before.into_mut(),
                Entry::Vacant(new) => {
                    let reservation = decide(&mut stock, quantities);
                    if reservation.state == State::Rejected {
                        rejected.push((*order_id, reservation.shortages.clone()));
                    }
                    new.insert(reservation)
                }
            };
            answer(outbox, event, *order_id, reservation)?;
            verdicts.push(Verdict::Done);
        }
        store::reject(tx, &rejected)?;
        let moves: BTreeMap<_, _> =
            stock.taken().into_iter().map(|(product, taken)| (product, Move { on_hand: 0, reserved: taken })).collect();
        store::move_stock(tx, &moves);
        Ok(verdicts)
    }
}

fn request(event: &Event) -> Result<(OrderId, Quantities), String> {
    let created: OrderCreated = event.payload()?;
    Ok((created.order_id, quantities(&created.items)?))
}

fn decide(stock: &mut Stock, wanted: &Quantities) -> Reservation {
    match stock.take(wanted) {
        Ok(()) => Reservation::new(State::Locked),
        Err(shortages) => Reservation { shortages, ..Reservation::new(State::Rejected) },
    }
}

/// Says how the reservation stands; whoever asks again hears the same again.
fn answer(outbox: &mut Outbox, event: &Event, order_id: OrderId, reservation: &Reservation) -> Result<(), Failure> {
    let cause = event.traceparent.as_deref();
    match reservation.state {
        State::Locked | State::Confirmed => outbox.announce(cause, &order_id, &InventoryLocked { order_id })?,
        State::Rejected => {
            let rejected = InventoryRejected { order_id, shortages: reservation.shortages.clone() };
            outbox.announce(cause, &order_id, &rejected)?;
        }
        // The order is off: its lock comes too late, and nobody waits for the answer.
        State::Released => {}
    }
    Ok(())
}
