//! Mending by the API: what is large, and what has changed meanwhile.

use e2e::http::Answer;
use hyper::Method;
use secrecy::ExposeSecret as _;
use serde_json::{Value, json};
use support_console::{By, people};

use crate::visitor::{Desk, name};

const KIB: usize = 1024;

#[tokio::test]
async fn what_is_edited_may_be_as_large_as_what_is_kept_for_editing_and_no_larger() {
    let desk = Desk::start(&[]).await;
    let event = json!({
        "specversion": "1.0", "id": "0193a0c0-d0e0-7000-8000-000000000000", "type": "order.paid", "source": "x",
        "subject": "s", "time": "2026-01-31T12:00:00Z", "data": {"note": "", "quotes": ""},
    });
    desk.letter("payment.charge", format!("[{event}]").as_bytes(), &[("x-reason", "no amount")]).await;
    let letter = e2e::eventually(e2e::LONG, "the letter", async || {
        let rows = desk.database.connect().await.query("SELECT id FROM support.letters", &[]).await.unwrap();
        rows.first().map(|row| row.get::<_, uuid::Uuid>(0))
    })
    .await;
    let token = people::mint_token(&desk.db, ("test", By::Cli), &name("operator"), "test", 1).await.unwrap();
    let ask = async |path: &str, body: Value| -> Answer {
        let authorization = format!("Bearer {}", token.expose_secret());
        let headers = [("authorization", authorization.as_str()), ("content-type", "application/json")];
        let path = format!("/api/support{path}");
        desk.process.http.send(Method::POST, &path, &headers, body.to_string()).await.expect("an answer")
    };
    let edit = async |version: i32, size: usize| {
        let mut large = event.clone();
        large["data"]["note"] = json!("x".repeat(size));
        // What JSON writes with two bytes for each of its own.
        large["data"]["quotes"] = json!("\"".repeat(size / 8));
        ask(&format!("/letters/{letter}/edit"), json!({"version": version, "body": large.to_string()})).await
    };
    let answer = edit(1, 100 * KIB).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    let answer = edit(2, 3_000 * KIB).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    assert!(desk.body(letter).await.len() > 3_000 * KIB);
    let answer = edit(3, 4_100 * KIB).await;
    assert_eq!((answer.status.as_u16(), &answer.json()["errors"][0]["code"]), (422, &json!("edit_not_applied")));
    let answer = edit(3, 9_000 * KIB).await;
    assert_eq!((answer.status.as_u16(), &answer.json()["errors"][0]["code"]), (413, &json!("body_too_large")));

    // Whoever says which version they have seen does nothing to another.
    let plan = |version: i32| json!({"action": "discard", "letter": letter, "version": version});
    let answer = ask("/plans", plan(1)).await;
    assert_eq!((answer.status.as_u16(), &answer.json()["errors"][0]["code"]), (409, &json!("changed_since")));
    assert_eq!(ask("/plans", plan(3)).await.status, 200);
    let answer = ask("/plans", json!({"action": "discard", "query": "", "version": 3})).await;
    assert_eq!((answer.status.as_u16(), &answer.json()["errors"][0]["field"]), (400, &json!("version")));
}
