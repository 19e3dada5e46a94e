//! `inventory.settle`: an order has its answer, and its stock leaves or comes back.

use std::collections::BTreeMap;

use common::{
    consumer::{Failure, Handler, Verdict},
    db::Tx,
    events::{Event, OrderCancelled, OrderPaid, OrderPaymentFailed, Payload},
    ids::{OrderId, ProductId},
    outbox::Outbox,
};

use crate::{
    reservation::State,
    store::{self, Move},
};

pub(crate) struct Settle;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Settlement {
    /// The order is paid: the goods leave.
    Confirm,
    /// The order is off: they come back.
    Release,
}

impl Handler for Settle {
    async fn handle(&self, tx: &mut Tx, events: &[Event], _: &mut Outbox) -> Result<Vec<Verdict>, Failure> {
        let settlements: Vec<Result<(OrderId, Settlement), String>> = events.iter().map(settlement).collect();
        let mut wanted: BTreeMap<OrderId, Settlement> = BTreeMap::new();
        for (id, settlement) in settlements.iter().flatten() {
            wanted.entry(*id).or_insert(*settlement);
        }
        let mut reservations = store::lock(tx, &wanted.keys().copied().collect::<Vec<_>>()).await?;
        wanted.retain(|order, settlement| *settlement == Settlement::Release && !reservations.contains_key(order));
        reservations.extend(store::lock_or_release(tx, &wanted.into_keys().collect()).await?);

        let mut verdicts = Vec::with_capacity(events.len());
        let mut changed: BTreeMap<OrderId, State> = BTreeMap::new();
        let mut moves: BTreeMap<ProductId, Move> = BTreeMap::new();
        for settlement in settlements {
            let (order_id, settlement) = match settlement {
                Ok(settlement) => settlement,
                Err(why) => {
                    verdicts.push(Verdict::Reject(why));
                    continue;
                }
            };
            let Some(reservation) = reservations.get_mut(&order_id) else {
                verdicts.push(Verdict::Retry("the order is paid, but its stock was never locked".to_owned()));
                continue;
            };
            verdicts.push(match decide(reservation.state, settlement) {
                Err(why) => Verdict::Retry(why),
                Ok(None) => Verdict::Done,
                Ok(Some(state)) => {
                    if reservation.state == State::Locked {
                        for (product, quantity) in &reservation.held {
                            let total = moves.entry(product.clone()).or_default();
                            total.reserved -= quantity;
                            if settlement == Settlement::Confirm {
                                total.on_hand -= quantity;
                            }
                        }
                    }
                    reservation.state = state;
                    changed.insert(order_id, state);
                    Verdict::Done
                }
            });
        }
        store::settle(tx, &changed);
        store::move_stock(tx, &moves);
        Ok(verdicts)
    }
}

fn settlement(event: &Event) -> Result<(OrderId, Settlement), String> {
    match event.kind.as_str() {
        OrderPaid::TYPE => Ok((event.payload::<OrderPaid>()?.order_id, Settlement::Confirm)),
        OrderPaymentFailed::TYPE => Ok((event.payload::<OrderPaymentFailed>()?.order_id, Settlement::Release)),
        OrderCancelled::TYPE => Ok((event.payload::<OrderCancelled>()?.order_id, Settlement::Release)),
        other => Err(format!("nothing here understands {other}")),
    }
}

/// What the reservation becomes, if anything.
fn decide(state: State, settlement: Settlement) -> Result<Option<State>, String> {
    match (settlement, state) {
        (Settlement::Confirm, State::Locked) => Ok(Some(State::Confirmed)),
        (Settlement::Confirm, State::Confirmed) | (Settlement::Release, State::Released | State::Rejected) => Ok(None),
        (Settlement::Confirm, state) => Err(format!("the order is paid, but its stock is {state}")),
        (Settlement::Release, State::Locked) => Ok(Some(State::Released)),
        (Settlement::Release, State::Confirmed) => Err("the order is off, but its stock has left".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_settlement_heard_twice_changes_nothing_the_second_time() {
        for state in [State::Locked, State::Rejected, State::Confirmed, State::Released] {
            for settlement in [Settlement::Confirm, Settlement::Release] {
                if let Ok(Some(after)) = decide(state, settlement) {
                    assert_eq!(decide(after, settlement), Ok(None), "{state} {settlement:?}");
                }
            }
        }
    }

    #[test]
    fn stock_that_was_given_back_is_never_sold() {
        for state in [State::Rejected, State::Released] {
            assert!(decide(state, Settlement::Confirm).is_err());
        }
        assert!(decide(State::Confirmed, Settlement::Release).is_err());
    }
}
