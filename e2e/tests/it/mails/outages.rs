//! The mail server is away, or does not want a mail.

use std::{collections::BTreeSet, time::Duration};

use common::ids::OrderId;
use e2e::{LONG, assert_clean, eventually};
use futures_util::future::join_all;
use hyper::Method;
use serde_json::json;
use tokio::time::Instant;

use super::{ADDRESS, CUSTOMER, Post, QUEUE, message_id, paid, scoped};

const AWAY: &str = r#"conveyor_notifications_away{channel="email"}"#;
const WAITS: &str = r#"conveyor_events_total{queue="notification.send",verdict="wait"}"#;

#[tokio::test]
async fn while_the_mail_server_is_down_mail_waits_and_then_all_of_it_arrives_once() {
    const ORDERS: usize = 40;
    let post = Post::start(&[]).await;
    let before = paid(OrderId::generate(), CUSTOMER);
    post.say(std::slice::from_ref(&before)).await;
    // Now a connection is kept that will be of no use.
    post.until_mails(1).await;
    let events: Vec<_> = (0..ORDERS).map(|_| paid(OrderId::generate(), CUSTOMER)).collect();
    for fault in ["down", "tempfail"] {
        post.sandbox.fault("smtp", fault).await;
        let waits = post.worker.metric(WAITS).await.unwrap_or(0.0);
        if fault == "down" {
            post.say(&events).await;
        }
        post.worker.until_metric(AWAY, |away| away == 1.0).await;
        // There are three attempts: if a wait spent one, all would be dead by now.
        post.worker.until_metric(WAITS, |now| now - waits >= (4 * ORDERS) as f64).await;
    }
    let ready = post.worker.http.get("/readyz").await.unwrap();
    assert_eq!((ready.status.as_u16(), &ready.json()["checks"]["email"]["ok"]), (200, &json!(false)));
    assert_eq!(post.sandbox.mails().await.len(), 1);

    post.sandbox.fault("smtp", "up").await;
    let mails = post.until_mails(1 + ORDERS).await;
    let ids: BTreeSet<&str> = mails.iter().map(|mail| mail.message_id.as_str()).collect();
    assert_eq!(ids.len(), 1 + ORDERS, "a mail was sent twice");
    assert!(events.iter().all(|event| ids.contains(message_id(event).as_str())));
    post.until_noted("sent", 41).await;
    post.worker.until_metric(AWAY, |away| away == 0.0).await;
    assert_eq!(post.vhost.ready(&format!("{QUEUE}.dlq")).await, Some(0));
    post.end().await;
}

#[tokio::test]
async fn what_bounces_is_noted_once_with_its_reason_and_holds_up_nobody() {
    let post = Post::start(&[]).await;
    post.contact("gone", &json!({"email": "bounce@example.test", "channel": "email"})).await;
    let bounced = paid(OrderId::generate(), "gone");
    let good = paid(OrderId::generate(), CUSTOMER);
    post.say(&[bounced.clone(), paid(OrderId::generate(), "stranger"), good.clone()]).await;
    for state in ["refused", "no_contact", "sent"] {
        post.until_noted(state, 1).await;
    }
    assert_clean(&post.database, &post.vhost).await;
    assert_eq!(post.until_mails(1).await[0].message_id, message_id(&good));
    let client = post.database.connect().await;
    let sql = "SELECT reason, channel FROM notifications.notifications WHERE event_id = $1";
    let row = client.query_one(sql, &[&bounced.id]).await.unwrap();
    let (reason, channel): (String, String) = (row.get(0), row.get(1));
    assert!(reason.contains("550") && channel == "email", "{reason}");
    let refused = r#"conveyor_notifications_total{channel="email",outcome="refused"}"#;
    assert_eq!(post.worker.metric(refused).await, Some(1.0), "it was tried again");

    // An address that was mended counts: a key blocks only what was done.
    post.contact("gone", &json!({"email": ADDRESS, "channel": "email"})).await;
    post.say(std::slice::from_ref(&bounced)).await;
    post.until_noted("sent", 2).await;
    assert_eq!(post.until_mails(2).await[1].message_id, message_id(&bounced));
    post.end().await;
}

#[tokio::test]
async fn what_is_refused_for_now_is_tried_again() {
    let post = Post::start(&[]).await;
    post.contact("late", &json!({"email": "later@example.test", "channel": "email"})).await;
    let event = paid(OrderId::generate(), "late");
    post.say(std::slice::from_ref(&event)).await;
    let mails = post.until_mails(1).await;
    assert_eq!(
        (mails[0].message_id.as_str(), mails[0].to.as_str()),
        (message_id(&event).as_str(), "later@example.test")
    );
    post.until_noted("sent", 1).await;
    let retries = r#"conveyor_events_total{queue="notification.send",verdict="retry"}"#;
    assert_eq!(post.worker.metric(retries).await, Some(2.0));
    post.end().await;
}

