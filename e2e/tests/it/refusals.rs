//! Bad input: the documented envelope, the right status, nothing stored.

use std::time::Duration;

use e2e::{Database, Process, Vhost, eventually, service_settings, signed, token};
use hyper::Method;
use serde_json::{Value, json};

use crate::line::documented;

struct Api {
    api: Process,
    database: Database,
    _vhost: Vhost,
}

impl Api {
    async fn start() -> Self {
        let (database, vhost) = (Database::create().await, Vhost::create().await);
        database.load_demo().await;
        database.register_key("u").await;
        let mut api = Process::spawn("order-api", service_settings("orders", &database, &vhost)).await;
        api.wait_ready().await;
        eventually(Duration::from_secs(20), "the catalogue is read", async || {
            let answer = api.http.post_json("/api/orders/create", &json!({})).await.ok()?;
            (answer.status != 503).then_some(())
        })
        .await;
        Self { api, database, _vhost: vhost }
    }

    /// The status, and the code and field of every error.
    async fn refusal(&self, body: impl Into<Vec<u8>>, content_type: &str) -> (u16, Vec<(String, String)>) {
        self.refusal_with(&[("content-type", content_type)], body).await
    }

    async fn refusal_with(&self, headers: &[(&str, &str)], body: impl Into<Vec<u8>>) -> (u16, Vec<(String, String)>) {
        let answer = self.api.http.send(Method::POST, "/api/orders/create", headers, body.into()).await.unwrap();
        let envelope = answer.json();
        assert_eq!(envelope["code"], answer.status.as_u16(), "{envelope}");
        assert!(envelope["message"].as_str().is_some_and(|message| !message.is_empty()), "{envelope}");
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let errors = envelope["errors"].as_array().unwrap_or_else(|| panic!("{envelope}"));
        assert!(!errors.is_empty() && errors.iter().all(|error| !text(&error["message"]).is_empty()), "{envelope}");
        (answer.status.as_u16(), errors.iter().map(|error| (text(&error["code"]), text(&error["field"]))).collect())
    }
}

/// The documented request, changed and then signed.
fn with(change: impl Fn(&mut Value)) -> String {
    let mut body = documented();
    change(&mut body);
    signed(body).to_string()
}

/// The same text with a signature in place of `SIGNATURE`.
fn sign(text: &str) -> String {
    let body = signed(serde_json::from_str(text).unwrap());
    text.replace("SIGNATURE", body["signature"].as_str().unwrap())
}

