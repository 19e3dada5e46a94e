//! Calling an order off.

use std::time::Duration;

use common::{backoff::Backoff, db::DbError, ids::OrderId, outbox::Units};

use crate::{
    announce::announce,
    order::{Canceller, Happened, Next, Order, Status, next},
    store::{self, Transition},
};

/// How often it is tried while others take the order further. An order has fewer steps than that.
const TRIES: usize = 6;

/// The timeline's word for what brought it about.
const CAUSE: &str = "order.cancel_asked";

/// What became of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// It is off, by this or before; if money was there, that goes back.
    Off(Status),
    /// It stands like this, and cannot be cancelled any more.
    TooLate(Status),
    /// There is no such order, or whoever asks may not know of it.
    Unknown,
}

/// Calls an order off for whoever `may` do so. Nothing is locked: if somebody else takes the order further meanwhile,
/// this finds their step in its timeline and looks again.
pub(crate) async fn cancel(
    units: &Units,
    id: OrderId,
    may: impl Fn(&Order) -> Option<Canceller>,
    trace: Option<&str>,
) -> Result<Outcome, DbError> {
    let mut backoff = Backoff::new(Duration::from_millis(5), Duration::from_millis(50));
    for _ in 1..TRIES {
        match attempt(units, id, &may, trace).await {
            Err(DbError::Conflict(_)) => backoff.wait().await,
            outcome => return outcome,
        }
    }
    attempt(units, id, &may, trace).await
}

async fn attempt(
    units: &Units,
    id: OrderId,
    may: impl Fn(&Order) -> Option<Canceller>,
    trace: Option<&str>,
) -> Result<Outcome, DbError> {
    let mut unit = units.begin().await?;
    let orders = store::read(&mut unit.tx, &[id.0]).await?;
    let order = orders.get(&id);
    let decided = order.and_then(|order| Some(next(order, &Happened::CancelAsked { by: may(order)? })));
    let outcome = match (decided, order) {
        (None, _) | (_, None) => Outcome::Unknown,
        (Some(Next::Changed { order, announcements, detail }), _) => {
            announce(&mut unit.outbox, trace, &id, &announcements).map_err(DbError::unexpected)?;
            let status = order.status;
            store::record(&mut unit.tx, vec![Transition { order, cause: CAUSE.to_owned(), detail }]);
            Outcome::Off(status)
        }
        (Some(Next::Unchanged | Next::Said(_) | Next::Absurd(_)), Some(order)) => match order.status {
            Status::Cancelled | Status::Refunding | Status::Refunded => Outcome::Off(order.status),
            other => Outcome::TooLate(other),
        },
    };
    // Where nothing changes too, so that the connection can be used again.
    unit.commit().await?;
    Ok(outcome)
}
