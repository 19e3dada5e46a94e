//! Money that is given back.

use common::{
    events::Event,
    ids::{OrderId, TransactionId},
};
use e2e::{LONG, eventually, obedient::parcel};

use serde_json::json;

use super::{Till, callbacks, refund_due};

/// An order of somebody whose card behaves so, and its transaction, once it is paid.
pub(super) async fn paid(till: &Till, behaviour: &str) -> (OrderId, String) {
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
async fn people_are_told_of_a_refusal_once_and_again_when_they_ask() {
    let till = Till::open().await;
    let (order, transaction) = paid(&till, "refund_refused").await;
    let event = refund_due(order, &transaction);
    till.say_event(&event, "events", "order.refund_due").await;
    let done = r#"conveyor_events_total{queue="payment.settle",verdict="done"}"#;
    let dead = async || {
        till.vhost.until_ready("payment.settle.dlq", 1).await;
        let dead = till.vhost.drain("payment.settle.dlq").await;
        assert_eq!(dead[0].header("x-event-id"), event.id.to_string());
    };
    dead().await;
    // The order says so again and again; and then somebody has the dead letter tried again, in vain.
    for again in 1..=3 {
        let before = till.workers[0].metric(done).await.unwrap_or(0.0);
        for _ in 0..3 {
            till.ask_back(order, &transaction).await;
        }
        till.workers[0].until_metric(done, |now| now >= before + 3.0).await;
        assert_eq!(till.vhost.ready("payment.settle.dlq").await, Some(0), "people were told again");
        if again < 3 {
            till.say_event(&event, "redeliver", "payment.settle").await;
            dead().await;
        }
    }
    assert_eq!(till.database.count("SELECT count(*) FROM payments.payments WHERE refund = 'refused'").await, 1);
    till.assert_settled().await;
    assert_eq!(till.heard(order).await.len(), 1);
}

#[tokio::test]
async fn people_are_told_at_once_of_a_refusal_that_was_heard_of_by_asking() {
    let till = Till::open().await;
    let (order, transaction) = paid(&till, "refund_refused").await;
    till.sandbox.fault("gateway", "down").await;
    let done = r#"conveyor_events_total{queue="payment.settle",verdict="done"}"#;
    let before = till.workers[0].metric(done).await.unwrap_or(0.0);
    till.ask_back(order, &transaction).await;
    till.workers[0].until_metric(done, |now| now >= before + 1.0).await;
    assert_eq!(till.database.count("SELECT count(*) FROM payments.payments WHERE refund = 'due'").await, 1);
    till.sandbox.fault("gateway", "up").await;
    till.vhost.until_ready("payment.settle.dlq", 1).await;
    let dead = till.vhost.drain("payment.settle.dlq").await;
    assert!(dead[0].header("x-reason").contains("refuses the refund"), "{}", dead[0].header("x-reason"));
    assert_eq!(dead[0].events()[0]["subject"], order.to_string());
    let refusals = till.workers[0].metric("conveyor_refunds_refused_total").await;
    assert_eq!(refusals, Some(1.0), "the gateway was asked once more than anybody wished");
    // That the order goes on saying so is no news.
    let before = till.workers[0].metric(done).await.unwrap_or(0.0);
    till.ask_back(order, &transaction).await;
    till.workers[0].until_metric(done, |now| now >= before + 1.0).await;
    assert_eq!(till.vhost.ready("payment.settle.dlq").await, Some(0), "people were told again");
    till.assert_settled().await;
}

#[tokio::test]
async fn whoever_has_it_tried_again_hears_at_once_that_the_gateway_is_away() {
    let till = Till::open().await;
    let (order, transaction) = paid(&till, "refund_refused").await;
    till.ask_back(order, &transaction).await;
    let told = async |words: &str| {
        till.vhost.until_ready("payment.settle.dlq", 1).await;
        let dead = till.vhost.drain("payment.settle.dlq").await;
        assert!(dead[0].header("x-reason").contains(words), "{}", dead[0].header("x-reason"));
    };
    told("refuses the refund").await;
    let event = Event { retryid: Some(uuid::Uuid::now_v7()), ..refund_due(order, &transaction) };
    till.sandbox.fault("gateway", "down").await;
    till.say_event(&event, "redeliver", "payment.settle").await;
    told("would have to wait").await;
    till.say_event(&event, "redeliver", "payment.settle").await;
    told("is being asked for it already").await;
    till.sandbox.fault("gateway", "up").await;
    told("refuses the refund").await;
    // Whichever letter it is that they send again.
    till.say_event(&event, "redeliver", "payment.settle").await;
    told("refuses the refund").await;
    till.assert_settled().await;
}

/// The broker, or who lost sight of it, may say the same event again in the moment in which somebody has it tried again.
#[tokio::test]
async fn a_wish_is_not_granted_by_another_copy_of_the_event_that_is_only_asking() {
    let till = Till::open().await;
    let (order, transaction) = paid(&till, "refund_refused").await;
    let event = refund_due(order, &transaction);
    let retry = uuid::Uuid::now_v7();
    let both = parcel(&[event.clone(), Event { retryid: Some(retry), ..event }]);
    assert!(till.vhost.publish("redeliver", "payment.settle", &both).await);
    till.vhost.until_ready("payment.settle.dlq", 2).await;
    let dead = till.vhost.drain("payment.settle.dlq").await;
    let [wished] = dead.iter().filter(|letter| letter.headers.contains_key("x-retry-id")).collect::<Vec<_>>()[..]
    else {
        panic!("whoever wished it is to hear that it was not granted: {dead:?}");
    };
    assert_eq!(wished.header("x-retry-id"), retry.to_string());
    assert!(wished.header("x-reason").contains("is being asked for it already"), "{}", wished.header("x-reason"));
    till.assert_settled().await;
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
    // Old news of the charge, told once more, is no news of the refund.
    for (order, _) in &orders {
        let mut old = callbacks::event("charge.captured", *order, "captured", 10_050);
        old["charge"]["id"] = json!("ch_old");
        let old = old.to_string();
        let heard = callbacks::call_back(&till, &old, &callbacks::signature(callbacks::SECRET, &old, 0)).await;
        assert_eq!(heard.status, 200);
    }
    till.sandbox.fault("gateway", "up").await;
    for (order, _) in &orders {
        assert_eq!(till.until_heard(*order, 2).await.0, "payment.refunded");
        assert_eq!(till.charged(*order).await, ("captured".to_owned(), 10_050));
    }
    till.workers[0].until_metric("conveyor_gateway_breaker", |level| level == 0.0).await;
    till.assert_settled().await;
}
