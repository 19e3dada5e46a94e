//! More at once than there is room for.

use std::time::Duration;

use e2e::{LONG, eventually};
use futures_util::future::join_all;
use hyper::Method;
use serde_json::json;
use tokio::time::Instant;

use super::{APPROVED, Till, WALKER, by_card, code};

#[tokio::test]
async fn so_many_cards_are_held_while_they_wait_and_no_more() {
    const ORDERS: usize = 24;
    // One calls, and three wait, for each call that may be under way.
    const PLACES: usize = 8;
    let narrow = [("CONVEYOR__PAYMENTS__AT_ONCE", "2"), ("CONVEYOR__PAYMENTS__ANSWER_WITHIN_MS", "500")];
    let till = Till::open_with(1, &narrow, &[]).await;
    let mut orders = Vec::new();
    for _ in 0..ORDERS {
        orders.push(till.owing(WALKER).await);
    }
    till.sandbox.fault("gateway", "slow").await;
    let bodies: Vec<_> = orders.iter().map(|order| by_card(*order, WALKER, APPROVED)).collect();
    let answers = join_all(bodies.iter().map(|body| till.pay(0, body))).await;
    let mut taken = Vec::new();
    for (order, answer) in orders.iter().zip(&answers) {
        match code(answer) {
            (200 | 202, _) => taken.push(*order),
            (503, code) => {
                assert_eq!((code.as_str(), answer.headers["retry-after"].as_bytes()), ("overloaded", &b"1"[..]));
                assert!(till.sandbox.charges_of(&order.to_string()).await.is_empty());
            }
            other => panic!("{other:?}"),
        }
    }
    assert!((1..=PLACES).contains(&taken.len()), "{} were taken", taken.len());
    till.sandbox.fault("gateway", "up").await;
    for order in &taken {
        assert_eq!(till.until_heard(*order, 1).await.0, "payment.completed");
    }
    till.assert_settled().await;
    assert_eq!(till.sandbox.ledger().await.charges.len(), taken.len());
}

#[tokio::test]
async fn whoever_was_told_to_wait_hears_that_nothing_came_of_it() {
    let once = [("CONVEYOR__PAYMENTS__TRIES", "1"), ("CONVEYOR__PAYMENTS__BREAKER_FAILURES", "1000")];
    let till = Till::open_with(1, &once, &[]).await;
    let order = till.owing(WALKER).await;
    till.sandbox.fault("gateway", "down").await;
    let card = by_card(order, WALKER, APPROVED);
    // Nobody can know whether it was heard.
    assert_eq!(till.pay(0, &card).await.status, 202);
    assert!(till.heard(order).await.is_empty());
    till.sandbox.fault("gateway", "up").await;
    // The card is not there any more, so the attempt is voided; and it is not spent.
    let (kind, data) = till.until_heard(order, 1).await;
    assert_eq!((kind.as_str(), &data["reason"]), ("payment.failed", &json!("not_charged")));
    assert_eq!((&data["attempt"], &data["attemptsLeft"]), (&json!(1), &json!(3)));
    assert_eq!(till.pay(0, &card).await.json()["paymentStatus"], "completed");
    assert_eq!(till.until_heard(order, 2).await.0, "payment.completed");
    till.assert_settled().await;
}

#[tokio::test]
async fn requests_that_wait_at_the_database_leave_the_queue_its_connections() {
    let till = Till::open().await;
    let order = till.owing(WALKER).await;
    let mut client = till.database.connect().await;
    let lock = client.transaction().await.unwrap();
    lock.execute("SELECT FROM payments.dues FOR UPDATE", &[]).await.unwrap();
    let body = by_card(order, WALKER, APPROVED);
    let answers = join_all((0..64).map(|_| till.pay(0, &body)));
    let meanwhile = async {
        let waiting = "SELECT count(*) FROM pg_stat_activity
                       WHERE datname = current_database() AND wait_event_type = 'Lock'";
        crate::alone::until_at_least(&till.database, waiting, 3).await;
        let began = Instant::now();
        let other = common::ids::OrderId::generate();
        till.fall_due(other, "123456").await;
        till.until_heard(other, 1).await;
        let took = began.elapsed();
        assert!(took < Duration::from_secs(4), "it waited for the requests: {took:?}");
        lock.rollback().await.unwrap();
    };
    let (answers, ()) = futures_util::future::join(answers, meanwhile).await;
    for answer in answers {
        assert!([200, 409, 503].contains(&answer.status.as_u16()), "{}", answer.text());
    }
    let shown = eventually(LONG, "requests are answered again", async || {
        let path = "/api/payment/methods/123456";
        let answer = till.send(0, Method::GET, path, &e2e::token("123456"), &json!(null)).await;
        (answer.status == 200).then_some(answer)
    })
    .await;
    assert_eq!(shown.json()["message"], "Payment method found");
}
