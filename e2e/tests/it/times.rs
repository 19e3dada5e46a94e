//! What time brings to an order, and what may come too late.

mod heard;
mod wiped;

use common::{
    events::{PaymentCompleted, PaymentFailed, PaymentRefunded},
    ids::{OrderId, TransactionId},
    money::Money,
};
use e2e::{Database, LONG, Proxy, Vhost, eventually, in_seconds, token, token_with};
use hyper::Method;
use serde_json::{Value, json};

use crate::{
    alone::{Alone, until_count},
    line::USER,
};

const DEADLINE_MS: &str = "CONVEYOR__ORDERS__TIMES__DEADLINE_MS";
const REMIND_BEFORE_MS: &str = "CONVEYOR__ORDERS__TIMES__REMIND_BEFORE_MS";
const STUCK_MS: &str = "CONVEYOR__ORDERS__TIMES__STUCK_MS";
const RECEIVED_MS: &str = "CONVEYOR__ORDERS__TIMES__RECEIVED_MS";
const LOOK_MS: &str = "CONVEYOR__ORDERS__TIMES__LOOK_MS";

async fn until(alone: &Alone, order: OrderId, status: &str) -> Value {
    let path = format!("/api/orders/{order}");
    let what = format!("{order} is {status}");
    eventually(LONG, &what, async || Some(alone.show(&path).await).filter(|order| order["status"] == status)).await
}

fn steps(order: &Value) -> Vec<(&str, &str)> {
    let history = order["history"].as_array().unwrap();
    history.iter().map(|step| (step["status"].as_str().unwrap(), step["cause"].as_str().unwrap())).collect()
}

/// The types of all events that wait in a queue.
async fn heard(alone: &Alone, queue: &str) -> Vec<String> {
    let parcels = alone.vhost.drain(queue).await;
    let events = parcels.iter().flat_map(e2e::Message::events);
    events.map(|event| event["type"].as_str().unwrap().to_owned()).collect()
}

async fn pay(alone: &Alone, orders: &[OrderId], transaction_id: TransactionId) {
    alone.say(orders, |order_id| PaymentCompleted { order_id, transaction_id, amount: Money(10_050) }).await;
}

#[tokio::test]
async fn whoever_does_not_pay_is_reminded_and_then_the_order_expires() {
    // The timer is too slow to be of any help: what wakes is what was sent when the orders were accepted.
    // There is time enough to lock before the reminder is due, and to be reminded before the deadline, on a slow machine too.
    let times = [(DEADLINE_MS, "10000"), (REMIND_BEFORE_MS, "5000"), (LOOK_MS, "600000")];
    let alone = Alone::start(&times).await;
    let (pays_nothing, gets_nothing) = (alone.place().await, alone.place().await);
    alone.lock(&[pays_nothing]).await;
    let order = until(&alone, pays_nothing, "expired").await;
    let expected = [
        ("pending", "order.created"),
        ("awaiting_payment", "inventory.locked"),
        ("awaiting_payment", "orders.time"),
        ("expired", "orders.time"),
    ];
    assert_eq!(steps(&order), expected);
    assert_eq!(order["history"][2]["detail"], "reminded");
    let order = until(&alone, gets_nothing, "expired").await;
    assert_eq!(steps(&order), [("pending", "order.created"), ("expired", "orders.time")]);

    let early = "SELECT count(*) FROM orders.orders o JOIN orders.history h ON h.order_id = o.id
                 WHERE h.status = 'expired' AND h.at < o.deadline";
    assert_eq!(alone.database.count(early).await, 0);
    // They are looked at no more.
    until_count(&alone.database, "SELECT count(*) FROM orders.wakeups", 0).await;
    until_count(&alone.database, "SELECT count(*) FROM orders.outbox", 0).await;
    let mut told = heard(&alone, "notification.send").await;
    told.sort();
    assert_eq!(
        told.iter().filter(|kind| *kind != "order.received").collect::<Vec<_>>(),
        ["order.expired", "order.expired", "order.payment_reminder"]
    );
    for queue in ["inventory.settle", "payment.settle"] {
        assert_eq!(heard(&alone, queue).await, ["order.expired", "order.expired"], "{queue}");
    }
}

