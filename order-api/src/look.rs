//! Looking at orders whose time is up: reminding, expiring, and saying again what may have been lost.
//!
//! The truth is in two columns: `orders.deadline`, and `wakeups.due`, which says when to look. A delayed message wakes somebody
//! in time, and a timer does where that is lost. Several processes may look at once: each takes rows that the others have
//! not.

use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
    time::Duration,
};

use common::{
    backoff::Backoff,
    broker::topology::ORDERS_TIMEOUT,
    crash::Point,
    db::DbError,
    events::OrderWakeup,
    outbox::{Outbox, Units},
    signals::Signals,
};
use time::OffsetDateTime;
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::{
    announce::announce,
    behind::{Backlog, Behind},
    caught_up::CaughtUp,
    lost::say_one_again,
    order::{Happened, Next, next, received},
    store::{
        self, Transition, listeners,
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
/// When an order that cannot be read is looked at again: somebody may have mended it.
const UNREADABLE: Duration = Duration::from_secs(60);

/// Looks, whenever somebody says so or the time has come, until `stop`.
pub(crate) async fn look_for_ever(
    units: Units,
    times: Times,
    look: Arc<Notify>,
    mut caught_up: CaughtUp,
    mut backlog: Backlog,
    stop: CancellationToken,
) {
    let mut backoff = Backoff::new(Duration::from_millis(20), Duration::from_secs(2));
    let pause = Duration::from_millis(times.look_ms.into());
    if let Err(error) = listeners::forget(&units.db).await {
        tracing::debug!(%error, "those that heard the workers long ago are not forgotten");
    }
    while !stop.is_cancelled() {
        match look_once(&units, &times, &mut caught_up, &mut backlog, &stop).await {
            Ok(0) => {
                backoff.reset();
                // Told or not.
                let _ = stop.run_until_cancelled(tokio::time::timeout(pause, look.notified())).await;
            }
            Ok(_) => {}
            // Somebody took one of the orders further meanwhile.
            Err(error @ DbError::Conflict(_)) => {
                tracing::debug!(%error, "looking again");
                stop.run_until_cancelled(backoff.wait()).await;
            }
            Err(error) => {
                tracing::warn!(%error, "orders whose time is up could not be looked at");
                stop.run_until_cancelled(backoff.wait()).await;
            }
        }
    }
}

/// Looks at some of what is due, if anything is, and says how many rows that were; but as of a moment by which all is
/// known that the workers had said.
async fn look_once(
    units: &Units,
    times: &Times,
    caught_up: &mut CaughtUp,
    backlog: &mut Backlog,
    stop: &CancellationToken,
) -> Result<usize, DbError> {
    let Some(due) = wakeups::first_due(&units.db).await? else { return Ok(0) };
    // One after the other: to catch up may take long, and what was behind before that says nothing.
    let known = async { Ok((caught_up.up_to(due).await?, backlog.now().await)) };
    match stop.run_until_cancelled(known).await {
        Some(Ok((now, behind))) => pass(units, times, now, behind).await,
        Some(Err(error)) => Err(error),
        None => Ok(0),
    }
}

/// Tells, after orders were accepted, those who will be there when their time is up.
pub(crate) async fn wake_later(signals: Signals, times: Times, accepted: Arc<Notify>, stop: CancellationToken) {
    let delays = times.delays_ms();
    let tell = async {
        loop {
            accepted.notified().await;
            for delay in &delays {
                if let Err(error) = signals.send(&ORDERS_TIMEOUT, Some(*delay), &OrderWakeup::default()).await {
                    tracing::debug!(%error, "nobody will be woken; the timer looks all the same");
                }
            }
            tokio::time::sleep(GATHER).await;
        }
    };
    stop.run_until_cancelled(tell).await;
}

/// Looks at some of what was due at that moment, and says how many rows that were.
async fn pass(units: &Units, times: &Times, now: OffsetDateTime, behind: Behind) -> Result<usize, DbError> {
    let mut unit = units.begin().await?;
    let mut due = wakeups::take_due(&mut unit.tx, now).await?;
    let mut orders = 0;
    due.retain(|wakeup| {
        let is_room = orders < ENOUGH;
        orders += wakeup.orders.len();
        is_room
    });
    let taken = due.len();
    let ids: Vec<Uuid> = due.iter().flat_map(|wakeup| wakeup.orders.iter().copied()).collect();
    let (open, unreadable) = wakeups::read_open(&mut unit.tx, &ids).await?;
    let mut open: HashMap<Uuid, Open> = open.into_iter().map(|open| (open.order.id.0, open)).collect();
    let unreadable: HashSet<Uuid> = unreadable.into_iter().collect();

    let mut transitions = Vec::new();
    let mut left = Vec::with_capacity(taken);
    for mut wakeup in due {
        let mut next_look = None;
        let looks = wakeup.looks;
        let mut failed = None;
        wakeup.orders.retain(|id| {
            let again = match open.get_mut(id) {
                Some(open) => {
                    match look_at(&mut unit.outbox, open, looks, times, now, behind) {
                        Ok(transition) => transitions.extend(transition),
                        Err(error) => failed = Some(error),
                    }
                    times.next_look(&open.order, open.created_at, looks, now)
                }
                None => unreadable.contains(id).then(|| now + UNREADABLE),
            };
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
    unit.commit_past(Point::LookWritten, Point::LookCommitted).await?;
    Ok(taken)
}

/// What time makes of an order, and what is to be said of it again.
fn look_at(
    outbox: &mut Outbox,
    open: &mut Open,
    looks: i32,
    times: &Times,
    now: OffsetDateTime,
    behind: Behind,
) -> Result<Option<Transition>, DbError> {
    let mut transition = None;
    if let Next::Changed { order, announcements, detail } = next(&open.order, &Happened::Looked(times.clock(now))) {
        announce(outbox, None, &order.id, &announcements).map_err(DbError::unexpected)?;
        open.order = order.clone();
        transition = Some(Transition { order, cause: TIME.to_owned(), detail });
    } else if looks == 0 {
        announce(outbox, None, &open.order.id, received(&open.order).as_slice()).map_err(DbError::unexpected)?;
    }
    let is_news = transition.is_some() && open.order.status.is_answered();
    if !is_news && times.is_stuck(open.created_at, now) && !behind.with(open.order.status) {
        say_one_again(outbox, open).map_err(DbError::unexpected)?;
    }
    Ok(transition)
}
