//! What the broker takes, what it returns, and what no queue wanted.

use std::{sync::Arc, time::Duration};

use common::{
    broker::{
        BrokerError, Link, Publisher,
        topology::{Topology, WorkQueue},
    },
    events::Parcel,
};
use e2e::{
    Process, assert_clean,
    obedient::{Deed, HEARD, WORK, asking, parcel},
};
use lapin::{
    ExchangeKind,
    options::{ExchangeDeclareOptions, QueueDeclareOptions},
    types::FieldTable,
};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::stage::{Stage, TIERS_MS, topology};

fn to(exchange: &str, routing_key: &str, body: &[u8]) -> Parcel {
    Parcel {
        id: Uuid::now_v7(),
        exchange: exchange.to_owned(),
        routing_key: routing_key.to_owned(),
        kind: "test.asked".to_owned(),
        body: body.to_vec(),
        headers: None,
    }
}

#[tokio::test]
async fn a_parcel_that_no_queue_is_bound_for_is_reported_though_its_group_arrives() {
    let stage = Stage::set().await;
    let channel = stage.vhost.channel().await;
    let options = ExchangeDeclareOptions::default();
    channel
        .exchange_declare("bare".into(), ExchangeKind::Direct, options, FieldTable::default())
        .await
        .expect("an exchange without an alternate");
    let link = Link::new(&stage.vhost.url().into(), "test".to_owned(), Arc::new(topology())).unwrap();
    let stop = CancellationToken::new();
    let (publisher, publishes) = Publisher::new(link.clone(), stop.clone());
    let publishes = tokio::spawn(publishes);

    let body = parcel(&[asking(Deed::Succeed)]);
    // Every third has nowhere to go; more than one window of them.
    let is_lost = |i: usize| i % 3 == 1;
    let parcels: Vec<Parcel> = (0..1_500)
        .map(|i| if is_lost(i) { to("bare", "nobody", &body) } else { to("events", "test.obeyed", &body) })
        .collect();
    let answers = publisher.publish(parcels, Duration::from_secs(30)).await;
    assert_eq!(answers.len(), 1_500);
    for (i, answer) in answers.iter().enumerate() {
        assert_eq!(answer.is_err(), is_lost(i), "parcel {i}: {answer:?}");
        if let Err(why) = answer {
            assert!(why.to_string().contains("no queue"), "{why}");
        }
    }
    assert_eq!(stage.vhost.ready(HEARD.name).await, Some(1_000));

    stop.cancel();
    publishes.await.unwrap();
    link.close().await;
}

#[tokio::test]
async fn an_unroutable_publish_is_noticed_counted_and_kept() {
    let stage = Stage::set().await;
    let mut worker = Process::spawn("fragile-worker", stage.environment()).await;
    worker.wait_ready().await;
    let metric = r#"conveyor_trouble_messages{queue="unroutable"}"#;
    worker.until_metric(metric, |count| count == 0.0).await;

    let body = parcel(&[asking(Deed::Succeed)]);
    assert!(stage.vhost.publish("events", "nobody.hears", &body).await, "nothing that is published is dropped");
    worker.until_metric(metric, |count| count == 1.0).await;
    assert!(worker.said().contains("there are new unroutable messages"));

    assert_eq!(stage.vhost.ready("unroutable").await, Some(1));
    let message = stage.vhost.drain("unroutable").await.remove(0);
    assert_eq!((message.body, message.routing_key.as_str()), (body, "nobody.hears"));
    assert!(worker.terminate().await.success());
    assert_clean(&stage.database, &stage.vhost).await;
}

#[tokio::test]
async fn the_topology_is_declared_by_many_at_once_and_again() {
    let stage = Stage::set().await;
    let topology = topology();
    let mut channels = Vec::new();
    for _ in 0..4 {
        channels.push(stage.vhost.channel().await);
    }
    for declared in futures_util::future::join_all(channels.iter().map(|channel| topology.declare(channel))).await {
        declared.unwrap();
    }
    let queues: Vec<String> = stage.vhost.depths().await.into_keys().collect();
    let expected =
        ["delay.200", "delay.600", "test.heard", "test.heard.dlq", "test.work", "test.work.dlq", "unroutable"];
    assert_eq!(queues, expected);
}

#[tokio::test]
async fn a_queue_of_the_same_name_and_another_kind_is_named() {
    const OTHER: WorkQueue = WorkQueue { name: "test.other", hears: &[], awaited: true };
    let stage = Stage::set().await;
    let options = QueueDeclareOptions { durable: true, ..Default::default() };
    let channel = stage.vhost.channel().await;
    channel.queue_declare(OTHER.name.into(), options, FieldTable::default()).await.unwrap();
    let channel = stage.vhost.channel().await;
    match Topology::new(&[&WORK, &OTHER], &TIERS_MS).declare(&channel).await {
        Err(BrokerError::Topology(why)) => assert!(why.contains(OTHER.name), "{why}"),
        other => panic!("{other:?}"),
    }
}
