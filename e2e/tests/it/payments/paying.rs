//! `POST /api/payment/process`.

use common::ids::OrderId;
use e2e::token;
use serde_json::{Value, json};

use super::{APPROVED, ASYNC, DECLINED, POOR, PROCESS, Till, WALKER, by_card, code, with_scope};

#[tokio::test]
async fn the_documented_request_is_answered_as_documented() {
    // The documented card was good until the end of 2025.
    let pretend = [("CONVEYOR__PAYMENTS__PRETEND_TODAY", "2025-06-30")];
    let till = Till::open_with(1, &pretend, &["--today", "2025-06-30"]).await;
    let order = till.owing(WALKER).await;
    let mut body = by_card(order, WALKER, APPROVED);
    body["paymentDetails"]["expiryDate"] = json!("12/25");
    let first = till.pay(0, &body).await;
    let transaction = first.json()["transactionId"].clone();
    assert!(transaction.as_str().unwrap().starts_with("TXN"));
    let paid = json!({
        "code": 200, "message": "Payment successful", "paymentStatus": "completed", "transactionId": transaction,
    });
    assert_eq!((first.status.as_u16(), first.json()), (200, paid.clone()));
    // And again: the same answer, and no second charge.
    let again = till.pay(0, &body).await;
    assert_eq!((again.status.as_u16(), again.json()), (200, paid));
    assert_eq!(till.charged(order).await, ("captured".to_owned(), 0));
    let (kind, data) = till.until_heard(order, 1).await;
    assert_eq!((kind.as_str(), &data["transactionId"]), ("payment.completed", &transaction));

    let poor = till.owing(WALKER).await;
    let failed = till.pay(0, &by_card(poor, WALKER, POOR)).await;
    let expected =
        json!({"code": 400, "message": "Payment failed due to insufficient funds", "paymentStatus": "failed"});
    assert_eq!((failed.status.as_u16(), failed.json()), (400, expected));

    let later = till.owing(WALKER).await;
    let processing = till.pay(0, &by_card(later, WALKER, ASYNC)).await;
    let transaction = processing.json()["transactionId"].clone();
    let expected = json!({
        "code": 202, "message": "Payment is being processed", "paymentStatus": "processing",
        "transactionId": transaction,
    });
    assert_eq!((processing.status.as_u16(), processing.json()), (202, expected));
    let (kind, data) = till.until_heard(later, 1).await;
    assert_eq!((kind.as_str(), &data["transactionId"]), ("payment.completed", &transaction));

    let other = till.owing(WALKER).await;
    let mut paypal = by_card(other, WALKER, APPROVED);
    paypal["paymentMethod"] = json!("paypal");
    paypal["paymentDetails"] = json!({"email": "walker@example.com"});
    assert_eq!(till.pay(0, &paypal).await.json()["paymentStatus"], "completed");
    till.assert_settled().await;
}

#[tokio::test]
async fn what_is_not_in_order_is_refused_by_name_and_never_repeated() {
    let till = Till::open().await;
    let order = till.owing(WALKER).await;
    let good = by_card(order, WALKER, APPROVED);
    let changed = |path: &str, value: Value| {
        let mut body = good.clone();
        *body.pointer_mut(path).unwrap() = value;
        body
    };
    let number = "/paymentDetails/cardNumber";
    for (body, expected, field) in [
        (changed(number, json!("4111111111111112")), "invalid_card_number", "paymentDetails.cardNumber"),
        (changed(number, json!(4_111_111_111_111_111_i64)), "invalid_field", "paymentDetails.cardNumber"),
        (changed(number, json!("4111111111111112")), "invalid_card_number", "paymentDetails.cardNumber"),
        (changed("/paymentDetails/expiryDate", json!("12/25")), "card_expired", "paymentDetails.expiryDate"),
        (changed("/paymentDetails/expiryDate", json!("2030-12")), "invalid_expiry", "paymentDetails.expiryDate"),
        (changed("/paymentDetails/cvv", json!("12")), "invalid_cvv", "paymentDetails.cvv"),
        (changed("/paymentDetails", Value::Null), "invalid_card_number", "paymentDetails.cardNumber"),
        (changed("/paymentMethod", json!("Pay Pal")), "invalid_method", "paymentMethod"),
        (changed("/paymentMethod", json!("4111111111111111")), "invalid_method", "paymentMethod"),
        (changed("/paymentMethod", json!("stored")), "invalid_method", "paymentMethod"),
        (changed("/paymentAmount", json!(100.505)), "invalid_amount", "paymentAmount"),
        (changed("/paymentAmount", json!("100.50")), "invalid_amount", "paymentAmount"),
        (changed("/paymentAmount", json!(100.51)), "amount_mismatch", "paymentAmount"),
        (changed("/userId", json!("")), "invalid_field", "userId"),
    ] {
        let answer = till.post(0, PROCESS, &token(WALKER), &body).await;
        assert_eq!(code(&answer), (400, expected.to_owned()), "{body}");
        assert_eq!(answer.json()["errors"][0]["field"], field, "{body}");
        assert!(!answer.text().contains("411111111111111"), "{}", answer.text());
    }
    for (body, token, expected) in [
        (good.clone(), with_scope(WALKER, "service"), (403, "insufficient_scope")),
        (good.clone(), token("somebody"), (403, "wrong_user")),
        (changed("/userId", json!("somebody")), token("somebody"), (404, "not_found")),
        (changed("/orderId", json!(OrderId::generate())), token(WALKER), (404, "not_found")),
        (changed("/orderId", json!("ORD123456")), token(WALKER), (404, "not_found")),
        (good.clone(), "nonsense".to_owned(), (401, "invalid_token")),
    ] {
        let answer = till.post(0, PROCESS, &token, &body).await;
        assert_eq!(code(&answer), (expected.0, expected.1.to_owned()), "{body}");
    }
    assert!(till.sandbox.ledger().await.charges.is_empty());
    assert_eq!(till.database.count("SELECT count(*) FROM payments.payments").await, 0);
}

#[tokio::test]
async fn a_customer_may_be_declined_only_so_often() {
    let till = Till::open().await;
    let order = till.owing(WALKER).await;
    for (attempt, left) in [(1, 2), (2, 1), (3, 0)] {
        let answer = till.pay(0, &by_card(order, WALKER, DECLINED)).await;
        assert_eq!((answer.status.as_u16(), &answer.json()["paymentStatus"]), (400, &json!("failed")));
        let (kind, data) = till.until_heard(order, attempt).await;
        assert_eq!((kind.as_str(), &data["reason"]), ("payment.failed", &json!("card_declined")));
        assert_eq!((&data["attempt"], &data["attemptsLeft"]), (&json!(attempt), &json!(left)));
    }
    let answer = till.pay(0, &by_card(order, WALKER, APPROVED)).await;
    assert_eq!(code(&answer), (409, "attempts_used_up".to_owned()));
    // Whoever asks again hears the last word again.
    till.fall_due(order, WALKER).await;
    assert_eq!(till.until_heard(order, 4).await.1["attemptsLeft"], 0);
    assert_eq!(till.sandbox.charges_of(&order.to_string()).await.len(), 3);
    till.assert_settled().await;
}
