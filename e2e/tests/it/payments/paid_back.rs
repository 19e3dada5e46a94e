//! What the gateway will never give back is paid back by hand.

use common::{
    events::{Event, OrderRefundDue},
    ids::{OrderId, TransactionId},
};
use e2e::{http::Answer, token};
use futures_util::future::join_all;
use hyper::Method;
use serde_json::{Value, json};

use super::{AMOUNT, Till, callbacks, code, named, refunds::paid, with_scope};

const DONE: &str = r#"conveyor_events_total{queue="payment.settle",verdict="done"}"#;
const NOTE: &str = "bank transfer 2026-11-22/17";

/// An order whose refund the gateway refuses for good, and the event that died of it.
struct Refused {
    order: OrderId,
    transaction: String,
    event: Event,
}

async fn refused(till: &Till) -> Refused {
    let user = format!("user-{}", fastrand::u64(..));
    till.store_method(&user, "refund_refused").await;
    let order = OrderId::generate();
    till.fall_due(order, &user).await;
    let (_, data) = till.until_heard(order, 1).await;
    let transaction = data["transactionId"].as_str().unwrap().to_owned();
    let event = refund_due(order, &transaction);
    till.say_event(&event, "events", "order.refund_due").await;
    till.until(&standing(order, "refused"), 1).await;
    Refused { order, transaction, event }
}

fn refund_due(order: OrderId, transaction: &str) -> Event {
    let transaction_id = transaction.parse().unwrap();
    let due = OrderRefundDue { order_id: order, user_id: named("123456"), version: 4, transaction_id, amount: AMOUNT };
    Event::new("test", order.to_string(), None, &due).unwrap()
}

fn standing(order: OrderId, refund: &str) -> String {
    format!("SELECT count(*) FROM payments.payments WHERE holder = 'order:{order}' AND refund = '{refund}'")
}

impl Till {
    async fn pay_back(&self, worker: usize, refused: &Refused, who: &str, note: &str) -> Answer {
        let body = json!({"transactionId": refused.transaction, "note": note});
        self.pay_back_with(worker, refused.order, &with_scope(who, "staff"), &body).await
    }

    async fn pay_back_with(&self, worker: usize, order: OrderId, token: &str, body: &Value) -> Answer {
        self.post(worker, &format!("/api/payment/orders/{order}/paid-back"), token, body).await
    }

    /// An order's only payment, as the shop sees it.
    async fn payment(&self, order: OrderId) -> Value {
        let path = format!("/api/payment/orders/{order}");
        let shown = self.send(0, Method::GET, &path, &with_scope("anna", "staff"), &Value::Null).await.json();
        shown["payments"][0].clone()
    }
}

