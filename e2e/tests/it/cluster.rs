//! A line on three brokers that are one, of which one dies, then two, then all.

use e2e::{Database, LONG, Server, Vhost, eventually, http::Client};

use crate::line::{AFTER_A_CRASH, Line, Load};

/// How many orders there are for each of the deaths.
const ORDERS: usize = 300;

#[tokio::test]
async fn a_cluster_of_three_works_on_without_one_and_loses_nothing_without_any() {
    let mut first = Server::rabbitmq().await;
    let mut second = Server::rabbitmq_joining(&first).await;
    let mut third = Server::rabbitmq_joining(&first).await;
    let vhost = Vhost::create_at(first.url(), first.management_url()).await;
    let line = Line::start_on(Database::create().await, vhost).await;
    until_everywhere(&line).await;

    // Not the one that the line is connected to.
    let load = Load::begin(&line, ORDERS, 16);
    load.reaches(ORDERS / 3).await;
    third.kill().await;
    assert_eq!(load.finish().await, ORDERS);
    line.until_through(ORDERS, AFTER_A_CRASH).await;
    third.start().await;
    until_everywhere(&line).await;

    let load = Load::begin(&line, ORDERS, 16);
    load.reaches(ORDERS / 3).await;
    tokio::join!(first.kill(), second.kill());
    assert_eq!(load.finish().await, ORDERS);
    tokio::join!(second.start(), first.start());
    line.until_through(2 * ORDERS, AFTER_A_CRASH).await;
    until_everywhere(&line).await;

    let load = Load::begin(&line, ORDERS, 16);
    load.reaches(ORDERS / 3).await;
    tokio::join!(first.kill(), second.kill(), third.kill());
    assert_eq!(load.finish().await, ORDERS);
    tokio::join!(third.start(), first.start(), second.start());
    line.until_through(3 * ORDERS, AFTER_A_CRASH).await;
    line.reconcile(3 * ORDERS).await;
}

/// Waits until every queue is on all three, and all three are there; but for the token that a service leaves with one of
/// them.
async fn until_everywhere(line: &Line) {
    let management = Client::new(line.vhost.management_url());
    let path = format!("/api/queues/{}?columns=type,members,online", line.vhost.name);
    eventually(LONG, "every queue has three members, who are all there", async || {
        let queues = management.get(&path).await.ok().filter(|answer| answer.status == 200)?.json();
        let three = |list: &serde_json::Value| list.as_array().is_some_and(|members| members.len() == 3);
        let mut quorum = queues.as_array()?.iter().filter(|queue| queue["type"] == "quorum").peekable();
        quorum.peek()?;
        quorum.all(|queue| three(&queue["members"]) && three(&queue["online"])).then_some(())
    })
    .await;
}
