//! An event that its worker dies of takes no neighbour along.

use std::os::unix::process::ExitStatusExt as _;

use common::events::Event;
use e2e::{
    LONG, Process, assert_clean,
    obedient::{Deed, WORK, asking, many},
};
use futures_util::StreamExt as _;
use lapin::{
    options::{BasicConsumeOptions, BasicQosOptions},
    types::FieldTable,
};
use tokio::time::Instant;

use crate::stage::{GRAVEYARD, Stage};

/// More restarts than it should ever take: two until its parcel is unpacked, and five for the event alone.
const DEATHS_MOST: usize = 10;

#[tokio::test]
async fn one_that_aborts_the_process_at_the_head_of_its_queue_dies_alone() {
    let stage = Stage::set().await;
    let neighbours = many(50, Deed::Succeed);
    let poison = asking(Deed::Abort);
    stage.send(&[std::slice::from_ref(&poison), &neighbours[..9]].concat()).await;
    for parcel in neighbours[9..].chunks(7) {
        stage.send(parcel).await;
    }
    dies_alone(&stage, &poison, &neighbours).await;
}

#[tokio::test]
async fn one_that_aborts_the_process_while_much_is_prefetched_dies_alone() {
    let stage = Stage::set().await;
    let neighbours = many(50, Deed::Succeed);
    let poison = asking(Deed::Abort);
    // The first parcel is harmless, and so the consumer has widened when it meets the poison.
    for parcel in neighbours[..20].chunks(5) {
        stage.send(parcel).await;
    }
    stage.send(&[&neighbours[20..25], std::slice::from_ref(&poison), &neighbours[25..30]].concat()).await;
    stage.send_each(&neighbours[30..]).await;
    dies_alone(&stage, &poison, &neighbours).await;
}

#[tokio::test]
async fn what_came_back_is_handled_when_nothing_else_is_in_hand() {
    let stage = Stage::set().await;
    let worker = stage.work();
    let first = many(1, Deed::Succeed);
    stage.send(&first).await;
    stage.until_obeyed(&first).await;
    // Now it is wide. While it is busy for a second, another consumer takes a parcel and dies.
    let long = many(200, Deed::Slowly);
    stage.send(&long).await;
    let other = stage.vhost.channel().await;
    other.basic_qos(1, BasicQosOptions::default()).await.unwrap();
    let options = BasicConsumeOptions::default();
    let mut taken = other.basic_consume(WORK.name.into(), "".into(), options, FieldTable::default()).await.unwrap();
    let two = many(2, Deed::Succeed);
    stage.send_each(&two).await;
    let parcel: Vec<Event> = serde_json::from_slice(&taken.next().await.unwrap().unwrap().data).unwrap();
    other.close(200, "as if it had died".into()).await.unwrap();
    let others = many(20, Deed::Succeed);
    stage.send_each(&others).await;

    let all = [first, long, two, others].concat();
    stage.until_obeyed(&all).await;
    let at = |event: &Event| stage.obedient.heard(event.id).pop().unwrap().at;
    let after = all.iter().filter(|event| event.id != parcel[0].id && at(event) > at(&parcel[0])).count();
    assert_eq!(after, 0, "events that were in hand, and might have been taken along");
    worker.stop().await;
    assert_clean(&stage.database, &stage.vhost).await;
}

/// Restarts the worker whenever it has died, until the poison is in the dead letters.
async fn dies_alone(stage: &Stage, poison: &Event, neighbours: &[Event]) {
    let mut worker = Process::spawn("fragile-worker", stage.environment()).await;
    let began = Instant::now();
    let mut deaths = 0;
    while stage.vhost.ready(GRAVEYARD).await != Some(1) {
        assert!(began.elapsed() < LONG, "no dead letter; the worker died {deaths} times");
        if let Some(status) = worker.exited() {
            assert_eq!(status.signal(), Some(6), "the worker ended otherwise than by the poison: {status}");
            deaths += 1;
            assert!(deaths <= DEATHS_MOST, "the worker died {deaths} times, and still no dead letter");
            worker.start().await;
        }
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
    assert!(deaths >= 2, "so few deaths ({deaths}) may have other causes than the event");
    stage.until_obeyed_perhaps_twice(neighbours).await;

    let letter = stage.vhost.drain(GRAVEYARD).await.remove(0);
    assert_eq!(letter.header("x-death-kind"), "poison");
    assert_eq!(letter.header("x-event-id"), poison.id.to_string());
    let [event] = letter.events().try_into().unwrap();
    assert_eq!(event["id"], poison.id.to_string());
    assert!(worker.terminate().await.success());
    assert_clean(&stage.database, &stage.vhost).await;
}
