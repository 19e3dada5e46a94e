//! The board of the line.

use e2e::{Console, Database, LONG, Vhost, eventually};
use serde_json::Value;

fn queue<'a>(board: &'a Value, name: &str) -> Option<&'a Value> {
    board["queues"].as_array()?.iter().find(|queue| queue["name"] == name)
}

#[tokio::test]
async fn the_board_shows_what_waits_since_when_and_who_is_there() {
    let (database, vhost) = (Database::create().await, Vhost::create().await);
    let quick = [("CONVEYOR__SUPPORT__BOARD__EVERY_MS", "200")];
    let console = Console::start(&database, &vhost, quick).await;
    let reader = console.account("rita", "reader").await;
    let board = async || console.get("/board", &reader).await.json();
    eventually(LONG, "the queues are on the board", async || {
        let board = board().await;
        queue(&board, "payment.charge").filter(|queue| queue["ready"] == 0).cloned()
    })
    .await;
    // The queue is there before everything is bound to it, and until then a message is unroutable.
    eventually(LONG, "the first is taken", async || {
        vhost.publish("redeliver", "payment.charge", b"[]").await;
        (vhost.ready("payment.charge").await == Some(1)).then_some(())
    })
    .await;
    assert!(vhost.publish_all("redeliver", "payment.charge", [b"[]", b"[]"]).await);
    let waiting = eventually(LONG, "three wait, for a while", async || {
        let board = board().await;
        let charge = queue(&board, "payment.charge")?;
        (charge["ready"] == 3 && charge["oldest"]["seconds"].as_f64()? >= 1.0).then(|| charge.clone())
    })
    .await;
    assert_eq!((waiting["consumers"].as_u64(), waiting["unacked"].as_u64()), (Some(0), Some(0)), "{waiting}");
    assert_eq!(waiting["oldest"]["atLeast"], false, "it was seen to come: {waiting}");
    assert!(waiting["picture"].as_array().unwrap().contains(&3.into()), "{waiting}");
    let now = board().await;
    assert_eq!(now["brokerAway"], Value::Null);
    let names: Vec<&str> =
        now["queues"].as_array().unwrap().iter().filter_map(|queue| queue["name"].as_str()).collect();
    assert_eq!((names.first(), names.last()), (Some(&"inventory.lock"), Some(&"unroutable")), "{names:?}");
    assert!(names.contains(&"delay.1000") && names.contains(&"payment.charge.dlq"), "{names:?}");
    // The services of this test do not run; the console itself does.
    let state = |name: &str| {
        let services = now["services"].as_array().unwrap();
        services.iter().find(|service| service["name"] == name).map(|service| service["state"]["is"].clone())
    };
    assert_eq!(state("support-console"), Some("ready".into()));
    let shown = console.cli(&reader, &["board"]).await;
    assert!(shown.code == 0 && shown.out.contains("payment.charge.dlq"), "{shown:?}");
    assert_eq!(console.process.http.get("/api/support/board").await.unwrap().status, 401);
}

#[tokio::test]
async fn a_broker_that_says_nothing_is_said_to() {
    let (database, vhost) = (Database::create().await, Vhost::create().await);
    let nowhere = [("CONVEYOR__SUPPORT__BOARD__MANAGEMENT_URL", "http://somebody:secret@127.0.0.1:9")];
    let console = Console::start(&database, &vhost, nowhere).await;
    let reader = console.account("rita", "reader").await;
    let away = eventually(LONG, "the board was looked for", async || {
        let board = console.get("/board", &reader).await.json();
        board["brokerAway"].as_str().filter(|why| why.contains("cannot be reached")).map(str::to_owned)
    })
    .await;
    assert_eq!(away, "the broker's management: it cannot be reached");
    assert!(!console.process.said().contains("secret"));
    assert_eq!(console.cli(&reader, &["board"]).await.code, 0);
}
