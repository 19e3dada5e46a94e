//! The catalogue: what is put into it shows everywhere, and in the next order.

use std::time::Duration;

use e2e::{Process, eventually, in_seconds, signed, token, token_with};
use hyper::Method;
use serde_json::{Value, json};
use tokio::time::Instant;

use crate::{alone::Alone, line::USER};

fn admin() -> String {
    token_with(&json!({"sub": "the-boss", "scope": "admin", "exp": in_seconds(600)}))
}

async fn price(api: &Process, product: &str) -> Option<Value> {
    let answer = api.http.get_as("/api/products", &token(USER)).await.unwrap();
    assert_eq!(answer.status, 200, "{}", answer.text());
    let products = answer.json()["products"].take();
    products.as_array().unwrap().iter().find(|listed| listed["productId"] == product).map(|p| p["price"].clone())
}

async fn put(api: &Process, product: &str, body: &str) -> (u16, Value) {
    let headers = [("authorization", &*format!("Bearer {}", admin())), ("content-type", "application/json")];
    let answer = api.http.send(Method::PUT, &format!("/api/products/{product}"), &headers, body.to_owned()).await;
    let answer = answer.unwrap();
    (answer.status.as_u16(), answer.json())
}

#[tokio::test]
async fn a_product_that_is_put_shows_at_once_here_and_within_a_second_elsewhere() {
    let alone = Alone::start(&[]).await;
    let other = Alone::another(&alone.database, &alone.vhost, &[]).await;
    let (status, stored) = put(&alone.api, "P100", r#"{"name":"Kettle","price":12.3}"#).await;
    let put_at = Instant::now();
    let expected = json!({
        "code": 200, "message": "Product stored",
        "productId": "P100", "name": "Kettle", "price": 12.30, "currency": "USD",
    });
    assert_eq!((status, stored), (200, expected));
    assert_eq!(price(&alone.api, "P100").await, Some(json!(12.30)));
    eventually(Duration::from_secs(1), "the other one knows of it", async || price(&other, "P100").await).await;
    assert!(put_at.elapsed() < Duration::from_secs(1), "{:?}", put_at.elapsed());

    let order = |amount: f64| {
        signed(json!({"userId": USER, "token": token(USER), "orderAmount": amount,
                      "items": [{"productId": "P100", "quantity": 2}]}))
    };
    assert_eq!(other.http.post_json("/api/orders/create", &order(24.60)).await.unwrap().status, 200);
    assert_eq!(put(&other, "P100", r#"{"name":"Kettle","price":"15"}"#).await.0, 400);
    assert_eq!(put(&other, "P100", r#"{"name":"Kettle, large","price":15}"#).await.0, 200);
    let answer = other.http.post_json("/api/orders/create", &order(24.60)).await.unwrap();
    assert_eq!(answer.json()["errors"][0]["code"], "amount_mismatch", "{}", answer.text());
    eventually(Duration::from_secs(1), "the first one knows of it", async || {
        (price(&alone.api, "P100").await == Some(json!(15.0))).then_some(())
    })
    .await;
}

#[tokio::test]
async fn who_has_the_list_already_is_told_so() {
    let alone = Alone::start(&[]).await;
    let list = async |known: &str| {
        let headers = [("authorization", &*format!("Bearer {}", token(USER))), ("if-none-match", known)];
        alone.api.http.send(Method::GET, "/api/products", &headers, "").await.unwrap()
    };
    let first = list("\"x\"").await;
    let ids: Vec<Value> = first.json()["products"].as_array().unwrap().iter().map(|p| p["productId"].clone()).collect();
    assert_eq!((first.status.as_u16(), ids), (200, ["P001", "P002", "P003", "P004"].map(|id| json!(id)).to_vec()));
    let tag = first.headers["etag"].to_str().unwrap().to_owned();
    for known in [tag.clone(), format!("\"x\", W/{tag}"), "*".to_owned()] {
        let again = list(&known).await;
        assert_eq!((again.status.as_u16(), again.body.len()), (304, 0), "{known}");
        assert_eq!(again.headers["etag"].to_str().unwrap(), tag);
    }
    put(&alone.api, "P001", r#"{"name":"Espresso cup","price":36}"#).await;
    assert_eq!(list(&tag).await.status, 200);
    let missing = alone.api.http.get("/api/products").await.unwrap();
    assert_eq!((missing.status.as_u16(), missing.json()["errors"][0]["code"].clone()), (401, json!("missing_token")));
}

#[tokio::test]
async fn only_an_administrator_puts_products_and_only_good_ones() {
    let alone = Alone::start(&[]).await;
    let good = r#"{"name":"Cup","price":1}"#;
    for scope in ["customer", "service", "staff", ""] {
        let token = token_with(&json!({"sub": USER, "scope": scope, "exp": in_seconds(60)}));
        let refusal = alone.refusal(Method::PUT, "/api/products/P001", &token, good).await;
        assert_eq!(refusal, (403, vec![["insufficient_scope".to_owned(), String::new()]]), "{scope}");
    }
    let long = format!(r#"{{"name":"{}","price":1}}"#, "x".repeat(201));
    for (product, body, code, field) in [
        ("P001", r#"{"name":"","price":1}"#, "invalid_field", "name"),
        ("P001", r#"{"name":"a\u0000b","price":1}"#, "invalid_field", "name"),
        ("P001", r#"{"name":"a\nb","price":1}"#, "invalid_field", "name"),
        ("P001", &long, "invalid_field", "name"),
        ("P001", r#"{"name":5,"price":1}"#, "invalid_field", "name"),
        ("P001", r#"{"name":"Cup","price":-1}"#, "invalid_field", "price"),
        ("P001", r#"{"name":"Cup","price":1.005}"#, "invalid_field", "price"),
        ("P001", r#"{"name":"Cup","price":1e15}"#, "invalid_field", "price"),
        ("P001", r#"{"name":"Cup","price":"1"}"#, "invalid_field", "price"),
        ("P001", r#"{"name":"Cup"}"#, "missing_field", "price"),
        ("P001", r#"{"name":"Cup","price":1,"stock":5}"#, "unknown_field", "stock"),
        ("P%20001", good, "invalid_field", "productId"),
        ("%FF", good, "invalid_field", "productId"),
    ] {
        let refusal = alone.refusal(Method::PUT, &format!("/api/products/{product}"), &admin(), body).await;
        assert_eq!(refusal, (400, vec![[code.to_owned(), field.to_owned()]]), "{product} {body}");
    }
    assert_eq!(price(&alone.api, "P001").await, Some(json!(35.25)));
}
