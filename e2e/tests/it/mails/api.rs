//! `/api/notification/…`.

use e2e::token;
use hyper::Method;
use serde_json::{Value, json};

use super::{ADDRESS, CUSTOMER, Post, scoped};

const SEND: &str = "/api/notification/send";
const CONTACT: &str = "/api/notification/contacts/jane";

/// The status, and the code and field of every error.
async fn refusal(post: &Post, method: Method, path: &str, token: &str, body: &Value) -> (u16, Vec<[String; 2]>) {
    let answer = post.ask(method, path, token, body).await;
    let envelope = answer.json();
    assert_eq!(envelope["code"], answer.status.as_u16(), "{envelope}");
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let errors = envelope["errors"].as_array().unwrap_or_else(|| panic!("{path}: {envelope}"));
    (answer.status.as_u16(), errors.iter().map(|error| [text(&error["code"]), text(&error["field"])]).collect())
}

fn said(code: &str, field: &str) -> Vec<[String; 2]> {
    vec![[code.to_owned(), field.to_owned()]]
}

/// The documented request.
fn documented() -> Value {
    json!({
        "userId": CUSTOMER,
        "notificationType": "email",
        "subject": "Order Status Update",
        "message": "Your order ORD123456 has been successfully paid.",
    })
}

fn changed(field: &str, value: Value) -> Value {
    let mut body = documented();
    body[field] = value;
    body
}

