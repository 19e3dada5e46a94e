//! What no queue took goes back to where it was published to, and has arrived if it does not come back.

use e2e::obedient::{Deed, asking, parcel};
use lapin::{
    options::{QueueBindOptions, QueueDeclareOptions, QueueDeleteOptions},
    types::FieldTable,
};
use support_console::{RunState, Scope, Steps, Support};

use crate::engine::stage::Stage;

#[tokio::test]
async fn what_was_unroutable_has_arrived_when_it_does_not_come_back() {
    let own = Support { unroutable_trial_s: 3, ..Support::default() };
    let stage = Stage::set_with(own, &["http", "ingest", "runs", "support.progress"]).await;
    let event = asking(Deed::Succeed);
    stage.vhost.publish("events", "no.such.key", &parcel(std::slice::from_ref(&event))).await;
    let line = stage.until_found("death:unroutable", 1).await.letters.remove(0);
    let letter = stage.console.letter(line.id).await.unwrap();
    assert_eq!((letter.exchange.as_str(), letter.routing_key.as_str()), ("events", "no.such.key"));

    // Still nobody wants it: it comes back, and is the same letter.
    let run = stage.retry(&Scope::Letter { id: line.id, seen: None }, &Steps::default()).await;
    assert_eq!((run.state, run.failed), (RunState::Finished, 1));
    assert_eq!(stage.console.letter(line.id).await.unwrap().deaths.len(), 2);
    assert_eq!(stage.count("SELECT count(*) FROM support.letters").await, 1);

    let channel = stage.vhost.channel().await;
    let options = QueueDeclareOptions::default();
    channel.queue_declare("wanted".into(), options, FieldTable::default()).await.unwrap();
    let options = QueueBindOptions::default();
    channel
        .queue_bind("wanted".into(), "events".into(), "no.such.key".into(), options, FieldTable::default())
        .await
        .unwrap();
    let run = stage.retry(&Scope::Letter { id: line.id, seen: None }, &Steps::default()).await;
    assert_eq!((run.state, run.done), (RunState::Finished, 1));
    let arrived = stage.vhost.drain("wanted").await;
    assert_eq!(arrived.len(), 1);
    assert_eq!(arrived[0].events()[0]["id"], event.id.to_string());
    channel.queue_delete("wanted".into(), QueueDeleteOptions::default()).await.unwrap();
    stage.strike().await;
}
