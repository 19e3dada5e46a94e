//! Several at once: somebody else is in the middle of it, locks against releases, and a thousand too many for one product.

use common::{
    events::{OrderCancelled, OrderCreated, Payload},
    ids::OrderId,
};
use futures_util::{StreamExt as _, future::join3, stream};

use crate::{
    alone::until_count,
    stock::{Warehouse, cancelled, created, event},
};

/// In parcels of a few, so that each batch has some of these and some of those.
fn parcels(events: &[String]) -> Vec<String> {
    let mut parcels = Vec::new();
    let mut rest = events;
    while !rest.is_empty() {
        let (some, others) = rest.split_at(fastrand::usize(1..=8).min(rest.len()));
        parcels.push(format!("[{}]", some.join(",")));
        rest = others;
    }
    parcels
}

/// Every order is placed and called off at the same instant; every fourth is also locked over HTTP just then.
async fn race(pairs: usize) {
    let warehouse = Warehouse::start(3, 1_000_000, &[]).await;
    let mut orders: Vec<OrderId> = (0..pairs).map(|_| OrderId::generate()).collect();
    fastrand::shuffle(&mut orders);
    let events = |of: &dyn Fn(OrderId) -> String| orders.iter().map(|id| of(*id)).collect::<Vec<_>>();
    let placed = parcels(&events(&|id| event(id, &created(id, &[("A", 2), ("B", 1)]))));
    let off = parcels(&events(&|id| event(id, &cancelled(id, 2))));
    let ahead = stream::iter(orders.iter().step_by(4)).map(async |id| {
        let answer = warehouse.lock(*id, &[("A", 2), ("B", 1)]).await;
        assert!([200, 409].contains(&answer.status.as_u16()), "{}", answer.text());
    });
    let (placed, off, ()) = join3(
        warehouse.vhost.publish_all("events", OrderCreated::TYPE, placed),
        warehouse.vhost.publish_all("events", OrderCancelled::TYPE, off),
        ahead.buffer_unordered(16).collect::<()>(),
    )
    .await;
    assert!(placed && off);
    let released = "SELECT count(*) FROM inventory.reservations WHERE state = 'released'";
    until_count(&warehouse.database, released, i64::try_from(pairs).unwrap()).await;
    // What comes after that must find nothing to do: all that was said has been heard.
    let unheard = async || {
        let depths = warehouse.vhost.depths().await;
        let work = depths.iter().filter(|(queue, _)| queue.starts_with("inventory.") || queue.starts_with("delay."));
        work.map(|(_, (ready, unacked))| ready + unacked).sum::<u64>()
    };
    e2e::eventually(e2e::LONG, "all is heard", async || (unheard().await == 0).then_some(())).await;
    assert_eq!((warehouse.counted("A").await, warehouse.counted("B").await), ((1_000_000, 0), (1_000_000, 0)));
    let others = "SELECT count(*) FROM inventory.reservations WHERE state <> 'released' OR expires_at IS NOT NULL";
    assert_eq!(warehouse.database.count(others).await, 0);
    warehouse.reconcile().await;
    let fences = "SELECT count(*) FROM inventory.reservations WHERE lines::text = '[]'";
    eprintln!("{} of {pairs} releases came before their locks", warehouse.database.count(fences).await);
}

#[tokio::test]
async fn a_lock_and_a_release_at_the_same_instant_leave_no_lock() {
    race(400).await;
}

#[tokio::test]
#[ignore = "ten thousand of them take a while: cargo xtask test -- --run-ignored only -E 'test(stock_races::)'"]
async fn ten_thousand_locks_and_releases_at_the_same_instant_leave_no_lock() {
    race(10_000).await;
}

