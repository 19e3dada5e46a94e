//! What pages refuse, what they hide, and what nothing on them can do.

use e2e::{LONG, eventually, http::Answer};
use hyper::Method;
use serde_json::{Value, json};
use uuid::Uuid;

use crate::visitor::{Desk, Visitor};

const HOSTILE: &str = "<script>alert(1)</script><img src=x onerror=alert(2)>\"'&\u{202E}</textarea></pre>{{7*7}}";
const QUEUE: &str = "payment.charge";
/// Whoever reads it knows who it is.
const USER: &str = "jane@example.test";

/// A dead event as a worker leaves it: hostile wherever it can be.
async fn dies(desk: &Desk, user: &str, reason: &str) -> Uuid {
    let event = Uuid::now_v7();
    let body = json!([{
        "specversion": "1.0", "id": event, "type": "order.payment_due", "source": "order-api",
        "subject": format!("ORD{}", Uuid::now_v7().simple().to_string().to_uppercase()),
        "time": "2026-11-22T10:00:00Z", "attempt": 6,
        "data": {"userId": user, "note": HOSTILE, "email": USER, "amount": 10_050},
    }]);
    desk.letter(
        QUEUE,
        body.to_string().as_bytes(),
        &[("x-reason", reason), ("x-death-kind", "rejected"), ("x-queue", QUEUE), ("x-note", HOSTILE)],
    )
    .await;
    let client = desk.database.connect().await;
    eventually(LONG, "the letter", async || {
        let row = client.query_opt("SELECT id FROM support.letters WHERE event_id = $1", &[&event]).await.unwrap();
        row.map(|row| row.get(0))
    })
    .await
}

fn location(answer: &Answer) -> &str {
    answer.headers["location"].to_str().unwrap()
}

/// The version that a letter's forms carry.
async fn version(desk: &Desk, letter: Uuid) -> String {
    desk.database.count(&format!("SELECT version::bigint FROM support.letters WHERE id = '{letter}'")).await.to_string()
}

async fn state(desk: &Desk, letter: Uuid) -> String {
    let client = desk.database.connect().await;
    client.query_one("SELECT state FROM support.letters WHERE id = $1", &[&letter]).await.unwrap().get(0)
}

#[tokio::test]
async fn whatever_is_in_a_letter_stays_text() {
    let desk = Desk::start(&[]).await;
    let user = format!("{USER}{HOSTILE}");
    let letter = dies(&desk, &user, HOSTILE).await;
    let garbage = [b"<script>alert(3)</script>".as_slice(), &[0xff, 0, 0xfe], &[b'x'; 4_096]].concat();
    desk.letter(QUEUE, &garbage, &[]).await;
    let large = format!("<script>alert(4)</script>{}", "y".repeat(10 * 1024 * 1024));
    desk.letter(QUEUE, large.as_bytes(), &[]).await;
    let client = desk.database.connect().await;
    let letters = eventually(LONG, "all three", async || {
        let rows = client.query("SELECT id FROM support.letters", &[]).await.unwrap();
        (rows.len() == 3).then(|| rows.iter().map(|row| row.get(0)).collect::<Vec<Uuid>>())
    })
    .await;
    let admin = desk.logged_in("admin").await;
    let group: Uuid =
        client.query_one("SELECT group_key FROM support.letters WHERE id = $1", &[&letter]).await.unwrap().get(0);
    let mut paths =
        vec!["/".to_owned(), format!("/groups/{group}"), "/search".to_owned(), format!("/letters/{letter}/edit")];
    paths.extend(letters.iter().map(|letter| format!("/letters/{letter}")));
    paths.push(format!("/search?q={}", form_urlencoded::byte_serialize(HOSTILE.as_bytes()).collect::<String>()));
    paths.push(format!("/orders?q={}", form_urlencoded::byte_serialize(HOSTILE.as_bytes()).collect::<String>()));
    paths.push(format!("/audit?account={}", form_urlencoded::byte_serialize(HOSTILE.as_bytes()).collect::<String>()));
    for path in paths {
        let answer = admin.get(&path).await;
        let text = answer.text();
        assert!([200, 400].contains(&answer.status.as_u16()), "{path}: {} {text}", answer.status);
        assert_eq!(answer.headers["content-type"], "text/html; charset=utf-8", "{path}");
        for tag in ["<script>", "<img", "\u{202E}", "onerror=alert(2)>"] {
            assert!(!text.contains(tag), "{path}: {tag} in {text}");
        }
        assert!(text.len() < 400_000, "{path}: {} bytes", text.len());
    }
    let shown = admin.get(&format!("/letters/{letter}")).await.text();
    assert!(shown.contains("&lt;script&gt;alert(1)&lt;/script&gt;"), "{shown}");

    // The whole of a body is a download, which no browser opens as a page.
    for letter in letters {
        let answer = admin.get(&format!("/letters/{letter}/body")).await;
        assert_eq!(answer.status, 200);
        assert_eq!(answer.headers["content-type"], "application/octet-stream");
        assert_eq!(answer.headers["x-content-type-options"], "nosniff");
        assert!(answer.headers["content-disposition"].to_str().unwrap().starts_with("attachment; "));
    }
}

