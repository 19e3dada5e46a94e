//! The sandbox's binary, as other tests use it.

use e2e::Sandbox;
use serde_json::json;

#[tokio::test]
async fn the_sandbox_remembers_what_it_was_told() {
    let sandbox = Sandbox::start_with(&["--today", "2025-06-01"]).await;
    let card = json!({"type": "card", "number": "4111111111111111", "expMonth": 12, "expYear": 2025, "cvv": "123"});
    let body = json!({"amount": 10_050, "currency": "USD", "reference": "TXN1", "orderId": "ORD1", "method": card});
    let headers = [("authorization", "Bearer sandbox-key"), ("idempotency-key", "k")];
    let charged = sandbox.http.send(hyper::Method::POST, "/v1/charges", &headers, body.to_string()).await;
    assert_eq!(charged.expect("an answer").json()["status"], "captured", "the documented card is good in 2025");
    let sms = json!({"to": "+15551234567", "text": "Paid."});
    let sent = sandbox.http.send(hyper::Method::POST, "/v1/sms", &headers, sms.to_string()).await;
    assert_eq!(sent.expect("an answer").status, 202);
    sandbox.fault("smtp", "tempfail").await;

    let ledger = sandbox.ledger().await;
    assert_eq!((ledger.totals.captured, ledger.totals.net_amount), (1, 10_050));
    let charges = sandbox.charges_of("ORD1").await;
    assert_eq!(
        (charges.len(), charges[0].status.as_str(), charges[0].behaviour.as_deref()),
        (1, "captured", Some("approved"))
    );
    assert!(sandbox.charges_of("ORD2").await.is_empty());
    assert_eq!(sandbox.sms_to("+15551234567").await.len(), 1);
    assert!(sandbox.mails_to("jane@example.com").await.is_empty() && sandbox.mails().await.is_empty());
}
