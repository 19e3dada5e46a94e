//! What is told of an order's money, and to whom.

use common::ids::OrderId;
use e2e::token;
use hyper::Method;
use serde_json::{Value, json};

use super::{APPROVED, POOR, Till, WALKER, by_card, code, with_scope};

#[tokio::test]
async fn everything_of_an_orders_money_is_shown_to_its_customer_and_to_the_shop() {
    let till = Till::open().await;
    let order = till.owing(WALKER).await;
    let path = format!("/api/payment/orders/{order}");
    let ask = async |path: &str, token: &str| till.send(0, Method::GET, path, token, &Value::Null).await;
    let nothing_yet = ask(&path, &token(WALKER)).await.json();
    assert_eq!((&nothing_yet["amount"], &nothing_yet["payments"]), (&json!(100.5), &json!([])));

    assert_eq!(till.pay(0, &by_card(order, WALKER, POOR)).await.json()["paymentStatus"], "failed");
    let paid = till.pay(0, &by_card(order, WALKER, APPROVED)).await.json();
    till.call_off(order).await;
    till.ask_back(order, paid["transactionId"].as_str().unwrap()).await;
    till.until("SELECT count(*) FROM payments.payments WHERE refund = 'refunded'", 1).await;

    let shown = ask(&path, &with_scope("anna", "staff")).await;
    assert_eq!(shown.status, 200, "{}", shown.text());
    let whole = shown.json();
    assert_eq!((&whole["userId"], &whole["currency"], &whole["off"]), (&json!(WALKER), &json!("USD"), &json!(true)));
    assert!(whole["deadline"].as_str().is_some());
    let [declined, captured] = whole["payments"].as_array().unwrap().as_slice() else { panic!("{whole}") };
    for (payment, expected) in [
        (declined, [json!(1), json!("declined"), json!("insufficient_funds"), Value::Null]),
        (captured, [json!(2), json!("captured"), Value::Null, json!("refunded")]),
    ] {
        let fields = ["attempt", "status", "reason", "refund"].map(|field| payment[field].clone());
        assert_eq!(fields, expected, "{payment}");
        assert_eq!((&payment["amount"], &payment["method"]), (&json!(100.5), &json!("card")));
    }
    assert_eq!(captured["transactionId"], paid["transactionId"]);
    assert!(captured["gatewayReference"].as_str().is_some());
    for secret in ["pm_sandbox", "sandbox-key", "4111", "\"token\""] {
        assert!(!shown.text().contains(secret), "{secret} is in {}", shown.text());
    }

    // Of what is the gateway's the customer learns nothing.
    let own = ask(&path, &token(WALKER)).await.json();
    assert_eq!(own["payments"][1]["refund"], "refunded");
    assert_eq!(own["payments"][1]["gatewayReference"], Value::Null);
    for (who, path) in [
        (token("somebody"), path.clone()),
        (with_scope(WALKER, ""), path.clone()),
        (with_scope("anna", "staff"), format!("/api/payment/orders/{}", OrderId::generate())),
        (with_scope("anna", "staff"), "/api/payment/orders/ORD1".to_owned()),
        (with_scope("anna", "staff"), "/api/payment/orders/%FF".to_owned()),
    ] {
        assert_eq!(code(&ask(&path, &who).await), (404, "not_found".to_owned()), "{path}");
    }
    assert_eq!(till.workers[0].http.get(&path).await.unwrap().status, 401);
    till.assert_settled().await;
}

/// An order that ended before its payment fell due belongs to nobody, as far as is known here.
#[tokio::test]
async fn what_was_called_off_before_it_was_due_is_shown_to_the_shop_alone() {
    let till = Till::open().await;
    let order = OrderId::generate();
    till.call_off(order).await;
    till.until_owed(order).await;
    let path = format!("/api/payment/orders/{order}");
    let shown = till.send(0, Method::GET, &path, &with_scope("shop", "service"), &Value::Null).await.json();
    assert_eq!((&shown["off"], &shown["payments"], &shown["userId"]), (&json!(true), &json!([]), &Value::Null));
    let refused = till.send(0, Method::GET, &path, &token("123456"), &Value::Null).await;
    assert_eq!(code(&refused), (404, "not_found".to_owned()));
}
