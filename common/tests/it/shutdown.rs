//! A stop in good order: what was delivered is settled, and nothing is delivered again.

use common::config::Consumer;
use e2e::{
    LONG, Process, assert_clean, eventually,
    obedient::{Deed, WORK, many},
};

use crate::stage::Stage;

/// Enough to be sent in large numbers.
const COUNT: usize = 3_000;
/// More than are handled one at a time, to feel the way.
const MANY: usize = 20;

#[tokio::test]
async fn after_sigterm_nothing_is_redelivered() {
    let stage = Stage::set().await;
    let events = many(COUNT, Deed::Slowly);
    stage.send_each(&events).await;
    let mut environment = stage.environment();
    // What is in hand takes six seconds, on a machine that has nothing else to do.
    environment.push(("CONVEYOR__GRACE_MS".to_owned(), "60000".to_owned()));
    let mut worker = Process::spawn("fragile-worker", environment).await;
    eventually(LONG, "many are obeyed", async || (stage.effects().await.len() > MANY).then_some(())).await;
    let status = worker.terminate().await;
    assert!(status.success(), "{status}");
    settled(&stage).await;
}

#[tokio::test]
async fn a_service_that_is_told_to_stop_settles_what_it_has() {
    let stage = Stage::set().await;
    let events = many(COUNT, Deed::Slowly);
    stage.send_each(&events).await;
    let worker = stage.work();
    eventually(LONG, "many are obeyed", async || (stage.effects().await.len() > MANY).then_some(())).await;
    let before = stage.effects().await.len();
    worker.stop().await;
    settled(&stage).await;
    let in_hand = stage.effects().await.len() - before;
    assert!(in_hand > 2 * usize::from(Consumer::default().prefetch), "{in_hand}");
}

#[tokio::test]
async fn an_idle_worker_stops_at_once() {
    let stage = Stage::set().await;
    let mut worker = Process::spawn("fragile-worker", stage.environment()).await;
    worker.wait_ready().await;
    let began = tokio::time::Instant::now();
    assert!(worker.terminate().await.success());
    assert!(began.elapsed() < std::time::Duration::from_secs(3), "{:?}", began.elapsed());
}

#[tokio::test]
async fn a_stop_while_more_keeps_coming_leaves_nothing_half_done() {
    let stage = Stage::set().await;
    let worker = stage.work();
    let keep_sending = async {
        let mut sent = 0;
        while !worker.stop.is_cancelled() || sent % 50 != 0 {
            stage.send(&many(1, Deed::Succeed)).await;
            sent += 1;
        }
        sent
    };
    let stop = async {
        eventually(LONG, "some are obeyed", async || (stage.effects().await.len() > 20).then_some(())).await;
        worker.stop.cancel();
    };
    let (sent, ()) = tokio::join!(keep_sending, stop);
    worker.ended().await.unwrap();

    let effects = stage.effects().await;
    assert!(effects.iter().all(|effect| (effect.attempt, effect.seen) == (1, 1)));
    let left = stage.vhost.drain(WORK.name).await;
    assert_eq!(effects.len() + left.len(), sent);
    // Whatever is left was never with the handler.
    for message in left {
        let id = message.events()[0]["id"].as_str().unwrap().parse().unwrap();
        assert!(stage.obedient.heard(id).is_empty());
    }
}

/// Every event is either done, once, or still in the queue and was never with anybody.
async fn settled(stage: &Stage) {
    let effects = stage.effects().await;
    assert!(effects.iter().all(|effect| (effect.attempt, effect.seen) == (1, 1)));
    assert!(effects.len() < COUNT, "it stopped only when all was done");
    let left = stage.vhost.drain(WORK.name).await;
    assert_eq!(effects.len() + left.len(), COUNT);
    let again: Vec<_> = left.iter().filter(|message| message.redelivered).map(|message| &message.headers).collect();
    assert!(again.is_empty(), "{} of {} had been delivered before: {again:?}", again.len(), left.len());
    assert_clean(&stage.database, &stage.vhost).await;
}
