//! A server that is away is nobody's fault: nothing moves, no attempt is spent, and work goes on when it is back.

use std::{sync::Arc, time::Duration};

use common::broker::Link;
use e2e::{
    Database, LONG, Process, Proxy, Server, Vhost, assert_clean, eventually,
    obedient::{self, Deed, WORK, many},
};
use futures_util::StreamExt as _;
use lapin::{
    options::{BasicAckOptions, BasicConsumeOptions},
    types::FieldTable,
};
use serde_json::Value;

use crate::stage::{GRAVEYARD, Stage, settings, topology};

const HOLDING: &str = r#"conveyor_holding{queue="test.work"}"#;

#[tokio::test]
async fn while_postgresql_is_away_the_batch_is_held_and_no_attempt_is_spent() {
    let (mut server, vhost) = tokio::join!(Server::postgres(), Vhost::create());
    let database = Database::create_at(server.url()).await;
    obedient::make_table(&database).await;
    vhost.declare(&topology()).await;
    let stage = Stage { database, vhost, obedient: Default::default() };
    let mut worker = Process::spawn("fragile-worker", stage.environment()).await;
    worker.wait_ready().await;
    let before = many(20, Deed::Succeed);
    stage.send(&before).await;
    stage.until_obeyed(&before).await;

    server.kill().await;
    let during = many(100, Deed::Succeed);
    for events in during.chunks(10) {
        stage.send(events).await;
    }
    worker.until_metric(HOLDING, |holding| holding == 1.0).await;
    let answer = worker.http.get("/readyz").await.unwrap();
    assert_eq!(answer.status.as_u16(), 503);
    assert_eq!(answer.json()["checks"]["database"]["ok"], Value::Bool(false), "{}", answer.text());
    assert_eq!(worker.http.get("/healthz").await.unwrap().status.as_u16(), 200);

    server.start().await;
    stage.until_obeyed(&[before, during].concat()).await;
    worker.until_metric(HOLDING, |holding| holding == 0.0).await;
    worker.wait_ready().await;
    assert_eq!(stage.vhost.ready(GRAVEYARD).await, Some(0));
    assert_eq!(worker.metric(r#"conveyor_redelivered_total{queue="test.work"}"#).await, None, "something was returned");
    assert!(worker.terminate().await.success());
    assert_clean(&stage.database, &stage.vhost).await;
}

#[tokio::test]
async fn a_hold_that_lasts_gives_its_deliveries_back_once_and_resumes() {
    let stage = Stage::set().await;
    let way = Proxy::to(stage.database.address()).await;
    let mut environment = stage.environment();
    environment.push(("CONVEYOR__DATABASE__URL".to_owned(), stage.database.url_through(&way.address(), "orders")));
    environment.push(("CONVEYOR__CONSUMER__HOLD_MS".to_owned(), "500".to_owned()));
    let mut worker = Process::spawn("fragile-worker", environment).await;
    worker.wait_ready().await;
    let before = many(20, Deed::Succeed);
    stage.send(&before).await;
    stage.until_obeyed(&before).await;

    way.cut().await;
    let during = many(100, Deed::Succeed);
    for events in during.chunks(10) {
        stage.send(events).await;
    }
    // Given back, and left alone: consuming again before the database answers would cost another return each time.
    eventually(LONG, "the deliveries are given back", async || {
        worker.said().contains("held for too long").then_some(())
    })
    .await;
    stage.vhost.until_ready(WORK.name, 10).await;
    way.mend().await;
    stage.until_obeyed(&[before, during].concat()).await;
    let said = worker.said();
    assert_eq!(said.matches("held for too long").count(), 1, "it gave back more than once");
    assert!(worker.terminate().await.success());
    assert_clean(&stage.database, &stage.vhost).await;
}

#[tokio::test]
async fn a_server_that_answers_but_takes_no_writes_costs_one_return_and_nobody_their_life() {
    let stage = Stage::set().await;
    let mut environment = stage.environment();
    environment.push(("CONVEYOR__CONSUMER__HOLD_MS".to_owned(), "200".to_owned()));
    let mut worker = Process::spawn("fragile-worker", environment).await;
    worker.wait_ready().await;
    // As after a failover to a stand-by: questions are answered, writes are not.
    let admin = stage.database.connect().await;
    let role = format!("ALTER ROLE conveyor_orders IN DATABASE {}", stage.database.name);
    let disconnect = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = 'conveyor_orders' AND datname = current_database()";
    admin.batch_execute(&format!("{role} SET default_transaction_read_only = on; {disconnect}")).await.unwrap();

    let events = many(1, Deed::Succeed);
    stage.send(&events).await;
    let returns = || worker.said().matches("held for too long").count();
    eventually(LONG, "the delivery is given back", async || (returns() > 0).then_some(())).await;
    // Five returns would make a dead letter of it, within two seconds.
    let since = tokio::time::Instant::now();
    while since.elapsed() < Duration::from_secs(3) {
        assert_eq!(returns(), 1, "it was taken again although nothing could be written");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    admin.batch_execute(&format!("{role} RESET default_transaction_read_only; {disconnect}")).await.unwrap();
    stage.until_obeyed(&events).await;
    assert!(worker.terminate().await.success());
    assert_clean(&stage.database, &stage.vhost).await;
}

#[tokio::test]
async fn a_broker_that_goes_away_in_the_middle_loses_and_doubles_nothing() {
    let stage = Stage::set().await;
    let way = Proxy::to(stage.vhost.address()).await;
    let settings = settings(stage.database.url("orders"), stage.vhost.url_through(&way.address()));
    let worker = crate::stage::Worker::with_handler(settings, stage.obedient.clone());
    let events = many(600, Deed::Slowly);
    stage.send_each(&events).await;
    for some in [1, 200, 400] {
        let what = format!("{some} are obeyed");
        eventually(LONG, &what, async || (stage.effects().await.len() >= some).then_some(())).await;
        way.cut().await;
        way.mend().await;
    }
    eventually(LONG, "all are obeyed", async || (stage.effects().await.len() == 600).then_some(())).await;
    // A batch that committed and could not be acknowledged is done again, and the handler's key absorbs it.
    assert!(stage.effects().await.iter().all(|effect| effect.attempt == 1));
    // It is not over before these second deliveries are through.
    assert_clean(&stage.database, &stage.vhost).await;
    worker.stop().await;
    assert_clean(&stage.database, &stage.vhost).await;
}

/// What the client is asked in the moment between the end of its connection and its own noticing is never answered.
#[tokio::test]
#[expect(clippy::disallowed_methods, reason = "this thread has to stand still for the moment to last")]
async fn nobody_waits_for_an_answer_on_a_connection_that_is_gone() {
    let stage = Stage::set().await;
    stage.send(&many(1, Deed::Succeed)).await;
    // On a thread of its own: nothing else of this one runs until the question is asked.
    let away = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    let to = stage.vhost.address().to_owned();
    let way = away.spawn(async move { Proxy::to(&to).await }).await.unwrap();
    let url = stage.vhost.url_through(&way.address()).into();
    let link = Link::new(&url, "test".to_owned(), Arc::new(topology())).unwrap();
    let lane = link.lane().await.unwrap();
    let asked =
        lane.channel.basic_consume(WORK.name.into(), "".into(), BasicConsumeOptions::default(), FieldTable::default());
    let delivery = asked.await.unwrap().next().await.unwrap().unwrap();

    std::thread::spawn(move || {
        away.block_on(way.cut());
        away.shutdown_background();
    })
    .join()
    .unwrap();
    // The client's own thread hears of it, and all this thread could run has to wait.
    tokio::task::yield_now().await;
    std::thread::sleep(Duration::from_millis(300));
    let began = tokio::time::Instant::now();
    let asked = lane.ask(delivery.acker.ack(BasicAckOptions::default())).await;
    assert!(asked.is_err(), "{asked:?}");
    assert!(began.elapsed() < Duration::from_secs(2), "noticed only after {:?}", began.elapsed());
}

#[tokio::test]
async fn a_stop_during_an_outage_is_not_held_up_by_it() {
    let stage = Stage::set().await;
    let way = Proxy::to(stage.database.address()).await;
    let mut environment = stage.environment();
    environment.push(("CONVEYOR__DATABASE__URL".to_owned(), stage.database.url_through(&way.address(), "orders")));
    let mut worker = Process::spawn("fragile-worker", environment).await;
    worker.wait_ready().await;
    way.cut().await;
    let events = many(10, Deed::Succeed);
    stage.send(&events).await;
    worker.until_metric(HOLDING, |holding| holding == 1.0).await;
    let status = worker.terminate().await;
    assert!(status.success(), "it did not stop in good order: {status}");
    // What it had goes back to the queue, for somebody whose database is there.
    way.mend().await;
    worker.start().await;
    stage.until_obeyed(&events).await;
    assert!(worker.terminate().await.success());
    assert_clean(&stage.database, &stage.vhost).await;
}
