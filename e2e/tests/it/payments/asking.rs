//! What nobody answered is asked about.

use common::ids::OrderId;
use serde_json::json;

use super::{Till, WALKER, by_card};

#[tokio::test]
async fn a_lost_callback_a_silent_gateway_and_one_that_stumbles_cost_nothing_but_time() {
    let quick = [("CONVEYOR__PAYMENTS__CALL_TIMEOUT_MS", "2500")];
    let till = Till::open_with(1, &quick, &[]).await;
    let mut orders = Vec::new();
    for behaviour in ["callback_lost", "timeout", "error", "slow"] {
        till.store_method(behaviour, behaviour).await;
        let order = OrderId::generate();
        till.fall_due(order, behaviour).await;
        orders.push(order);
    }
    // The same by hand: whoever pays need not wait for what takes long.
    for number in ["4000000000000069", "4000000000000051", "4000000000000093"] {
        let order = till.owing(WALKER).await;
        let answer = till.pay(0, &by_card(order, WALKER, number)).await;
        assert!([200, 202].contains(&answer.status.as_u16()), "{number}: {}", answer.text());
        orders.push(order);
    }
    for order in orders {
        let (kind, data) = till.until_heard(order, 1).await;
        assert_eq!((kind.as_str(), &data["amount"]), ("payment.completed", &json!(10_050)));
        assert_eq!(till.charged(order).await, ("captured".to_owned(), 0));
    }
    till.assert_settled().await;
}

#[tokio::test]
async fn a_worker_that_dies_in_the_middle_leaves_nothing_undone() {
    // A lease that outlasts two calls, and no more.
    let short = [
        ("CONVEYOR__PAYMENTS__TRIES", "1"),
        ("CONVEYOR__PAYMENTS__CALL_TIMEOUT_MS", "2500"),
        ("CONVEYOR__PAYMENTS__BACKOFF_MOST_MS", "100"),
        ("CONVEYOR__PAYMENTS__LEASE_MS", "5200"),
    ];
    let mut till = Till::open_with(1, &short, &[]).await;
    till.store_method("slow", "slow").await;
    let order = till.owing("slow").await;
    e2e::eventually(e2e::LONG, "the gateway is being asked", async || {
        (!till.sandbox.charges_of(&order.to_string()).await.is_empty()).then_some(())
    })
    .await;
    till.workers[0].restart().await;
    till.workers[0].wait_ready().await;
    assert_eq!(till.until_heard(order, 1).await.0, "payment.completed");
    assert_eq!(till.charged(order).await, ("captured".to_owned(), 0));
    till.assert_settled().await;
}
