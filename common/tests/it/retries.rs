//! What fails for now, what fails for good, and the delay line.

use std::time::Duration;

use common::{
    broker::topology::{REDELIVER, SUPPORT_PROGRESS, Topology},
    events::Event,
};
use e2e::{
    LONG, Message, assert_clean, eventually,
    obedient::{Deed, WAITS, WORK, asking, many, parcel},
};
use lapin::{
    options::QueueDeclareOptions,
    types::{AMQPValue, FieldTable},
};
use serde_json::json;
use tokio::time::Instant;
use uuid::Uuid;

use crate::stage::{GRAVEYARD, Stage, TIERS_MS};

#[tokio::test]
async fn what_always_fails_for_now_goes_through_the_tiers_and_dies_with_its_reason() {
    let stage = Stage::set().await;
    let worker = stage.work();
    let culprit = asking(Deed::Retry);
    let neighbours = many(5, Deed::Succeed);
    stage.send(&[&neighbours[..2], std::slice::from_ref(&culprit), &neighbours[2..]].concat()).await;
    stage.vhost.until_ready(GRAVEYARD, 1).await;

    let heard = stage.obedient.heard(culprit.id);
    assert_eq!(heard.iter().map(|heard| heard.attempt).collect::<Vec<_>>(), [1, 2, 3]);
    for (pair, tier) in heard.windows(2).zip(TIERS_MS) {
        let (waited, tier) = (pair[1].at - pair[0].at, Duration::from_millis(tier));
        assert!(waited >= tier, "tried again after {waited:?} instead of {tier:?}");
        assert!(waited < tier + Duration::from_secs(3), "tried again only after {waited:?} instead of {tier:?}");
    }
    stage.until_obeyed(&neighbours).await;

    let letter = stage.vhost.drain(GRAVEYARD).await.remove(0);
    assert_eq!(letter.header("x-death-kind"), "exhausted");
    assert_eq!(letter.header("x-reason"), "asked to fail for now");
    assert_eq!(letter.header("x-attempts"), "3");
    assert_eq!(letter.header("x-queue"), WORK.name);
    assert_eq!(letter.header("x-service"), "obedient-worker");
    assert_eq!(letter.header("x-event-id"), culprit.id.to_string());
    assert!(letter.header("x-died-at").starts_with("20"));
    // It travelled alone, and is otherwise what was sent.
    let [event] = letter.events().try_into().unwrap();
    assert_eq!(event["attempt"], 3);
    let event: Event = serde_json::from_value(event).unwrap();
    assert_eq!((event.id, event.data.get()), (culprit.id, culprit.data.get()));

    worker.stop().await;
    assert_clean(&stage.database, &stage.vhost).await;
}

#[tokio::test]
async fn what_waits_for_others_waits_in_the_tier_it_should_and_spends_no_attempt() {
    let stage = Stage::set().await;
    let worker = stage.work();
    // For the outside world in the slowest, for a neighbour in the fastest.
    let patient = [(asking(Deed::Wait), TIERS_MS[1]), (asking(Deed::Busy), TIERS_MS[0])];
    let neighbours = many(5, Deed::Succeed);
    let events = [&patient.clone().map(|(event, _)| event)[..], &neighbours].concat();
    stage.send(&events).await;
    // At their first attempts still, however often they were heard.
    stage.until_obeyed(&events).await;
    for (event, tier) in &patient {
        let heard = stage.obedient.heard(event.id);
        assert_eq!(heard.iter().map(|heard| heard.attempt).collect::<Vec<_>>(), [1; WAITS + 1]);
        let waited: Vec<Duration> = heard.windows(2).map(|pair| pair[1].at - pair[0].at).collect();
        let tier = Duration::from_millis(*tier);
        assert!(waited.iter().all(|waited| *waited >= tier), "heard again after {waited:?} instead of {tier:?}");
    }
    assert_eq!(stage.obedient.heard(neighbours[0].id).len(), 1, "its neighbours did not wait");
    worker.stop().await;
    assert_clean(&stage.database, &stage.vhost).await;
}