#[tokio::test]
async fn who_is_not_answered_at_once_hears_that_the_order_is_known_and_nobody_else() {
    let alone = Alone::start(&[(LOOK_MS, "20"), (RECEIVED_MS, "600000")]).await;
    let (answered, waits) = (alone.place().await, alone.place().await);
    alone.lock(&[answered]).await;
    until(&alone, answered, "awaiting_payment").await;
    pay(&alone, &[answered], TransactionId::generate()).await;
    until(&alone, answered, "paid").await;
    let pass_time = "UPDATE orders.wakeups SET due = now()";
    // It is looked at again, and nothing is said again.
    for looks in [1, 2] {
        alone.database.connect().await.batch_execute(pass_time).await.unwrap();
        let looked_at = format!("SELECT count(*) FROM orders.wakeups WHERE looks = {looks}");
        until_count(&alone.database, &looked_at, 1).await;
    }
    until_count(&alone.database, "SELECT count(*) FROM orders.outbox", 0).await;
    let parcels = alone.vhost.drain("notification.send").await;
    let told: Vec<_> = parcels.iter().flat_map(e2e::Message::events).collect();
    let mut told: Vec<_> = told.iter().map(|event| (event["type"].as_str(), event["subject"].as_str())).collect();
    told.sort();
    let (answered, waits) = (answered.to_string(), waits.to_string());
    assert_eq!(told, [(Some("order.paid"), Some(&*answered)), (Some("order.received"), Some(&*waits))]);
}

#[tokio::test]
async fn a_broker_that_loses_everything_loses_no_timeout() {
    let times = [(DEADLINE_MS, "2000"), (REMIND_BEFORE_MS, "0"), (LOOK_MS, "100")];
    let alone = Alone::start(&times).await;
    let orders = [alone.place().await, alone.place().await];
    let waits = async || alone.vhost.ready("delay.2000").await.filter(|count| *count > 0);
    eventually(LONG, "a signal waits", waits).await;
    alone.vhost.delete_queue("delay.2000").await;
    for order in orders {
        until(&alone, order, "expired").await;
    }
}

#[tokio::test]
async fn what_was_paid_in_time_is_paid_though_nobody_listened() {
    const ORDERS: usize = 60;
    let mut alone = Alone::start(&[(LOOK_MS, "10")]).await;
    let mut orders = Vec::new();
    for _ in 0..ORDERS {
        orders.push(alone.place().await);
    }
    alone.lock(&orders).await;
    let due = "SELECT count(*) FROM orders.orders WHERE status = 'awaiting_payment'";
    until_count(&alone.database, due, i64::try_from(ORDERS).unwrap()).await;
    alone.api.kill().await;
    let (paid, unpaid) = orders.split_at(ORDERS / 2);
    pay(&alone, paid, TransactionId::generate()).await;
    alone.time_passes().await;
    alone.api.start().await;
    let count = |status: &str| format!("SELECT count(*) FROM orders.orders WHERE status = '{status}'");
    until_count(&alone.database, &count("expired"), i64::try_from(unpaid.len()).unwrap()).await;
    assert_eq!(alone.database.count(&count("paid")).await, i64::try_from(paid.len()).unwrap());
}

