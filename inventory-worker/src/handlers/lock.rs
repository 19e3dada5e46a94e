//! `inventory.lock`: new orders ask for stock.

use std::collections::{BTreeMap, BTreeSet};

use common::{
    consumer::{Failure, Handler, Verdict},
    db::Tx,
    events::{Event, InventoryLocked, InventoryRejected, OrderCreated},
    ids::OrderId,
    outbox::Outbox,
};

use crate::{
    reservation::{Quantities, State, Stock, quantities},
    store::{self, Move, Reservation, holder},
};

pub(crate) struct Lock;

impl Handler for Lock {
    async fn handle(&self, tx: &mut Tx, events: &[Event], outbox: &mut Outbox) -> Result<Vec<Verdict>, Failure> {
        let requests: Vec<Result<(OrderId, Quantities), String>> = events.iter().map(request).collect();
        let mut wanted: BTreeMap<String, &Quantities> = BTreeMap::new();
        for (id, quantities) in requests.iter().flatten() {
            wanted.entry(holder(*id)).or_insert(quantities);
        }
        let products: BTreeSet<String> =
            wanted.values().flat_map(|quantities| quantities.keys().map(ToString::to_string)).collect();
        let (mut new, mut reservations) = store::lock_or_insert(tx, &wanted).await?;
        let mut stock = Stock::new(store::available(tx, &products.into_iter().collect::<Vec<_>>()).await?);

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
            let holder = holder(*order_id);
            if new.remove(&holder) {
                let reservation = decide(&mut stock, quantities);
                if reservation.state == State::Rejected {
                    rejected.push((holder.clone(), reservation.shortages.clone()));
                }
                reservations.insert(holder.clone(), reservation);
            }
            let Some(reservation) = reservations.get(&holder) else {
                verdicts.push(Verdict::Retry("its reservation was deleted meanwhile".to_owned()));
                continue;
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
        Ok(()) => Reservation { state: State::Locked, held: wanted.clone(), shortages: Vec::new() },
        Err(shortages) => Reservation { state: State::Rejected, held: Quantities::new(), shortages },
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
