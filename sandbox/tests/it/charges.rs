use std::time::{Duration, Instant};

use hyper::Method;
use sandbox::Settings;
use serde_json::json;

use crate::{Customer, card, charge};

#[tokio::test]
async fn a_card_is_charged_once_per_key() {
    let customer = Customer::new().await;
    let body = charge(&card("4111111111111111"));
    let (status, first) = customer.post("/v1/charges", "k1", &body).await;
    assert_eq!(status, 200);
    let id = first["id"].as_str().expect("an id");
    assert!(id.starts_with("ch_"), "{id}");
    assert_eq!(first, json!({"id": id, "key": "k1", "status": "captured", "amount": 10_050, "refunded": 0}));
    assert_eq!(customer.post("/v1/charges", "k1", &body).await, (200, first.clone()));
    assert_eq!(customer.get("/v1/charges?key=k1").await, (200, first));
    let (status, refused) = customer.post("/v1/charges", "k1", &charge(&card("4242424242424242"))).await;
    assert_eq!((status, &refused["error"]), (409, &json!("other_body")));
    assert_eq!(customer.get("/v1/charges?key=k2").await.1["error"], "not_found");
    let (_, ledger) = customer.get("/sandbox/ledger").await;
    assert_eq!(ledger["totals"]["charges"], 1);
    assert_eq!(ledger["totals"]["capturedAmount"], 10_050);
    assert_eq!(ledger["charges"][0]["orderId"], "ORD1");
    assert_eq!(ledger["charges"][0]["last4"], "1111");
    assert!(!ledger.to_string().contains("4111111111111111"));
}

#[tokio::test]
async fn cards_and_tokens_do_as_their_number_says() {
    let customer = Customer::new().await;
    for (name, number, status, reason) in [
        ("approved", "4242424242424242", "captured", None),
        ("declined", "4000000000000010", "declined", Some("card_declined")),
        ("insufficient_funds", "4000000000000028", "declined", Some("insufficient_funds")),
        ("expired_card", "4000000000000036", "declined", Some("expired_card")),
        ("callback_lost", "4000000000000069", "processing", None),
        ("async", "4000000000000101", "processing", None),
    ] {
        let (_, charged) = customer.post("/v1/charges", &format!("{name}-card"), &charge(&card(number))).await;
        assert_eq!((charged["status"].as_str(), charged["reason"].as_str()), (Some(status), reason), "{name}");
        let (_, method) = customer.post("/v1/methods", "none", &card(number)).await;
        assert_eq!(method["token"], format!("pm_sandbox_{name}_{}", &number[12..]));
        assert_eq!((&method["brand"], &method["expYear"]), (&json!("visa"), &json!(2099)));
        let token = json!({"type": "token", "token": method["token"]});
        let (_, charged) = customer.post("/v1/charges", &format!("{name}-token"), &charge(&token)).await;
        assert_eq!((charged["status"].as_str(), charged["reason"].as_str()), (Some(status), reason), "{name}");
    }
    let (_, other) = customer.post("/v1/charges", "paypal", &charge(&json!({"type": "paypal"}))).await;
    assert_eq!(other["status"], "captured");
}

#[tokio::test]
async fn a_card_is_good_until_its_month_is_over() {
    let customer = Customer::of(Settings { today: Some((2025, 12)), ..Settings::for_tests() }).await;
    let until = |month: u8| {
        let mut card = card("4111111111111111");
        card["expMonth"] = json!(month);
        card["expYear"] = json!(2025);
        card
    };
    let (_, good) = customer.post("/v1/charges", "good", &charge(&until(12))).await;
    assert_eq!(good["status"], "captured");
    let (_, over) = customer.post("/v1/charges", "over", &charge(&until(11))).await;
    assert_eq!((&over["status"], &over["reason"]), (&json!("declined"), &json!("expired_card")));
}

#[tokio::test]
async fn an_unanswered_charge_can_be_asked_for_and_a_second_request_is_answered() {
    let customer = Customer::new().await;
    let body = charge(&card("4000000000000051"));
    let unanswered = customer.send(Method::POST, "/v1/charges", "k", &body);
    tokio::pin!(unanswered);
    let known = e2e::eventually(e2e::LONG, "the charge", async || {
        tokio::select! {
            answer = &mut unanswered => panic!("it was answered: {answer:?}"),
            (status, known) = customer.get("/v1/charges?key=k") => (status == 200).then_some(known),
        }
    })
    .await;
    assert_eq!(known["status"], "captured");
    assert_eq!(customer.post("/v1/charges", "k", &body).await, (200, known));
}

#[tokio::test]
async fn slow_and_stumbling_ones() {
    let customer = Customer::new().await;
    let body = charge(&card("4000000000000093"));
    assert_eq!(customer.post("/v1/charges", "stumbles", &body).await.0, 500);
    assert_eq!(customer.get("/v1/charges?key=stumbles").await.0, 404);
    assert_eq!(customer.post("/v1/charges", "stumbles", &body).await.1["status"], "captured");
    let began = Instant::now();
    assert_eq!(customer.post("/v1/charges", "slow", &charge(&card("4000000000000044"))).await.1["status"], "captured");
    assert!(began.elapsed() >= Duration::from_secs(2));
}

