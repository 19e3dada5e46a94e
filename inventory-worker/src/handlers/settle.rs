//! `inventory.settle`: an order has its answer, and its stock leaves or comes back.

use std::collections::{BTreeMap, BTreeSet};

use common::{
    consumer::{Failure, Handler, Verdict},
    db::Tx,
    events::{Event, OrderCancelled, OrderExpired, OrderPaid, OrderPaymentFailed, Payload},
    ids::{OrderId, ProductId},
    outbox::Outbox,
};

use crate::{
    reservation::{Move, Settlement, Standing, moves, settle},
    store,
};

pub(crate) struct Settle;

/// What an order says of its stock, and at which version of it.
struct Said {
    order_id: OrderId,
    settlement: Settlement,
    version: i32,
}

impl Handler for Settle {
    async fn handle(&self, tx: &mut Tx, events: &[Event], _: &mut Outbox) -> Result<Vec<Verdict>, Failure> {
        let said: Vec<Result<Said, String>> = events.iter().map(said).collect();
        let orders: BTreeSet<OrderId> = said.iter().flatten().map(|said| said.order_id).collect();
        let mut reservations = store::lock(tx, &Vec::from_iter(orders)).await?;
        let mut fences: BTreeMap<OrderId, Standing> = BTreeMap::new();
        for Said { order_id, settlement, version } in said.iter().flatten() {
            if !reservations.contains_key(order_id)
                && let Ok(Some(fence)) = settle(None, *settlement, *version)
            {
                fences.insert(*order_id, fence);
            }
        }
        reservations.extend(store::lock_or_release(tx, &fences).await?);

        let mut verdicts = Vec::with_capacity(events.len());
        let mut changed: BTreeMap<OrderId, Standing> = BTreeMap::new();
        let mut moved: BTreeMap<ProductId, Move> = BTreeMap::new();
        for said in said {
            let Said { order_id, settlement, version } = match said {
                Ok(said) => said,
                Err(why) => {
                    verdicts.push(Verdict::Reject(why));
                    continue;
                }
            };
            let mut reservation = reservations.get_mut(&order_id);
            let before = reservation.as_ref().map(|reservation| reservation.standing);
            verdicts.push(match (settle(before, settlement, version), &mut reservation) {
                (Err(why), _) => Verdict::Retry(why),
                (Ok(Some(standing)), Some(reservation)) => {
                    let each = moves(reservation.standing.state, standing.state);
                    for (product, quantity) in &reservation.held {
                        let total = moved.entry(product.clone()).or_default();
                        total.on_hand += each.on_hand * quantity;
                        total.reserved += each.reserved * quantity;
                    }
                    reservation.standing = standing;
                    changed.insert(order_id, standing);
                    Verdict::Done
                }
                (Ok(_), _) => Verdict::Done,
            });
        }
        store::settle(tx, &changed);
        store::move_stock(tx, moved);
        Ok(verdicts)
    }
}

fn said(event: &Event) -> Result<Said, String> {
    let said = |order_id, version, settlement| Ok(Said { order_id, settlement, version });
    match event.kind.as_str() {
        OrderPaid::TYPE => {
            let OrderPaid { order_id, version, .. } = event.payload()?;
            said(order_id, version, Settlement::Confirm)
        }
        OrderPaymentFailed::TYPE => {
            let OrderPaymentFailed { order_id, version, .. } = event.payload()?;
            said(order_id, version, Settlement::Release)
        }
        OrderCancelled::TYPE => {
            let OrderCancelled { order_id, version, .. } = event.payload()?;
            said(order_id, version, Settlement::Release)
        }
        OrderExpired::TYPE => {
            let OrderExpired { order_id, version, .. } = event.payload()?;
            said(order_id, version, Settlement::Release)
        }
        other => Err(format!("nothing here understands {other}")),
    }
}
