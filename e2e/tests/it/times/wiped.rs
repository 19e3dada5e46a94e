//! A broker that loses everything, when most of it was said.

use e2e::{LONG, eventually, token};
use hyper::Method;
use serde_json::json;

use crate::{
    alone::until_count,
    line::{Line, USER},
};

const PARTS: &str = "CONVEYOR__PARTS";
const OUTBOX: &str = "SELECT count(*) FROM orders.outbox";

async fn until(line: &Line, order: &str, status: &str) {
    let what = format!("{order} is {status}");
    eventually(LONG, &what, async || (line.order(order).await["status"] == status).then_some(())).await;
}

/// What order-api logs of a broker that has lost its data.
const LOST: &str = "does not have what was published";

#[tokio::test]
async fn what_became_of_an_order_is_said_again_by_another_broker() {
    let mut line = Line::start().await;
    // Stock is locked; what becomes of the orders is not heard yet.
    line.processes[1].set(PARTS, "http,inventory.lock");
    line.processes[1].restart().await;
    line.processes[1].wait_ready().await;
    line.processes[3].kill().await;
    let paid = line.place().await;
    until(&line, &paid, "paid").await;
    line.processes[2].kill().await;
    let off = line.place().await;
    until(&line, &off, "awaiting_payment").await;
    let authorization = format!("Bearer {}", token(USER));
    let cancel = format!("/api/orders/{off}/cancel");
    let answer = line.api().http.send(Method::POST, &cancel, &[("authorization", &authorization)], "").await.unwrap();
    assert_eq!((answer.status.as_u16(), answer.json()["status"].take()), (200, json!("cancelled")));
    until_count(&line.database, OUTBOX, 0).await;
    line.vhost.until_ready("inventory.settle", 2).await;
    until_count(&line.database, "SELECT generation FROM orders.broker", 1).await;

    assert!(!line.api().said().contains(LOST), "{}", line.api().said());
    line.vhost.wipe().await;
    eventually(LONG, "it says so", async || line.api().said().contains(LOST).then_some(())).await;
    line.processes[1].set(PARTS, "http,inventory.lock,inventory.settle");
    line.processes[1].restart().await;
    line.processes[2].start().await;
    line.processes[3].start().await;
    let reservations = |state: &str| format!("SELECT count(*) FROM inventory.reservations WHERE state = '{state}'");
    until_count(&line.database, &reservations("confirmed"), 1).await;
    until_count(&line.database, &reservations("released"), 1).await;
    assert_eq!(line.database.count("SELECT sum(reserved)::bigint FROM inventory.products").await, 0);
    let told = |order: &str, kind: &str| {
        format!(
            "SELECT count(*) FROM notifications.notifications n JOIN orders.orders o ON o.id = n.order_id
                 WHERE state = 'sent' AND kind = '{kind}' AND o.status = '{order}'"
        )
    };
    until_count(&line.database, &told("paid", "order.paid"), 1).await;
    until_count(&line.database, &told("cancelled", "order.cancelled"), 1).await;

    // Once more: everybody has heard it, and nothing comes of it.
    until_count(&line.database, "SELECT count(*) FROM orders.broker WHERE again_after IS NULL AND generation = 2", 1)
        .await;
    line.vhost.wipe().await;
    until_count(&line.database, "SELECT count(*) FROM orders.broker WHERE again_after IS NULL AND generation = 3", 1)
        .await;
    until_count(&line.database, OUTBOX, 0).await;
    eventually(LONG, "it is heard again", async || {
        let count =
            line.processes[3].metric("conveyor_events_total{queue=\"notification.send\",verdict=\"done\"}").await;
        count.filter(|count| *count >= 4.0)
    })
    .await;
    until_count(&line.database, "SELECT count(*) FROM notifications.notifications WHERE state = 'pending'", 0).await;
    assert_eq!(line.database.count(&told("paid", "order.paid")).await, 1);
    assert_eq!(line.database.count(&told("cancelled", "order.cancelled")).await, 1);
    assert_eq!(line.database.count(&reservations("confirmed")).await, 1);
}
