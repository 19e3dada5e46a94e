//! The gateway is away: nothing is lost, nothing is spent, and nobody is run over when it comes back.

use common::ids::OrderId;
use e2e::{LONG, eventually};
use serde_json::json;
use time::Duration;

use super::{APPROVED, Till, WALKER, by_card, code};

#[tokio::test]
async fn charges_wait_for_the_gateway_and_no_attempt_is_spent() {
    const ORDERS: usize = 40;
    // Long enough that nobody looks whether it is back while the test pays by hand.
    let till = Till::open_with(1, &[("CONVEYOR__PAYMENTS__BREAKER_REST_MS", "10000")], &[]).await;
    till.sandbox.fault("gateway", "down").await;
    let orders: Vec<OrderId> = (0..ORDERS).map(|_| OrderId::generate()).collect();
    for order in &orders {
        till.fall_due(*order, "123456").await;
    }
    let by_hand = till.owing(WALKER).await;
    till.workers[0].until_metric("conveyor_gateway_breaker", |level| level == 2.0).await;
    // By hand, nothing is begun that could only be given up.
    let card = by_card(by_hand, WALKER, APPROVED);
    let answer = till.pay(0, &card).await;
    assert_eq!(code(&answer), (503, "unavailable".to_owned()), "{}", answer.text());
    // The events are done with: what waits, waits in the database.
    eventually(LONG, "no event waits", async || {
        (till.vhost.depths().await.get("payment.charge") == Some(&(0, 0))).then_some(())
    })
    .await;
    till.until(
        "SELECT count(*) FROM payments.follow_ups JOIN payments.payments USING (id) WHERE method = 'stored'",
        40,
    )
    .await;
    for order in &orders {
        assert!(till.heard(*order).await.is_empty());
    }

    till.sandbox.fault("gateway", "up").await;
    for order in &orders {
        let (kind, data) = till.until_heard(*order, 1).await;
        assert_eq!((kind.as_str(), &data["amount"]), ("payment.completed", &json!(10_050)));
    }
    let totals = till.sandbox.ledger().await.totals;
    assert_eq!((totals.captured, totals.net_amount), (40, 40 * 10_050));
    till.workers[0].until_metric("conveyor_gateway_breaker", |level| level == 0.0).await;
    assert!(till.workers[0].metric("conveyor_gateway_breaker_opened_total").await.unwrap() >= 1.0);
    // What was tried meanwhile counts for nothing.
    let poor = by_card(by_hand, WALKER, super::DECLINED);
    let declined = eventually(LONG, "it can be paid by hand", async || {
        let answer = till.pay(0, &poor).await;
        (answer.status == 400).then_some(answer)
    })
    .await;
    assert_eq!(declined.json()["paymentStatus"], "failed");
    assert_eq!(till.until_heard(by_hand, 1).await.1["attemptsLeft"], 2);
    till.assert_settled().await;
}

#[tokio::test]
async fn an_outage_beyond_the_deadline_fails_no_order_and_charges_none() {
    let till = Till::open().await;
    till.sandbox.fault("gateway", "down").await;
    let late: Vec<OrderId> = (0..3).map(|_| OrderId::generate()).collect();
    for order in &late {
        till.fall_due_until(*order, "123456", Duration::seconds(4)).await;
    }
    let off = OrderId::generate();
    till.fall_due(off, "123456").await;
    till.until("SELECT count(*) FROM payments.payments WHERE state = 'open'", 4).await;
    till.call_off(off).await;
    till.until("SELECT count(*) FROM payments.dues WHERE off", 1).await;
    till.until("SELECT count(*) FROM payments.dues WHERE deadline <= clock_timestamp()", 3).await;
    till.sandbox.fault("gateway", "up").await;

    till.until("SELECT count(*) FROM payments.payments WHERE state = 'voided'", 4).await;
    till.assert_settled().await;
    till.until("SELECT count(*) FROM payments.outbox", 0).await;
    for order in late.iter().chain([&off]) {
        assert!(till.heard(*order).await.is_empty(), "nothing was captured, and nothing has failed");
    }
    let totals = till.sandbox.ledger().await.totals;
    assert_eq!((totals.captured, totals.captured_amount), (0, 0));
}

#[tokio::test]
async fn a_gateway_that_is_asked_too_often_is_asked_less() {
    let till = Till::open().await;
    till.sandbox.fault("gateway", "throttled").await;
    let order = OrderId::generate();
    till.fall_due(order, "123456").await;
    till.until("SELECT count(*) FROM payments.follow_ups", 1).await;
    assert_eq!(till.workers[0].metric("conveyor_gateway_breaker").await, Some(0.0), "it is well, only busy");
    till.sandbox.fault("gateway", "up").await;
    assert_eq!(till.until_heard(order, 1).await.0, "payment.completed");
    till.assert_settled().await;
}
