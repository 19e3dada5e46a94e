//! Calling an order off.

use std::time::Duration;

use common::{
    backoff::Backoff,
    db::DbError,
    ids::{OrderId, UserId},
    outbox::Units,
};

use crate::{
    announce::announce,
    order::{Canceller, Happened, Next, Order, Status, next},
    store::{self, Transition},
};

/// How often it is tried while others take the order further. An order has fewer steps than that.
const TRIES: usize = 6;

/// The timeline's word for what brought it about.
const CAUSE: &str = "order.cancel_asked";

/// What the timeline says of a cancellation by the shop, before the name of whose token it was.
const BY_THE_SHOP: &str = "by the shop";

/// What the timeline says, and not who of the shop's people it was.
pub(crate) fn without_name(detail: &str) -> &str {
    if detail.starts_with("by the shop (") { BY_THE_SHOP } else { detail }
}

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
    asked_by: &UserId,
    may: impl Fn(&Order) -> Option<Canceller>,
    trace: Option<&str>,
) -> Result<Outcome, DbError> {
    let mut backoff = Backoff::new(Duration::from_millis(5), Duration::from_millis(50));
    for _ in 1..TRIES {
        match attempt(units, id, asked_by, &may, trace).await {
            Err(DbError::Conflict(_)) => backoff.wait().await,
            outcome => return outcome,
        }
    }
    attempt(units, id, asked_by, &may, trace).await
}

async fn attempt(
    units: &Units,
    id: OrderId,
    asked_by: &UserId,
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
            // The order's rules know only that it was the shop; its timeline shall also say who.
            let detail = detail.map(|what| if what == BY_THE_SHOP { format!("{what} ({asked_by})") } else { what });
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
