//! Two that would take an order further at the same moment.

use common::{
    events::{Event, InventoryLocked, Payload as _},
    ids::OrderId,
};
use e2e::{Database, LONG, Process, Vhost, eventually, service_settings, token};
use serde_json::Value;

use crate::line::{USER, documented};

/// Takes the order to its second version and leaves that uncommitted, so that `order-api` must wait; then commits it or
/// takes it back. Returns what becomes of the order, and how many payments have fallen due.
async fn after_somebody_else(ends_with: &str) -> (Value, u32) {
    let (database, vhost) = (Database::create().await, Vhost::create().await);
    database.load_demo().await;
    vhost.declare_line().await;
    let mut settings = service_settings("orders", &database, &vhost);
    // Without what it tells itself.
    settings.insert("CONVEYOR__PARTS".to_owned(), "http,orders.progress".to_owned());
    let mut api = Process::spawn("order-api", settings).await;
    api.wait_ready().await;
    let answer = api.http.post_json("/api/orders/create", &documented()).await.unwrap();
    let id = answer.json()["orderId"].as_str().unwrap().to_owned();
    let order_id: OrderId = id.parse().unwrap();

    let other = database.connect().await;
    let uuid = order_id.0;
    let step = format!(
        "BEGIN;
         INSERT INTO orders.history (order_id, version, status, cause) VALUES ('{uuid}', 2, 'rejected', 'a test');
         UPDATE orders.orders SET status = 'rejected', version = 2 WHERE id = '{uuid}'"
    );
    other.batch_execute(&step).await.unwrap();

    let event = Event::new("test", id.clone(), None, &InventoryLocked { order_id }).unwrap();
    let body = format!("[{}]", serde_json::to_string(&event).unwrap());
    assert!(vhost.publish("events", InventoryLocked::TYPE, body.as_bytes()).await);
    let waits = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'";
    eventually(LONG, "order-api waits", async || (database.count(waits).await == 1).then_some(())).await;
    other.batch_execute(ends_with).await.unwrap();

    let done = r#"conveyor_events_total{queue="orders.progress",verdict="done"}"#;
    api.until_metric(done, |events| events == 1.0).await;
    eventually(LONG, "what follows has left", async || {
        (database.count("SELECT count(*) FROM orders.outbox").await == 0).then_some(())
    })
    .await;
    let order = api.http.get_as(&format!("/api/orders/{id}"), &token(USER)).await.unwrap().json();
    (order, vhost.ready("payment.charge").await.unwrap())
}

#[tokio::test]
async fn a_step_that_somebody_else_takes_first_is_not_taken_as_well() {
    let (order, due) = after_somebody_else("COMMIT").await;
    assert_eq!(order["status"], "rejected", "{order}");
    assert_eq!(order["history"].as_array().unwrap().len(), 2, "{order}");
    assert_eq!(due, 0);
}

#[tokio::test]
async fn a_step_that_somebody_else_takes_back_is_taken() {
    let (order, due) = after_somebody_else("ROLLBACK").await;
    assert_eq!(order["status"], "awaiting_payment", "{order}");
    assert_eq!(order["history"].as_array().unwrap().len(), 2, "{order}");
    assert_eq!(due, 1);
}
