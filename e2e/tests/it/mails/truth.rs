//! A customer's last mail tells the truth.

use std::collections::{BTreeMap, BTreeSet};

use common::{events::OrderPaymentReminder, ids::OrderId};
use e2e::{LONG, assert_clean, eventually};
use serde_json::json;

use super::{CUSTOMER, Post, event, message_id, paid, received};

#[tokio::test]
async fn what_was_overtaken_while_it_waited_is_not_sent() {
    let post = Post::start(&[]).await;
    post.sandbox.fault("smtp", "down").await;
    let order = OrderId::generate();
    let (first, last) = (received(order, CUSTOMER), paid(order, CUSTOMER));
    post.say(std::slice::from_ref(&first)).await;
    let waits = r#"conveyor_events_total{queue="notification.send",verdict="wait"}"#;
    post.worker.until_metric(waits, |waits| waits >= 1.0).await;
    post.say(std::slice::from_ref(&last)).await;
    post.until_noted("superseded", 1).await;
    post.sandbox.fault("smtp", "up").await;
    let mails = post.until_mails(1).await;
    assert_eq!(mails[0].message_id, message_id(&last));
    post.until_noted("sent", 1).await;
    post.end().await;
}

#[tokio::test]
async fn what_comes_late_is_not_sent() {
    let post = Post::start(&[]).await;
    let order = OrderId::generate();
    let last = paid(order, CUSTOMER);
    post.say(std::slice::from_ref(&last)).await;
    post.until_noted("sent", 1).await;
    let due = json!({"amount": 10_050, "deadline": "2026-11-23T16:05:59Z"});
    // And the same said again, as after a broker was lost, is no news.
    post.say(&[
        event::<OrderPaymentReminder>(order, CUSTOMER, 2, due),
        received(order, CUSTOMER),
        paid(order, CUSTOMER),
    ])
    .await;
    post.until_noted("superseded", 3).await;
    let mails = post.until_mails(1).await;
    assert_eq!(mails[0].message_id, message_id(&last));
    post.end().await;
}

/// Two workers, one of which is killed in the middle: everybody's last mail is the newest, and what is there twice has
/// the same id.
#[tokio::test]
async fn with_two_workers_and_a_crash_everybodys_last_mail_is_true() {
    const ORDERS: usize = 150;
    let post = Post::start(&[]).await;
    let mut other = Post::another(&post.database, &post.vhost, &post.sandbox, &[]).await;
    let orders: Vec<OrderId> = (0..ORDERS).map(|_| OrderId::generate()).collect();
    let firsts: Vec<_> = orders.iter().map(|order| received(*order, CUSTOMER)).collect();
    let lasts: Vec<_> = orders.iter().map(|order| paid(*order, CUSTOMER)).collect();
    for (first, last) in firsts.chunks(5).zip(lasts.chunks(5)) {
        tokio::join!(post.say(first), post.say(last));
        if post.sandbox.mails().await.len() > ORDERS / 3 && other.is_running() {
            other.kill().await;
        }
    }
    if other.is_running() {
        other.kill().await;
    }
    let sql = "SELECT count(*) FROM notifications.notifications WHERE kind = 'order.paid' AND state = 'sent'";
    // What the dead worker had claimed is free again after a while.
    eventually(2 * LONG, "everybody is told", async || {
        (post.database.count(sql).await == i64::try_from(ORDERS).unwrap()).then_some(())
    })
    .await;
    assert_clean(&post.database, &post.vhost).await;
    assert_eq!(
        post.database.count("SELECT count(*) FROM notifications.notifications WHERE state = 'pending'").await,
        0
    );

    let mut mails = post.sandbox.mails().await;
    mails.reverse();
    let order_of = |text: &str| text.split(' ').find(|word| word.starts_with("ORD")).map(|word| word[..35].to_owned());
    let last_words: BTreeMap<String, &str> =
        mails.iter().map(|mail| (order_of(&mail.text).unwrap(), mail.subject.as_str())).collect();
    assert_eq!(last_words.len(), ORDERS);
    for (order, subject) in last_words {
        assert_eq!(subject, "Your order is paid", "the last that is heard of {order}");
    }
    let known: BTreeSet<String> = firsts.iter().chain(&lasts).map(message_id).collect();
    assert!(mails.iter().all(|mail| known.contains(&mail.message_id)));
    post.end().await;
}
