//! Retries of many: step by step, at a rate, and each letter once.

use std::time::Duration;

use common::events::Event;
use e2e::obedient::{Deed, asking, many};
use support_console::{Action, Refusal, RunState, Steps};

use crate::engine::stage::{Stage, operator, query};

/// The oldest goes first.
async fn bury_with_canary(stage: &Stage, canary: Deed, rest: usize) -> Vec<Event> {
    let events: Vec<Event> = [asking(canary)].into_iter().chain(many(rest, Deed::Succeed)).collect();
    stage.bury(&events, "no answer").await;
    stage.until_failed(i64::try_from(rest + 1).unwrap()).await;
    let client = stage.database.connect().await;
    let sql = "UPDATE support.letters SET died_at = died_at - interval '1 hour' WHERE event_id = $1";
    client.execute(sql, &[&events[0].id]).await.unwrap();
    events
}

#[tokio::test]
async fn a_canary_that_fails_stops_the_run_before_anything_else_goes() {
    let mut stage = Stage::set().await;
    stage.work();
    let events = bury_with_canary(&stage, Deed::Reject, 100).await;
    let run = stage.retry(&query("state:failed"), &Steps::default()).await;
    assert_eq!((run.state, run.sent, run.failed, run.step), (RunState::Stopped, 1, 1, 0));
    assert!(run.why.contains("failed"), "{}", run.why);
    for event in &events[1..] {
        assert!(stage.obedient.heard(event.id).is_empty());
    }
    let page = stage.console.run(run.id).await.unwrap();
    assert_eq!(page.failures.len(), 1);
    // Somebody looks, and goes on all the same.
    stage.console.resume(&operator("olga"), run.id).await.unwrap();
    let run = stage.at_rest(run.id).await;
    assert_eq!((run.state, run.done, run.failed, run.step), (RunState::Finished, 100, 1, 2));
    stage.strike().await;
}

#[tokio::test]
async fn a_canary_that_passes_lets_the_few_go_and_then_the_rest_each_once() {
    let mut stage = Stage::set().await;
    stage.work();
    let events = bury_with_canary(&stage, Deed::Succeed, 500).await;
    let plan = stage.console.plan(&operator("olga"), &query("state:failed"), Action::Retry).await.unwrap();
    assert_eq!((plan.count, plan.unreadable), (501, 0));
    // What comes after the plan is not of it.
    let late = asking(Deed::Succeed);
    stage.bury(std::slice::from_ref(&late), "no answer").await;
    stage.until_found(&late.id.to_string(), 1).await;
    let run = stage.console.start_run(&operator("olga"), plan.id, &Steps::default()).await.unwrap();
    let run = stage.at_rest(run).await;
    assert_eq!((run.state, run.sent, run.done, run.skipped), (RunState::Finished, 501, 501, 0), "{run:?}");
    for event in &events {
        assert_eq!(stage.obedient.heard(event.id).len(), 1);
    }
    let first = stage.obedient.heard(events[0].id)[0].at;
    let before = events[1..].iter().filter(|event| stage.obedient.heard(event.id)[0].at < first).count();
    assert_eq!(before, 0, "the canary went first");
    assert!(stage.obedient.heard(late.id).is_empty());
    let group = &stage.console.groups(&Default::default()).await.unwrap()[0];
    assert_eq!((group.failed, group.retrying, group.done), (1, 0, 501));
    stage.strike().await;
}

#[tokio::test]
async fn of_two_operators_who_retry_the_same_each_message_goes_once() {
    let mut stage = Stage::set().await;
    let events = many(300, Deed::Succeed);
    stage.bury(&events, "no answer").await;
    stage.until_failed(300).await;
    let (olga, otto) = (operator("olga"), operator("otto"));
    let scope = query("state:failed");
    let (one, other) = tokio::join!(
        stage.console.plan(&olga, &scope, Action::Retry),
        stage.console.plan(&otto, &scope, Action::Retry)
    );
    let steps = Steps { first: vec![], rate: 0, tolerate: 0 };
    let (one, other) = tokio::join!(
        stage.console.start_run(&olga, one.unwrap().id, &steps),
        stage.console.start_run(&otto, other.unwrap().id, &steps)
    );
    stage.work();
    let (one, other) = (stage.at_rest(one.unwrap()).await, stage.at_rest(other.unwrap()).await);
    assert_eq!(one.done + other.done, 300, "{one:?} {other:?}");
    assert_eq!(one.skipped + other.skipped, 300);
    assert_eq!((one.failed, other.failed), (0, 0));
    for event in &events {
        assert_eq!(stage.obedient.heard(event.id).len(), 1);
    }
    stage.strike().await;
}

#[tokio::test]
async fn a_run_keeps_its_rate_rests_when_told_to_and_sends_nothing_once_it_is_cancelled() {
    let mut stage = Stage::set().await;
    stage.work();
    stage.bury(&many(200, Deed::Succeed), "no answer").await;
    stage.until_found("", 200).await;
    let olga = operator("olga");
    let plan = stage.console.plan(&olga, &query(""), Action::Retry).await.unwrap();
    let steps = Steps { first: vec![1], rate: 20, tolerate: 0 };
    let began = tokio::time::Instant::now();
    let run = stage.console.start_run(&olga, plan.id, &steps).await.unwrap();
    stage.until_done(30).await;
    stage.console.pause(&olga, run).await.unwrap();
    let took = began.elapsed();
    let paused = stage.console.run(run).await.unwrap().run;
    assert_eq!(paused.state, RunState::Paused);
    assert!(f64::from(paused.sent) <= 12.0 + took.as_secs_f64() * 20.0, "{} sent in {took:?}", paused.sent);
    assert!(matches!(stage.console.pause(&olga, run).await, Err(Refusal::RunIs("paused"))));
    stage.console.resume(&olga, run).await.unwrap();
    stage.until_done(i64::from(paused.sent) + 20).await;
    stage.console.cancel(&olga, run).await.unwrap();
    let cancelled = stage.console.run(run).await.unwrap().run;
    assert_eq!(cancelled.state, RunState::Cancelled);
    // All that was sent is heard of, and nothing more is sent.
    let page = stage.until_found("state:done", cancelled.sent as usize).await;
    assert!(page.letters.len() < 200);
    assert!(stage.console.until_at_rest(run, Duration::ZERO).await.unwrap().sent == cancelled.sent);
    assert!(matches!(stage.console.resume(&olga, run).await, Err(Refusal::RunIs("cancelled"))));
    assert_eq!(stage.count("SELECT count(*) FROM support.letters WHERE state = 'retrying'").await, 0);
    stage.strike().await;
}
