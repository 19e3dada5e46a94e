//! `Idempotency-Key`: a request makes one order, however often, wherever and whenever it is sent.

use std::{collections::BTreeSet, sync::Arc};

use e2e::{
    Database, Process, Vhost,
    http::{Answer, Client},
    in_seconds, service_settings, signed, token, token_with,
};
use hyper::Method;
use serde_json::{Value, json};
use tokio::task::JoinSet;

use crate::line::{USER, documented};

async fn api(database: &Database, vhost: &Vhost) -> Process {
    let mut api = Process::spawn("order-api", service_settings("orders", database, vhost)).await;
    api.wait_ready().await;
    api
}

async fn place(http: &Client, key: &str, body: &Value) -> Answer {
    let headers = [("content-type", "application/json"), ("idempotency-key", key)];
    http.send(Method::POST, "/api/orders/create", &headers, body.to_string()).await.unwrap()
}

fn code(answer: &Answer) -> (u16, Value) {
    (answer.status.as_u16(), answer.json()["errors"][0]["code"].clone())
}

/// The documented order with a token of another hour, and so with another signature.
fn renewed() -> Value {
    let mut body = documented();
    body["token"] = json!(token_with(&json!({"sub": USER, "scope": "customer", "exp": in_seconds(7_200)})));
    signed(body)
}

#[tokio::test]
async fn two_hundred_identical_requests_at_two_processes_make_one_order() {
    let (database, vhost) = (Database::create().await, Vhost::create().await);
    database.load_demo().await;
    let mut apis = [api(&database, &vhost).await, api(&database, &vhost).await];
    let body = documented();
    // Three times, for it is a race.
    for round in 0..3 {
        let key = format!("round-{round}");
        let mut requests = JoinSet::new();
        for i in 0..200 {
            let http = Arc::new(Client::new(&format!("http://127.0.0.1:{}", apis[i % 2].port)));
            let (key, body) = (key.clone(), body.clone());
            requests.spawn(async move { place(&http, &key, &body).await });
        }
        let answers = requests.join_all().await;
        assert!(answers.iter().all(|answer| answer.status == 200), "{:?}", answers.iter().find(|a| a.status != 200));
        let bodies: BTreeSet<String> = answers.iter().map(Answer::text).collect();
        assert_eq!(bodies.len(), 1, "{bodies:?}");
        let first = answers.iter().filter(|answer| !answer.headers.contains_key("idempotent-replayed")).count();
        assert_eq!(first, 1);
        assert_eq!(database.count("SELECT count(*) FROM orders.orders").await, round + 1);
    }
    assert_eq!(database.count("SELECT count(*) FROM orders.history").await, 3);

    // After a restart, at the other process, with a renewed token, when prices have changed since.
    let first = place(&apis[0].http, "round-0", &body).await;
    apis[1].restart().await;
    apis[1].wait_ready().await;
    database.connect().await.execute("UPDATE orders.products SET price = price + 1", &[]).await.unwrap();
    for body in [&body, &renewed()] {
        let again = place(&apis[1].http, "round-0", body).await;
        assert_eq!((again.status.as_u16(), again.text()), (200, first.text()));
    }
    assert_eq!(database.count("SELECT count(*) FROM orders.orders").await, 3);
}

#[tokio::test]
async fn a_key_is_a_users_own_and_stands_for_one_body() {
    let (database, vhost) = (Database::create().await, Vhost::create().await);
    database.load_demo().await;
    database.register_key("somebody-else").await;
    let api = api(&database, &vhost).await;
    let other = {
        let mut body = documented();
        body["items"] = json!([{"productId": "P002", "quantity": 1}]);
        body["orderAmount"] = json!(30);
        signed(body)
    };
    // What is refused leaves the key free.
    let mut refused = other.clone();
    refused["orderAmount"] = json!(31);
    assert_eq!(code(&place(&api.http, "k", &signed(refused)).await), (400, json!("amount_mismatch")));

    let first = place(&api.http, "k", &documented()).await;
    assert_eq!(first.status, 200);
    assert_eq!(code(&place(&api.http, "k", &other).await), (422, json!("idempotency_key_reused")));
    assert_eq!(place(&api.http, "\"k\"", &documented()).await.text(), first.text());
    // Nobody learns by a key what somebody else ordered, nor without a good signature.
    let mut theirs = other.clone();
    theirs["userId"] = json!("somebody-else");
    theirs["token"] = json!(token("somebody-else"));
    assert_eq!(place(&api.http, "k", &signed(theirs)).await.status, 200);
    let mut forged = documented();
    forged["signature"] = other["signature"].clone();
    assert_eq!(code(&place(&api.http, "k", &forged).await), (403, json!("invalid_signature")));
    assert_eq!(code(&place(&api.http, "", &documented()).await), (400, json!("invalid_idempotency_key")));
    assert_eq!(database.count("SELECT count(*) FROM orders.orders").await, 2);

    // Without a key the same body is another order.
    for orders in [3, 4] {
        assert_eq!(api.http.post_json("/api/orders/create", &documented()).await.unwrap().status, 200);
        assert_eq!(database.count("SELECT count(*) FROM orders.orders").await, orders);
    }
}

/// Two keys that arrive in opposite order at two processes: neither waits for the other for ever, and no request fails.
#[tokio::test]
async fn groups_that_share_many_keys_do_not_stand_in_each_others_way() {
    let (database, vhost) = (Database::create().await, Vhost::create().await);
    database.load_demo().await;
    let apis = [api(&database, &vhost).await, api(&database, &vhost).await];
    let body = documented();
    let mut requests = JoinSet::new();
    for i in 0..400_usize {
        let at = i % 2;
        let n = if at == 0 { i / 2 } else { 199 - i / 2 };
        let http = Arc::new(Client::new(&format!("http://127.0.0.1:{}", apis[at].port)));
        let body = body.clone();
        requests.spawn(async move { (n, place(&http, &format!("key-{n}"), &body).await) });
    }
    let mut orders = BTreeSet::new();
    for (n, answer) in requests.join_all().await {
        assert_eq!(answer.status, 200, "{}", answer.text());
        orders.insert((n, answer.text()));
    }
    assert_eq!(orders.len(), 200);
    assert_eq!(database.count("SELECT count(*) FROM orders.orders").await, 200);
}
