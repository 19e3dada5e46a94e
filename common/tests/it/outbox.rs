//! Events leave the outbox once, whatever happens between the commit and the broker.

use std::{sync::Arc, time::Duration};

use common::{
    broker::{Link, Publisher},
    db::Db,
    outbox::{Dispatcher, Units, sweep},
};
use e2e::{
    Proxy, assert_clean, eventually,
    obedient::{Deed, HEARD, Obeyed, many},
};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::stage::{Stage, settings, topology};

#[tokio::test]
async fn what_is_announced_is_heard_and_leaves_the_outbox() {
    let stage = Stage::set().await;
    let worker = stage.work();
    let events = many(300, Deed::Announce);
    stage.send(&events).await;
    stage.until_obeyed(&events).await;
    worker.stop().await;
    // Stopped in good order, so nothing is left to a sweeper.
    assert_eq!(stage.database.count("SELECT count(*) FROM orders.outbox").await, 0);

    let messages = stage.vhost.drain(HEARD.name).await;
    assert_eq!(messages.len(), 2, "three hundred events are two parcels of 256 at the most");
    let mut heard: Vec<Uuid> = messages.iter().flat_map(e2e::Message::events).map(|event| asked(&event)).collect();
    let mut sent: Vec<Uuid> = events.iter().map(|event| event.id).collect();
    heard.sort();
    sent.sort();
    assert_eq!(heard, sent);
    assert_clean(&stage.database, &stage.vhost).await;
}

