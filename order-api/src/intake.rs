//! Group commit: concurrent requests share one transaction. While one group is being written, the next gathers.

use std::time::Duration;

use common::{
    db::DbError,
    events::{Line, OrderCreated},
    ids::{OrderId, UserId},
    money::Money,
    outbox::Units,
    pace::Pace,
};
use tokio::{
    sync::{mpsc, oneshot},
    time::Instant,
};

use crate::{Orders, store};

/// An order that has passed every check and only needs to be written.
#[derive(Debug, Clone)]
pub(crate) struct NewOrder {
    pub id: OrderId,
    pub user_id: UserId,
    pub amount: Money,
    pub lines: Vec<Line>,
    pub traceparent: String,
}

/// Why an order was not written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum NotTaken {
    /// Too many are waiting already.
    Busy,
    /// The database is away.
    Unavailable,
    /// The database would not have this one.
    Refused,
}

type Answer = oneshot::Sender<Result<(), NotTaken>>;

/// Hands orders to the task that writes them.
#[derive(Clone)]
pub(crate) struct Intake {
    orders: mpsc::Sender<(NewOrder, Answer)>,
}

impl Intake {
    /// The intake, and the task that writes until every handle on it is gone.
    pub(crate) fn new(units: Units, settings: &Orders) -> (Self, impl Future<Output = ()> + Send + use<>) {
        let (orders, queue) = mpsc::channel(settings.waiting);
        (Self { orders }, write(units, queue, settings.clone()))
    }

    /// Returns once the order is committed.
    pub(crate) async fn take(&self, order: NewOrder) -> Result<(), NotTaken> {
        let (answer, answered) = oneshot::channel();
        self.orders.try_send((order, answer)).map_err(|_| NotTaken::Busy)?;
        answered.await.unwrap_or(Err(NotTaken::Unavailable))
    }
}

async fn write(units: Units, mut queue: mpsc::Receiver<(NewOrder, Answer)>, settings: Orders) {
    let most = settings.group_commit;
    let enough = settings.pace_until.min(most);
    let mut pace = Pace::new(Duration::from_millis(settings.pace_ms), settings.pace_from_per_second);
    let mut group = Vec::with_capacity(most);
    let mut next = Instant::now();
    while queue.recv_many(&mut group, most).await > 0 {
        // What is gathered here travels the whole line together, so this is the place to wait for company.
        while group.len() < enough {
            let more = queue.recv_many(&mut group, most);
            match tokio::time::timeout_at(next, more).await {
                Ok(1..) => {}
                Ok(0) | Err(_) => break,
            }
        }
        // Whoever waited too long was told to try again: their order must not appear after all.
        group.retain(|(_, answer): &(NewOrder, Answer)| !answer.is_closed());
        next = pace.begin(Instant::now(), group.len());
        let (orders, answers): (Vec<NewOrder>, Vec<Answer>) = group.drain(..).unzip();
        let results = write_all(&units, &orders).await;
        for (answer, result) in answers.into_iter().zip(results) {
            // The client may have gone away meanwhile; its order stands all the same.
            let _ = answer.send(result);
        }
    }
}

/// Writes a group. Where the database refuses it, it is split until the culprit stands alone: one bad order never costs
/// another request its answer.
async fn write_all(units: &Units, orders: &[NewOrder]) -> Vec<Result<(), NotTaken>> {
    let mut results = Vec::with_capacity(orders.len());
    let mut parts = vec![orders];
    let mut conflicts = 0;
    while let Some(part) = parts.pop() {
        match write_group(units, part).await {
            Ok(()) => results.extend(part.iter().map(|_| Ok(()))),
            Err(DbError::Conflict(_)) if conflicts < 5 => {
                conflicts += 1;
                parts.push(part);
            }
            Err(DbError::Refused { message, .. }) if part.len() == 1 => {
                tracing::error!(error = message, "the database refused an order");
                results.push(Err(NotTaken::Refused));
            }
            Err(DbError::Refused { .. }) => {
                let (left, right) = part.split_at(part.len() / 2);
                parts.extend([right, left]);
            }
            Err(error) => {
                tracing::warn!(%error, orders = part.len(), "orders could not be written");
                results.extend(part.iter().map(|_| Err(NotTaken::Unavailable)));
            }
        }
    }
    results
}

async fn write_group(units: &Units, orders: &[NewOrder]) -> Result<(), DbError> {
    let mut unit = units.begin().await?;
    store::insert(&mut unit.tx, orders)?;
    for order in orders {
        let created = OrderCreated {
            order_id: order.id,
            user_id: order.user_id.clone(),
            version: 1,
            amount: order.amount,
            items: order.lines.clone(),
        };
        unit.outbox.announce(Some(&order.traceparent), &order.id, &created).map_err(DbError::unexpected)?;
    }
    unit.commit().await
}
