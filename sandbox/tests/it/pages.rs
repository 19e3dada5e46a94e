use e2e::http::Answer;
use serde_json::json;

use crate::{Customer, card, charge};

async fn page(customer: &Customer, path: &str) -> Answer {
    customer.http.get(path).await.expect("an answer")
}

#[tokio::test]
async fn pages_show_what_was_sent_and_charged_as_text() {
    let customer = Customer::new().await;
    let hostile = "<img src=x onerror=alert(1)>";
    let mut body = charge(&card("4000000000000028"));
    body["orderId"] = json!(format!("ORD{hostile}"));
    assert_eq!(customer.post("/v1/charges", hostile.replace(' ', "").as_str(), &body).await.0, 200);
    customer.post("/v1/sms", "s", &json!({"to": "+15551234567", "text": format!("Sms {hostile}")})).await;
    customer.mail("jane@example.com", &format!("Subject: Mail {hostile}\r\n\r\nText {hostile}")).await;

    for (path, expected) in [
        ("/", "Mail &lt;img src=x onerror=alert(1)&gt;"),
        ("/", "Sms &lt;img src=x"),
        ("/mails/1", "Text &lt;img src=x"),
        ("/ledger", "ORD&lt;img src=x"),
        ("/ledger", "declined: insufficient_funds"),
        ("/ledger?q=ORD", "100.50 USD"),
        ("/cards", "4000000000000051"),
        ("/?q=%22%3E%3Cimg+mail", "value=\"&quot;&gt;&lt;img mail\""),
    ] {
        let answer = page(&customer, path).await;
        assert_eq!(answer.status, 200);
        let text = answer.text();
        assert!(text.contains(expected), "{path}: {expected} is not in {text}");
        assert!(!text.contains("<img") && !text.contains("<script"), "{path}: {text}");
        let policy = answer.headers["content-security-policy"].to_str().expect("a policy");
        assert!(policy.starts_with("default-src 'none'") && !policy.contains("unsafe"), "{policy}");
    }
    assert_eq!(page(&customer, "/style.css").await.headers["content-type"], "text/css; charset=utf-8");
}

#[tokio::test]
async fn a_search_finds_what_it_should_and_nothing_else() {
    let customer = Customer::new().await;
    customer.mail("jane@example.com", "Subject: Order received\r\n\r\nfirst").await;
    customer.mail("joe@example.com", "Subject: Order paid\r\n\r\nsecond").await;
    let found = page(&customer, "/?q=ORDER+jane").await.text();
    assert!(found.contains("Order received") && !found.contains("Order paid"), "{found}");
    let found = customer.get("/sandbox/mails?q=ORDER+jane").await.1;
    assert_eq!((found["mails"].as_array().map(Vec::len), &found["mails"][0]["text"]), (Some(1), &json!("first\n")));
    assert_eq!(customer.get("/sandbox/cards").await.1["cards"][1]["name"], "declined");
    assert!(page(&customer, "/?q=nothing").await.text().contains("There are none."));
    for missing in ["/mails/3", "/mails/x", "/mails/99999999999999999999"] {
        assert_eq!(page(&customer, missing).await.status, 404, "{missing}");
    }
    customer.fault("smtp", "tempfail").await;
    assert!(page(&customer, "/").await.text().contains("gateway up, smtp tempfail, sms up"));
}
