//! What was said in time counts, however late it is heard; and nobody's order is held up by another's.

use common::ids::{OrderId, TransactionId};
use nix::sys::signal::Signal;

use super::{LOOK_MS, STUCK_MS, pay, until};
use crate::{
    alone::{Alone, until_count},
    line::USER,
};

/// So many orders whose payment is due.
async fn due(alone: &Alone, count: usize) -> Vec<OrderId> {
    let mut orders = Vec::new();
    for _ in 0..count {
        orders.push(alone.place().await);
    }
    // A parcel each, and so they are dealt out to all.
    for order in &orders {
        alone.lock(&[*order]).await;
    }
    until_count(&alone.database, DUE, i64::try_from(count).unwrap()).await;
    orders
}

const HEARD: &str = "conveyor_events_total{queue=\"orders.progress\",verdict=\"done\"}";
const DUE: &str = "SELECT count(*) FROM orders.orders WHERE status = 'awaiting_payment'";

/// Two processes; one is frozen with captures in hand, the deadline passes, and `then` it hears a signal.
async fn with_a_frozen_process(then: Signal) {
    const ORDERS: usize = 40;
    let alone = Alone::start(&[(LOOK_MS, "50")]).await;
    let other = Alone::another(&alone.database, &alone.vhost, &[(LOOK_MS, "50")]).await;
    let orders = due(&alone, ORDERS).await;
    other.until_metric(HEARD, |heard| heard > 3.0).await;
    other.signal(Signal::SIGSTOP);
    for order in &orders {
        pay(&alone, &[*order], TransactionId::generate()).await;
    }
    alone.vhost.until_ready("orders.progress", 0).await;
    assert!(alone.database.count(DUE).await > 0, "the frozen process has nothing in hand");
    alone.time_passes().await;
    // It has tried to find out several times, and would have made them expire by now.
    alone.api.until_metric("conveyor_markers_total", |sent| sent > 8.0).await;
    other.signal(then);
    let paid = "SELECT count(*) FROM orders.orders WHERE status = 'paid'";
    until_count(&alone.database, paid, i64::try_from(ORDERS).unwrap()).await;
    assert_eq!(alone.database.count("SELECT count(*) FROM orders.history WHERE status = 'expired'").await, 0);
    // It is not waited for any longer than that.
    let unpaid = alone.place().await;
    alone.time_passes().await;
    until(&alone, unpaid, "expired").await;
}

#[tokio::test]
async fn what_a_frozen_process_has_in_hand_counts_once_it_goes_on() {
    with_a_frozen_process(Signal::SIGCONT).await;
}

#[tokio::test]
async fn what_a_frozen_process_has_in_hand_counts_once_it_is_killed() {
    with_a_frozen_process(Signal::SIGKILL).await;
}

#[tokio::test]
async fn what_waits_behind_a_process_that_stood_still_across_the_deadline_is_paid() {
    // It deals with one after the other, and so for a while.
    const ORDERS: usize = 200;
    let alone = Alone::start(&[(LOOK_MS, "10"), ("CONVEYOR__CONSUMER__MAX_EVENTS", "1")]).await;
    let orders = due(&alone, ORDERS).await;
    alone.api.signal(Signal::SIGSTOP);
    let (paid, unpaid) = orders.split_at(ORDERS / 2);
    for order in paid {
        pay(&alone, &[*order], TransactionId::generate()).await;
    }
    alone.time_passes().await;
    alone.api.signal(Signal::SIGCONT);
    let count = |status: &str| format!("SELECT count(*) FROM orders.orders WHERE status = '{status}'");
    until_count(&alone.database, &count("expired"), i64::try_from(unpaid.len()).unwrap()).await;
    assert_eq!(alone.database.count(&count("paid")).await, i64::try_from(paid.len()).unwrap());
}

#[tokio::test]
async fn an_order_that_cannot_be_read_stops_no_other() {
    let alone = Alone::start(&[(LOOK_MS, "50"), (STUCK_MS, "100")]).await;
    let orders = [alone.place().await, alone.place().await, alone.place().await];
    let bad = format!("UPDATE orders.orders SET user_id = '' WHERE id = '{}'", orders[1].0);
    alone.database.connect().await.batch_execute(&bad).await.unwrap();
    alone.time_passes().await;
    let expired = "SELECT count(*) FROM orders.orders WHERE status = 'expired'";
    until_count(&alone.database, expired, 2).await;
    alone.api.until_metric("conveyor_orders_unreadable_total", |count| count >= 1.0).await;
    let said = alone.api.said();
    assert!(said.lines().any(|line| line.contains("ERROR") && line.contains(&orders[1].to_string())), "{said}");
    // Once it is mended, it goes on like any other.
    let mended = format!("UPDATE orders.orders SET user_id = '{USER}' WHERE id = '{}'", orders[1].0);
    alone.database.connect().await.batch_execute(&mended).await.unwrap();
    alone.time_passes().await;
    until_count(&alone.database, expired, 3).await;
}
