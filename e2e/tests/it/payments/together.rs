//! Several who want the same at once.

use e2e::{LONG, eventually};
use futures_util::future::join_all;
use nix::sys::signal::Signal;
use serde_json::json;

use super::{APPROVED, SLOW, Till, WALKER, by_card, code};

#[tokio::test]
async fn however_often_and_wherever_somebody_clicks_they_pay_once() {
    let till = Till::open_with(2, &[], &[]).await;
    for number in [APPROVED, SLOW] {
        let order = till.owing(WALKER).await;
        let body = by_card(order, WALKER, number);
        let answers = join_all((0..10).map(|i| till.pay(i % 2, &body))).await;
        let paid: Vec<_> = answers.iter().filter(|answer| answer.status == 200).map(|a| a.json()).collect();
        assert!(!paid.is_empty(), "{:?}", answers[0]);
        assert!(paid.iter().all(|answer| *answer == paid[0]), "{paid:?}");
        for answer in answers.iter().filter(|answer| answer.status != 200) {
            assert_eq!(code(answer), (409, "payment_open".to_owned()));
        }
        assert_eq!(till.charged(order).await, ("captured".to_owned(), 0));
        assert_eq!(till.until_heard(order, 1).await.1["transactionId"], paid[0]["transactionId"]);
    }
    till.assert_settled().await;
}

#[tokio::test]
async fn one_frozen_in_the_middle_captures_nothing_twice() {
    let short = [
        ("CONVEYOR__PAYMENTS__TRIES", "1"),
        ("CONVEYOR__PAYMENTS__CALL_TIMEOUT_MS", "2500"),
        ("CONVEYOR__PAYMENTS__BACKOFF_MOST_MS", "100"),
        ("CONVEYOR__PAYMENTS__LEASE_MS", "5200"),
        ("CONVEYOR__PAYMENTS__WAIT_MS", "100"),
    ];
    let till = Till::open_with(2, &short, &[]).await;
    let order = till.owing(WALKER).await;
    let body = by_card(order, WALKER, SLOW);
    let frozen = till.pay(0, &body);
    let meanwhile = async {
        eventually(LONG, "the gateway is being asked", async || {
            (!till.sandbox.charges_of(&order.to_string()).await.is_empty()).then_some(())
        })
        .await;
        till.workers[0].signal(Signal::SIGSTOP);
        // While the lease lives, nobody else begins.
        assert_eq!(code(&till.pay(1, &body).await), (409, "payment_open".to_owned()));
        // Then the other one asks, and hears.
        assert_eq!(till.until_heard(order, 1).await.0, "payment.completed");
        assert_eq!(till.pay(1, &body).await.json()["paymentStatus"], "completed");
        till.workers[0].signal(Signal::SIGCONT);
    };
    let (answer, ()) = futures_util::future::join(frozen, meanwhile).await;
    let paid = till.pay(1, &body).await.json();
    // Its own answer may have come too late for it to know.
    match answer.status.as_u16() {
        200 | 202 => assert_eq!(answer.json()["transactionId"], paid["transactionId"]),
        status => assert_eq!(status, 503, "{}", answer.text()),
    }
    assert_eq!(till.charged(order).await, ("captured".to_owned(), 0));
    assert_eq!(till.database.count("SELECT count(*) FROM payments.payments").await, 1);
    till.until("SELECT count(*) FROM payments.outbox", 0).await;
    assert_eq!(till.until_heard(order, 1).await.1["amount"], json!(10_050));
    till.assert_settled().await;
}
