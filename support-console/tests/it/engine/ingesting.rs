//! What comes is kept, whatever it is, and once.

use e2e::{
    LONG, eventually,
    obedient::{Deed, asking, many, parcel},
};
use lapin::{
    BasicProperties,
    options::{BasicGetOptions, BasicPublishOptions, BasicRejectOptions},
    types::{AMQPValue, FieldTable},
};
use support_console::{Query, State};

use crate::engine::stage::{QUEUE, Stage};

const GRAVEYARD: &str = "notification.send.dlq";

#[tokio::test]
async fn whatever_a_queue_brings_is_kept_byte_for_byte_and_the_same_again_changes_nothing() {
    let stage = Stage::set().await;
    let (one, two, three) = (asking(Deed::Succeed), asking(Deed::Succeed), asking(Deed::Succeed));
    let mut large =
        b"[{\"specversion\":\"1.0\",\"id\":\"0193a0c0-d0e0-7000-8000-000000000000\",\"type\":\"t\",\"source\":\"s\",\
        \"subject\":\"o\",\"time\":\"2026-01-31T12:00:00Z\",\"data\":\""
            .to_vec();
    large.resize(10 * 1024 * 1024, b'x');
    large.extend(b"\"}]");
    let mixed = {
        let event = serde_json::to_string(&one).unwrap();
        format!("[{event}, {{\"no\": \"event\"}},\n {}]", serde_json::to_string(&two).unwrap())
    };
    let bodies: Vec<Vec<u8>> = vec![
        parcel(std::slice::from_ref(&three)),
        mixed.into_bytes(),
        b"\xff\xfe broken".to_vec(),
        (0..=255).collect(),
        Vec::new(),
        b"[]".to_vec(),
        b"[1]".to_vec(),
        format!("{}{}", "[".repeat(100_000), "]".repeat(100_000)).into_bytes(),
        large,
    ];
    // Without any of the headers that the chassis sets, and with some that it never would.
    let mut hostile = FieldTable::default();
    hostile.insert("x-reason".into(), AMQPValue::LongString(vec![0xff, 0, b'<', b'b', b'>'].into()));
    hostile.insert("x-died-at".into(), AMQPValue::LongString("+9999-12-31T00:00:00Z".into()));
    hostile.insert("x-attempts".into(), AMQPValue::LongLongInt(i64::MIN));
    hostile.insert("x-retry-id".into(), AMQPValue::FieldTable(FieldTable::default()));
    hostile.insert("x-death".into(), AMQPValue::Void);
    hostile.insert("$".into(), AMQPValue::Double(f64::NAN));
    let strange = BasicProperties::default()
        .with_type("\0\u{1b}[31m".into())
        .with_expiration("60000000".into())
        .with_headers(hostile);
    let send = async || {
        let channel = stage.vhost.channel().await;
        for body in &bodies {
            stage.vhost.publish("dead-letters", QUEUE, body).await;
        }
        let options = BasicPublishOptions::default();
        let sent = channel.basic_publish("dead-letters".into(), QUEUE.into(), options, b"strange", strange.clone());
        sent.await.unwrap().await.unwrap();
    };
    send().await;
    // Three of the parcel of several, and one of each other.
    let page = stage.until_found("", 12).await;
    assert!(page.letters.iter().all(|letter| letter.state == State::Failed));
    assert_eq!(page.letters.iter().filter(|letter| letter.readable).count(), 4);

    let client = stage.database.connect().await;
    for body in bodies.iter().skip(2).chain([&b"strange".to_vec()]) {
        let rows = client.query("SELECT 1 FROM support.contents WHERE body = $1", &[body]).await.unwrap();
        assert_eq!(rows.len(), 1, "{} bytes are kept as they were", body.len());
    }
    for event in [&one, &two, &three] {
        let letter = &stage.until_found(&event.id.to_string(), 1).await.letters[0];
        let letter = stage.console.letter(letter.id).await.unwrap();
        let [kept]: [serde_json::Value; 1] = serde_json::from_slice(&letter.body).unwrap();
        assert_eq!(kept, serde_json::to_value(event).unwrap());
    }
    let strange = stage.until_found("readable:no reason:b", 1).await;
    let letter = stage.console.letter(strange.letters[0].id).await.unwrap();
    assert_eq!(letter.headers["properties"]["type"]["$bytes"], "ABtbMzFt");
    assert_eq!(letter.headers["headers"]["x-reason"]["$bytes"], "/wA8Yj4=");
    assert_eq!(letter.deaths.len(), 1);

    let before = stage.count("SELECT sum(version) FROM support.letters").await;
    send().await;
    eventually(LONG, "all of it is drained again", async || {
        let depth = stage.vhost.depths().await.get(GRAVEYARD).copied();
        let ingested = stage.vhost.ready(GRAVEYARD).await == Some(0) && depth == Some((0, 0));
        ingested.then_some(())
    })
    .await;
    assert_eq!(stage.count("SELECT sum(version) FROM support.letters").await, before);
    assert_eq!(stage.count("SELECT count(*) FROM support.deaths").await, 12);
    assert_eq!(stage.count("SELECT sum(failed)::bigint FROM support.groups").await, 12);
    stage.strike().await;
}

