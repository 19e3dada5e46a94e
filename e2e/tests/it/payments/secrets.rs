//! A card number or a CVV is in no table, no queue and no log.

use std::fs;

use e2e::{Database, token};
use hyper::Method;
use serde_json::json;

use super::{PROCESS, Till, WALKER, by_card};

/// Digits that nothing else here has.
pub(crate) const CVV: &str = "9417";
pub(crate) const NUMBERS: [&str; 15] = [
    "4111111111111111",
    "4000000000000010",
    "4000000000000028",
    "4000000000000036",
    "4000000000000044",
    "4000000000000051",
    "4000000000000069",
    "4000000000000077",
    "4000000000000085",
    "4000000000000093",
    "4000000000000101",
    "4000000000000119",
    "4000000000000127",
    "4000000000000135",
    "4242424242424242",
];

#[tokio::test]
async fn nothing_of_a_card_is_left_anywhere() {
    // Everything is said that can be, of every crate.
    let loud = [("CONVEYOR__LOG__FILTER", "trace"), ("CONVEYOR__PAYMENTS__ANSWER_WITHIN_MS", "500")];
    let till = Till::open_with(1, &loud, &[]).await;
    let with_cvv = |mut body: serde_json::Value| {
        body["paymentDetails"]["cvv"] = json!(CVV);
        body
    };
    for number in NUMBERS {
        let order = till.owing(WALKER).await;
        let good = with_cvv(by_card(order, WALKER, number));
        let answer = till.pay(0, &good).await;
        assert!(answer.status != 500, "{}", answer.text());
        said_nothing(&answer.text(), "an answer");
        // The same in bodies that are refused, for what they are and where they are sent.
        let mut unknown = good.clone();
        unknown[number] = json!(CVV);
        let mut doubled = good.clone();
        doubled["paymentAmount"] = json!(number);
        let mut astray = good.clone();
        astray["orderId"] = json!(number);
        for body in [
            unknown.to_string(),
            doubled.to_string(),
            astray.to_string(),
            format!("{good}x"),
            good.to_string()[..150].to_owned(),
        ] {
            let headers =
                [("authorization", &*format!("Bearer {}", token(WALKER))), ("content-type", "application/json")];
            let answer = till.workers[0].http.send(Method::POST, PROCESS, &headers, body).await.unwrap();
            assert!(answer.status.is_client_error(), "{}", answer.text());
            // The name of a field that there is none of is told, whatever it is; nothing else is.
            if answer.json()["errors"][0]["code"] != "unknown_field" {
                said_nothing(&answer.text(), "a refusal");
            }
        }
        let method = json!({"cardNumber": number, "expiryDate": "12/30", "cvv": CVV});
        let path = format!("/api/payment/methods/{WALKER}");
        let stored = till.send(0, Method::PUT, &path, &token(WALKER), &method).await;
        assert_eq!(stored.status, 200, "{}", stored.text());
        said_nothing(&stored.text(), "an answer");
        till.send(0, Method::DELETE, &path, &token(WALKER), &method).await;
    }
    till.sandbox.fault("gateway", "down").await;
    for _ in 0..6 {
        let order = till.owing(WALKER).await;
        said_nothing(&till.pay(0, &with_cvv(by_card(order, WALKER, NUMBERS[0]))).await.text(), "an answer");
    }
    till.sandbox.fault("gateway", "up").await;
    till.until("SELECT count(*) FROM payments.payments WHERE state = 'open'", 0).await;

    let said = till.workers[0].said();
    assert!(said.contains("\"level\":\"TRACE\""), "it was to say everything");
    said_nothing(&said, "the log");
    for (table, rows) in dump(&till.database).await {
        said_nothing(&rows, &table);
    }
    for (queue, _) in till.vhost.depths().await {
        for message in till.vhost.drain(&queue).await {
            said_nothing(&String::from_utf8_lossy(&message.body), &queue);
            said_nothing(&format!("{:?}", message.headers), &queue);
        }
    }
    // And no other process may look into its memory, nor is that written anywhere when it dies.
    let pid = till.workers[0].pid().unwrap();
    let limits = fs::read_to_string(format!("/proc/{pid}/limits")).unwrap();
    let core = limits.lines().find(|line| line.starts_with("Max core file size")).unwrap();
    assert_eq!(core.split_whitespace().collect::<Vec<_>>()[4..6], ["0", "0"], "{core}");
}

/// All rows of all tables, as text.
pub(crate) async fn dump(database: &Database) -> Vec<(String, String)> {
    let client = database.connect().await;
    let tables = "SELECT schemaname || '.' || tablename FROM pg_tables
                  WHERE schemaname NOT IN ('pg_catalog', 'information_schema')";
    let mut dump = Vec::new();
    for row in client.query(tables, &[]).await.unwrap() {
        let table: String = row.get(0);
        let rows =
            client.query_one(&format!("SELECT coalesce(string_agg(t::text, E'\\n'), '') FROM {table} t"), &[]).await;
        dump.push((table, rows.unwrap().get::<_, String>(0)));
    }
    assert!(dump.iter().any(|(table, rows)| table == "payments.payments" && rows.contains("card")), "{dump:?}");
    dump
}

/// A number may hide in a longer text; of so few digits as a CVV has, only those that stand by themselves mean anything,
/// and not where a UUID has four of its own.
pub(crate) fn said_nothing(text: &str, place: &str) {
    for number in NUMBERS {
        assert!(!text.contains(number), "{number} is in {place}: {}", around(text, number));
    }
    let stands_alone = |at: usize| {
        let before = text[..at].chars().next_back();
        let after = text[at + CVV.len()..].chars().next();
        let joins = |c: Option<char>| c.is_some_and(|c| c.is_ascii_alphanumeric() || c == '-' || c == '.');
        !joins(before) && !joins(after)
    };
    let found = text.match_indices(CVV).find(|(at, _)| stands_alone(*at));
    assert!(found.is_none(), "the CVV is in {place}: {}", around(text, CVV));
}

fn around(text: &str, what: &str) -> String {
    let at = text.find(what).unwrap_or_default();
    text.chars().skip(at.saturating_sub(200)).take(400).collect()
}
