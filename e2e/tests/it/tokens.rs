//! Who may do what: a token says it, and nothing else does.

use e2e::{in_seconds, signed, token, token_with};
use hyper::{Method, header};
use serde_json::{Value, json};

use crate::line::{Line, USER, documented};

fn claims(scope: &str) -> Value {
    json!({"sub": "somebody-else", "scope": scope, "exp": in_seconds(60)})
}

/// Signed with a key that is known, and with a header that must be understood (RFC 7515, section 4.1.11).
fn with_crit() -> String {
    e2e::token_with_header(&json!({"alg": "HS256", "typ": "JWT", "crit": ["x"], "x": 1}), &claims("customer"))
}

#[tokio::test]
async fn an_order_needs_a_token_of_its_user() {
    let line = Line::start().await;
    let unsigned = {
        let signed = token(USER);
        let payload = signed.split('.').nth(1).unwrap();
        format!("eyJhbGciOiJub25lIiwidHlwIjoiSldUIn0.{payload}.")
    };
    let mut altered = token(USER);
    altered.replace_range(40..41, if &altered[40..41] == "A" { "B" } else { "A" });
    for (what, token, status, code) in [
        ("no token at all", "user authentication token".to_owned(), 401, "invalid_token"),
        ("unsigned", unsigned, 401, "invalid_token"),
        ("altered", altered, 401, "invalid_token"),
        ("expired", token_with(&json!({"sub": USER, "exp": 1})), 401, "token_expired"),
        ("without an end", token_with(&json!({"sub": USER})), 401, "invalid_token"),
        ("with what must be understood and is not", with_crit(), 401, "invalid_token"),
        ("another user's", token("somebody-else"), 403, "wrong_user"),
        (
            "not for customers",
            token_with(&json!({"sub": USER, "scope": "staff", "exp": in_seconds(60)})),
            403,
            "insufficient_scope",
        ),
    ] {
        let mut body = documented();
        body["token"] = json!(token);
        let answer = line.api().http.post_json("/api/orders/create", &body).await.unwrap();
        assert_eq!(
            (answer.status.as_u16(), answer.json()["errors"][0]["code"].clone()),
            (403, json!("invalid_signature"))
        );
        // Signed as it is, there is only the token to be refused.
        let body = signed(body);
        let answer = line.api().http.post_json("/api/orders/create", &body).await.unwrap();
        let refusal = (answer.status.as_u16(), answer.json()["errors"][0]["code"].clone());
        assert_eq!(refusal, (status, json!(code)), "{what}: {}", answer.text());
        assert_eq!(answer.headers.contains_key(header::WWW_AUTHENTICATE), status == 401, "{what}");
        assert!(!answer.text().contains(&token), "{what}");
    }
    assert_eq!(line.database.count("SELECT count(*) FROM orders.orders").await, 0);
}

#[tokio::test]
async fn another_users_order_reads_like_one_that_does_not_exist() {
    let line = Line::start().await;
    let path = format!("/api/orders/{}", line.place().await);
    let http = &line.api().http;
    let unknown = http.get_as("/api/orders/ORD00000000000070008000000000000000", &token(USER)).await.unwrap();
    for (scope, seen) in [("customer", false), ("", false), ("service", true), ("staff", true), ("admin", true)] {
        let answer = http.get_as(&path, &token_with(&claims(scope))).await.unwrap();
        assert_eq!(answer.status == 200, seen, "{scope}: {}", answer.text());
        assert!(seen || (answer.status, &answer.body) == (unknown.status, &unknown.body), "{scope}");
    }
    for (authorization, code) in [
        (None, "missing_token"),
        (Some("Basic dTpw".to_owned()), "missing_token"),
        (Some("Bearer".to_owned()), "missing_token"),
        (Some("Bearer x".to_owned()), "invalid_token"),
        (Some(format!("Bearer {}", token_with(&json!({"sub": USER, "exp": 1})))), "token_expired"),
    ] {
        let headers: Vec<_> = authorization.iter().map(|value| ("authorization", value.as_str())).collect();
        let answer = http.send(Method::GET, &path, &headers, "").await.unwrap();
        let refusal = (answer.status.as_u16(), answer.json()["errors"][0]["code"].clone());
        assert_eq!(refusal, (401, json!(code)), "{authorization:?}");
    }
    let sound = format!("Bearer {}", token(USER));
    for both in [[&sound, "Bearer x"], ["Bearer x", &sound], [&sound, &sound], ["\u{e9}", &sound]] {
        let twice = both.map(|value| ("authorization", value));
        let answer = http.send(Method::GET, &path, &twice, "").await.unwrap();
        let refusal = (answer.status.as_u16(), answer.json()["errors"][0]["code"].clone());
        assert_eq!(refusal, (401, json!("invalid_token")), "{both:?}");
    }
    let lower = [("authorization", &*format!("bearer {}", token(USER)))];
    assert_eq!(http.send(Method::GET, &path, &lower, "").await.unwrap().status, 200);
}
