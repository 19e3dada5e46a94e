//! The broker or the database is away, and comes back.

use std::time::Duration;

use common::{
    broker::topology::{Topology, WORK_QUEUES},
    config::Consumer,
};
use e2e::{Database, LONG, Server, Vhost, eventually};
use serde_json::json;

use crate::line::{AFTER_A_CRASH, Line, Load, documented};

#[tokio::test]
async fn orders_are_accepted_while_the_broker_is_away_and_flow_when_it_is_back() {
    let mut rabbitmq = Server::rabbitmq().await;
    let vhost = Vhost::create_at(rabbitmq.url(), rabbitmq.management_url()).await;
    let line = Line::start_on(Database::create().await, vhost).await;
    rabbitmq.stop().await;

    let load = Load::begin(&line, 500, 16);
    assert_eq!(load.finish().await, 500);
    assert_eq!(line.database.count("SELECT count(*) FROM orders.orders WHERE status = 'pending'").await, 500);
    // order-api does its work without the broker, and says that it is missing; a worker cannot.
    let ready = line.api().http.get("/readyz").await.unwrap();
    assert_eq!(ready.status, 200);
    assert_eq!(ready.json()["checks"]["broker, publishing"]["ok"], false, "{}", ready.text());
    let ready = line.processes[1].http.get("/readyz").await.unwrap();
    assert_eq!(ready.status, 503, "{}", ready.text());

    rabbitmq.start().await;
    line.until_through(500, AFTER_A_CRASH).await;
    line.reconcile(500).await;
}

#[tokio::test]
async fn without_the_database_clients_are_told_to_come_back_and_all_recovers_without_a_restart() {
    let mut postgres = Server::postgres().await;
    let line = Line::start_on(Database::create_at(postgres.url()).await, Vhost::create().await).await;
    line.place().await;
    line.until_through(1, LONG).await;
    postgres.stop().await;

    let answer = line.api().http.post_json("/api/orders/create", &documented()).await.unwrap();
    assert_eq!((answer.status.as_u16(), &answer.json()["errors"][0]["code"]), (503, &json!("unavailable")));
    assert!(answer.headers.contains_key("retry-after"));
    for process in &line.processes {
        let ready = process.http.get("/readyz").await.unwrap();
        assert_eq!(ready.status, 503, "{}", ready.text());
        assert!(!ready.json()["checks"]["database"]["why"].as_str().unwrap().is_empty(), "{}", ready.text());
        assert_eq!(process.http.get("/healthz").await.unwrap().status, 200);
        // However often it is asked, it says so once, and a balancer's question is not a request that failed.
        assert_eq!(process.http.get("/readyz").await.unwrap().status, 503);
        let said = process.said();
        assert_eq!(said.matches("\"not ready\"").count(), 1, "{said}");
        let failed = |line: &str| line.contains("a request failed") && line.contains("/readyz");
        assert!(!said.lines().any(failed), "{said}");
    }

    postgres.start().await;
    let begun = tokio::time::Instant::now();
    eventually(LONG, "orders are accepted again", async || {
        let answer = line.api().http.post_json("/api/orders/create", &documented()).await.unwrap();
        (answer.status == 200).then_some(())
    })
    .await;
    assert!(begun.elapsed() < Duration::from_secs(10), "recovery took {:?}", begun.elapsed());
    line.until_through(2, LONG).await;
    line.reconcile(2).await;
}

#[tokio::test]
async fn an_order_whose_client_was_told_to_try_again_does_not_appear_after_all() {
    let line = Line::start().await;
    line.place().await;
    line.until_through(1, LONG).await;
    // Longer than a statement waits for a lock.
    let mut admin = line.database.connect().await;
    let locked = admin.transaction().await.unwrap();
    locked.batch_execute("LOCK TABLE orders.orders").await.unwrap();
    let answer = line.api().http.post_json("/api/orders/create", &documented()).await.unwrap();
    assert_eq!(answer.status, 503, "{}", answer.text());
    assert!(answer.headers.contains_key("retry-after"));
    locked.commit().await.unwrap();
    line.place().await;
    line.until_through(2, LONG).await;
    line.reconcile(2).await;
}

/// RabbitMQ as it is shipped is of no more use after the second of these (3.10) or after some (4.0); the tests' own is
/// corrected.
#[tokio::test]
async fn a_broker_survives_queues_that_go_in_the_moment_of_their_coming() {
    let rabbitmq = Server::rabbitmq().await;
    let delays = Consumer::default().retry_delays_ms;
    for round in 0..16 {
        let vhost = Vhost::create_at(rabbitmq.url(), rabbitmq.management_url()).await;
        let channel = vhost.channel().await;
        let topology = Topology::new(WORK_QUEUES, &delays);
        let declaring = tokio::spawn(async move { topology.declare(&channel).await });
        tokio::time::sleep(Duration::from_millis(10 * round)).await;
        drop(vhost);
        declaring.abort();
    }
    let vhost = Vhost::create_at(rabbitmq.url(), rabbitmq.management_url()).await;
    vhost.declare_line().await;
}
