//! What cannot be read dies by itself, with its bytes.

use common::events::Event;
use e2e::{
    assert_clean,
    obedient::{Deed, WORK, asking, many, parcel},
};

use crate::stage::{GRAVEYARD, Stage};

#[tokio::test]
async fn an_event_that_cannot_be_read_goes_alone_with_its_bytes() {
    let stage = Stage::set().await;
    let neighbours = many(6, Deed::Succeed);
    // Spaces, escapes and all: somebody will want to see what it really was.
    let raw = r#"{"specversion" :  "1.0", "id": "no uuid", "x": "\u00e9\u0000", "n": 1e400}"#;
    let text = String::from_utf8(parcel(&neighbours[..3])).unwrap();
    let mixed = text.replacen("},{", &format!("}},{raw},{{"), 1);
    assert_ne!(text, mixed);
    assert!(stage.vhost.publish("redeliver", WORK.name, mixed.as_bytes()).await);
    stage.send(&neighbours[3..]).await;
    let worker = stage.work();
    stage.until_obeyed(&neighbours).await;
    stage.vhost.until_ready(GRAVEYARD, 1).await;

    let letter = stage.vhost.drain(GRAVEYARD).await.remove(0);
    assert_eq!(String::from_utf8(letter.body.clone()).unwrap(), format!("[{raw}]"));
    assert_eq!(letter.header("x-death-kind"), "unreadable");
    assert_eq!(letter.header("x-queue"), WORK.name);
    assert!(letter.header("x-reason").contains("not an event"), "{}", letter.header("x-reason"));
    worker.stop().await;
    assert_clean(&stage.database, &stage.vhost).await;
}

#[tokio::test]
async fn a_body_that_is_no_parcel_goes_as_it_is() {
    let stage = Stage::set().await;
    let neighbours = many(4, Deed::Succeed);
    // The last is a batch, but one of more events than may travel together: it does not become as many dead letters.
    let crowd = format!("[1{}]", ",1".repeat(1_000));
    let bodies: [&[u8]; 6] = [b"\xff\xfe\0not JSON", b"", b"{}", b"[]", b"[1", crowd.as_bytes()];
    stage.send(&neighbours[..2]).await;
    assert!(stage.vhost.publish_all("redeliver", WORK.name, bodies).await);
    stage.send(&neighbours[2..]).await;
    let worker = stage.work();
    stage.until_obeyed(&neighbours).await;
    stage.vhost.until_ready(GRAVEYARD, 6).await;

    let letters = stage.vhost.drain(GRAVEYARD).await;
    assert!(letters.iter().all(|letter| letter.header("x-death-kind") == "unreadable"));
    let mut died: Vec<&[u8]> = letters.iter().map(|letter| letter.body.as_slice()).collect();
    let mut sent = bodies;
    died.sort();
    sent.sort();
    assert_eq!(died, sent);
    worker.stop().await;
    assert_clean(&stage.database, &stage.vhost).await;
}

#[tokio::test]
async fn a_subject_of_any_length_can_die() {
    let stage = Stage::set().await;
    let neighbours = many(2, Deed::Succeed);
    // Longer than a frame: the headers of a message must fit one.
    let long = Event { subject: "x".repeat(200_000), ..asking(Deed::Reject) };
    stage.send(&[long, neighbours[0].clone()]).await;
    stage.send(&neighbours[1..]).await;
    let worker = stage.work();
    stage.until_obeyed(&neighbours).await;
    stage.vhost.until_ready(GRAVEYARD, 1).await;
    let letter = stage.vhost.drain(GRAVEYARD).await.remove(0);
    assert_eq!(letter.header("x-subject"), "x".repeat(255));
    assert_eq!(letter.events()[0]["subject"], "x".repeat(200_000));
    worker.stop().await;
    assert_clean(&stage.database, &stage.vhost).await;
}