#[tokio::test]
async fn money_for_an_order_that_is_off_goes_back() {
    let alone = Alone::start(&[]).await;
    let order = alone.place().await;
    alone.lock(&[order]).await;
    until(&alone, order, "awaiting_payment").await;
    let cancel = format!("/api/orders/{order}/cancel");
    let authorization = format!("Bearer {}", token(USER));
    let ask = async || {
        let answer =
            alone.api.http.send(Method::POST, &cancel, &[("authorization", &authorization)], "").await.unwrap();
        (answer.status.as_u16(), answer.json()["status"].take())
    };
    assert_eq!(ask().await, (200, json!("cancelled")));
    let (late, other) = (TransactionId::generate(), TransactionId::generate());
    pay(&alone, &[order], late).await;
    let shown = until(&alone, order, "refunding").await;
    assert_eq!(shown["transactionId"], late.to_string());
    // The same again means nothing; another payment goes back too, and is not waited for.
    pay(&alone, &[order], late).await;
    pay(&alone, &[order], other).await;
    alone.say(&[order], |order_id| PaymentRefunded { order_id, transaction_id: other, amount: Money(10_050) }).await;
    alone.say(&[order], |order_id| PaymentRefunded { order_id, transaction_id: late, amount: Money(10_050) }).await;
    let shown = until(&alone, order, "refunded").await;
    let statuses: Vec<&str> = steps(&shown).iter().map(|(status, _)| *status).collect();
    assert_eq!(statuses, ["pending", "awaiting_payment", "cancelled", "refunding", "refunded"]);
    assert_eq!(ask().await, (200, json!("refunded")));
    until_count(&alone.database, "SELECT count(*) FROM orders.outbox", 0).await;
    let mut settled = heard(&alone, "payment.settle").await;
    settled.sort();
    assert_eq!(settled, ["order.cancelled", "order.refund_due", "order.refund_due"]);
}

#[tokio::test]
async fn the_shop_calls_off_what_is_paid() {
    let alone = Alone::start(&[]).await;
    let order = alone.place().await;
    let transaction_id = TransactionId::generate();
    alone.lock(&[order]).await;
    until(&alone, order, "awaiting_payment").await;
    pay(&alone, &[order], transaction_id).await;
    until(&alone, order, "paid").await;
    let cancel = format!("/api/orders/{order}/cancel");
    let staff = token_with(&json!({"sub": "clerk", "scope": "staff", "exp": in_seconds(600)}));
    let authorization = format!("Bearer {staff}");
    let answer = alone.api.http.send(Method::POST, &cancel, &[("authorization", &authorization)], "").await.unwrap();
    assert_eq!((answer.status.as_u16(), answer.json()["status"].take()), (200, json!("refunding")));
    alone.say(&[order], |order_id| PaymentRefunded { order_id, transaction_id, amount: Money(10_050) }).await;
    let shown = until(&alone, order, "refunded").await;
    assert_eq!(shown["history"][3]["detail"], "by the shop");
    until_count(&alone.database, "SELECT count(*) FROM orders.outbox", 0).await;
    assert_eq!(heard(&alone, "inventory.settle").await, ["order.paid", "order.cancelled"]);
}

#[tokio::test]
async fn an_order_is_open_until_its_last_attempt_was_declined() {
    let alone = Alone::start(&[]).await;
    let order = alone.place().await;
    alone.lock(&[order]).await;
    until(&alone, order, "awaiting_payment").await;
    let decline = async |attempt: i32| {
        let transaction_id = TransactionId::generate();
        let reason = "insufficient funds".to_owned();
        let failed = |order_id| PaymentFailed {
            order_id,
            transaction_id,
            attempt,
            attempts_left: 3 - attempt,
            reason: reason.clone(),
        };
        alone.say(&[order], failed).await;
    };
    for attempt in [1, 1, 2, 1, 3, 2] {
        decline(attempt).await;
    }
    let shown = until(&alone, order, "payment_failed").await;
    let statuses: Vec<&str> = steps(&shown).iter().map(|(status, _)| *status).collect();
    assert_eq!(statuses, ["pending", "awaiting_payment", "awaiting_payment", "awaiting_payment", "payment_failed"]);
    assert_eq!(shown["history"][4]["detail"], "insufficient funds");
}

