//! What customers have stored, and what is charged to it by itself.

use common::ids::OrderId;
use e2e::token;
use hyper::Method;
use serde_json::{Value, json};
use time::Duration;

use super::{APPROVED, DECLINED, Till, WALKER, by_card, code, with_scope};

#[tokio::test]
async fn a_stored_method_is_charged_once_and_the_answer_given_again() {
    let till = Till::open().await;
    let order = OrderId::generate();
    till.fall_due(order, "123456").await;
    let first = till.until_heard(order, 1).await;
    assert_eq!((first.0.as_str(), &first.1["amount"]), ("payment.completed", &json!(10_050)));
    till.fall_due(order, "123456").await;
    assert_eq!(till.until_heard(order, 2).await, first);
    assert_eq!(till.charged(order).await, ("captured".to_owned(), 0));

    // Declined, it is not charged again by itself; the customer pays with a card.
    till.store_method("poor", "insufficient_funds").await;
    let order = till.owing("poor").await;
    let declined = till.until_heard(order, 1).await;
    assert_eq!((declined.0.as_str(), &declined.1["attemptsLeft"]), ("payment.failed", &json!(2)));
    till.fall_due(order, "poor").await;
    assert_eq!(till.until_heard(order, 2).await, declined);
    let paid = till.pay(0, &by_card(order, "poor", APPROVED)).await;
    assert_eq!(paid.json()["paymentStatus"], "completed");
    let completed = till.until_heard(order, 3).await;
    assert_eq!(completed.1["transactionId"], paid.json()["transactionId"]);
    till.fall_due(order, "poor").await;
    assert_eq!(till.until_heard(order, 4).await, completed, "what was paid is the answer, not what was declined");
    assert_eq!(till.sandbox.charges_of(&order.to_string()).await.len(), 2);
    till.assert_settled().await;
}

#[tokio::test]
async fn nothing_begins_for_an_order_that_is_off_or_late() {
    let till = Till::open().await;
    // The end is heard first.
    let early = OrderId::generate();
    till.call_off(early).await;
    till.until_owed(early).await;
    till.fall_due(early, "123456").await;
    let late = OrderId::generate();
    till.fall_due_until(late, "123456", Duration::seconds(-1)).await;
    till.until_owed(late).await;
    let off = till.owing(WALKER).await;
    till.call_off(off).await;
    till.until("SELECT count(*) FROM payments.dues WHERE off", 2).await;
    // This one comes behind them all.
    let other = OrderId::generate();
    till.fall_due(other, "123456").await;
    till.until_heard(other, 1).await;

    for (order, user, expected) in [
        (early, "123456", (404, "not_found")),
        (late, "123456", (409, "not_payable")),
        (off, WALKER, (409, "not_payable")),
    ] {
        let answer = till.pay(0, &by_card(order, user, APPROVED)).await;
        assert_eq!(code(&answer), (expected.0, expected.1.to_owned()), "{}", answer.text());
        assert!(till.sandbox.charges_of(&order.to_string()).await.is_empty());
        assert!(till.heard(order).await.is_empty());
    }
    // Whose money is here says so again.
    till.call_off(other).await;
    assert_eq!(till.until_heard(other, 2).await.0, "payment.completed");
    till.assert_settled().await;
}

#[tokio::test]
async fn of_a_stored_card_only_a_token_and_what_people_know_it_by_is_kept() {
    let till = Till::open().await;
    let path = format!("/api/payment/methods/{WALKER}");
    let card = json!({"cardNumber": DECLINED, "expiryDate": "07/31", "cvv": "123"});
    let ask = async |method: Method, token: &str, body: &Value| till.send(0, method, &path, token, body).await;
    assert_eq!(code(&ask(Method::GET, &token(WALKER), &Value::Null).await), (404, "not_found".to_owned()));
    for (who, expected) in [
        (token("somebody"), (404, "not_found")),
        (with_scope("ops", "staff"), (403, "insufficient_scope")),
        (with_scope("shop", "service"), (403, "insufficient_scope")),
    ] {
        assert_eq!(code(&ask(Method::PUT, &who, &card).await), (expected.0, expected.1.to_owned()));
        assert_eq!(code(&ask(Method::DELETE, &who, &card).await), (expected.0, expected.1.to_owned()));
    }
    let bad = json!({"cardNumber": "4111111111111112", "expiryDate": "07/31", "cvv": "123"});
    let refused = ask(Method::PUT, &token(WALKER), &bad).await;
    assert_eq!(
        (code(&refused), &refused.json()["errors"][0]["field"]),
        ((400, "invalid_card_number".to_owned()), &json!("cardNumber"))
    );

    let stored = ask(Method::PUT, &token(WALKER), &card).await;
    let method = json!({"brand": "visa", "last4": "0010", "expiryDate": "07/31"});
    let expected = json!({"code": 200, "message": "Payment method stored", "userId": WALKER, "method": method});
    assert_eq!((stored.status.as_u16(), stored.json()), (200, expected));
    assert_eq!(ask(Method::GET, &with_scope("ops", "staff"), &Value::Null).await.json()["method"], method);
    // It does what the card does.
    let order = till.owing(WALKER).await;
    assert_eq!(till.until_heard(order, 1).await.1["reason"], "card_declined");
    // Another takes its place, and pays by name.
    let good = json!({"cardNumber": APPROVED, "expiryDate": "07/31", "cvv": "123"});
    assert_eq!(ask(Method::PUT, &with_scope("ops", "admin"), &good).await.status, 200);
    let by_name = json!({"orderId": order, "userId": WALKER, "paymentAmount": 100.5, "paymentMethod": "stored"});
    assert_eq!(till.pay(0, &by_name).await.json()["paymentStatus"], "completed");
    assert_eq!(ask(Method::DELETE, &token(WALKER), &Value::Null).await.status, 200);
    assert_eq!(code(&ask(Method::DELETE, &token(WALKER), &Value::Null).await), (404, "not_found".to_owned()));
    assert_eq!(till.database.count("SELECT count(*) FROM payments.methods").await, 1, "the demo customer's");
    till.assert_settled().await;
}