#[tokio::test]
async fn each_kind_of_bad_input_is_refused_by_name_and_stores_nothing() {
    let api = Api::start().await;
    let line = r#"{"productId":"P002","quantity":1}"#;
    let token = token("u");
    let raw = |amount: &str, items: &str| {
        format!(
            r#"{{"userId":"u","token":"{token}","signature":"SIGNATURE","orderAmount":{amount},"items":[{items}]}}"#
        )
    };
    let raw_signed = |amount: &str, items: &str| sign(&raw(amount, items));
    let cases: Vec<(&str, String, u16, &str, &str)> = vec![
        ("malformed", "{\"userId\":".into(), 400, "malformed_json", ""),
        ("empty", String::new(), 400, "malformed_json", ""),
        ("not an object", "[]".into(), 400, "invalid_field", "body"),
        ("a wrong type", with(|b| b["items"] = json!(5)), 400, "invalid_field", "items"),
        (
            "a wrong type inside",
            with(|b| b["items"][1]["productId"] = json!([])),
            400,
            "invalid_field",
            "items[1].productId",
        ),
        ("a missing field", with(|b| drop(b.as_object_mut().unwrap().remove("token"))), 400, "missing_field", "token"),
        (
            "a missing field inside",
            with(|b| b["items"][0] = json!({"productId": "P001"})),
            400,
            "missing_field",
            "items[0].quantity",
        ),
        ("an unknown field", with(|b| b["coupon"] = json!("x")), 400, "unknown_field", "coupon"),
        (
            "an unknown product",
            with(|b| b["items"][1]["productId"] = json!("P999")),
            400,
            "unknown_product",
            "items[1].productId",
        ),
        ("quantity zero", with(|b| b["items"][0]["quantity"] = json!(0)), 400, "invalid_quantity", "items[0].quantity"),
        (
            "negative quantity",
            with(|b| b["items"][0]["quantity"] = json!(-1)),
            400,
            "invalid_quantity",
            "items[0].quantity",
        ),
        (
            "fractional quantity",
            with(|b| b["items"][0]["quantity"] = json!(1.5)),
            400,
            "invalid_quantity",
            "items[0].quantity",
        ),
        (
            "quantity as text",
            with(|b| b["items"][0]["quantity"] = json!("2")),
            400,
            "invalid_quantity",
            "items[0].quantity",
        ),
        (
            "quantity beyond 10^12",
            with(|b| b["items"][0]["quantity"] = json!(1_000_000_000_001_i64)),
            400,
            "invalid_quantity",
            "items[0].quantity",
        ),
        ("negative amount", with(|b| b["orderAmount"] = json!(-100.50)), 400, "invalid_amount", "orderAmount"),
        ("three decimals", raw_signed("30.001", line), 400, "invalid_amount", "orderAmount"),
        ("not the sum", with(|b| b["orderAmount"] = json!(100.51)), 400, "amount_mismatch", "orderAmount"),
        ("beyond 10^12", raw_signed("1000000000000.01", line), 400, "invalid_amount", "orderAmount"),
        ("no lines", raw_signed("0", ""), 400, "invalid_items", "items"),
        ("101 lines", raw_signed("3030", &vec![line; 101].join(",")), 400, "invalid_items", "items"),
        ("U+0000 in a secret", with(|b| b["token"] = json!("a\0b")), 400, "invalid_field", "token"),
        ("U+0000 for a signature", raw("30", line).replace("SIGNATURE", "\\u0000"), 403, "invalid_signature", ""),
        ("a duplicate key", raw_signed(r#"30,"orderAmount":30"#, line), 400, "duplicate_field", "orderAmount"),
        (
            "a duplicate key inside",
            raw_signed("30", r#"{"productId":"P002","quantity":1,"quantity":1}"#),
            400,
            "duplicate_field",
            "items[0].quantity",
        ),
        ("1 MB", with(|b| b["token"] = json!("x".repeat(1_000_000))), 413, "body_too_large", ""),
        ("an array of the fields", r#"["u","t","s",30,[["P002",1]]]"#.into(), 400, "invalid_field", "body"),
        ("a line as an array", raw_signed("30", r#"["P002",1]"#), 400, "invalid_field", "items[0]"),
    ];
    for (what, body, status, code, field) in cases {
        let refusal = api.refusal(body, "application/json").await;
        assert_eq!(refusal, (status, vec![(code.to_owned(), field.to_owned())]), "{what}");
    }
    // These say that they are signed, and nobody can check it: the reason comes second.
    for (what, body, code, field) in [
        ("a wrong type", with(|b| b["userId"] = json!(5)), "invalid_field", "userId"),
        ("1e400", raw("1e400", line), "invalid_field", "body"),
        ("a huge exponent", raw("1e99999999999999999999", line), "invalid_field", "body"),
        ("U+0000", with(|b| b["userId"] = json!("a\0b")), "invalid_user", "userId"),
        ("deep nesting", raw(&"[".repeat(50_000), line), "malformed_json", ""),
    ] {
        let refusal = api.refusal(body, "application/json").await;
        let both = [("invalid_signature", ""), (code, field)].map(|(code, field)| (code.to_owned(), field.to_owned()));
        assert_eq!(refusal, (403, both.to_vec()), "{what}");
    }
    for content_type in [
        "text/plain",
        "application/x-www-form-urlencoded",
        "",
        "application/jsonp",
        "application/json; charset=utf-8, text/plain",
    ] {
        let refusal = api.refusal(documented().to_string(), content_type).await;
        assert_eq!(refusal, (415, vec![("unsupported_media_type".to_owned(), String::new())]), "{content_type:?}");
    }
    for besides in [("content-encoding", "gzip"), ("content-type", "application/json"), ("content-type", "text/plain")]
    {
        let refusal =
            api.refusal_with(&[("content-type", "application/json"), besides], documented().to_string()).await;
        assert_eq!(refusal, (415, vec![("unsupported_media_type".to_owned(), String::new())]), "{besides:?}");
    }
    // This one says that it is not compressed: it is read, and refused for what it says.
    let plain = [("content-type", "application/json; charset=utf-8"), ("content-encoding", "identity")];
    assert_eq!(api.refusal_with(&plain, "{").await, (400, vec![("malformed_json".to_owned(), String::new())]));
    let answer = api.api.http.send(Method::GET, "/api/orders/create", &[], "").await.unwrap();
    assert!([404, 405].contains(&answer.status.as_u16()), "{}", answer.status);
    let answer = api.api.http.send(Method::DELETE, "/api/orders/create", &[], "").await.unwrap();
    assert_eq!((answer.status.as_u16(), answer.json()["code"].as_u64()), (405, Some(405)));
    assert_eq!(api.database.count("SELECT count(*) FROM orders.orders").await, 0);
    assert_eq!(api.database.count("SELECT count(*) FROM orders.outbox").await, 0);
    let said = api.api.said();
    assert!(!said.contains("eyJ") && !said.contains("tests:"), "a secret was logged");
}

#[tokio::test]
async fn a_request_that_the_database_refuses_costs_no_neighbour_its_answer() {
    let api = Api::start().await;
    // What no check in front can know of: the table itself refuses one user.
    let admin = api.database.connect().await;
    let sql = "ALTER TABLE orders.orders ADD CONSTRAINT not_this_one CHECK (user_id <> 'refused')";
    admin.batch_execute(sql).await.unwrap();
    let body = |user: &str| {
        with(|b| {
            b["userId"] = json!(user);
            b["token"] = json!(token(user));
        })
    };
    api.database.register_key("welcome").await;
    api.database.register_key("refused").await;
    let http = &api.api.http;
    let requests = (0..200).map(|i| {
        let body = body(if i % 50 == 7 { "refused" } else { "welcome" });
        let headers = [("content-type", "application/json")];
        async move { http.send(Method::POST, "/api/orders/create", &headers, body).await.unwrap().status }
    });
    let statuses = futures_util::future::join_all(requests).await;
    for (i, status) in statuses.iter().enumerate() {
        assert_eq!(status.as_u16(), if i % 50 == 7 { 500 } else { 200 }, "request {i}");
    }
    assert_eq!(api.database.count("SELECT count(*) FROM orders.orders").await, 196);
}
