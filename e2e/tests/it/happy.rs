//! One order, all the way.

use std::time::Duration;

use e2e::{eventually, signed, token};
use serde_json::{Value, json};

use crate::line::{Line, USER, documented};

#[tokio::test]
async fn the_documented_example_is_paid_within_a_second() {
    let line = Line::start().await;
    // The first order also opens connections and prepares statements.
    line.place().await;
    line.until_through(1, Duration::from_secs(30)).await;

    let answer = line.api().http.post_json("/api/orders/create", &documented()).await.unwrap();
    assert_eq!(answer.status, 200);
    let mut body = answer.json();
    let id = body["orderId"].take().as_str().unwrap().to_owned();
    assert!(id.starts_with("ORD"), "{id}");
    let expected = json!({"code": 200, "message": "Order created successfully", "orderId": null, "status": "pending"});
    assert_eq!(body, expected);

    let order = eventually(Duration::from_secs(1), "the order is paid", async || {
        let order = line.order(&id).await;
        (order["status"] == "paid").then_some(order)
    })
    .await;
    let steps: Vec<&Value> = order["history"].as_array().unwrap().iter().map(|entry| &entry["status"]).collect();
    assert_eq!(steps, ["pending", "awaiting_payment", "paid"]);
    assert_eq!(order["orderAmount"].to_string(), "100.5");
    assert!(order["transactionId"].as_str().unwrap().starts_with("TXN"));
    line.until_through(2, Duration::from_secs(10)).await;
    line.reconcile(2).await;
}

#[tokio::test]
async fn an_order_that_finds_no_stock_is_rejected_whole_and_says_what_is_missing() {
    let line = Line::start().await;
    // P003 has 100 in stock.
    let body = signed(json!({
        "userId": USER, "token": token(USER), "orderAmount": 2054.24,
        "items": [{"productId": "P003", "quantity": 101}, {"productId": "P001", "quantity": 1}],
    }));
    let answer = line.api().http.post_json("/api/orders/create", &body).await.unwrap();
    assert_eq!(answer.status, 200, "{}", answer.text());
    let id = answer.json()["orderId"].as_str().unwrap().to_owned();
    let order = eventually(Duration::from_secs(20), "the order is rejected", async || {
        let order = line.order(&id).await;
        (order["status"] == "rejected").then_some(order)
    })
    .await;
    assert_eq!(order["history"][1]["detail"], "P003: 101 asked, 100 available");
    assert_eq!(line.database.count("SELECT sum(reserved)::bigint FROM inventory.products").await, 0);
    assert_eq!(line.database.count("SELECT count(*) FROM payments.payments").await, 0);
    eventually(Duration::from_secs(20), "the customer is told", async || {
        let sql = "SELECT count(*) FROM notifications.notifications WHERE kind = 'order.rejected' AND state = 'sent'";
        (line.database.count(sql).await == 1).then_some(())
    })
    .await;
}

#[tokio::test]
async fn stock_is_never_oversold() {
    let line = Line::start().await;
    // 100 in stock, 3 for each: 33 orders can be had.
    let body = signed(json!({
        "userId": USER, "token": token(USER), "orderAmount": 59.97,
        "items": [{"productId": "P003", "quantity": 2}, {"productId": "P003", "quantity": 1}],
    }));
    let answers = (0..60).map(|_| line.api().http.post_json("/api/orders/create", &body));
    for answer in futures_util::future::join_all(answers).await {
        assert_eq!(answer.unwrap().status, 200);
    }
    eventually(Duration::from_secs(30), "every order has its answer", async || {
        let sql = "SELECT count(*) FROM orders.orders WHERE status IN ('paid', 'rejected')";
        (line.database.count(sql).await == 60).then_some(())
    })
    .await;
    assert_eq!(line.database.count("SELECT count(*) FROM orders.orders WHERE status = 'paid'").await, 33);
    e2e::assert_clean(&line.database, &line.vhost).await;
    let left = "SELECT on_hand * 1000 + reserved FROM inventory.products WHERE product_id = 'P003'";
    assert_eq!(line.database.count(left).await, 1_000);
}

#[tokio::test]
async fn an_order_of_nothing_is_paid_without_a_charge() {
    let line = Line::start().await;
    let body = signed(json!({
        "userId": USER, "token": token(USER), "orderAmount": 0,
        "items": [{"productId": "P004", "quantity": 1}],
    }));
    let answer = line.api().http.post_json("/api/orders/create", &body).await.unwrap();
    let id = answer.json()["orderId"].as_str().unwrap().to_owned();
    eventually(Duration::from_secs(20), "the order is paid", async || {
        (line.order(&id).await["status"] == "paid").then_some(())
    })
    .await;
    assert_eq!(line.database.count("SELECT count(*) FROM payments.payments").await, 0);
}

#[tokio::test]
async fn an_unknown_order_is_not_found() {
    let line = Line::start().await;
    for id in ["ORD00000000000070008000000000000000", "ORD123456", "%00", "%FF", "ORD%2e%2e"] {
        let answer = line.api().http.get_as(&format!("/api/orders/{id}"), &token(USER)).await.unwrap();
        assert_eq!((answer.status.as_u16(), &answer.json()["errors"][0]["code"]), (404, &json!("not_found")), "{id}");
    }
}
