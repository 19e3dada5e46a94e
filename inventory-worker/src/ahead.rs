//! Stock that is locked over HTTP, perhaps ahead of its order: until the order adopts it, or its time is up.
//!
//! It is the order's own lock in every other way: one reservation for each order, made by the same statements, answered by
//! the same event. Where there is not enough nothing is written or said, so that the order is free to try again.

use std::{collections::BTreeMap, time::Duration};

use common::{
    backoff::Backoff,
    db::DbError,
    events::{InventoryLocked, Shortage},
    ids::{OrderId, ProductId},
    outbox::{Unit, Units},
};
use tokio_util::sync::CancellationToken;

use crate::{
    reservation::{Ahead, Move, Quantities, Stock, lock_ahead},
    store,
};

/// How often it is tried while others are at the same order.
const TRIES: usize = 6;

/// How many holds are given back in one transaction.
const AT_ONCE: i64 = 256;

/// What became of it.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// All of it is locked, by this or before.
    Locked,
    /// There are no such products.
    Unknown(Vec<ProductId>),
    /// There is not enough of these.
    Short(Vec<Shortage>),
    /// Other quantities are locked for this order.
    OtherItems,
    /// The order is off.
    Off,
}

/// Locks what an order wants, for so long.
pub(crate) async fn lock(
    units: &Units,
    order_id: OrderId,
    wanted: &Quantities,
    expires_ms: i64,
    trace: &str,
) -> Result<Outcome, DbError> {
    let mut backoff = Backoff::new(Duration::from_millis(5), Duration::from_millis(50));
    for _ in 1..TRIES {
        match attempt(units, order_id, wanted, expires_ms, trace).await {
            Err(DbError::Conflict(_)) => backoff.wait().await,
            outcome => return outcome,
        }
    }
    attempt(units, order_id, wanted, expires_ms, trace).await
}

async fn attempt(
    units: &Units,
    order_id: OrderId,
    wanted: &Quantities,
    expires_ms: i64,
    trace: &str,
) -> Result<Outcome, DbError> {
    let mut unit = units.begin().await?;
    let one = BTreeMap::from([(order_id, wanted)]);
    let store::Before { mut reservations, available } = store::reserve(&mut unit.tx, &one, Some(expires_ms)).await?;
    let before = reservations.remove(&order_id);
    let becomes = lock_ahead(before.as_ref().map(|before| (before.standing.state, &before.held)), wanted);
    let refused = match becomes {
        Ahead::Take => {
            let mut stock = Stock::new(available);
            let unknown: Vec<ProductId> = wanted.keys().filter(|product| !stock.has(product)).cloned().collect();
            if !unknown.is_empty() {
                return give_up(unit, Outcome::Unknown(unknown)).await;
            }
            match stock.take(wanted) {
                Ok(()) => {
                    let reserved = |(product, taken)| (product, Move { on_hand: 0, reserved: taken });
                    store::move_stock(&mut unit.tx, stock.taken().into_iter().map(reserved).collect());
                    None
                }
                Err(shortages) => Some(Outcome::Short(shortages)),
            }
        }
        Ahead::Keep => {
            store::renew(&mut unit.tx, order_id, expires_ms);
            None
        }
        Ahead::OtherItems => Some(Outcome::OtherItems),
        Ahead::Rejected => Some(Outcome::Short(before.map(|before| before.shortages).unwrap_or_default())),
        Ahead::Off => Some(Outcome::Off),
    };
    if let Some(refused) = refused {
        return give_up(unit, refused).await;
    }
    unit.outbox.announce(Some(trace), &order_id, &InventoryLocked { order_id }).map_err(DbError::unexpected)?;
    unit.commit().await?;
    Ok(Outcome::Locked)
}

/// Leaves no trace of it.
async fn give_up(mut unit: Unit, outcome: Outcome) -> Result<Outcome, DbError> {
    unit.tx.start_over().await?;
    Ok(outcome)
}

/// Gives back what no order has adopted in time, every so often, until `stop`. Any number of processes may do so.
pub(crate) async fn expire(units: Units, every: Duration, stop: CancellationToken) {
    loop {
        let pause = match stop.run_until_cancelled(expire_some(&units)).await {
            None => return,
            // There may be more: go on at once.
            Some(Ok(holds)) if holds == usize::try_from(AT_ONCE).unwrap_or(usize::MAX) => continue,
            Some(Ok(_)) => every,
            // Next time.
            Some(Err(DbError::Conflict(_))) => every,
            Some(Err(error)) => {
                tracing::warn!(%error, "holds that have expired could not be given back; trying again");
                every
            }
        };
        // Jitter keeps several instances from doing so in step.
        let pause = pause.mul_f64(0.75 + fastrand::f64() / 2.0);
        if stop.run_until_cancelled(tokio::time::sleep(pause)).await.is_none() {
            return;
        }
    }
}

/// Gives some of them back; returns how many. They leave nothing behind: the order may still come.
async fn expire_some(units: &Units) -> Result<usize, DbError> {
    let mut unit = units.begin().await?;
    let expired = store::take_expired(&mut unit.tx, AT_ONCE).await?;
    let mut moves: BTreeMap<ProductId, Move> = BTreeMap::new();
    for (product, quantity) in expired.iter().flatten() {
        moves.entry(product.clone()).or_default().reserved -= quantity;
    }
    store::move_stock(&mut unit.tx, moves);
    unit.commit().await?;
    if !expired.is_empty() {
        metrics::counter!("conveyor_holds_expired_total").increment(expired.len() as u64);
        tracing::info!(holds = expired.len(), "stock was given back that no order has adopted in time");
    }
    Ok(expired.len())
}