#[tokio::test]
async fn a_server_that_cannot_encrypt_is_sent_nothing_where_encryption_is_wanted() {
    for tls in ["starttls", "tls"] {
        let post = Post::start(&[("CONVEYOR__NOTIFICATIONS__SMTP__TLS", tls)]).await;
        post.say(&[paid(OrderId::generate(), CUSTOMER)]).await;
        post.worker.until_metric(WAITS, |waits| waits >= 1.0).await;
        assert!(post.sandbox.mails().await.is_empty(), "{tls}");
    }
}

#[tokio::test]
async fn a_mail_server_that_says_nothing_holds_up_nobody_for_long() {
    const ORDERS: usize = 100;
    const TIMEOUT: Duration = Duration::from_secs(3);
    let post = Post::start(&[
        ("CONVEYOR__NOTIFICATIONS__TIMEOUT_MS", "3000"),
        // Between the first failure and the third, another mail might begin, and have all of its time.
        ("CONVEYOR__NOTIFICATIONS__BREAKER_FAILURES", "1"),
        ("CONVEYOR__NOTIFICATIONS__BREAKER_REST_MS", "6000"),
        ("CONVEYOR__NOTIFICATIONS__BREAKER_REST_MOST_MS", "6000"),
    ])
    .await;
    let number = "+15551234567";
    post.contact("joe", &json!({"phone": number, "channel": "sms"})).await;
    post.sandbox.fault("smtp", "silent").await;
    let events: Vec<_> = (0..ORDERS).map(|_| paid(OrderId::generate(), CUSTOMER)).collect();
    post.say(&events).await;
    post.worker.until_metric("conveyor_email_breaker", |level| level == 2.0).await;
    // From now on each mail waits at once: nobody looks for three seconds at least.
    let waits = post.worker.metric(WAITS).await.unwrap_or(0.0);
    let began = Instant::now();
    post.say(&[paid(OrderId::generate(), "joe")]).await;
    eventually(LONG, "the SMS is sent", async || (!post.sandbox.sms_to(number).await.is_empty()).then_some(())).await;
    let took = began.elapsed();
    assert!(took < TIMEOUT, "it waited for mails: {took:?}");
    post.worker.until_metric(WAITS, |now| now - waits >= ORDERS as f64).await;
    let refused = post.worker.metric("conveyor_email_breaker_opened_total").await.unwrap_or(0.0);
    println!("an SMS beside mails for a silent server took {took:?}; the breaker had opened {refused} times");

    post.sandbox.fault("smtp", "up").await;
    let mails = post.until_mails(ORDERS).await;
    let ids: BTreeSet<&str> = mails.iter().map(|mail| mail.message_id.as_str()).collect();
    assert_eq!(ids.len(), ORDERS, "a mail was sent twice");
    post.worker.until_metric("conveyor_email_breaker", |level| level == 0.0).await;
    post.until_noted("sent", 101).await;
    assert_eq!(post.vhost.ready(&format!("{QUEUE}.dlq")).await, Some(0), "a wait spent an attempt");
    post.end().await;
}

#[tokio::test]
async fn requests_that_wait_at_the_database_leave_the_queue_its_connections() {
    let post = Post::start(&[]).await;
    let (path, contact) = ("/api/notification/contacts/slow", json!({"email": ADDRESS, "channel": "email"}));
    post.contact("slow", &contact).await;
    let mut client = post.database.connect().await;
    let lock = client.transaction().await.unwrap();
    let sql = "SELECT FROM notifications.contacts WHERE user_id = 'slow' FOR UPDATE";
    lock.execute(sql, &[]).await.unwrap();
    let token = scoped("service");
    let answers = join_all((0..64).map(|_| post.ask(Method::PUT, path, &token, &contact)));
    let meanwhile = async {
        let waiting = "SELECT count(*) FROM pg_stat_activity
                       WHERE datname = current_database() AND wait_event_type = 'Lock'";
        crate::alone::until_at_least(&post.database, waiting, 3).await;
        let began = Instant::now();
        post.say(&[paid(OrderId::generate(), CUSTOMER)]).await;
        post.until_mails(1).await;
        let took = began.elapsed();
        assert!(took < Duration::from_secs(4), "it waited for the requests: {took:?}");
        lock.rollback().await.unwrap();
    };
    let (answers, ()) = futures_util::future::join(answers, meanwhile).await;
    for answer in answers {
        assert!([200, 503].contains(&answer.status.as_u16()), "{}", answer.text());
    }
    post.end().await;
}
