//! `POST /api/payment/callback`: what the gateway says by itself.

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use common::ids::OrderId;
use e2e::{LONG, eventually, http::Answer};
use hyper::Method;
use jsonwebtoken::{Algorithm, EncodingKey};
use serde_json::{Value, json};
use time::OffsetDateTime;

use super::{Till, code};

const SECRET: &str = "sandbox-callback-secret";
const CALLBACK: &str = "/api/payment/callback";

/// The signature of a body, as of so many seconds from now.
fn signature(secret: &str, body: &str, from_now: i64) -> String {
    let time = OffsetDateTime::now_utc().unix_timestamp() + from_now;
    let key = EncodingKey::from_secret(secret.as_bytes());
    let text = jsonwebtoken::crypto::sign(format!("{time}.{body}").as_bytes(), &key, Algorithm::HS256).unwrap();
    let bytes = URL_SAFE_NO_PAD.decode(text).unwrap();
    let hex: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
    format!("t={time},v1={hex}")
}

async fn call_back(till: &Till, body: &str, signature: &str) -> Answer {
    let headers = [("content-type", "application/json"), ("gateway-signature", signature)];
    till.workers[0].http.send(Method::POST, CALLBACK, &headers, body.to_owned()).await.unwrap()
}

fn event(kind: &str, order: OrderId, status: &str, amount: i64) -> Value {
    let charge = json!({"id": "ch_1", "key": format!("{order}-1"), "status": status, "amount": amount, "refunded": 0});
    json!({"id": "evt_1", "type": kind, "created": 1, "charge": charge})
}

#[tokio::test]
async fn what_is_forged_old_or_of_something_else_has_no_effect() {
    // Nobody calls back and nobody asks: the attempt waits for the test.
    let never = [("CONVEYOR__PAYMENTS__ASK_AFTER_MS", "600000"), ("CONVEYOR__PAYMENTS__ASK_AFTER_MOST_MS", "600000")];
    let till = Till::open_with(1, &never, &[]).await;
    till.store_method("patient", "callback_lost").await;
    let order = till.owing("patient").await;
    till.until("SELECT count(*) FROM payments.follow_ups", 1).await;

    let body = event("charge.captured", order, "captured", 10_050).to_string();
    let good = signature(SECRET, &body, 0);
    for bad in [
        "",
        "t=1,v1=00",
        &signature("another secret than that", &body, 0),
        &signature(SECRET, &body, -301),
        &signature(SECRET, &body, 330),
        &signature(SECRET, "{}", 0),
        &good.replace("v1=", "v0="),
    ] {
        assert_eq!(code(&call_back(&till, &body, bad).await), (401, "invalid_callback".to_owned()), "{bad}");
    }
    for (event, expected) in [
        (event("charge.captured", order, "captured", 1), 400),
        (event("charge.captured", order, "processing", 10_050), 400),
        (event("charge.made", order, "captured", 10_050), 400),
        (json!({"id": "evt_1"}), 400),
        (json!([]), 400),
        (event("charge.captured", OrderId::generate(), "captured", 10_050), 404),
    ] {
        let body = event.to_string();
        assert_eq!(call_back(&till, &body, &signature(SECRET, &body, 0)).await.status, expected, "{event}");
    }
    assert_eq!(till.database.count("SELECT count(*) FROM payments.payments WHERE state = 'open'").await, 1);
    assert!(till.heard(order).await.is_empty());

    // The true one, again, and another that contradicts it.
    for _ in 0..3 {
        assert_eq!(call_back(&till, &body, &good).await.status, 200);
    }
    let contradiction = event("charge.declined", order, "declined", 10_050).to_string();
    assert_eq!(call_back(&till, &contradiction, &signature(SECRET, &contradiction, 0)).await.status, 200);
    assert_eq!(till.until_heard(order, 1).await.0, "payment.completed");
    // Its outbox is empty, so nothing more is on its way.
    till.until("SELECT count(*) FROM payments.outbox", 0).await;
    assert_eq!(till.until_heard(order, 1).await.0, "payment.completed");
    assert_eq!(till.database.count("SELECT count(*) FROM payments.payments WHERE state = 'captured'").await, 1);
}

#[tokio::test]
async fn callbacks_count_once_whenever_they_come() {
    // Only they can tell: nobody asks.
    let never = [("CONVEYOR__PAYMENTS__ASK_AFTER_MS", "600000"), ("CONVEYOR__PAYMENTS__ASK_AFTER_MOST_MS", "600000")];
    let till = Till::open_with(1, &never, &["--duplicate-callbacks", "0.5", "--reorder-callbacks", "0.5"]).await;
    let mut orders = Vec::new();
    for (behaviour, kind) in [
        ("callback_twice", "payment.completed"),
        ("callback_first", "payment.completed"),
        ("async", "payment.completed"),
        ("async_declined", "payment.failed"),
    ] {
        till.store_method(behaviour, behaviour).await;
        for _ in 0..5 {
            let order = OrderId::generate();
            till.fall_due(order, behaviour).await;
            orders.push((order, kind));
        }
    }
    for (order, kind) in &orders {
        assert_eq!(till.until_heard(*order, 1).await.0, *kind);
    }
    // Each was heard as often as it was sent.
    eventually(LONG, "every callback is heard", async || {
        let charges = till.sandbox.ledger().await.charges;
        let all =
            charges.iter().flat_map(|charge| &charge.events).all(|event| event.heard > 0 && event.heard == event.sent);
        all.then_some(())
    })
    .await;
    for (order, kind) in &orders {
        assert_eq!(till.until_heard(*order, 1).await.0, *kind);
    }
}
