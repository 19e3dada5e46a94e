//! Money that is given back.

use common::ids::{OrderId, TransactionId};
use e2e::{LONG, eventually};

use super::Till;

/// An order of somebody whose card behaves so, and its transaction, once it is paid.
async fn paid(till: &Till, behaviour: &str) -> (OrderId, String) {
    let user = format!("user-{behaviour}");
    till.store_method(&user, behaviour).await;
    let order = OrderId::generate();
    till.fall_due(order, &user).await;
    let (kind, data) = till.until_heard(order, 1).await;
    assert_eq!(kind, "payment.completed");
    (order, data["transactionId"].as_str().unwrap().to_owned())
}

#[tokio::test]
async fn all_of_it_is_given_back_once_and_said_so_again() {
    let till = Till::open().await;
    for behaviour in ["approved", "refund_async"] {
        let (order, transaction) = paid(&till, behaviour).await;
        till.ask_back(order, &transaction).await;
        let first = till.until_heard(order, 2).await;
        assert_eq!((first.0.as_str(), first.1["transactionId"].as_str()), ("payment.refunded", Some(&*transaction)));
        till.ask_back(order, &transaction).await;
        assert_eq!(till.until_heard(order, 3).await, first);
        assert_eq!(till.charged(order).await, ("captured".to_owned(), 10_050));
        assert_eq!(till.sandbox.charges_of(&order.to_string()).await[0].refunds.len(), 1);
    }
    till.assert_settled().await;
}

#[tokio::test]
async fn what_will_never_be_given_back_is_for_people_to_see() {
    let till = Till::open().await;
    let (order, transaction) = paid(&till, "refund_refused").await;
    till.ask_back(order, &transaction).await;
    till.vhost.until_ready("payment.settle.dlq", 1).await;
    let dead = till.vhost.drain("payment.settle.dlq").await;
    assert_eq!(dead[0].header("x-death-kind"), "rejected");
    assert!(dead[0].header("x-reason").contains("refuses the refund"), "{}", dead[0].header("x-reason"));
    assert_eq!(till.database.count("SELECT count(*) FROM payments.payments WHERE refund = 'refused'").await, 1);

    // Another order's money, and money that nobody has.
    let (other, others) = paid(&till, "approved").await;
    till.ask_back(order, &others).await;
    till.ask_back(other, &TransactionId::generate().to_string()).await;
    till.vhost.until_ready("payment.settle.dlq", 2).await;
    assert_eq!(till.charged(other).await, ("captured".to_owned(), 0));
    till.vhost.drain("payment.settle.dlq").await;
    till.assert_settled().await;
    assert_eq!(till.heard(order).await.len(), 1);
}

#[tokio::test]
async fn money_waits_to_be_given_back_until_the_gateway_is_there() {
    let till = Till::open().await;
    let mut orders = Vec::new();
    for behaviour in ["approved", "refund_async", "slow"] {
        orders.push(paid(&till, behaviour).await);
    }
    till.sandbox.fault("gateway", "down").await;
    for (order, transaction) in &orders {
        till.ask_back(*order, transaction).await;
    }
    till.until("SELECT count(*) FROM payments.payments WHERE refund = 'due'", 3).await;
    till.workers[0].until_metric("conveyor_gateway_breaker", |level| level == 2.0).await;
    eventually(LONG, "no event waits for it", async || {
        (till.vhost.depths().await.get("payment.settle") == Some(&(0, 0))).then_some(())
    })
    .await;
    till.sandbox.fault("gateway", "up").await;
    for (order, _) in &orders {
        assert_eq!(till.until_heard(*order, 2).await.0, "payment.refunded");
        assert_eq!(till.charged(*order).await, ("captured".to_owned(), 10_050));
    }
    till.workers[0].until_metric("conveyor_gateway_breaker", |level| level == 0.0).await;
    till.assert_settled().await;
}
