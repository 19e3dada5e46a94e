//! `inventory.lock`: new orders ask for stock.

use std::collections::BTreeMap;

use common::{
    consumer::{Failure, Handler, Verdict},
    db::Tx,
    events::{Event, InventoryLocked, InventoryRejected, OrderCreated},
    ids::OrderId,
    outbox::Outbox,
};

use crate::{
    reservation::{Lock as Becomes, Move, Quantities, Standing, State, Stock, lock, quantities},
    store::{self, Before, Reservation},
};

pub(crate) struct Lock;

impl Handler for Lock {
    async fn handle(&self, tx: &mut Tx, events: &[Event], outbox: &mut Outbox) -> Result<Vec<Verdict>, Failure> {
        let requests: Vec<Result<(OrderId, Quantities), String>> = events.iter().map(request).collect();
        let mut wanted: BTreeMap<OrderId, &Quantities> = BTreeMap::new();
        for (id, quantities) in requests.iter().flatten() {
            wanted.entry(*id).or_insert(quantities);
        }
        let Before { mut reservations, available } = store::reserve(tx, &wanted, None).await?;
        let mut stock = Stock::new(available);

        let mut verdicts = Vec::with_capacity(events.len());
        let (mut adopted, mut rejected) = (Vec::new(), Vec::new());
        for (event, request) in events.iter().zip(&requests) {
            let (order_id, quantities) = match request {
                Ok(request) => request,
                Err(why) => {
                    verdicts.push(Verdict::Reject(why.clone()));
                    continue;
                }
            };
            let before = reservations.get(order_id);
            let becomes = lock(before.map(|before| (before.standing, &before.held)), quantities);
            if let (Becomes::Replace, Some(before)) = (becomes, before) {
                stock.give_back(&before.held);
            }
            let taken = match becomes {
                Becomes::Take | Becomes::Replace => stock.take(quantities),
                Becomes::Adopt | Becomes::Keep => Ok(()),
            };
            match (becomes, taken) {
                (Becomes::Keep, _) => {}
                (_, Err(shortages)) => {
                    rejected.push((*order_id, shortages.clone()));
                    let standing = Standing::new(State::Rejected);
                    reservations.insert(*order_id, Reservation { shortages, ..Reservation::new(standing) });
                }
                (_, Ok(())) => {
                    if becomes != Becomes::Take {
                        adopted.push((*order_id, quantities));
                    }
                    reservations.insert(*order_id, Reservation::new(Standing::new(State::Locked)));
                }
            }
            if let Some(reservation) = reservations.get(order_id) {
                answer(outbox, event, *order_id, reservation)?;
            }
            verdicts.push(Verdict::Done);
        }
        store::reject(tx, &rejected)?;
        store::adopt(tx, &adopted)?;
        let reserved = |(product, taken)| (product, Move { on_hand: 0, reserved: taken });
        store::move_stock(tx, stock.taken().into_iter().map(reserved).collect());
        Ok(verdicts)
    }
}

fn request(event: &Event) -> Result<(OrderId, Quantities), String> {
    let created: OrderCreated = event.payload()?;
    Ok((created.order_id, quantities(&created.items)?))
}

/// Says how the reservation stands; whoever asks again hears the same again.
fn answer(outbox: &mut Outbox, event: &Event, order_id: OrderId, reservation: &Reservation) -> Result<(), Failure> {
    let cause = event.traceparent.as_deref();
    match reservation.standing.state {
        State::Locked | State::Confirmed => outbox.announce(cause, &order_id, &InventoryLocked { order_id })?,
        State::Rejected => {
            let rejected = InventoryRejected { order_id, shortages: reservation.shortages.clone() };
            outbox.announce(cause, &order_id, &rejected)?;
        }
        // The order is off: its lock comes too late, and nobody waits for the answer.
        State::Released | State::Restocked => {}
    }
    Ok(())
}