#[tokio::test]
async fn what_may_have_been_lost_is_said_again() {
    let times = [(STUCK_MS, "5000"), (LOOK_MS, "50")];
    let alone = Alone::start(&times).await;
    let order = alone.place().await;
    // What it said first is lost.
    alone.vhost.until_ready("inventory.lock", 1).await;
    let [first] = <[String; 1]>::try_from(heard(&alone, "inventory.lock").await).unwrap();
    assert_eq!(first, "order.created");
    // Perhaps more than once by now.
    let again = async || alone.vhost.ready("inventory.lock").await.filter(|count| *count > 0);
    eventually(LONG, "it is said again", again).await;
    let said = alone.vhost.drain("inventory.lock").await;
    let event = &said[0].events()[0];
    assert_eq!((&event["type"], &event["subject"]), (&json!("order.created"), &json!(order.to_string())));
    assert_eq!(event["data"]["items"].as_array().unwrap().len(), 2);
}

#[tokio::test]
async fn what_still_waits_for_its_worker_is_not_said_again() {
    const AGAIN: &str = "conveyor_orders_announced_again_total";
    let alone = Alone::start(&[(STUCK_MS, "600000"), (RECEIVED_MS, "600000"), (LOOK_MS, "20")]).await;
    let order = alone.place().await;
    alone.vhost.until_ready("inventory.lock", 1).await;
    let database = alone.database.connect().await;
    database.batch_execute("UPDATE orders.orders SET created_at = created_at - interval '12 minutes'").await.unwrap();
    let look = async || database.batch_execute("UPDATE orders.wakeups SET due = now()").await.unwrap();
    look().await;
    until_count(&alone.database, "SELECT count(*) FROM orders.wakeups WHERE looks = 1 AND due > now()", 1).await;
    until_count(&alone.database, "SELECT count(*) FROM orders.outbox", 0).await;
    assert_eq!(alone.api.metric(AGAIN).await, None);
    assert_eq!(heard(&alone, "inventory.lock").await, ["order.created"]);
    // Whoever took it has not answered: now it may have been lost.
    eventually(LONG, "it is said again", async || {
        look().await;
        alone.vhost.ready("inventory.lock").await.filter(|count| *count > 0)
    })
    .await;
    let said = alone.vhost.drain("inventory.lock").await;
    assert_eq!(said[0].events()[0]["subject"], json!(order.to_string()));
}

#[tokio::test]
async fn what_was_paid_in_time_is_paid_though_the_database_was_away() {
    const ORDERS: usize = 60;
    let (database, vhost) = (Database::create().await, Vhost::create().await);
    database.load_demo().await;
    vhost.declare_line().await;
    let way = Proxy::to(database.address()).await;
    let through = database.url_through(&way.address(), "orders");
    let api = Alone::another(&database, &vhost, &[(LOOK_MS, "10"), ("CONVEYOR__DATABASE__URL", &through)]).await;
    let alone = Alone { api, database, vhost };
    let mut orders = Vec::new();
    for _ in 0..ORDERS {
        orders.push(alone.place().await);
    }
    alone.lock(&orders).await;
    let due = "SELECT count(*) FROM orders.orders WHERE status = 'awaiting_payment'";
    until_count(&alone.database, due, i64::try_from(ORDERS).unwrap()).await;
    way.cut().await;
    eventually(LONG, "it notices", async || (alone.api.http.get("/readyz").await.ok()?.status == 503).then_some(()))
        .await;
    pay(&alone, &orders, TransactionId::generate()).await;
    alone.time_passes().await;
    way.mend().await;
    let paid = "SELECT count(*) FROM orders.orders WHERE status = 'paid'";
    until_count(&alone.database, paid, i64::try_from(ORDERS).unwrap()).await;
    assert_eq!(alone.database.count("SELECT count(*) FROM orders.history WHERE status = 'expired'").await, 0);
}
