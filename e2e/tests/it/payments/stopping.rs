//! SIGTERM while the gateway takes its time.

use std::time::Duration;

use common::ids::OrderId;
use e2e::{LONG, eventually};
use serde_json::json;
use tokio::time::Instant;

use super::Till;

#[tokio::test]
async fn a_stop_begins_nothing_more_and_is_over_in_time_and_everything_is_paid_once_later() {
    const ORDERS: usize = 100;
    let settings = [
        ("CONVEYOR__GRACE_MS", "8000"),
        // A lease that outlasts two calls, and no more.
        ("CONVEYOR__PAYMENTS__TRIES", "1"),
        ("CONVEYOR__PAYMENTS__CALL_TIMEOUT_MS", "2500"),
        ("CONVEYOR__PAYMENTS__BACKOFF_MOST_MS", "100"),
        ("CONVEYOR__PAYMENTS__LEASE_MS", "5200"),
        ("CONVEYOR__PAYMENTS__AT_ONCE", "4"),
    ];
    let mut till = Till::open_with(1, &settings, &[]).await;
    till.sandbox.fault("gateway", "slow").await;
    let orders: Vec<OrderId> = (0..ORDERS).map(|_| OrderId::generate()).collect();
    for order in &orders {
        till.fall_due(*order, "123456").await;
    }
    eventually(LONG, "the gateway is being asked", async || (till.sandbox.calls(0).await.len() >= 4).then_some(()))
        .await;
    let began = Instant::now();
    let status = till.workers[0].terminate().await;
    let took = began.elapsed();
    assert!(status.success() && took < Duration::from_secs(8), "{status} after {took:?}");
    let asked = till.sandbox.calls(0).await.len();
    assert!(asked < ORDERS, "it stopped only when all was done: {asked}");

    till.sandbox.fault("gateway", "up").await;
    till.workers[0].start().await;
    for order in &orders {
        let (kind, data) = till.until_heard(*order, 1).await;
        assert_eq!((kind.as_str(), &data["amount"]), ("payment.completed", &json!(10_050)));
        assert_eq!(till.charged(*order).await, ("captured".to_owned(), 0));
    }
    till.assert_settled().await;
    let spent = "SELECT count(*) FROM payments.payments WHERE (attempt, attempts_left) <> (1, 2)";
    assert_eq!(till.database.count(spent).await, 0);
}