#[tokio::test]
async fn the_documented_request_is_answered_as_documented_and_sent_to_the_stored_contact() {
    let post = Post::start(&[]).await;
    let answer = post.ask(Method::POST, SEND, &scoped("service"), &documented()).await;
    assert_eq!(
        (answer.status.as_u16(), answer.text().as_str()),
        (200, r#"{"code":200,"message":"Notification sent successfully"}"#)
    );
    let mails = post.until_mails(1).await;
    let mail = &mails[0];
    assert_eq!((mail.to.as_str(), mail.subject.as_str()), (ADDRESS, "Order Status Update"));
    assert_eq!(mail.text.trim_end(), "Your order ORD123456 has been successfully paid.");

    post.contact(CUSTOMER, &json!({"email": ADDRESS, "phone": "+15551234567", "channel": "email"})).await;
    let answer = post.ask(Method::POST, SEND, &scoped("service"), &changed("notificationType", json!("sms"))).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    assert_eq!(post.sandbox.sms_to("+15551234567").await[0].text, "Your order ORD123456 has been successfully paid.");
    post.end().await;
}

#[tokio::test]
async fn nobody_but_the_shops_programs_can_send_and_only_to_whom_has_given_an_address() {
    let post = Post::start(&[]).await;
    for token in [token(CUSTOMER), scoped("customer"), scoped("staff"), scoped("admin")] {
        let refused = refusal(&post, Method::POST, SEND, &token, &documented()).await;
        assert_eq!(refused, (403, said("insufficient_scope", "")));
    }
    let refused = refusal(&post, Method::POST, SEND, "nonsense", &documented()).await;
    assert_eq!(refused, (401, said("invalid_token", "")));
    let service = scoped("service");
    for (body, status, expected) in [
        (changed("userId", json!("stranger")), 404, said("no_contact", "")),
        (changed("notificationType", json!("sms")), 404, said("no_contact", "")),
        (changed("to", json!("victim@example.test")), 400, said("unknown_field", "to")),
        (changed("userId", json!("a b")), 400, said("invalid_field", "userId")),
        (changed("notificationType", json!("pigeon")), 400, said("invalid_field", "notificationType")),
        (changed("subject", json!("x\r\nBcc: victim@example.test")), 400, said("invalid_field", "subject")),
        (changed("subject", json!("x".repeat(201))), 400, said("invalid_field", "subject")),
        (changed("message", json!("x".repeat(10_001))), 400, said("invalid_field", "message")),
        (changed("message", json!("\u{0}")), 400, said("invalid_field", "message")),
        (changed("message", json!(5)), 400, said("invalid_field", "message")),
        (json!({}), 400, said("missing_field", "userId")),
    ] {
        let refused = refusal(&post, Method::POST, SEND, &service, &body).await;
        assert_eq!(refused, (status, expected), "{body}");
    }
    assert!(post.sandbox.mails().await.is_empty());
    assert_eq!(post.database.count("SELECT count(*) FROM notifications.requested").await, 0);
    post.end().await;
}

#[tokio::test]
async fn what_cannot_be_sent_is_told_and_may_be_asked_for_again() {
    let post = Post::start(&[]).await;
    let service = scoped("service");
    post.contact("gone", &json!({"email": "bounce@example.test", "channel": "email"})).await;
    let refused = refusal(&post, Method::POST, SEND, &service, &changed("userId", json!("gone"))).await;
    assert_eq!(refused, (422, said("address_refused", "")));

    let named = async |key: &str, body: &Value| {
        let authorization = format!("Bearer {service}");
        let headers =
            [("authorization", authorization.as_str()), ("content-type", "application/json"), ("idempotency-key", key)];
        let answer = post.worker.http.send(Method::POST, SEND, &headers, body.to_string()).await.unwrap();
        let code = answer.json()["errors"][0]["code"].as_str().unwrap_or_default().to_owned();
        (answer.status.as_u16(), code)
    };
    post.sandbox.fault("smtp", "down").await;
    assert_eq!(named("one", &documented()).await, (503, "unavailable".to_owned()));
    post.sandbox.fault("smtp", "up").await;
    let fine = (200, String::new());
    for _ in 0..3 {
        assert_eq!(named("one", &documented()).await, fine, "asked for again");
    }
    post.until_mails(1).await;
    let other = changed("message", json!("something else"));
    assert_eq!(named("one", &other).await, (422, "idempotency_key_reused".to_owned()));
    assert_eq!(named("two", &other).await, fine);
    assert_eq!(named("a b", &other).await, (400, "invalid_idempotency_key".to_owned()));
    let ids = post.until_mails(2).await;
    assert_ne!(ids[0].message_id, ids[1].message_id);
    post.end().await;
}

#[tokio::test]
async fn of_two_of_one_name_at_the_same_time_one_is_sent() {
    let post = Post::start(&[]).await;
    let authorization = format!("Bearer {}", scoped("service"));
    let headers =
        [("authorization", authorization.as_str()), ("content-type", "application/json"), ("idempotency-key", "one")];
    let asks = (0..8).map(|_| post.worker.http.send(Method::POST, SEND, &headers, documented().to_string()));
    for answer in futures_util::future::join_all(asks).await {
        assert!([200, 409].contains(&answer.unwrap().status.as_u16()));
    }
    post.until_mails(1).await;
    post.end().await;
}

#[tokio::test]
async fn a_contact_is_its_users_own() {
    let post = Post::start(&[]).await;
    let own = token(CUSTOMER);
    let wanted = json!({"email": "new@example.test", "phone": "+4930123456", "channel": "sms"});
    let shown = |message: &str| {
        json!({"code": 200, "message": message, "userId": CUSTOMER, "email": "new@example.test",
            "phone": "+4930123456", "channel": "sms"})
    };
    let answer = post.ask(Method::PUT, CONTACT, &own, &wanted).await;
    assert_eq!((answer.status.as_u16(), answer.json()), (200, shown("Contact stored")));
    for reader in [&own, &scoped("staff"), &scoped("service"), &scoped("admin")] {
        assert_eq!(post.ask(Method::GET, CONTACT, reader, &Value::Null).await.json(), shown("Contact found"));
    }
    let other = token("somebody-else");
    assert_eq!(refusal(&post, Method::GET, CONTACT, &other, &Value::Null).await, (404, said("not_found", "")));
    for writer in [&other, &scoped("staff")] {
        for (method, body) in [(Method::PUT, &wanted), (Method::DELETE, &Value::Null)] {
            let refused = refusal(&post, method, CONTACT, writer, body).await;
            assert_eq!(refused, (403, said("insufficient_scope", "")));
        }
    }
    let gone = post.ask(Method::DELETE, CONTACT, &own, &Value::Null).await;
    assert_eq!((gone.status.as_u16(), gone.json()), (200, json!({"code": 200, "message": "Contact deleted"})));
    for method in [Method::GET, Method::DELETE] {
        assert_eq!(refusal(&post, method, CONTACT, &own, &Value::Null).await, (404, said("not_found", "")));
    }
    let nobody = "/api/notification/contacts/a%20b";
    let refused = refusal(&post, Method::GET, nobody, &scoped("admin"), &Value::Null).await;
    assert_eq!(refused, (400, said("invalid_field", "userId")));
    post.end().await;
}

#[tokio::test]
async fn a_contact_that_could_be_more_than_an_address_is_refused_whole() {
    let post = Post::start(&[]).await;
    let own = token(CUSTOMER);
    for (body, expected) in [
        (json!({"email": "a@b.example\r\nBcc: c@d.example", "channel": "email"}), said("invalid_field", "email")),
        (json!({"email": "a@b.example,c@d.example", "channel": "email"}), said("invalid_field", "email")),
        (json!({"email": "\"a b\"@c.example", "channel": "email"}), said("invalid_field", "email")),
        (
            json!({"email": format!("{}@b.example", "x".repeat(300)), "channel": "email"}),
            said("invalid_field", "email"),
        ),
        (json!({"email": "", "channel": "email"}), said("invalid_field", "email")),
        (json!({"email": ["a@b.example"], "channel": "email"}), said("invalid_field", "email")),
        (json!({"phone": "+1555123456\n7", "channel": "sms"}), said("invalid_field", "phone")),
        (json!({"phone": "0", "channel": "sms"}), said("invalid_field", "phone")),
        (json!({"channel": "email"}), said("missing_field", "email")),
        (json!({"email": ADDRESS, "channel": "sms"}), said("missing_field", "phone")),
        (json!({"email": ADDRESS, "channel": "log"}), said("invalid_field", "channel")),
        (json!({"email": ADDRESS}), said("missing_field", "channel")),
        (json!({"email": ADDRESS, "channel": "email", "userId": "x"}), said("unknown_field", "userId")),
        (json!([]), said("invalid_field", "body")),
    ] {
        assert_eq!(refusal(&post, Method::PUT, CONTACT, &own, &body).await, (400, expected), "{body}");
    }
    let all = json!({"email": "x", "phone": "x", "channel": "x"});
    let (status, errors) = refusal(&post, Method::PUT, CONTACT, &own, &all).await;
    assert_eq!((status, errors.len()), (400, 3), "{errors:?}");
    // What was there is as it was.
    let shown = post.ask(Method::GET, CONTACT, &own, &Value::Null).await.json();
    assert_eq!((&shown["email"], &shown["channel"]), (&json!(ADDRESS), &json!("email")));
    post.end().await;
}
