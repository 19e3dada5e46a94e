//! Looking at orders whose time is up: reminding, expiring, and saying again what may have been lost.
//!
//! The truth is in two columns: `orders.deadline`, and `wakeups.due`, which says when to look. A delayed message wakes somebody
//! in time, and a timer does where that is lost. Several processes may look at once: each takes rows that the others have
//! not.

use std::{collections::HashMap, sync::Arc, time::Duration};

use common::{
    backoff::Backoff,
    broker::topology::ORDERS_TIMEOUT,
    db::DbError,
    events::{OrderCreated, OrderWakeup},
    outbox::{Unit, Units},
    signals::Signals,
};
use time::OffsetDateTime;
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::{
    announce::announce,
    caught_up::CaughtUp,
    order::{Happened, Next, again, next, received},
    store::{
        self, Transition,
        wakeups::{self, Open},
    },
    times::Times,
};

/// The timeline's words for what brought it about.
const TIME: &str = "orders.time";
/// Orders accepted within so long are woken for together.
const GATHER: Duration = Duration::from_millis(500);
/// So many orders are looked at in one transaction, and those of the row in which they are reached.
const ENOUGH: usize = 2_000;

/// Looks, whenever somebody says so or the time has come, until `stop`; but not before what the workers have said is known.
pub(crate) async fn look_for_ever(
    units: Units,
    times: Times,
    look: Arc<Notify>,
    mut caught_up: CaughtUp,
    stop: CancellationToken,
) {
    let mut backoff = Backoff::new(Duration::from_millis(20), Duration::from_secs(2));
    let pause = Duration::from_millis(times.look_ms.into());
    while stop.run_until_cancelled(caught_up.wait()).await.is_some() {
        let idle = match pass(&units, &times).await {
            Ok(0) => {
                backoff.reset();
                true
            }
            Ok(_) => false,
            // Somebody took one of the orders further meanwhile.
            Err(error @ DbError::Conflict(_)) => {
                tracing::debug!(%error, "looking again");
                stop.run_until_cancelled(backoff.wait()).await;
                false
            }
            Err(error) => {
                tracing::warn!(%error, "orders whose time is up could not be looked at");
                stop.run_until_cancelled(backoff.wait()).await;
                // What the workers have said meanwhile could not be recorded either.
                caught_up.doubt().await;
                false
            }
        };
        if idle {
            // Told or not.
            let _ = stop.run_until_cancelled(tokio::time::timeout(pause, look.notified())).await;
        }
    }
}

/// Tells, after orders were accepted, those who will be there when their time is up.
pub(crate) async fn wake_later(signals: Signals, times: Times, accepted: Arc<Notify>, stop: CancellationToken) {
    let delays = times.delays_ms();
    let tell = async {
        loop {
            accepted.notified().await;
            for delay in &delays {
                if let Err(error) = signals.send(&ORDERS_TIMEOUT, Some(*delay), &OrderWakeup {}).await {
                    tracing::debug!(%error, "nobody will be woken; the timer looks all the same");
                }
            }
            tokio::time::sleep(GATHER).await;
        }
    };
    stop.run_until_cancelled(tell).await;
}

/// Looks at some of what is due, and says how many rows that were.
async fn pass(units: &Units, times: &Times) -> Result<usize, DbError> {
    let mut unit = units.begin().await?;
    let (mut due, now) = wakeups::take_due(&mut unit.tx).await?;
    let Some(now) = now else {
        unit.commit().await?;
        return Ok(0);
    };
    let mut orders = 0;
    due.retain(|wakeup| {
        let is_room = orders < ENOUGH;
        orders += wakeup.orders.len();
        is_room
    });
    let taken = due.len();
    let ids: Vec<Uuid> = due.iter().flat_map(|wakeup| wakeup.orders.iter().copied()).collect();
    let mut open: HashMap<Uuid, Open> =
        wakeups::read_open(&mut unit.tx, &ids).await?.into_iter().map(|open| (open.order.id.0, open)).collect();

    let mut transitions = Vec::new();
    let mut left = Vec::with_capacity(taken);
    for mut wakeup in due {
        let mut next_look = None;
        let looks = wakeup.looks;
        let mut failed = None;
        wakeup.orders.retain(|id| {
            let Some(open) = open.get_mut(id) else { return false };
            match look_at(&mut unit, open, looks, times, now) {
                Ok(transition) => transitions.extend(transition),
                Err(error) => failed = Some(error),
            }
            let again = times.next_look(&open.order, open.created_at, looks, now);
            next_look = [next_look, again].into_iter().flatten().min();
            again.is_some()
        });
        if let Some(error) = failed {
            return Err(error);
        }
        left.push((wakeup, next_look));
    }
    metrics::counter!("conveyor_orders_looked_at_total").increment(ids.len() as u64);
    store::record(&mut unit.tx, transitions);
    wakeups::put_back(&mut unit.tx, left);
    unit.commit().await?;
    Ok(taken)
}

/// What time makes of an order, or what is to be said of it again.
fn look_at(
    unit: &mut Unit,
    open: &mut Open,
    looks: i32,
    times: &Times,
    now: OffsetDateTime,
) -> Result<Option<Transition>, DbError> {
    let id = open.order.id;
    if let Next::Changed { order, announcements, detail } = next(&open.order, &Happened::Looked(times.clock(now))) {
        announce(&mut unit.outbox, None, &id, &announcements).map_err(DbError::unexpected)?;
        open.order = order.clone();
        return Ok(Some(Transition { order, cause: TIME.to_owned(), detail }));
    }
    if looks == 0 {
        announce(&mut unit.outbox, None, &id, received(&open.order).as_slice()).map_err(DbError::unexpected)?;
    }
    if times.is_stuck(open.created_at, now) {
        say_again(unit, open).map_err(DbError::unexpected)?;
    }
    Ok(None)
}

/// Announces an order that nothing has come of for long as it was announced before.
fn say_again(unit: &mut Unit, open: &mut Open) -> Result<(), serde_json::Error> {
    let order = &open.order;
    match (again(order), open.lines.take()) {
        (Some(announcement), _) => announce(&mut unit.outbox, None, &order.id, &[announcement])?,
        (None, Some(items)) => {
            let created = OrderCreated {
                order_id: order.id,
                user_id: order.user_id.clone(),
                version: order.version,
                amount: order.amount,
                items,
            };
            unit.outbox.announce(None, &order.id, &created)?;
        }
        (None, None) => return Ok(()),
    }
    metrics::counter!("conveyor_orders_announced_again_total").increment(1);
    Ok(())
}