#[tokio::test]
async fn what_the_gateway_refuses_is_paid_back_once_and_the_order_hears_of_it() {
    let till = Till::open().await;
    let refused = refused(&till).await;
    till.vhost.until_ready("payment.settle.dlq", 1).await;
    till.vhost.drain("payment.settle.dlq").await;
    let before = till.payment(refused.order).await;
    assert!(before["capturedAt"].as_str().unwrap() < before["refundTriedAt"].as_str().unwrap(), "{before}");

    // Not just anybody, nor just anything.
    let body = json!({"transactionId": refused.transaction, "note": NOTE});
    for bearer in [token("123456"), with_scope("shop", "service")] {
        let answer = till.pay_back_with(0, refused.order, &bearer, &body).await;
        assert_eq!(code(&answer), (403, "insufficient_scope".to_owned()));
    }
    let staff = with_scope("olga", "staff");
    for (field, value, expected) in [
        ("note", json!(" "), "invalid_field"),
        ("note", json!("a\nb"), "invalid_field"),
        ("note", json!("x".repeat(501)), "invalid_field"),
        ("note", json!(7), "invalid_field"),
        ("transactionId", json!("nonsense"), "invalid_field"),
        ("amount", json!(1), "unknown_field"),
    ] {
        let mut bad = body.clone();
        bad[field] = value;
        let answer = till.pay_back_with(0, refused.order, &staff, &bad).await;
        assert_eq!(code(&answer), (400, expected.to_owned()), "{bad}");
    }
    let (other, others) = paid(&till, "approved").await;
    for (order, transaction, expected) in [
        (refused.order, &others, (404, "not_found")),
        (other, &refused.transaction, (404, "not_found")),
        (refused.order, &TransactionId::generate().to_string(), (404, "not_found")),
        (other, &others, (409, "refund_not_refused")),
    ] {
        let body = json!({"transactionId": transaction, "note": NOTE});
        let answer = till.pay_back_with(0, order, &staff, &body).await;
        assert_eq!(code(&answer), (expected.0, expected.1.to_owned()), "{}", answer.text());
    }
    till.ask_back(other, &others).await;
    till.until(&standing(other, "refunded"), 1).await;
    let body = json!({"transactionId": others, "note": NOTE});
    assert_eq!(till.pay_back_with(0, other, &staff, &body).await.status, 409, "the gateway has given it back");
    assert_eq!(till.heard(refused.order).await.len(), 1, "nothing was said of it");

    // It is noted once, whoever says it again, and said as a refund is.
    let answer = till.pay_back(0, &refused, "olga", NOTE).await;
    let noted = answer.json();
    assert_eq!((answer.status.as_u16(), &noted["refund"]), (200, &json!("paid_back")), "{noted}");
    assert_eq!((&noted["paidBack"]["by"], &noted["paidBack"]["note"]), (&json!("olga"), &json!(NOTE)));
    let (kind, data) = till.until_heard(refused.order, 2).await;
    let amount = serde_json::to_value(AMOUNT).unwrap();
    assert_eq!((kind.as_str(), &data["transactionId"]), ("payment.refunded", &json!(refused.transaction)));
    assert_eq!(data["amount"], amount);
    assert_eq!(till.pay_back(0, &refused, "bert", &format!(" {NOTE} ")).await.json(), noted);
    assert_eq!(code(&till.pay_back(0, &refused, "bert", "cash").await), (409, "noted_otherwise".to_owned()));
    let after = till.payment(refused.order).await;
    assert_eq!((&after["refund"], &after["paidBack"]), (&json!("paid_back"), &noted["paidBack"]));
    for time in ["capturedAt", "refundTriedAt"] {
        assert_eq!(after[time], before[time], "{time}: the gateway has nothing to do with it");
    }

    // Whoever has the dead letter tried again meets no gateway: it is done, and that is all.
    let (done, calls) = (till.workers[0].metric(DONE).await.unwrap_or(0.0), till.sandbox.calls(0).await.len());
    till.say_event(&refused.event, "redeliver", "payment.settle").await;
    till.workers[0].until_metric(DONE, |now| now > done).await;
    assert_eq!(till.until_heard(refused.order, 3).await, (kind, data));
    assert_eq!(till.sandbox.calls(0).await.len(), calls);

    // In the gateway's books nothing was given back, and in ours it was not by the gateway. A customer sees no more than that.
    assert_eq!(till.charged(refused.order).await, ("captured".to_owned(), 0));
    let own = format!("SELECT count(*) FROM payments.paid_back WHERE account = 'olga' AND note = '{NOTE}'");
    assert_eq!(till.database.count(&own).await, 1);
    let client = till.database.connect().await;
    for sql in ["UPDATE payments.paid_back SET note = 'x'", "DELETE FROM payments.paid_back"] {
        assert!(client.batch_execute(sql).await.is_err(), "{sql}");
    }
    till.assert_settled().await;
}

/// As long as the gateway may give it back, nobody else does: else a customer could be given it twice.
#[tokio::test]
async fn what_the_gateway_is_being_asked_for_is_not_paid_back_by_hand() {
    let till = Till::open().await;
    let refused = refused(&till).await;
    till.vhost.until_ready("payment.settle.dlq", 1).await;
    till.vhost.drain("payment.settle.dlq").await;
    till.sandbox.fault("gateway", "down").await;
    till.say_event(&refused.event, "redeliver", "payment.settle").await;
    till.until(&standing(refused.order, "due"), 1).await;
    let answer = till.pay_back(0, &refused, "olga", NOTE).await;
    assert_eq!(code(&answer), (409, "refund_not_refused".to_owned()), "{}", answer.text());
    till.sandbox.fault("gateway", "up").await;
    // By then it has refused for good again.
    till.vhost.until_ready("payment.settle.dlq", 1).await;
    assert_eq!(till.pay_back(0, &refused, "olga", NOTE).await.status, 200);
    till.vhost.drain("payment.settle.dlq").await;
    till.assert_settled().await;
}

