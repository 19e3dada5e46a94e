//! Pages of foreign sites: what a browser may be made to send, and what it may read.

use e2e::{Database, Process, Vhost, http::Answer, service_settings};
use hyper::Method;
use serde_json::json;

use crate::line::documented;

async fn ask(api: &Process, method: Method, headers: &[(&str, &str)]) -> Answer {
    let body = if method == Method::POST { documented().to_string() } else { String::new() };
    let mut all = vec![("content-type", "application/json")];
    all.extend(headers);
    api.http.send(method, "/api/orders/create", &all, body).await.unwrap()
}

fn header<'a>(answer: &'a Answer, name: &str) -> Option<&'a str> {
    answer.headers.get(name).map(|value| value.to_str().unwrap())
}

#[tokio::test]
async fn a_page_of_a_foreign_site_can_place_no_order() {
    let (database, vhost) = (Database::create().await, Vhost::create().await);
    database.load_demo().await;
    let mut settings = service_settings("orders", &database, &vhost);
    settings
        .insert("CONVEYOR__HTTP__ALLOWED_ORIGINS".to_owned(), "https://shop.example, http://127.0.0.1:3000".to_owned());
    let mut api = Process::spawn("order-api", settings).await;
    api.wait_ready().await;
    let own = format!("http://127.0.0.1:{}", api.port);
    for foreign in [
        &[("sec-fetch-site", "cross-site"), ("origin", "https://evil.example")][..],
        &[("sec-fetch-site", "same-site"), ("origin", "http://127.0.0.1:1")],
        &[("sec-fetch-site", "cross-site")],
        &[("origin", "https://evil.example")],
        &[("origin", "null")],
    ] {
        let answer = ask(&api, Method::POST, foreign).await;
        let refusal = (answer.status.as_u16(), answer.json()["errors"][0]["code"].clone());
        assert_eq!(refusal, (403, json!("cross_site_request")), "{foreign:?}");
        assert_eq!(header(&answer, "access-control-allow-origin"), None, "{foreign:?}");
        assert!(header(&answer, "x-request-id").is_some());
    }
    assert_eq!(database.count("SELECT count(*) FROM orders.orders").await, 0);
    for (welcome, allowed) in [
        (&[][..], None),
        (&[("sec-fetch-site", "same-origin"), ("origin", &own)], None),
        (&[("origin", &own)], None),
        (&[("sec-fetch-site", "cross-site"), ("origin", "https://shop.example")], Some("https://shop.example")),
        (&[("origin", "http://127.0.0.1:3000")], Some("http://127.0.0.1:3000")),
    ] {
        let answer = ask(&api, Method::POST, welcome).await;
        assert_eq!(answer.status, 200, "{welcome:?}: {}", answer.text());
        assert_eq!(header(&answer, "access-control-allow-origin"), allowed, "{welcome:?}");
    }

    // What a browser asks before it lets a page of another site send JSON.
    let before = |origin| {
        [
            ("origin", origin),
            ("access-control-request-method", "POST"),
            ("access-control-request-headers", "content-type"),
        ]
    };
    let answer = ask(&api, Method::OPTIONS, &before("https://shop.example")).await;
    assert_eq!(answer.status, 200);
    assert_eq!(header(&answer, "access-control-allow-origin"), Some("https://shop.example"));
    assert!(header(&answer, "access-control-allow-methods").is_some_and(|methods| methods.contains("POST")));
    assert!(header(&answer, "access-control-allow-headers").is_some_and(|names| names.contains("content-type")));
    assert_eq!(header(&answer, "access-control-allow-credentials"), None);
    let answer = ask(&api, Method::OPTIONS, &before("https://evil.example")).await;
    assert_eq!(header(&answer, "access-control-allow-origin"), None);
}
