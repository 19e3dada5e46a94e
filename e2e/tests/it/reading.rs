//! Reading orders: at once, when they have moved, and page by page.

use std::{sync::Arc, time::Duration};

use common::ids::OrderId;
use e2e::{LONG, eventually, in_seconds, token, token_with};
use hyper::Method;
use serde_json::{Value, json};
use tokio::time::Instant;

use crate::{
    alone::{Alone, END, Stream},
    line::USER,
};

fn shop(scope: &str) -> String {
    token_with(&json!({"sub": "somebody-else", "scope": scope, "exp": in_seconds(600)}))
}

#[tokio::test]
async fn a_reader_who_waits_is_answered_when_the_order_moves() {
    let alone = Arc::new(Alone::start(&[("CONVEYOR__HTTP__REQUEST_TIMEOUT_MS", "1000")]).await);
    let order = alone.place().await;
    let wait = |query: &'static str| {
        let alone = Arc::clone(&alone);
        tokio::spawn(async move { alone.show(&format!("/api/orders/{order}?{query}")).await })
    };
    // Longer than any request may take, and nothing happens.
    let began = Instant::now();
    let unchanged = wait("wait=2").await.unwrap();
    assert_eq!((&unchanged["status"], &unchanged["version"]), (&json!("pending"), &json!(1)));
    assert!(began.elapsed() >= Duration::from_secs(2), "{:?}", began.elapsed());

    let waiting = [wait("wait=60"), wait("wait=60&version=1"), wait("wait=60&version=2")];
    alone.until_watchers(3.0).await;
    alone.lock(&[order]).await;
    let [first, second, third] = waiting;
    for moved in [first, second] {
        let moved = moved.await.unwrap();
        assert_eq!((&moved["status"], &moved["version"]), (&json!("awaiting_payment"), &json!(2)));
        assert_eq!(moved["history"].as_array().unwrap().len(), 2);
        assert_eq!(moved["items"][0]["unitPrice"].to_string(), "35.25");
    }
    // Who knows an older version has missed something, and need not wait for more.
    let missed = wait("wait=60&version=1").await.unwrap();
    assert_eq!(missed["version"], 2);
    assert!(!third.is_finished());

    // The outcome by another process, or by hand.
    let sql = format!(
        "BEGIN;
         INSERT INTO orders.history (order_id, version, status, cause) VALUES ('{0}', 3, 'payment_failed', 'a test');
         UPDATE orders.orders SET status = 'payment_failed', version = 3 WHERE id = '{0}';
         COMMIT",
        order.0
    );
    alone.database.connect().await.batch_execute(&sql).await.unwrap();
    assert_eq!(third.await.unwrap()["status"], "payment_failed");
    // Nothing will come any more.
    for query in ["wait=60", "wait=60&version=3", "wait=60&version=99"] {
        assert_eq!(wait(query).await.unwrap()["version"], 3, "{query}");
    }
    // And while nobody waits, nobody asks.
    alone.until_watchers(0.0).await;
    let asked = alone.api.metric("conveyor_watch_queries_total").await;
    alone.place().await;
    assert_eq!(alone.api.metric("conveyor_watch_queries_total").await, asked);
}

#[tokio::test]
async fn bad_parameters_are_refused_by_name() {
    let alone = Alone::start(&[]).await;
    let order = alone.place().await;
    let one = format!("/api/orders/{order}");
    for (path, code, field) in [
        (format!("{one}?wait=61"), "invalid_field", "wait"),
        (format!("{one}?wait=-1"), "invalid_field", "wait"),
        (format!("{one}?wait=1.5"), "invalid_field", "wait"),
        (format!("{one}?wait=%00"), "invalid_field", "wait"),
        (format!("{one}?version=x"), "invalid_field", "version"),
        (format!("{one}?wiat=1"), "unknown_field", "wiat"),
        (format!("{one}?wait=1&wait=2"), "duplicate_field", "wait"),
        (format!("{one}/events?wait=1"), "unknown_field", "wait"),
        ("/api/orders?limit=0".to_owned(), "invalid_field", "limit"),
        ("/api/orders?limit=101".to_owned(), "invalid_field", "limit"),
        ("/api/orders?status=PAID".to_owned(), "invalid_field", "status"),
        ("/api/orders?from=yesterday".to_owned(), "invalid_field", "from"),
        ("/api/orders?from=2026-13-01T00:00:00Z".to_owned(), "invalid_field", "from"),
        ("/api/orders?cursor=".to_owned(), "invalid_field", "cursor"),
        ("/api/orders?cursor=%FF".to_owned(), "invalid_field", "cursor"),
        ("/api/orders?userId=a%20b".to_owned(), "invalid_field", "userId"),
    ] {
        let refusal = alone.refusal(Method::GET, &path, &token(USER), "").await;
        assert_eq!(refusal, (400, vec![[code.to_owned(), field.to_owned()]]), "{path}");
    }
    let all = alone.refusal(Method::GET, "/api/orders?limit=x&status=x&x=x", &token(USER), "").await.1;
    let fields: Vec<&str> = all.iter().map(|[_, field]| field.as_str()).collect();
    assert_eq!(fields, ["status", "limit", "x"]);
}

