//! What has arrived is handled together, and taking it disturbs nothing.

use e2e::{
    Process, assert_clean,
    obedient::{Deed, WORK, many},
};
use futures_util::StreamExt as _;
use lapin::{
    options::{BasicConsumeOptions, BasicQosOptions},
    types::{AMQPValue, FieldTable},
};

use crate::stage::{Stage, Worker};

#[tokio::test]
async fn a_consumer_begins_narrow_and_then_takes_what_has_arrived_in_one_batch() {
    let stage = Stage::set().await;
    let events = many(300, Deed::Succeed);
    stage.send_each(&events).await;
    let worker = stage.work();
    stage.until_obeyed(&events).await;
    let together: Vec<usize> = events.iter().map(|event| stage.obedient.heard(event.id)[0].together).collect();
    assert_eq!(together[0], 1, "the first is handled alone");
    assert!(together.iter().any(|together| *together > 50), "they were not gathered: {together:?}");
    worker.stop().await;
    assert_clean(&stage.database, &stage.vhost).await;
}

#[tokio::test]
async fn what_came_back_is_handled_parcel_by_parcel() {
    let stage = Stage::set().await;
    let worker = stage.work();
    let first = many(1, Deed::Succeed);
    stage.send(&first).await;
    // Now it has widened. Somebody who goes first takes the next parcels, and dies.
    stage.until_obeyed(&first).await;
    let connection = stage.vhost.connect().await;
    let channel = connection.create_channel().await.unwrap();
    let mut ahead = FieldTable::default();
    ahead.insert("x-priority".into(), AMQPValue::LongInt(10));
    channel.basic_qos(100, BasicQosOptions::default()).await.unwrap();
    let options = BasicConsumeOptions::default();
    let mut deliveries = channel.basic_consume(WORK.name.into(), "".into(), options, ahead).await.unwrap();
    let events = many(60, Deed::Succeed);
    for parcel in events.chunks(3) {
        stage.send(parcel).await;
    }
    for _ in events.chunks(3) {
        deliveries.next().await.unwrap().unwrap();
    }
    connection.close(200, "crash".into()).await.unwrap();

    stage.until_obeyed(&[first, events.clone()].concat()).await;
    assert!(events.iter().all(|event| stage.obedient.heard(event.id)[0].together == 3));
    worker.stop().await;
    assert_clean(&stage.database, &stage.vhost).await;
}

#[tokio::test]
async fn widening_returns_nothing_to_the_queue() {
    let stage = Stage::set().await;
    let mut events = Vec::new();
    let mut worker = Process::spawn("fragile-worker", stage.environment()).await;
    worker.wait_ready().await;
    for _ in 0..5 {
        assert!(worker.terminate().await.success());
        let more = many(50, Deed::Succeed);
        stage.send_each(&more).await;
        events.extend(more);
        worker.start().await;
        stage.until_obeyed(&events).await;
        let returned = worker.metric(r#"conveyor_redelivered_total{queue="test.work"}"#).await;
        assert_eq!(returned, None, "something was delivered, returned, and delivered again");
    }
    assert!(worker.terminate().await.success());
    assert_clean(&stage.database, &stage.vhost).await;
}

#[tokio::test]
async fn a_batch_is_no_larger_than_it_may_be() {
    let stage = Stage::set().await;
    let events = many(60, Deed::Succeed);
    for parcel in events.chunks(6) {
        stage.send(parcel).await;
    }
    let mut settings = stage.settings();
    settings.consumer.max_events = 10;
    let worker = Worker::begin(settings, |service| service.consume(&WORK, stage.obedient.clone()));
    stage.until_obeyed(&events).await;
    worker.stop().await;
    let together = events.iter().flat_map(|event| stage.obedient.heard(event.id)).map(|heard| heard.together);
    assert_eq!(together.max(), Some(6), "two parcels of six are more than ten events");
}

#[tokio::test]
async fn a_batch_has_no_more_parcels_than_are_usually_sent_ahead() {
    let stage = Stage::set().await;
    let events = many(100, Deed::Succeed);
    for event in &events {
        stage.send(std::slice::from_ref(event)).await;
    }
    let mut settings = stage.settings();
    // A backlog, of which four times as many are sent ahead.
    settings.consumer.prefetch = 8;
    let worker = Worker::begin(settings, |service| service.consume(&WORK, stage.obedient.clone()));
    stage.until_obeyed(&events).await;
    worker.stop().await;
    let together = events.iter().flat_map(|event| stage.obedient.heard(event.id)).map(|heard| heard.together);
    assert_eq!(together.max(), Some(8));
}