#[tokio::test]
async fn what_the_broker_gives_up_itself_becomes_a_letter_for_each_event() {
    let stage = Stage::set().await;
    let events = many(5, Deed::Succeed);
    stage.vhost.publish("redeliver", QUEUE, &parcel(&events)).await;
    // Somebody takes it and dies of it, again and again.
    let channel = stage.vhost.channel().await;
    while let Some(got) = channel.basic_get(QUEUE.into(), BasicGetOptions::default()).await.unwrap() {
        got.delivery.acker.reject(BasicRejectOptions { requeue: true }).await.unwrap();
    }
    let page = stage.until_found("death:delivery_limit", 5).await;
    let mut found: Vec<_> = Vec::new();
    for line in &page.letters {
        let letter = stage.console.letter(line.id).await.unwrap();
        found.push(letter.event_id.unwrap());
        assert!(letter.headers["headers"]["x-death"][0]["count"].is_number(), "{}", letter.headers);
    }
    found.sort();
    assert_eq!(found, events.iter().map(|event| event.id).collect::<Vec<_>>());
    stage.strike().await;
}

#[tokio::test]
async fn letters_that_died_alike_are_one_group_and_a_later_death_is_of_the_same_letter() {
    let stage = Stage::set().await;
    let events = many(3, Deed::Succeed);
    stage.bury(&events[..1], "no answer within 3000 ms").await;
    stage.bury(&events[1..2], "no answer within 2999 ms").await;
    stage.bury(&events[2..], "the address is gone").await;
    stage.until_found("", 3).await;
    let groups = stage.console.groups(&support_console::GroupFilter::default()).await.unwrap();
    let mut counts: Vec<_> = groups.iter().map(|group| (group.pattern.as_str(), group.failed)).collect();
    counts.sort_unstable();
    assert_eq!(counts, [("no answer within # ms", 2), ("the address is gone", 1)]);

    // The first dies again, of something else.
    stage.bury(&events[..1], "the address is gone").await;
    let page = stage.until_found("reason:\"address is gone\"", 2).await;
    let line = page.letters.iter().find(|line| line.version == 2).expect("a letter that has changed");
    let letter = stage.console.letter(line.id).await.unwrap();
    let reasons: Vec<_> = letter.deaths.iter().map(|death| death.reason.as_str()).collect();
    assert_eq!(reasons, ["the address is gone", "no answer within 3000 ms"]);
    let groups = stage.console.groups(&support_console::GroupFilter::default()).await.unwrap();
    let mut counts: Vec<_> = groups.iter().map(|group| (group.pattern.as_str(), group.failed)).collect();
    counts.sort_unstable();
    assert_eq!(counts, [("no answer within # ms", 1), ("the address is gone", 2)]);
    let query: Query = format!("group:{}", line.group).parse().unwrap();
    assert_eq!(stage.console.search(&query, None, 50).await.unwrap().total, Some(2));
    stage.strike().await;
}
