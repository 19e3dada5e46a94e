//! Group commit: concurrent requests share one transaction. While one group is being written, the next gathers.

mod admission;
mod gather;

use std::{sync::Arc, time::Duration};

use common::{
    backoff::Backoff,
    db::DbError,
    events::{Line, OrderCreated},
    ids::{OrderId, UserId},
    money::Money,
    outbox::Units,
};
use tokio::{
    sync::{mpsc, oneshot},
    time::Instant,
};

pub(crate) use self::admission::Place;
use self::{admission::Admission, gather::Gather};
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

/// An order and whoever waits for its answer.
struct Waiting {
    order: NewOrder,
    answer: oneshot::Sender<Result<(), NotTaken>>,
}

/// Hands orders to the task that writes them.
#[derive(Clone)]
pub(crate) struct Intake {
    orders: mpsc::Sender<Waiting>,
    admission: Arc<Admission>,
}

impl Intake {
    /// The intake, and the task that writes until every handle on it is gone.
    pub(crate) fn new(units: Units, settings: &Orders) -> (Self, impl Future<Output = ()> + Send + use<>) {
        let (orders, queue) = mpsc::channel(settings.waiting);
        let admission = Arc::new(Admission::new(settings));
        (Self { orders, admission: Arc::clone(&admission) }, write(units, queue, settings.clone(), admission))
    }

    /// A place in the queue, if the wait in it is not too long. It is to be kept until the request is answered.
    pub(crate) fn admit(&self) -> Option<Place> {
        self.admission.admit(self.orders.max_capacity() - self.orders.capacity())
    }

    /// Returns once the order is committed.
    pub(crate) async fn take(&self, order: NewOrder) -> Result<(), NotTaken> {
        let (answer, answered) = oneshot::channel();
        self.orders.try_send(Waiting { order, answer }).map_err(|_| NotTaken::Busy)?;
        answered.await.unwrap_or(Err(NotTaken::Unavailable))
    }
}

async fn write(units: Units, mut queue: mpsc::Receiver<Waiting>, settings: Orders, admission: Arc<Admission>) {
    let mut gather = Gather::new(&settings);
    while let Some(group) = gather.group(&mut queue).await {
        let began = Instant::now();
        write_all(&units, group).await;
        admission.wrote(began.elapsed());
    }
}

/// Writes a group and answers everyone in it. Where the database refuses it, it is split until the culprit stands
/// alone: one bad order never costs another request its answer.
async fn write_all(units: &Units, group: Vec<Waiting>) {
    let mut parts = vec![group];
    let mut backoff = Backoff::new(Duration::from_millis(10), Duration::from_millis(200));
    let mut conflicts = 0;
    while let Some(mut part) = parts.pop() {
        // Whoever waited too long was told to try again: what is not on its way yet must not appear after all.
        part.retain(|waiting| !waiting.answer.is_closed());
        if part.is_empty() {
            continue;
        }
        match write_group(units, &part).await {
            Ok(()) => answer(part, Ok(())),
            Err(DbError::Conflict(_)) if conflicts < 5 => {
                conflicts += 1;
                parts.push(part);
                backoff.wait().await;
            }
            Err(DbError::Refused(why)) if part.len() == 1 => {
                tracing::error!(error = why, "the database refused an order");
                answer(part, Err(NotTaken::Refused));
            }
            Err(DbError::Refused(_) | DbError::Conflict(_)) if part.len() > 1 => {
                let right = part.split_off(part.len() / 2);
                parts.extend([right, part]);
            }
            Err(error) => {
                tracing::warn!(%error, orders = part.len(), "orders could not be written");
                answer(part, Err(NotTaken::Unavailable));
            }
        }
    }
}

fn answer(part: Vec<Waiting>, result: Result<(), NotTaken>) {
    for waiting in part {
        // The client may have gone away meanwhile; its order stands all the same.
        let _ = waiting.answer.send(result);
    }
}

async fn write_group(units: &Units, part: &[Waiting]) -> Result<(), DbError> {
    let orders: Vec<&NewOrder> = part.iter().map(|waiting| &waiting.order).collect();
    let mut unit = units.begin().await?;
    store::insert(&mut unit.tx, &orders)?;
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
