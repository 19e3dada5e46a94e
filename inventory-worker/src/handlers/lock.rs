//! `inventory.lock`: new orders ask for stock.

use std::collections::{BTreeMap, BTreeSet, HashMap};

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
        let holders: BTreeSet<String> = requests.iter().flatten().map(|(id, _)| holder(*id)).collect();
        let products: BTreeSet<String> =
            requests.iter().flatten().flat_map(|(_, wanted)| wanted.keys().map(ToString::to_string)).collect();
        let mut reservations = store::fence(tx, &holders.into_iter().collect::<Vec<_>>()).await?;
        let mut stock = Stock::new(store::available(tx, &products.into_iter().collect::<Vec<_>>()).await?);

        let mut verdicts = Vec::with_capacity(events.len());
        let mut changed: HashMap<String, Reservation> = HashMap::new();
        for (event, request) in events.iter().zip(requests) {
            let (order_id, wanted) = match request {
                Ok(request) => request,
                Err(why) => {
                    verdicts.push(Verdict::Reject(why));
                    continue;
                }
            };
            let holder = holder(order_id);
            let Some(reservation) = reservations.get_mut(&holder) else {
                verdicts.push(Verdict::Retry("its reservation was deleted meanwhile".to_owned()));
                continue;
            };
            if reservation.state == State::Requested {
                *reservation = decide(&mut stock, wanted);
                changed.insert(holder, reservation.clone());
            }
            answer(outbox, event, order_id, reservation)?;
            verdicts.push(Verdict::Done);
        }
        store::record(tx, &changed).await?;
        let moves: BTreeMap<_, _> =
            stock.taken().into_iter().map(|(product, taken)| (product, Move { on_hand: 0, reserved: taken })).collect();
        store::move_stock(tx, &moves).await?;
        Ok(verdicts)
    }
}

fn request(event: &Event) -> Result<(OrderId, Quantities), String> {
    let created: OrderCreated = event.payload()?;
    Ok((created.order_id, quantities(&created.items)?))
}

fn decide(stock: &mut Stock, wanted: Quantities) -> Reservation {
    match stock.take(&wanted) {
        Ok(()) => Reservation { state: State::Locked, held: wanted, shortages: Vec::new() },
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
        State::Released | State::Requested => {}
    }
    Ok(())
}