#[tokio::test]
async fn what_is_wrong_is_said_and_never_repeated() {
    let customer = Customer::new().await;
    let good = charge(&card("4111111111111111"));
    let with = |name: &str, value: serde_json::Value| {
        let mut body = good.clone();
        body[name] = value;
        body
    };
    for (body, error) in [
        (with("amount", json!(0)), "bad_amount"),
        (with("amount", json!(-1)), "bad_amount"),
        (with("amount", json!(1e30)), "bad_request"),
        (with("amount", json!("4111111111111111")), "bad_request"),
        (with("currency", json!("usd")), "bad_request"),
        (with("orderId", json!("")), "bad_request"),
        (with("reference", json!("x".repeat(101))), "bad_request"),
        (with("callbackUrl", json!("https://example.com/")), "bad_request"),
        (with("method", card("4111111111111112")), "bad_card"),
        (with("method", json!({"type": "card", "number": "4111111111111111"})), "bad_card"),
        (with("method", json!({"type": "token", "token": "pm_4111111111111111"})), "bad_token"),
        (with("method", json!({"type": "4111 1111"})), "bad_method"),
        (json!([]), "bad_request"),
    ] {
        let (status, refused) = customer.post("/v1/charges", "k", &body).await;
        assert_eq!((status, &refused["error"]), (400, &json!(error)), "{body}");
        assert!(!refused.to_string().contains("4111"), "{refused}");
    }
    assert_eq!(customer.post("/v1/charges", "", &good).await.0, 400);
    let keyless = customer.http.post_json("/v1/charges", &good).await.expect("an answer");
    assert_eq!(keyless.status, 401);
    let large = json!({"text": "x".repeat(100_000)});
    let refused = customer.send(Method::POST, "/v1/charges", "k", &large).await.expect("an answer");
    assert_eq!(refused.status, 413);
    assert_eq!(customer.get("/sandbox/ledger").await.1["totals"]["charges"], 0);
}

#[tokio::test]
async fn a_voided_key_is_never_charged() {
    let customer = Customer::new().await;
    let (status, voided) = customer.post("/v1/charges/void", "none", &json!({"key": "k"})).await;
    assert_eq!((status, &voided["status"]), (200, &json!("voided")));
    assert_eq!(customer.post("/v1/charges", "k", &charge(&card("4111111111111111"))).await, (200, voided));
}

#[tokio::test]
async fn a_refund_is_given_once() {
    let customer = Customer::new().await;
    customer.post("/v1/charges", "k", &charge(&card("4111111111111111"))).await;
    let body = json!({"chargeKey": "k", "amount": 10_050});
    let (status, refund) = customer.post("/v1/refunds", "r", &body).await;
    assert_eq!((status, &refund["status"], &refund["chargeKey"]), (200, &json!("refunded"), &json!("k")));
    assert_eq!(customer.post("/v1/refunds", "r", &body).await, (200, refund.clone()));
    assert_eq!(customer.get("/v1/refunds?key=r").await, (200, refund));
    assert_eq!(customer.get("/v1/charges?key=k").await.1["refunded"], 10_050);
    let (status, refused) = customer.post("/v1/refunds", "r2", &json!({"chargeKey": "k", "amount": 1})).await;
    assert_eq!((status, &refused["error"]), (400, &json!("amount_too_large")));
    assert_eq!(customer.get("/v1/refunds?key=r2").await.0, 404);
    assert_eq!(customer.get("/sandbox/ledger").await.1["totals"]["netAmount"], 0);
}

#[tokio::test]
async fn a_gateway_that_is_down_is_heard_of_in_both_ways_and_charges_nothing() {
    let customer = Customer::new().await;
    customer.fault("gateway", "down").await;
    let body = charge(&card("4111111111111111"));
    let mut answers = Vec::new();
    for key in ["a", "b", "c", "d"] {
        answers.push(customer.send(Method::POST, "/v1/charges", key, &body).await.map(|answer| answer.status.as_u16()));
    }
    assert!(answers.contains(&Ok(503)) && answers.iter().any(Result::is_err), "{answers:?}");
    customer.fault("gateway", "throttled").await;
    let refused = customer.send(Method::POST, "/v1/charges", "e", &body).await.expect("an answer");
    assert_eq!((refused.status.as_u16(), refused.headers["retry-after"].as_bytes()), (429, &b"1"[..]));
    customer.fault("gateway", "up").await;
    assert_eq!(customer.get("/sandbox/ledger").await.1["totals"]["charges"], 0);
    assert_eq!(customer.post("/v1/charges", "a", &body).await.1["status"], "captured");
}

#[tokio::test]
async fn when_it_was_asked_and_by_how_many_at_once_can_be_read() {
    let customer = Customer::new().await;
    customer.get("/v1/charges?key=k1").await;
    let slow = charge(&card("4000000000000044"));
    let both = tokio::join!(customer.post("/v1/charges", "k1", &slow), customer.post("/v1/charges", "k2", &slow));
    assert_eq!((both.0.0, both.1.0), (200, 200));
    let at_once = |found: &serde_json::Value| -> Vec<u64> {
        found["calls"].as_array().expect("calls").iter().filter_map(|call| call["atOnce"].as_u64()).collect()
    };
    let (_, all) = customer.get("/sandbox/calls").await;
    assert_eq!(at_once(&all), [1, 1, 2]);
    let last = all["calls"][2]["at"].as_i64().expect("a time");
    let (_, since) = customer.get(&format!("/sandbox/calls?since={}", last + 1)).await;
    assert!(at_once(&since).is_empty());
    assert_eq!(customer.get("/sandbox/calls?since=x").await.0, 400);
}