/// Somebody else has taken a step with the reservation, and not committed it, while the worker hears of the order. Returns
/// once that ended, and the worker is done.
async fn while_somebody_else<P: Payload>(
    warehouse: &Warehouse,
    steps: &str,
    ends: &str,
    queue: &str,
    said: (OrderId, P),
) {
    let other = warehouse.database.connect().await;
    other.batch_execute(&format!("BEGIN; {steps}")).await.unwrap();
    warehouse.say(said.0, &said.1).await;
    let waits = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'";
    until_count(&warehouse.database, waits, 1).await;
    other.batch_execute(ends).await.unwrap();
    let done = format!(r#"conveyor_events_total{{queue="{queue}",verdict="done"}}"#);
    warehouse.workers[0].until_metric(&done, |events| events == 1.0).await;
}

fn insert(order: OrderId, state: &str) -> String {
    let lines = r#"[{"productId":"A","quantity":2}]"#;
    let lines = if state == "locked" { lines } else { "[]" };
    format!("INSERT INTO inventory.reservations (holder, state, lines) VALUES ('order:{order}', '{state}', '{lines}');")
}

const RESERVE: &str = "UPDATE inventory.products SET reserved = reserved + 2 WHERE product_id = 'A'";
const GIVE_BACK: &str = "UPDATE inventory.products SET reserved = reserved - 2 WHERE product_id = 'A'";

#[tokio::test]
async fn a_release_in_the_middle_of_a_lock_releases_it() {
    for (ends, locked) in [("COMMIT", true), ("ROLLBACK", false)] {
        let warehouse = Warehouse::start(1, 10, &[]).await;
        let order = OrderId::generate();
        let steps = format!("{} {RESERVE}", insert(order, "locked"));
        let said = (order, cancelled(order, 2));
        while_somebody_else(&warehouse, &steps, ends, "inventory.settle", said).await;
        warehouse.until(order, "released").await;
        let had_lines = "SELECT count(*) FROM inventory.reservations WHERE lines::text <> '[]'";
        assert_eq!(warehouse.database.count(had_lines).await, i64::from(locked), "{ends}");
        assert_eq!(warehouse.counted("A").await, (10, 0), "{ends}");
    }
}

#[tokio::test]
async fn a_lock_in_the_middle_of_a_release_stops_at_it() {
    for (ends, state, reserved) in [("COMMIT", "released", 0), ("ROLLBACK", "locked", 2)] {
        let warehouse = Warehouse::start(1, 10, &[]).await;
        let order = OrderId::generate();
        let said = (order, created(order, &[("A", 2)]));
        while_somebody_else(&warehouse, &insert(order, "released"), ends, "inventory.lock", said).await;
        warehouse.until(order, state).await;
        assert_eq!(warehouse.counted("A").await, (10, reserved), "{ends}");
    }
}

#[tokio::test]
async fn an_order_that_comes_while_its_hold_expires_has_its_stock_once() {
    for ends in ["COMMIT", "ROLLBACK"] {
        let warehouse = Warehouse::start(1, 10, &[]).await;
        let order = OrderId::generate();
        assert_eq!(warehouse.lock(order, &[("A", 2)]).await.status, 200);
        let steps = format!("DELETE FROM inventory.reservations; {GIVE_BACK}");
        let said = (order, created(order, &[("A", 2)]));
        while_somebody_else(&warehouse, &steps, ends, "inventory.lock", said).await;
        warehouse.until(order, "locked").await;
        assert_eq!(warehouse.counted("A").await, (10, 2), "{ends}");
        warehouse.reconcile().await;
    }
}

#[tokio::test]
async fn in_a_flash_sale_every_piece_is_sold_and_none_twice() {
    const ORDERS: usize = 2_000;
    const PIECES: i64 = 500;
    let warehouse = Warehouse::start(3, PIECES, &[]).await;
    let orders = (0..ORDERS).map(|_| OrderId::generate());
    let events: Vec<String> = orders.map(|id| event(id, &created(id, &[("A", 1)]))).collect();
    assert!(warehouse.vhost.publish_all("events", OrderCreated::TYPE, parcels(&events)).await);
    let answers = warehouse.answers(ORDERS).await;
    assert_eq!(answers, [("inventory.locked".to_owned(), 500), ("inventory.rejected".to_owned(), 1_500)].into());
    for (state, count) in [("locked", 500), ("rejected", 1_500)] {
        let sql = format!("SELECT count(*) FROM inventory.reservations WHERE state = '{state}'");
        assert_eq!(warehouse.database.count(&sql).await, count);
    }
    assert_eq!(warehouse.counted("A").await, (PIECES, PIECES));
    warehouse.reconcile().await;
}