#[tokio::test]
async fn a_reader_looks_and_does_nothing() {
    let desk = Desk::start(&[]).await;
    let letter = dies(&desk, "123456", "no amount").await;
    let (reader, operator) = (desk.logged_in("reader").await, desk.logged_in("operator").await);
    let version = version(&desk, letter).await;
    let page = reader.get(&format!("/letters/{letter}")).await.text();
    assert!(!page.contains("<button id=\"retry\"") && page.contains("takes the role operator"), "{page}");
    let seen = [("version", version.as_str()), ("reason", "x"), ("body", "[]")];
    for what in ["retry", "discard", "restore", "edit"] {
        let answer = reader.post(&format!("/letters/{letter}/{what}"), &seen).await;
        assert_eq!(answer.status, 403, "{what}: {}", answer.text());
        assert!(answer.text().contains("role"), "{what}: {}", answer.text());
    }
    assert_eq!(reader.get(&format!("/letters/{letter}/edit")).await.status, 403);
    assert_eq!(reader.get(&format!("/letters/{letter}/body")).await.status, 403);
    for action in ["retry", "discard", "restore"] {
        let answer = reader.post("/plans", &[("q", ""), ("action", action)]).await;
        assert_eq!(answer.status, 403, "{action}");
    }
    let id = Uuid::now_v7();
    for (path, fields) in [
        (format!("/plans/{id}"), [("action", "retry"), ("first", "1"), ("rate", "0"), ("tolerate", "0")].as_slice()),
        (format!("/runs/{id}"), &[("do", "cancel")]),
        (format!("/orders/ORD{:X}/cancel", id.as_simple()), &[]),
    ] {
        let answer = reader.post(&path, fields).await;
        assert_eq!(answer.status, 403, "{path}: {}", answer.text());
    }
    assert_eq!(state(&desk, letter).await, "failed");

    // Without the session's token, from elsewhere, or after a logout nobody does anything either.
    let path = format!("/letters/{letter}/discard");
    let without = Visitor { csrf: String::new(), cookie: operator.cookie.clone(), ..desk.visitor() };
    assert_eq!(without.post(&path, &seen).await.status, 403);
    let fields = [("csrf", operator.csrf.as_str()), ("version", &version), ("reason", "x")];
    let foreign = [("origin", "https://evil.example")];
    assert_eq!(operator.send(Method::POST, &path, &foreign, &fields).await.status, 403);
    assert_eq!(operator.post("/logout", &[]).await.status, 303);
    let late = operator.post(&path, &seen).await;
    assert_eq!((late.status.as_u16(), late.headers["location"].to_str().unwrap()), (303, "/login"));
    assert_eq!(state(&desk, letter).await, "failed");

    let operator = desk.logged_in("operator").await;
    let done = operator.post(&path, &seen).await;
    assert_eq!(done.status, 303, "{}", done.text());
    eventually(LONG, "discarded", async || (state(&desk, letter).await == "discarded").then_some(())).await;
}