#[tokio::test]
async fn no_more_may_wait_than_there_are_places() {
    let alone = Alone::start(&[("CONVEYOR__ORDERS__WATCHERS", "1")]).await;
    let order = alone.place().await;
    let mut stream = Stream::open(alone.api.port, &order, None).await;
    stream.until("id: 1").await;
    for path in [format!("/api/orders/{order}?wait=5"), format!("/api/orders/{order}/events")] {
        let answer = alone.api.http.get_as(&path, &token(USER)).await.unwrap();
        assert_eq!((answer.status.as_u16(), answer.headers.contains_key("retry-after")), (503, true), "{path}");
    }
    // Whoever does not wait is not concerned.
    alone.show(&format!("/api/orders/{order}")).await;
    drop(stream);
    eventually(LONG, "the place is free again", async || {
        let answer = alone.api.http.get_as(&format!("/api/orders/{order}?wait=1"), &token(USER)).await.unwrap();
        (answer.status == 200).then_some(())
    })
    .await;
}

#[tokio::test]
async fn one_customer_has_only_so_many_of_the_places() {
    let alone = Alone::start(&[("CONVEYOR__ORDERS__WATCHERS_PER_USER", "2")]).await;
    let order = alone.place().await;
    let mut streams = Vec::new();
    for _ in 0..2 {
        let mut stream = Stream::open(alone.api.port, &order, None).await;
        stream.until("id: 1").await;
        streams.push(stream);
    }
    for path in [format!("/api/orders/{order}?wait=5"), format!("/api/orders/{order}/events")] {
        let answer = alone.api.http.get_as(&path, &token(USER)).await.unwrap();
        assert_eq!((answer.status.as_u16(), answer.headers.contains_key("retry-after")), (429, true), "{path}");
    }
    // The shop reads for many.
    let path = format!("/api/orders/{order}?wait=1");
    for _ in 0..3 {
        assert_eq!(alone.api.http.get_as(&path, &shop("staff")).await.unwrap().status, 200);
    }
    streams.pop();
    eventually(LONG, "a place is free again", async || {
        let answer = alone.api.http.get_as(&path, &token(USER)).await.unwrap();
        (answer.status == 200).then_some(())
    })
    .await;
}

#[tokio::test]
async fn a_stop_ends_streams_and_waiting_at_once() {
    let mut alone = Alone::start(&[]).await;
    let order = alone.place().await;
    let mut stream = Stream::open(alone.api.port, &order, None).await;
    stream.until("id: 1").await;
    let client = e2e::http::Client::new(&format!("http://127.0.0.1:{}", alone.api.port));
    let waiting =
        tokio::spawn(async move { client.get_as(&format!("/api/orders/{order}?wait=60"), &token(USER)).await });
    alone.until_watchers(2.0).await;
    let began = Instant::now();
    let status = alone.api.terminate().await;
    assert!(status.success(), "{status}");
    assert!(began.elapsed() < Duration::from_secs(5), "it took {:?}", began.elapsed());
    stream.until(END).await;
    assert_eq!(stream.versions(), [1]);
    let answer = waiting.await.unwrap().unwrap();
    assert_eq!((answer.status.as_u16(), answer.json()["status"].clone()), (200, json!("pending")));
}

/// The pages of a listing, one after the other, as the ids on them.
async fn pages(alone: &Alone, token: &str, query: &str) -> Vec<Vec<String>> {
    let mut pages = Vec::new();
    let mut cursor = String::new();
    loop {
        let path = format!("/api/orders?{query}{cursor}");
        let answer = alone.api.http.get_as(&path, token).await.unwrap();
        assert_eq!(answer.status, 200, "{}", answer.text());
        let page = answer.json();
        let ids = page["orders"].as_array().unwrap().iter().map(|order| order["orderId"].as_str().unwrap().to_owned());
        pages.push(ids.collect());
        match &page["nextCursor"] {
            Value::Null => return pages,
            next => cursor = format!("&cursor={}", next.as_str().unwrap()),
        }
    }
}