#[tokio::test]
async fn what_can_never_succeed_goes_at_once() {
    let stage = Stage::set().await;
    let worker = stage.work();
    let culprit = asking(Deed::Reject);
    let neighbours = many(5, Deed::Succeed);
    stage.send(&[std::slice::from_ref(&culprit), &neighbours].concat()).await;
    stage.vhost.until_ready(GRAVEYARD, 1).await;
    stage.until_obeyed(&neighbours).await;

    assert_eq!(stage.obedient.heard(culprit.id).len(), 1);
    let letter = stage.vhost.drain(GRAVEYARD).await.remove(0);
    assert_eq!(letter.header("x-death-kind"), "rejected");
    assert_eq!(letter.header("x-reason"), "asked to fail for good");
    assert_eq!(letter.header("x-attempts"), "1");

    worker.stop().await;
    assert_clean(&stage.database, &stage.vhost).await;
}

#[tokio::test]
async fn delayed_messages_to_a_queue_that_is_gone_hold_up_no_other() {
    let stage = Stage::set().await;
    let delay = format!("delay.{}", TIERS_MS[0]);
    let lost = parcel(&[asking(Deed::Succeed)]);
    assert!(stage.vhost.publish_all(&delay, "test.gone", vec![&lost; 40]).await);
    let worker = stage.work();
    let event = asking(Deed::Succeed);
    let sent = Instant::now();
    assert!(stage.vhost.publish(&delay, WORK.name, &parcel(std::slice::from_ref(&event))).await);
    stage.until_obeyed(std::slice::from_ref(&event)).await;
    let waited = stage.obedient.heard(event.id)[0].at - sent;
    assert!(waited < Duration::from_secs(5), "held up for {waited:?}");

    // And none of the others is lost: they are where somebody looks.
    stage.vhost.until_ready("unroutable", 40).await;
    let messages = stage.vhost.drain("unroutable").await;
    assert!(messages.iter().all(|message| message.routing_key == "test.gone" && message.body == lost));
    worker.stop().await;
    assert_clean(&stage.database, &stage.vhost).await;
}

/// Like one whose target's node dies with it in hand. RabbitMQ tries again only after three minutes if it is not told
/// otherwise, and 32 such messages hold up a whole tier.
#[tokio::test]
async fn a_delayed_message_that_was_not_taken_is_handed_over_again_soon() {
    let stage = Stage::set().await;
    let channel = stage.vhost.channel().await;
    let durable = QueueDeclareOptions { durable: true, ..Default::default() };
    let mut full = FieldTable::default();
    full.insert("x-max-length".into(), AMQPValue::LongInt(1));
    full.insert("x-overflow".into(), AMQPValue::LongString("reject-publish".into()));
    for (queue, arguments) in [("test.full", full), ("test.free", FieldTable::default())] {
        channel.queue_declare(queue.into(), durable, arguments).await.unwrap();
        channel
            .queue_bind(queue.into(), REDELIVER.into(), queue.into(), Default::default(), FieldTable::default())
            .await
            .unwrap();
    }
    assert!(stage.vhost.publish("", "test.full", b"in the way").await);
    let delay = format!("delay.{}", TIERS_MS[0]);
    assert!(stage.vhost.publish(&delay, "test.full", b"not taken at first").await);
    assert!(stage.vhost.publish(&delay, "test.free", b"behind it").await);
    stage.vhost.until_ready("test.free", 1).await;
    assert_eq!(stage.vhost.drain("test.full").await.remove(0).body, b"in the way");

    stage.vhost.until_ready("test.full", 1).await;
    assert_eq!(stage.vhost.drain("test.full").await.remove(0).body, b"not taken at first");
}

