//! A fault in a batch is its culprit's alone.

use common::{
    consumer::{EffectHandler, Failure, Step, Verdict},
    db::Tx,
    events::Event,
    outbox::Outbox,
};
use e2e::{
    assert_clean,
    obedient::{Asked, Deed, Obedient, WORK, asking, many},
};

use crate::stage::{GRAVEYARD, Stage, Worker};

#[tokio::test]
async fn a_fault_splits_the_batch_until_only_the_culprit_spends_an_attempt() {
    the_culprit_alone_dies(Deed::Fault, "division by zero").await;
}

#[tokio::test]
async fn a_panic_is_a_fault_and_not_an_end() {
    the_culprit_alone_dies(Deed::Panic, "asked to panic").await;
}

async fn the_culprit_alone_dies(deed: Deed, reason: &str) {
    let stage = Stage::set().await;
    let worker = stage.work();
    let neighbours = many(99, Deed::Succeed);
    let culprit = asking(deed);
    // One parcel, so one batch.
    stage.send(&[&neighbours[..37], std::slice::from_ref(&culprit), &neighbours[37..]].concat()).await;
    stage.vhost.until_ready(GRAVEYARD, 1).await;
    stage.until_obeyed(&neighbours).await;

    let heard = stage.obedient.heard(culprit.id);
    assert_eq!(heard[0].together, 100, "the batch was not whole");
    let mut alone: Vec<u32> = heard.iter().filter(|heard| heard.together == 1).map(|heard| heard.attempt).collect();
    alone.dedup();
    assert_eq!(alone, [1, 2, 3]);
    let letter = stage.vhost.drain(GRAVEYARD).await.remove(0);
    assert_eq!((letter.header("x-death-kind"), letter.header("x-attempts")), ("exhausted", "3"));
    assert!(letter.header("x-reason").contains(reason), "{}", letter.header("x-reason"));

    // And the worker goes on.
    let more = many(3, Deed::Succeed);
    stage.send(&more).await;
    stage.until_obeyed(&[neighbours, more].concat()).await;
    worker.stop().await;
    assert_clean(&stage.database, &stage.vhost).await;
}

/// Does what is asked in the step outside of any transaction.
struct Outside(Obedient);

impl EffectHandler for Outside {
    type Effect = Event;
    type Outcome = Event;

    async fn prepare(&self, _: &mut Tx, events: &[Event], _: &mut Outbox) -> Result<Vec<Step<Event>>, Failure> {
        Ok(events.iter().cloned().map(Step::Perform).collect())
    }

    async fn perform(&self, event: Event) -> Event {
        let deed = event.payload::<Asked>().unwrap().deed;
        assert!(deed != Deed::Panic, "asked to panic outside");
        if deed == Deed::Abort {
            // The outside world gives no answer.
            std::future::pending::<()>().await;
        }
        event
    }

    async fn record(&self, tx: &mut Tx, outcomes: &[Event], outbox: &mut Outbox) -> Result<Vec<Verdict>, Failure> {
        common::consumer::Handler::handle(&self.0, tx, outcomes, outbox).await
    }
}

#[tokio::test]
async fn a_panic_in_an_effect_is_its_events_fault_and_not_an_end() {
    fails_outside(Deed::Panic, "asked to panic outside").await;
}

#[tokio::test]
async fn an_effect_without_an_outcome_is_given_up_and_holds_nobody_up() {
    fails_outside(Deed::Abort, "no outcome within 200 ms").await;
}

async fn fails_outside(deed: Deed, reason: &str) {
    let stage = Stage::set().await;
    let mut settings = stage.settings();
    settings.consumer.effect_ms = 200;
    let worker =
        Worker::begin(settings, |service| service.consume_with_effects(&WORK, Outside(stage.obedient.clone())));
    let neighbours = many(9, Deed::Succeed);
    let culprit = asking(deed);
    stage.send(&[&neighbours[..4], std::slice::from_ref(&culprit), &neighbours[4..]].concat()).await;
    stage.vhost.until_ready(GRAVEYARD, 1).await;
    stage.until_obeyed(&neighbours).await;

    let letter = stage.vhost.drain(GRAVEYARD).await.remove(0);
    assert_eq!(letter.header("x-event-id"), culprit.id.to_string());
    assert_eq!((letter.header("x-death-kind"), letter.header("x-attempts")), ("exhausted", "3"));
    assert!(letter.header("x-reason").contains(reason), "{}", letter.header("x-reason"));
    worker.stop().await;
    assert_clean(&stage.database, &stage.vhost).await;
}

#[tokio::test]
async fn what_came_of_a_few_rounds_of_effects_is_recorded_before_the_next_begin() {
    let stage = Stage::set().await;
    let mut settings = stage.settings();
    settings.consumer.effects = 2;
    let worker =
        Worker::begin(settings, |service| service.consume_with_effects(&WORK, Outside(stage.obedient.clone())));
    let events = many(20, Deed::Succeed);
    // One parcel, which is taken whole.
    stage.send(&events).await;
    stage.until_obeyed(&events).await;
    worker.stop().await;
    let together = events.iter().flat_map(|event| stage.obedient.heard(event.id)).map(|heard| heard.together);
    assert_eq!(together.max(), Some(8), "two calls at once, four times");
    assert_clean(&stage.database, &stage.vhost).await;
}
