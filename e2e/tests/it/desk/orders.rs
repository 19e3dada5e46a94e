//! Orders, as the services tell of them to a person.

use e2e::{Console, LONG, eventually, token_with};
use serde_json::{Value, json};

use crate::line::{Line, USER};

/// A console that asks the services of this line.
pub(crate) async fn console_of(line: &Line) -> Console {
    let keys = ["ORDERS", "INVENTORY", "PAYMENTS", "NOTIFICATIONS"];
    let urls = keys.iter().zip(&line.processes).map(|(key, process)| {
        (format!("CONVEYOR__SUPPORT__SERVICES__{key}"), format!("http://127.0.0.1:{}", process.port))
    });
    Console::start(&line.database, &line.vhost, urls).await
}

#[tokio::test]
async fn an_order_is_shown_with_all_that_others_know_of_it_and_called_off_by_name() {
    let mut line = Line::start().await;
    let console = console_of(&line).await;
    let (reader, operator) = (console.account("rita", "reader").await, console.account("olga", "operator").await);
    let id = line.place().await;
    line.until_through(1, LONG).await;

    let story = console.cli(&operator, &["order", "show", &id, "--json"]).await;
    assert_eq!(story.code, 0, "{story:?}");
    let told = story.json();
    assert_eq!(told["order"]["found"]["status"], "paid");
    assert_eq!(told["payments"]["found"]["payments"][0]["status"], "captured");
    // Of its receipt its customer may have heard as well, or not any more.
    let notices = told["notifications"]["found"]["notifications"].as_array().unwrap();
    assert!(notices.iter().any(|notice| notice["type"] == "order.paid" && notice["status"] == "sent"), "{told}");
    assert!(story.out.contains(r#""orderAmount":100.50"#), "amounts keep their digits: {}", story.out);
    let shown = console.cli(&operator, &["order", "show", &id]).await;
    for part in ["paid", "payment.completed", "captured", "order.paid", USER] {
        assert!(shown.out.contains(part), "{part} is not in {}", shown.out);
    }
    let found = console.cli(&operator, &["order", "list", "--user", USER, "--json"]).await.json();
    assert_eq!(found["orders"][0]["orderId"], json!(id));
    assert_eq!(
        console.cli(&operator, &["order", "list", "--user", "nobody", "--json"]).await.json()["orders"],
        json!([])
    );

    // Readers look, and see no more of people than they must.
    let seen = console.cli(&reader, &["order", "show", &id, "--json"]).await;
    assert_eq!((seen.code, seen.json()["order"]["found"]["status"].clone()), (0, json!("paid")));
    assert!(!seen.out.contains(USER), "{}", seen.out);
    let refused = console.cli(&reader, &["order", "cancel", &id, "--yes"]).await;
    assert_eq!(refused.code, 4, "{refused:?}");
    let unasked = console.cli(&operator, &["order", "cancel", &id]).await;
    assert_eq!(unasked.code, 2, "nobody is there to be asked: {unasked:?}");

    let off = console.cli(&operator, &["order", "cancel", &id, "--yes", "--json"]).await;
    assert_eq!((off.code, off.json()["status"].clone()), (0, json!("refunding")), "{off:?}");
    let staff = token_with(&json!({"sub": "x", "scope": "staff", "exp": e2e::in_seconds(60)}));
    let order = line.api().http.get_as(&format!("/api/orders/{id}"), &staff).await.unwrap().json();
    assert_eq!(order["history"][3]["detail"], "by the shop (olga)", "{order}");
    let noted = console.cli(&operator, &["audit", "--account", "olga", "--json"]).await.json();
    assert_eq!(noted["audit"][0]["action"], "cancel_order", "{noted}");
    assert_eq!(noted["audit"][0]["details"]["orderId"], json!(id));

    eventually(LONG, "every service says how much waits to be published", async || {
        let board = console.get("/board", &reader).await.json();
        let is_told = |line: &Value| line["state"]["is"] == "ready" && line["outbox"]["parcels"].is_u64();
        board["services"].as_array().filter(|lines| lines.len() == 5 && lines.iter().all(is_told)).map(drop)
    })
    .await;

    for unknown in ["ORD00000000000070008000000000000000", "ORD1", "../../readyz"] {
        assert_eq!(console.cli(&operator, &["order", "show", unknown]).await.code, 3, "{unknown}");
        assert_eq!(console.cli(&operator, &["order", "cancel", unknown, "--yes"]).await.code, 3, "{unknown}");
    }

    // What is away is said, and the rest is shown.
    assert!(line.processes[3].terminate().await.success());
    let story = console.cli(&operator, &["order", "show", &id, "--json"]).await;
    let told = story.json();
    assert_eq!((story.code, &told["payments"]["found"]["payments"][0]["status"]), (0, &json!("captured")));
    assert_eq!(told["notifications"]["away"], "notification-worker: it cannot be reached");
}
