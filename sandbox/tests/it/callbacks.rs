use std::{collections::BTreeSet, time::Duration};

use hmac::{Hmac, KeyInit as _, Mac as _};
use sandbox::Settings;
use serde_json::{Value, json};
use sha2::Sha256;

use crate::{
    Customer, card, charge,
    listener::{Heard, Listener},
};

async fn charged(customer: &Customer, listener: &Listener, key: &str, number: &str) -> Value {
    let mut body = charge(&card(number));
    body["callbackUrl"] = json!(listener.url);
    let (status, answer) = customer.post("/v1/charges", key, &body).await;
    assert_eq!(status, 200, "{answer}");
    answer
}

fn assert_signed(heard: &Heard) {
    let (at, signature) =
        heard.signature.strip_prefix("t=").and_then(|text| text.split_once(",v1=")).expect("t=…,v1=…");
    let mut mac = Hmac::<Sha256>::new_from_slice(b"sandbox-callback-secret").expect("a key");
    mac.update(format!("{at}.").as_bytes());
    mac.update(&heard.body);
    let expected: String = mac.finalize().into_bytes().iter().map(|byte| format!("{byte:02x}")).collect();
    assert_eq!(signature, expected);
}

#[tokio::test]
async fn the_end_of_a_charge_is_told_signed() {
    let (customer, listener) = (Customer::new().await, Listener::new().await);
    for (key, number, kind, status) in [
        ("a", "4000000000000101", "charge.captured", "captured"),
        ("b", "4000000000000119", "charge.declined", "declined"),
    ] {
        let before = listener.heard().len();
        assert_eq!(charged(&customer, &listener, key, number).await["status"], "processing");
        let heard = listener.until(before + 1).await;
        let last = heard.last().expect("a callback");
        assert_signed(last);
        let event = last.json();
        assert_eq!(
            (&event["type"], &event["charge"]["key"], &event["charge"]["status"]),
            (&json!(kind), &json!(key), &json!(status))
        );
        assert!(event["id"].as_str().is_some_and(|id| id.starts_with("evt_")) && event["created"].is_i64());
        assert_eq!(event["charge"], customer.get(&format!("/v1/charges?key={key}")).await.1);
    }
}

#[tokio::test]
async fn twice_is_the_same_event_twice() {
    let (customer, listener) = (Customer::new().await, Listener::new().await);
    charged(&customer, &listener, "k", "4000000000000077").await;
    let heard = listener.until(2).await;
    assert_eq!(heard[0].body, heard[1].body);
}

#[tokio::test]
async fn the_first_callback_is_there_before_the_answer() {
    let (customer, listener) = (Customer::new().await, Listener::new().await);
    let answer = charged(&customer, &listener, "k", "4000000000000085").await;
    assert_eq!((answer["status"].as_str(), listener.heard().len()), (Some("processing"), 1));
    assert_eq!(customer.get("/v1/charges?key=k").await.1["status"], "captured");
}

#[tokio::test]
async fn what_is_not_heard_is_sent_again() {
    let settings = Settings { callback_backoff: Duration::from_millis(5), ..Settings::for_tests() };
    let (customer, listener) = (Customer::of(settings).await, Listener::deaf_for(3).await);
    charged(&customer, &listener, "k", "4000000000000101").await;
    let heard = listener.until(4).await;
    heard.iter().for_each(assert_signed);
    let ids: BTreeSet<_> = heard.iter().map(|heard| heard.json()["id"].to_string()).collect();
    assert_eq!(ids.len(), 1);
    let event = e2e::eventually(e2e::LONG, "the event in the ledger", async || {
        let (_, ledger) = customer.get("/sandbox/ledger").await;
        Some(ledger["charges"][0]["events"][0].clone()).filter(|event| event["heard"] == 1)
    })
    .await;
    assert_eq!((&event["sent"], &event["type"]), (&json!(4), &json!("charge.captured")));
}

#[tokio::test]
async fn nothing_is_told_of_what_was_voided_or_is_lost() {
    let settings = Settings { processing: Duration::from_millis(50), ..Settings::for_tests() };
    let (customer, listener) = (Customer::of(settings).await, Listener::new().await);
    charged(&customer, &listener, "lost", "4000000000000069").await;
    let slower = Customer::of(Settings { processing: Duration::from_secs(600), ..Settings::for_tests() }).await;
    charged(&slower, &listener, "voided", "4000000000000101").await;
    let (_, voided) = slower.post("/v1/charges/void", "none", &json!({"key": "voided"})).await;
    assert_eq!(voided["status"], "voided");
    e2e::eventually(e2e::LONG, "its capture", async || {
        (customer.get("/v1/charges?key=lost").await.1["status"] == "captured").then_some(())
    })
    .await;
    // One that is told, and that began when the other had come to its end already.
    charged(&customer, &listener, "told", "4000000000000101").await;
    let heard = listener.until(1).await;
    assert_eq!((heard.len(), &heard[0].json()["charge"]["key"]), (1, &json!("told")));
}

#[tokio::test]
async fn a_refund_that_takes_its_time_is_told_too() {
    let (customer, listener) = (Customer::new().await, Listener::new().await);
    charged(&customer, &listener, "k", "4000000000000135").await;
    let (_, refund) = customer.post("/v1/refunds", "r", &json!({"chargeKey": "k", "amount": 50})).await;
    assert_eq!(refund["status"], "processing");
    let heard = listener.until(1).await;
    assert_signed(&heard[0]);
    let event = heard[0].json();
    assert_eq!((&event["type"], &event["refund"]["status"]), (&json!("refund.refunded"), &json!("refunded")));
    assert_eq!(event["refund"], customer.get("/v1/refunds?key=r").await.1);
    charged(&customer, &listener, "k2", "4000000000000127").await;
    let (_, refused) = customer.post("/v1/refunds", "r2", &json!({"chargeKey": "k2", "amount": 50})).await;
    assert_eq!((&refused["status"], &refused["reason"]), (&json!("refused"), &json!("refund_refused")));
}

#[tokio::test]
async fn a_gateway_that_is_down_tells_nothing_until_it_is_up() {
    // Long enough for the switch to be turned in between.
    let settings = Settings { processing: Duration::from_secs(2), ..Settings::for_tests() };
    let (customer, listener) = (Customer::of(settings).await, Listener::new().await);
    charged(&customer, &listener, "k", "4000000000000101").await;
    customer.fault("gateway", "down").await;
    e2e::eventually(e2e::LONG, "its capture", async || {
        let (_, ledger) = customer.get("/sandbox/ledger").await;
        (ledger["charges"][0]["events"][0]["type"] == "charge.captured").then_some(())
    })
    .await;
    assert_eq!(listener.heard().len(), 0);
    customer.fault("gateway", "up").await;
    listener.until(1).await;
}

#[tokio::test]
async fn by_chance_callbacks_come_twice_and_late() {
    let settings = Settings { duplicate_callbacks: 1.0, reorder_callbacks: 1.0, ..Settings::for_tests() };
    let (customer, listener) = (Customer::of(settings).await, Listener::new().await);
    for key in ["a", "b", "c", "d", "e"] {
        charged(&customer, &listener, key, "4000000000000101").await;
    }
    let heard = listener.until(10).await;
    let ids: BTreeSet<_> = heard.iter().map(|heard| heard.json()["id"].to_string()).collect();
    assert_eq!((heard.len(), ids.len()), (10, 5));
}
