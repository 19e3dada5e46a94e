//! `POST /api/payment/callback`: what the gateway says by itself.

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use common::ids::OrderId;
use e2e::{LONG, eventually, http::Answer};
use hyper::Method;
use jsonwebtoken::{Algorithm, EncodingKey};
use serde_json::{Value, json};
use time::OffsetDateTime;

use super::{Till, code};

pub(super) const SECRET: &str = "sandbox-callback-secret";
const CALLBACK: &str = "/api/payment/callback";

/// The signature of a body, as of so many seconds from now.
pub(super) fn signature(secret: &str, body: &str, from_now: i64) -> String {
    let time = OffsetDateTime::now_utc().unix_timestamp() + from_now;
    let key = EncodingKey::from_secret(secret.as_bytes());
    let text = jsonwebtoken::crypto::sign(format!("{time}.{body}").as_bytes(), &key, Algorithm::HS256).unwrap();
    let bytes = URL_SAFE_NO_PAD.decode(text).unwrap();
    let hex: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
    format!("t={time},v1={hex}")
}

pub(super) async fn call_back(till: &Till, body: &str, signature: &str) -> Answer {
    call_back_to(till, 0, body, signature).await
}

async fn call_back_to(till: &Till, worker: usize, body: &str, signature: &str) -> Answer {
    let headers = [("content-type", "application/json"), ("gateway-signature", signature)];
    till.workers[worker].http.send(Method::POST, CALLBACK, &headers, body.to_owned()).await.unwrap()
}

pub(super) fn event(kind: &str, order: OrderId, status: &str, amount: i64) -> Value {
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

    // The true one; again, as a gateway would send it; and another that contradicts it.
    assert_eq!(call_back(&till, &body, &good).await.status, 200);
    for later in 1..3 {
        assert_eq!(call_back(&till, &body, &signature(SECRET, &body, later)).await.status, 200);
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
async fn the_same_bytes_are_taken_once_by_whoever_and_only_if_they_were_taken() {
    let never = [("CONVEYOR__PAYMENTS__ASK_AFTER_MS", "600000"), ("CONVEYOR__PAYMENTS__ASK_AFTER_MOST_MS", "600000")];
    let mut till = Till::open_with(2, &never, &[]).await;
    till.store_method("patient", "callback_lost").await;
    let order = till.owing("patient").await;
    till.until("SELECT count(*) FROM payments.follow_ups", 1).await;
    let body = event("charge.captured", order, "captured", 10_050).to_string();
    let good = signature(SECRET, &body, 0);

    // It is heard, and cannot be recorded: the gateway is told so, and may send the same again.
    let mut client = till.database.connect().await;
    let lock = client.transaction().await.unwrap();
    lock.execute("SELECT FROM payments.payments FOR UPDATE", &[]).await.unwrap();
    let answer = call_back(&till, &body, &good).await;
    assert!(answer.status.is_server_error(), "{}", answer.text());
    lock.rollback().await.unwrap();
    assert!(till.heard(order).await.is_empty());
    let both = tokio::join!(call_back_to(&till, 0, &body, &good), call_back_to(&till, 1, &body, &good));
    let mut codes = [code(&both.0), code(&both.1)];
    codes.sort();
    assert_eq!(codes, [(200, String::new()), (401, "replayed_callback".to_owned())]);

    // What was said is published and forgotten, so that nobody says it again after the restart.
    till.until("SELECT count(*) FROM payments.outbox", 0).await;
    till.workers[0].restart().await;
    till.workers[0].wait_ready().await;
    for worker in [0, 1] {
        let replayed = call_back_to(&till, worker, &body, &good).await;
        assert_eq!(code(&replayed), (401, "replayed_callback".to_owned()));
        let written_otherwise = good.to_uppercase().replace("T=", " t=").replace("V1=", " v1=");
        assert_eq!(code(&call_back_to(&till, worker, &body, &written_otherwise).await).0, 401);
    }
    assert_eq!(call_back(&till, &body, &signature(SECRET, &body, 7)).await.status, 200);
    assert_eq!(till.until_heard(order, 1).await.0, "payment.completed");
    till.until("SELECT count(*) FROM payments.outbox", 0).await;
    assert_eq!(till.until_heard(order, 1).await.0, "payment.completed");

    // What is too old to be taken anyhow is forgotten.
    client.execute("UPDATE payments.callbacks SET forget_at = now() - interval '1 second'", &[]).await.unwrap();
    assert_eq!(call_back(&till, &body, &signature(SECRET, &body, 9)).await.status, 200);
    till.until("SELECT count(*) FROM payments.callbacks", 1).await;
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