#[tokio::test]
async fn readers_do_not_see_who_people_are() {
    let desk = Desk::start(&[]).await;
    let letter = dies(&desk, USER, &format!("the card of {USER} was declined")).await;
    let (reader, operator) = (desk.logged_in("reader").await, desk.logged_in("operator").await);
    let client = desk.database.connect().await;
    let group: Uuid =
        client.query_one("SELECT group_key FROM support.letters WHERE id = $1", &[&letter]).await.unwrap().get(0);
    for path in ["/".to_owned(), format!("/groups/{group}"), "/search".to_owned(), format!("/letters/{letter}")] {
        let page = reader.get(&path).await;
        assert_eq!(page.status, 200, "{path}");
        assert!(!page.text().contains(USER), "{path}: {}", page.text());
    }
    assert!(operator.get(&format!("/letters/{letter}")).await.text().contains(USER));
}

#[tokio::test]
async fn what_has_changed_meanwhile_is_not_touched_and_an_edit_that_was_not_applied_says_so() {
    let desk = Desk::start(&[]).await;
    let letter = dies(&desk, "123456", "no amount").await;
    let operator = desk.logged_in("operator").await;
    let before = version(&desk, letter).await;
    let page = operator.get(&format!("/letters/{letter}/edit")).await.text();
    assert!(page.contains("&quot;amount&quot;: 10050"), "{page}");
    let edit = format!("/letters/{letter}/edit");
    for bad in ["", "{", "[]", "[{}]", "nothing"] {
        let answer = operator.post(&edit, &[("version", &before), ("body", bad)]).await;
        assert_eq!(answer.status, 422, "{bad:?}: {}", answer.text());
        assert!(answer.text().contains("The edit was not applied."), "{bad:?}");
    }
    let body: Vec<u8> = desk.body(letter).await;
    let mut mended: Value = serde_json::from_slice(&body).unwrap();
    mended[0]["data"]["amount"] = json!(7);
    let mended = format!("{mended:#}").replace('\n', "\r\n");
    let answer = operator.post(&edit, &[("version", &before), ("body", &mended)]).await;
    assert_eq!(answer.status, 303, "{}", answer.text());
    let page = operator.get(location(&answer)).await.text();
    assert!(page.contains("The edit was applied.") && page.contains("<ins>+ "), "{page}");
    assert!(page.contains("It was edited since it failed."), "{page}");
    let page = operator.get(&format!("/letters/{letter}?edited={letter}")).await.text();
    assert!(!page.contains("The edit was applied."), "an address says nothing that is not so: {page}");
    // Somebody whose screen is older.
    let answer = operator.post(&edit, &[("version", &before), ("body", &mended.replace('7', "8"))]).await;
    assert_eq!(answer.status, 409, "{}", answer.text());
    for what in ["retry", "discard"] {
        let answer =
            operator.post(&format!("/letters/{letter}/{what}"), &[("version", &before), ("reason", "x")]).await;
        assert_eq!(answer.status, 409, "{what}: {}", answer.text());
    }
}

/// Without a script nothing is put right later: what the page says after a button is what is so.
#[tokio::test]
async fn after_a_button_the_page_shows_what_is_so_by_then() {
    let desk = Desk::start(&[]).await;
    let letter = dies(&desk, "123456", "no amount").await;
    let operator = desk.logged_in("operator").await;
    let press = async |what: &str, more: &[(&str, &str)]| {
        let version = version(&desk, letter).await;
        let mut fields = vec![("version", version.as_str())];
        fields.extend(more);
        let answer = operator.post(&format!("/letters/{letter}/{what}"), &fields).await;
        assert_eq!(answer.status, 303, "{what}: {}", answer.text());
        operator.get(location(&answer)).await.text()
    };
    let page = press("discard", &[("reason", "paid by hand")]).await;
    assert!(page.contains("It was discarded.") && page.contains("id=\"restore\""), "{page}");
    assert!(page.contains("chip discarded") && page.contains("Discarded because:"), "{page}");
    let page = press("restore", &[]).await;
    assert!(page.contains("It was restored: it is failed again") && page.contains("id=\"retry\""), "{page}");
    assert!(!page.contains("since just now"), "{page}");
    let body = String::from_utf8(desk.body(letter).await).unwrap().replace("10050", "7");
    let page = press("edit", &[("body", &body), ("then", "retry")]).await;
    assert!(page.contains("The edit was applied.") && page.contains("It was sent again."), "{page}");
    assert!(page.contains("chip retrying") && !page.contains("id=\"retry\""), "{page}");
    // It is in somebody's hands now, and that is said with the way back.
    let again = operator.post(&format!("/letters/{letter}/retry"), &[("version", "4")]).await;
    assert_eq!(again.status, 409, "{}", again.text());
    assert!(again.text().contains(&format!("href=\"/letters/{letter}\">Back")), "{}", again.text());
}