#[tokio::test]
async fn a_dead_letter_queue_whose_consumer_crashes_thirty_times_loses_nothing() {
    let stage = Stage::set().await;
    let bodies: Vec<Vec<u8>> = (0..3).map(|_| parcel(&[asking(Deed::Reject)])).collect();
    assert!(stage.vhost.publish_all("dead-letters", WORK.name, &bodies).await);
    for _ in 0..30 {
        let connection = stage.vhost.connect().await;
        let channel = connection.create_channel().await.unwrap();
        for _ in &bodies {
            let got = eventually(LONG, "the dead letters come back", async || {
                channel.basic_get(GRAVEYARD.into(), Default::default()).await.unwrap()
            });
            // Taken, and never acknowledged.
            got.await;
        }
        connection.close(200, "crash".into()).await.unwrap();
    }
    stage.vhost.until_ready(GRAVEYARD, 3).await;
    let mut left: Vec<Vec<u8>> = stage.vhost.drain(GRAVEYARD).await.into_iter().map(|letter| letter.body).collect();
    let mut bodies = bodies;
    left.sort();
    bodies.sort();
    assert_eq!(left, bodies);
    assert_clean(&stage.database, &stage.vhost).await;
}

#[tokio::test]
async fn a_delay_queue_that_somebody_deleted_is_made_again() {
    let stage = Stage::set().await;
    let worker = stage.work();
    let before = many(1, Deed::Succeed);
    stage.send(&before).await;
    stage.until_obeyed(&before).await;
    stage.vhost.delete_queue("delay.200").await;
    stage.send(&many(1, Deed::Retry)).await;
    stage.vhost.until_ready(GRAVEYARD, 1).await;
    assert_eq!(stage.vhost.drain(GRAVEYARD).await.remove(0).header("x-attempts"), "3");
    worker.stop().await;
    assert_clean(&stage.database, &stage.vhost).await;
}

#[tokio::test]
async fn what_staff_send_again_is_reported_when_it_is_done_and_dies_at_once_when_it_is_not() {
    let stage = Stage::set().await;
    let progress = "support.progress";
    // Whoever listens to it in production.
    stage.vhost.declare(&Topology::new(&[&SUPPORT_PROGRESS], &[])).await;
    let worker = stage.work();
    let again = |deed| Event { retryid: Some(Uuid::now_v7()), ..asking(deed) };
    let failing =
        [again(Deed::Retry), again(Deed::Reject), Event { attempt: 3, ..again(Deed::Retry) }, again(Deed::Wait)];
    let (done, busy) = (again(Deed::Announce), again(Deed::Busy));
    let endless = Event { attempt: 9, ..again(Deed::Busy) };
    let ordinary = asking(Deed::Succeed);
    let all = [&failing[..], &[done.clone(), busy.clone(), endless.clone(), ordinary]].concat();
    stage.send(&all).await;

    stage.vhost.until_ready(GRAVEYARD, 5).await;
    let letters = stage.vhost.drain(GRAVEYARD).await;
    for event in failing.iter().chain([&endless]) {
        let id = event.id.to_string();
        let letter = letters.iter().find(|letter| letter.header("x-event-id") == id).expect("a dead letter");
        assert_eq!(letter.header("x-retry-id"), event.retryid.unwrap().to_string());
        let heard = stage.obedient.heard(event.id).len();
        assert_eq!(heard, if event.id == endless.id { 2 } else { 1 }, "{}", letter.header("x-reason"));
    }
    // Nothing but what is done is reported, and that once.
    let mut reported = Vec::new();
    eventually(LONG, "two are reported", async || {
        reported.extend(stage.vhost.drain(progress).await.iter().flat_map(Message::events));
        (reported.len() >= 2).then_some(())
    })
    .await;
    let mut names: Vec<_> = reported.iter().map(|event| event["data"].clone()).collect();
    names.sort_by_key(|data| data["retryId"].to_string());
    let mut expected =
        [&done, &busy].map(|event| json!({"retryId": event.retryid.unwrap(), "queue": WORK.name, "eventId": event.id}));
    expected.sort_by_key(|data| data["retryId"].to_string());
    assert_eq!(names, expected);
    assert_eq!(reported[0]["type"], "support.retried");
    worker.stop().await;
    assert!(stage.vhost.drain(progress).await.is_empty());
}