#[tokio::test]
async fn orders_are_listed_page_by_page_the_newest_first() {
    let alone = Alone::start(&[]).await;
    let mut mine: Vec<OrderId> = Vec::new();
    for _ in 0..5 {
        mine.push(alone.place().await);
    }
    // Somebody else's, older than all of these.
    let client = alone.database.connect().await;
    let sql = "INSERT INTO orders.orders (id, user_id, status, version, amount, lines, created_at, deadline)
               SELECT lpad(i::text, 32, '0')::uuid, 'another', 'paid', 3, 0, '[]', '2020-01-01', '2020-01-02'
               FROM generate_series(1, 3000) AS i";
    client.batch_execute(sql).await.unwrap();
    let newest_first: Vec<String> = mine.iter().rev().map(ToString::to_string).collect();

    let customer = token(USER);
    assert_eq!(pages(&alone, &customer, "").await, std::slice::from_ref(&newest_first));
    assert_eq!(
        pages(&alone, &customer, "limit=2").await,
        newest_first.chunks(2).map(<[_]>::to_vec).collect::<Vec<_>>()
    );
    assert_eq!(pages(&alone, &customer, "limit=5").await, std::slice::from_ref(&newest_first));
    // What is ordered meanwhile belongs to no later page.
    let page = alone.show("/api/orders?limit=3").await;
    let newest = alone.place().await;
    let path = format!("/api/orders?limit=3&cursor={}", page["nextCursor"].as_str().unwrap());
    assert_eq!(alone.show(&path).await["orders"][0]["orderId"], json!(newest_first[3]));

    // One has moved, and shows so.
    alone.end(&[newest]).await;
    eventually(LONG, "it is rejected", async || {
        (pages(&alone, &customer, "status=rejected").await.concat() == [newest.to_string()]).then_some(())
    })
    .await;
    assert_eq!(pages(&alone, &customer, "status=pending&limit=3").await.concat(), newest_first);
    assert_eq!(alone.show("/api/orders?limit=1").await["orders"][0]["orderAmount"].to_string(), "100.5");

    // The shop sees everybody's; a rare status is found though it may take several pages.
    let staff = shop("staff");
    let all = pages(&alone, &staff, "limit=100").await;
    assert_eq!((all.len(), all.concat().len()), (31, 3_006));
    assert_eq!(pages(&alone, &staff, &format!("userId={USER}")).await.concat().len(), 6);
    assert_eq!(pages(&alone, &staff, "userId=another&limit=100").await.concat().len(), 3_000);
    assert_eq!(pages(&alone, &staff, "status=rejected").await.concat(), [newest.to_string()]);
    assert_eq!(pages(&alone, &staff, "status=cancelled").await, [Vec::<String>::new(), Vec::new()]);
    assert_eq!(pages(&alone, &staff, "from=2020-01-02T00:00:00Z&limit=100").await.concat().len(), 6);
    assert_eq!(pages(&alone, &staff, "from=2020-01-02T00:00:00%2B01:00&limit=100").await.concat().len(), 6);
    assert_eq!(pages(&alone, &staff, "from=2999-01-01T00:00:00Z").await, [Vec::<String>::new()]);
    assert_eq!(pages(&alone, &staff, "from=0000-01-01T00:00:00Z&limit=100").await.concat().len(), 3_006);

    // And a customer nobody else's.
    assert_eq!(pages(&alone, &customer, &format!("userId={USER}")).await.concat().len(), 6);
    for (path, token) in [("/api/orders?userId=another", &customer), ("/api/orders", &shop(""))] {
        let refusal = alone.refusal(Method::GET, path, token, "").await;
        assert_eq!(refusal, (403, vec![["insufficient_scope".to_owned(), String::new()]]), "{path}");
    }
}

/// Plans are made once, and at first when the tables are empty.
#[tokio::test]
async fn a_page_is_read_from_an_index_whenever_its_plan_was_made() {
    let alone = Alone::start(&[]).await;
    let client = alone.database.connect_as("orders").await;
    let session = "SET search_path = orders; SET plan_cache_mode = force_generic_plan; SET enable_seqscan = off;
                   SET enable_hashjoin = off; SET enable_mergejoin = off; SET enable_memoize = off";
    client.batch_execute(session).await.unwrap();
    let tail = include_str!("../../../order-api/src/store/list_orders.sql");
    let all = include_str!("../../../order-api/src/store/look_at_all.sql");
    let one_users = include_str!("../../../order-api/src/store/look_at_one_users.sql");
    for (name, head, index) in [("one_users", one_users, "orders_by_user"), ("everybodys", all, "orders_pkey")] {
        let types = "uuid, uuid, bigint, text, timestamptz, bigint, text";
        client.batch_execute(&format!("PREPARE {name} ({types}) AS {head} {tail}")).await.unwrap();
        let explain = format!(
            "EXPLAIN EXECUTE {name} ('00000000-0000-7000-8000-000000000000', '00000000-0000-0000-0000-000000000000',
                                     20, NULL, NULL, 21, 'u')"
        );
        let plan = client.query(&explain, &[]).await.unwrap();
        let plan: Vec<String> = plan.iter().map(|row| row.get(0)).collect();
        let plan = plan.join("\n");
        let scan = format!("Index Scan Backward using {index} on orders");
        assert!(plan.contains(&scan) && !plan.contains("Bitmap"), "{name}:\n{plan}");
    }
    // And so is what all who wait ask for together.
    let watch = include_str!("../../../order-api/src/store/find_orders.sql");
    client.batch_execute(&format!("PREPARE watch (uuid[], integer[]) AS {watch}")).await.unwrap();
    let plan = client.query("EXPLAIN EXECUTE watch ('{}', '{}')", &[]).await.unwrap();
    let plan: Vec<String> = plan.iter().map(|row| row.get(0)).collect();
    let plan = plan.join("\n");
    let probe = "Index Cond: ((order_id = (unnest($1))) AND (version > (unnest($2))))";
    assert!(plan.contains(probe) && !plan.contains("Seq Scan"), "{plan}");
}
