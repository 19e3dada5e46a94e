//! Group commit: concurrent requests share one transaction. While one group is being written, the next gathers.

use std::time::Duration;

use common::{
    backoff::Backoff,
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

/// How closely orders follow each other where more are to be expected.
const RIGHT_BEHIND: Duration = Duration::from_millis(2);
/// The most groups that are not kept waiting because the last that was waited in vain.
const MOST_SPARED: u32 = 31;

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
        self.orders.try_send(Waiting { order, answer }).map_err(|_| NotTaken::Busy)?;
        answered.await.unwrap_or(Err(NotTaken::Unavailable))
    }
}

async fn write(units: Units, mut queue: mpsc::Receiver<Waiting>, settings: Orders) {
    let most = settings.group_commit;
    let enough = settings.pace_until.min(most);
    let mut pace = Pace::new(Duration::from_millis(settings.pace_ms), settings.pace_half_per_second);
    let mut next = Instant::now();
    let mut group = Vec::with_capacity(most);
    // Where every client has sent its order and waits for the answer, nobody is right behind: ask ever less often.
    let (mut spare, mut spared) = (0, 0);
    while queue.recv_many(&mut group, most).await > 0 {
        // What is gathered here travels the whole line together, so this is the place to wait for company.
        while group.len() < enough && more(&mut queue, &mut group, most, next).await {}
        if group.len() >= enough && spared < spare {
            spared += 1;
        } else if group.len() >= enough {
            let there = group.len();
            while more(&mut queue, &mut group, most, next.min(Instant::now() + RIGHT_BEHIND)).await {}
            (spare, spared) = if group.len() > there { (0, 0) } else { ((2 * spare + 1).min(MOST_SPARED), 0) };
        }
        next = pace.begin(Instant::now(), group.len());
        write_all(&units, std::mem::take(&mut group)).await;
    }
}

/// Waits for more orders. Says whether any came while there was room and time.
async fn more(queue: &mut mpsc::Receiver<Waiting>, group: &mut Vec<Waiting>, most: usize, until: Instant) -> bool {
    let room = most.saturating_sub(group.len());
    room > 0 && tokio::time::timeout_at(until, queue.recv_many(group, room)).await.is_ok_and(|came| came > 0)
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