#[tokio::test]
async fn what_a_dead_process_left_is_swept_and_what_is_leased_is_left_alone() {
    let stage = Stage::set().await;
    let body = |asked: Uuid| format!(r#"[{{"data":{{"asked":"{asked}"}}}}]"#).into_bytes();
    let (left, leased) = (Uuid::now_v7(), Uuid::now_v7());
    let admin = stage.database.connect().await;
    for (id, lease) in [(left, "-1 second"), (leased, "1 hour")] {
        let sql = format!(
            "INSERT INTO orders.outbox (id, exchange, routing_key, kind, body, locked_until) \
             VALUES ($1, 'events', 'test.obeyed', 'test.obeyed', $2, now() + interval '{lease}')"
        );
        admin.execute(&sql, &[&id, &body(id)]).await.unwrap();
    }
    let worker = stage.work();
    stage.vhost.until_ready(HEARD.name, 1).await;
    eventually(e2e::LONG, "what was swept is deleted", async || {
        (stage.database.count("SELECT count(*) FROM orders.outbox").await == 1).then_some(())
    })
    .await;
    let [message] = stage.vhost.drain(HEARD.name).await.try_into().unwrap();
    assert_eq!(asked(&message.events()[0]), left);

    // The lease runs out.
    admin.execute("UPDATE orders.outbox SET locked_until = now()", &[]).await.unwrap();
    stage.vhost.until_ready(HEARD.name, 1).await;
    let [message] = stage.vhost.drain(HEARD.name).await.try_into().unwrap();
    assert_eq!(asked(&message.events()[0]), leased);
    worker.stop().await;
    assert_clean(&stage.database, &stage.vhost).await;
}

/// However many rows are under way, looking for those that were left behind takes one pass over them.
#[tokio::test]
async fn many_rows_under_way_do_not_hold_up_the_sweeper() {
    let stage = Stage::set().await;
    let admin = stage.database.connect().await;
    // What vacuum sees between two batches: pages, and no rows on them. The planner goes by that.
    let dead =
        "INSERT INTO orders.outbox SELECT gen_random_uuid(), '', '', '', '', now() FROM generate_series(1, 1000)";
    for sql in [dead, "DELETE FROM orders.outbox", "VACUUM (ANALYZE, TRUNCATE false) orders.outbox"] {
        admin.execute(sql, &[]).await.unwrap();
    }
    let leased = "INSERT INTO orders.outbox SELECT gen_random_uuid(), 'events', 'test.obeyed', 'test.obeyed', '', \
                  now() + interval '1 hour' FROM generate_series(1, 20000)";
    admin.execute(leased, &[]).await.unwrap();
    let left = Uuid::now_v7();
    let one = "INSERT INTO orders.outbox VALUES ($1, 'events', 'test.obeyed', 'test.obeyed', $2, now())";
    admin.execute(one, &[&left, &format!(r#"[{{"data":{{"asked":"{left}"}}}}]"#).into_bytes()]).await.unwrap();
    let worker = stage.work();
    let swept = stage.vhost.until_ready(HEARD.name, 1);
    assert!(tokio::time::timeout(Duration::from_secs(10), swept).await.is_ok(), "nothing was swept");
    worker.stop().await;
}

/// The parts of a service that carry events out of the database, by a way that can be cut.
struct Outgoing {
    units: Units,
    link: Link,
    stop: CancellationToken,
    tasks: JoinSet<()>,
}

impl Outgoing {
    fn begin(stage: &Stage, broker: &Proxy) -> Self {
        let settings = settings(stage.database.url("orders"), stage.vhost.url_through(&broker.address()));
        let db = Db::new(&settings.database, "test", "orders").unwrap();
        let link = Link::new(&settings.broker.url, "test".to_owned(), Arc::new(topology())).unwrap();
        let stop = CancellationToken::new();
        let (publisher, publishes) = Publisher::new(link.clone(), stop.clone());
        let (dispatcher, dispatches) = Dispatcher::new(publisher.clone(), db.clone());
        let mut tasks = JoinSet::new();
        tasks.spawn(publishes);
        tasks.spawn(dispatches);
        tasks.spawn(sweep(db.clone(), publisher, link.clone(), settings.outbox.clone(), stop.clone()));
        Self { units: Units { source: "test", db, dispatcher, settings: settings.outbox }, link, stop, tasks }
    }

    async fn announce(&self, count: usize) -> Vec<Uuid> {
        let mut unit = self.units.begin().await.unwrap();
        let asked: Vec<Uuid> = (0..count).map(|_| Uuid::now_v7()).collect();
        for asked in &asked {
            unit.outbox.announce(None, &"test", &Obeyed { asked: *asked }).unwrap();
        }
        unit.commit().await.unwrap();
        asked
    }

    async fn end(mut self) {
        drop(self.units);
        self.stop.cancel();
        while let Some(ended) = self.tasks.join_next().await {
            ended.unwrap();
        }
        self.link.close().await;
    }
}

#[tokio::test]
async fn while_the_broker_is_away_rows_stay_and_afterwards_they_arrive() {
    let stage = Stage::set().await;
    let broker = Proxy::to(stage.vhost.address()).await;
    left_to_sweeper();
    let outgoing = Outgoing::begin(&stage, &broker);
    outgoing.announce(1).await;
    stage.vhost.until_ready(HEARD.name, 1).await;
    stage.vhost.drain(HEARD.name).await;

    // Away for a moment: it leaves from memory as soon as the broker is back.
    broker.cut().await;
    let asked = outgoing.announce(3).await;
    broker.mend().await;
    arrives(&stage, &asked).await;

    // Away for longer than it is kept in memory: it is left to the sweeper.
    broker.cut().await;
    let before = left_to_sweeper();
    let asked = outgoing.announce(800).await;
    // Three full ones and the rest.
    eventually(e2e::LONG, "memory gives them up", async || (left_to_sweeper() >= before + 4.0).then_some(())).await;
    assert_eq!(stage.database.count("SELECT count(*) FROM orders.outbox").await, 4);
    broker.mend().await;
    // The lease still covers them: nobody may publish them twice.
    let admin = stage.database.connect().await;
    let leased = "SELECT count(*) FROM orders.outbox WHERE locked_until > now()";
    assert_eq!(stage.database.count(leased).await, 4);
    admin.execute("UPDATE orders.outbox SET locked_until = now()", &[]).await.unwrap();
    arrives(&stage, &asked).await;

    outgoing.end().await;
    assert_clean(&stage.database, &stage.vhost).await;
}

#[tokio::test]
async fn a_link_that_is_cut_again_and_again_comes_back_every_time() {
    let stage = Stage::set().await;
    let broker = Proxy::to(stage.vhost.address()).await;
    let outgoing = Outgoing::begin(&stage, &broker);
    let mut expected = Vec::new();
    for _ in 0..10 {
        // Whoever does not notice that the link is up again never sweeps again.
        let mut state = outgoing.link.watch();
        let up = state.wait_for(|state| *state == common::broker::LinkState::Up);
        tokio::time::timeout(e2e::LONG, up).await.expect("the link stays down").unwrap();
        expected.extend(outgoing.announce(5).await);
        broker.cut().await;
        expected.extend(outgoing.announce(5).await);
        broker.mend().await;
    }
    // Whatever was unconfirmed when the way was cut may arrive twice, but nothing may be missing.
    let admin = stage.database.connect().await;
    let mut heard = Vec::new();
    eventually(e2e::LONG, "everything arrives", async || {
        admin.execute("UPDATE orders.outbox SET locked_until = now()", &[]).await.unwrap();
        heard.extend(
            stage.vhost.drain(HEARD.name).await.iter().flat_map(e2e::Message::events).map(|event| asked(&event)),
        );
        expected.iter().all(|asked| heard.contains(asked)).then_some(())
    })
    .await;
    eventually(e2e::LONG, "the outbox is empty", async || {
        (stage.database.count("SELECT count(*) FROM orders.outbox").await == 0).then_some(())
    })
    .await;
    outgoing.end().await;
}

/// Exactly these arrive.
async fn arrives(stage: &Stage, expected: &[Uuid]) {
    let mut heard = Vec::new();
    eventually(e2e::LONG, "everything arrives", async || {
        heard.extend(
            stage.vhost.drain(HEARD.name).await.iter().flat_map(e2e::Message::events).map(|event| asked(&event)),
        );
        (heard.len() >= expected.len()).then_some(())
    })
    .await;
    heard.sort();
    let mut expected = expected.to_vec();
    expected.sort();
    assert_eq!(heard, expected);
    eventually(e2e::LONG, "the outbox is empty", async || {
        (stage.database.count("SELECT count(*) FROM orders.outbox").await == 0).then_some(())
    })
    .await;
}

/// How many parcels were left to the sweeper so far. The first call begins the counting.
fn left_to_sweeper() -> f64 {
    let page = common::telemetry::start_metrics().unwrap().render();
    let line = page.lines().find_map(|line| line.strip_prefix("conveyor_outbox_left_to_sweeper_total "));
    line.map_or(0.0, |value| value.parse().unwrap())
}

fn asked(event: &serde_json::Value) -> Uuid {
    event["data"]["asked"].as_str().unwrap().parse().unwrap()
}