#[tokio::test]
async fn what_goes_wrong_has_the_usual_frame_for_whoever_is_logged_in() {
    let desk = Desk::start(&[]).await;
    let (visitor, operator) = (desk.visitor(), desk.logged_in("operator").await);
    let id = Uuid::nil();
    let without = Visitor { csrf: String::new(), cookie: operator.cookie.clone(), ..desk.visitor() };
    for (answer, status) in [
        (operator.get(&format!("/letters/{id}")).await, 404),
        (operator.get("/orders/ORD1").await, 404),
        (operator.get("/nowhere").await, 404),
        (operator.get("/search?q=x&after=y").await, 400),
        (operator.post("/plans", &[("q", "nothing"), ("action", "retry")]).await, 409),
        (without.post(&format!("/letters/{id}/retry"), &[]).await, 403),
    ] {
        let text = answer.text();
        assert_eq!(answer.status, status, "{text}");
        for part in ["<nav aria-label=\"Console\">", "href=\"/search\"", "Log out", "role=\"alert\""] {
            assert!(text.contains(part), "{part} is not in {text}");
        }
    }
    let answer = visitor.get("/nowhere").await;
    assert!(answer.status == 404 && !answer.text().contains("<nav"), "{}", answer.text());
}

#[tokio::test]
async fn a_page_offers_what_can_be_done_says_what_helps_and_leads_on() {
    let desk = Desk::start(&[]).await;
    let refund = dies(&desk, "guest", "the gateway refuses the refund: card_closed").await;
    let operator = desk.logged_in("operator").await;
    let reader = desk.logged_in("reader").await;
    let client = desk.database.connect().await;
    let row =
        client.query_one("SELECT group_key, subject FROM support.letters WHERE id = $1", &[&refund]).await.unwrap();
    let (group, order): (Uuid, String) = (row.get(0), row.get(1));

    let page = operator.get(&format!("/letters/{refund}")).await.text();
    assert!(page.contains("Paid back by hand") && page.contains("Retry it all the same"), "{page}");
    for link in [format!("href=\"/orders/{order}\""), "href=\"/search?q=user%3Aguest\"".to_owned()] {
        assert!(page.contains(&link), "{link} is not in {page}");
    }
    let page = reader.get(&format!("/letters/{refund}")).await.text();
    assert!(page.contains("Paid back by hand") && !page.contains("guest"), "{page}");
    let page = operator.get(&format!("/letters/{refund}/edit")).await.text();
    assert!(page.contains("minor units") && page.contains("Apply it and retry"), "{page}");

    // A word by itself finds what it names, and a list leads to the order.
    for found in ["guest", "payment.charge", "refund", "payment"] {
        let page = operator.get(&format!("/search?q={found}")).await.text();
        assert!(page.contains("<strong>1 letter</strong> found") && page.contains(&order), "{found}: {page}");
        assert!(page.contains(&format!("href=\"/orders/{order}\"")), "{found}: {page}");
    }

    // One letter needs no canary.
    let plan = operator.post("/plans", &[("group", &group.to_string()), ("action", "retry")]).await.text();
    assert!(plan.contains("Retry 1 letter") && plan.contains("Exactly the one"), "{plan}");
    assert!(!plan.contains("First steps") && !plan.contains("those 1"), "{plan}");

    let seen = version(&desk, refund).await;
    let done = operator.post(&format!("/letters/{refund}/discard"), &[("version", &seen), ("reason", "x")]).await;
    assert_eq!(done.status, 303, "{}", done.text());
    let page = operator.get("/search?q=guest").await.text();
    assert!(page.contains("id=\"found-restore\""), "{page}");
    assert!(!page.contains("id=\"found-retry\"") && !page.contains("id=\"found-discard\""), "{page}");

    // What was done is said in words.
    let audit = operator.get("/audit").await.text();
    let runs = operator.get("/runs").await.text();
    assert!(!audit.contains("4294967295") && !audit.contains("2147483647"), "{audit}");
    assert!(runs.contains("<small>the letter</small>") && !runs.contains("letter:"), "{runs}");
}