/// It has refused for good, and gives it back all the same: then the customer has it twice, and everybody can see that.
#[tokio::test]
async fn what_the_gateway_gives_back_after_all_is_seen_to_be_given_twice() {
    let till = Till::open().await;
    let refused = refused(&till).await;
    assert_eq!(till.pay_back(0, &refused, "olga", NOTE).await.status, 200);
    for status in ["refused", "refunded"] {
        let refund = json!({"chargeKey": format!("{}-1", refused.order), "status": status, "amount": 10_050});
        let body = json!({"id": "evt_9", "type": format!("refund.{status}"), "created": 1, "refund": refund});
        let body = body.to_string();
        let heard = callbacks::call_back(&till, &body, &callbacks::signature(callbacks::SECRET, &body, 0)).await;
        assert_eq!(heard.status, 200, "{}", heard.text());
        let expected = if status == "refused" { "paid_back" } else { "refunded" };
        let payment = till.payment(refused.order).await;
        assert_eq!((&payment["refund"], &payment["paidBack"]["by"]), (&json!(expected), &json!("olga")));
    }
    till.workers[0].until_metric("conveyor_refunds_given_twice_total", |count| count == 1.0).await;
    assert!(till.workers[0].said().contains("paid back by hand before"));
    let again = till.pay_back(0, &refused, "olga", NOTE).await;
    assert_eq!((again.status.as_u16(), &again.json()["refund"]), (200, &json!("refunded")));
}

/// Somebody has the dead letter tried again while others note that they have paid it back, in two processes: whoever is
/// first wins, and the gateway is asked before or not at all.
#[tokio::test]
async fn whoever_is_first_wins() {
    let till = Till::open_with(2, &[], &[]).await;
    let mut all = Vec::new();
    for _ in 0..12 {
        all.push(refused(&till).await);
    }
    till.vhost.until_ready("payment.settle.dlq", 12).await;
    till.vhost.drain("payment.settle.dlq").await;
    let races = all.iter().map(async |one| {
        let ((), first, second) = tokio::join!(
            till.say_event(&one.event, "redeliver", "payment.settle"),
            till.pay_back(0, one, "olga", "by olga"),
            till.pay_back(1, one, "bert", "by bert"),
        );
        let mut codes = [code(&first), code(&second)].map(|(status, code)| format!("{status} {code}"));
        codes.sort();
        codes
    });
    let outcomes = join_all(races).await;
    // What was tried again is refused again, or done because it was paid back.
    till.until("SELECT count(*) FROM payments.payments WHERE refund = 'due'", 0).await;
    for (one, codes) in all.iter().zip(&outcomes) {
        let count = format!("SELECT count(*) FROM payments.paid_back WHERE id = '{}'", uuid_of(&one.transaction));
        let noted = till.database.count(&count).await;
        let is_ours = codes[0] == "200 ";
        assert_eq!(
            (noted, till.database.count(&standing(one.order, "paid_back")).await),
            (is_ours.into(), is_ours.into())
        );
        assert!(codes.iter().all(|code| ["200 ", "409 noted_otherwise", "409 refund_not_refused"].contains(&&**code)));
        assert!(codes[1] != "200 ", "both: {codes:?}");
        // Whoever was told to wait can do it now.
        if !is_ours {
            assert_eq!(till.pay_back(0, one, "olga", "by olga").await.status, 200);
        }
        assert_eq!(till.charged(one.order).await, ("captured".to_owned(), 0));
    }
    println!("{outcomes:?}");
}

fn uuid_of(transaction: &str) -> uuid::Uuid {
    transaction.parse::<TransactionId>().unwrap().0
}
