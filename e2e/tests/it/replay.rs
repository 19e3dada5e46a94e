//! Everything delivered three times, in any order, ends in the same state as once.

use std::{collections::HashMap, time::Duration};

use common::broker::topology::is_signal;
use e2e::{LONG, assert_clean};
use lapin::{
    options::{QueueBindOptions, QueueDeclareOptions},
    types::FieldTable,
};

use crate::line::{Line, Load};

/// All that is remembered, but for times.
const STATE: &str = "SELECT jsonb_build_array(
    (SELECT jsonb_agg(to_jsonb(o) ORDER BY o.id) FROM orders.orders o),
    (SELECT jsonb_agg(to_jsonb(h) ORDER BY h.order_id, h.version) FROM orders.history h),
    (SELECT jsonb_agg(to_jsonb(p) ORDER BY p.product_id) FROM inventory.products p),
    (SELECT jsonb_agg(to_jsonb(r) ORDER BY r.holder) FROM inventory.reservations r),
    (SELECT jsonb_agg(to_jsonb(p) ORDER BY p.id) FROM payments.payments p),
    (SELECT jsonb_agg(to_jsonb(n) ORDER BY n.event_id) FROM notifications.notifications n)
)::text";

const TOLD: &str = "SELECT count(*) FROM notifications.notifications WHERE state = 'sent' AND kind = 'order.paid'";

#[tokio::test]
async fn three_deliveries_of_everything_in_any_order_change_nothing() {
    let line = Line::start().await;
    let channel = line.vhost.channel().await;
    let options = QueueDeclareOptions { durable: true, ..Default::default() };
    channel.queue_declare("test.tap".into(), options, FieldTable::default()).await.unwrap();
    let bind = channel.queue_bind(
        "test.tap".into(),
        "events".into(),
        "#".into(),
        QueueBindOptions::default(),
        FieldTable::default(),
    );
    bind.await.unwrap();

    Load::begin(&line, 200, 16).finish().await;
    line.until_through(200, LONG).await;
    let mut events: Vec<(String, String)> = Vec::new();
    for message in line.vhost.drain("test.tap").await {
        events.extend(message.events().iter().map(|event| (message.routing_key.clone(), event.to_string())));
    }
    assert_eq!(events.len(), 200 * 5, "each order is created, locked, due, completed and paid");
    let client = line.database.connect().await;
    let before: String = client.query_one(STATE, &[]).await.unwrap().get(0);

    publish_shuffled(&line, [events.clone(), events.clone(), events].concat()).await;
    // What they answer is heard too: the line is still when the queues have been empty for a while.
    let mut still = 0;
    while still < 5 {
        let depths = line.vhost.depths().await;
        let is_ours = |queue: &str| queue == "test.tap" || is_signal(queue);
        let busy = depths.iter().any(|(queue, (ready, unacked))| !is_ours(queue) && ready + unacked > 0);
        still = if busy { 0 } else { still + 1 };
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    line.vhost.drain("test.tap").await;
    line.vhost.delete_queue("test.tap").await;
    assert_clean(&line.database, &line.vhost).await;
    let after: String = client.query_one(STATE, &[]).await.unwrap().get(0);
    assert_eq!(before, after);
    line.reconcile(200).await;
}

/// The same while the orders are still under way: every message travels three times, shuffled with all the others.
#[tokio::test]
async fn three_deliveries_of_everything_under_way_end_like_one() {
    let line = Line::start().await;
    let channel = line.vhost.channel().await;
    let options = QueueDeclareOptions { durable: true, ..Default::default() };
    channel.queue_declare("test.tap".into(), options, FieldTable::default()).await.unwrap();
    let bind = channel.queue_bind(
        "test.tap".into(),
        "events".into(),
        "#".into(),
        QueueBindOptions::default(),
        FieldTable::default(),
    );
    bind.await.unwrap();
    let load = Load::begin(&line, 200, 16);
    let mut seen: HashMap<String, u8> = HashMap::new();
    let began = tokio::time::Instant::now();
    loop {
        let mut again: Vec<(String, String)> = Vec::new();
        for message in line.vhost.drain("test.tap").await {
            for event in message.events() {
                let times = seen.entry(event["id"].to_string()).or_default();
                *times += 1;
                if *times < 3 {
                    again.push((message.routing_key.clone(), event.to_string()));
                }
            }
        }
        let is_still = again.is_empty();
        publish_shuffled(&line, again).await;
        let told = line.database.count(TOLD).await;
        if is_still && told == 200 {
            break;
        }
        assert!(began.elapsed() < 2 * LONG, "{told} of 200 orders are through");
    }
    assert_eq!(load.finish().await, 200);
    line.vhost.delete_queue("test.tap").await;
    line.until_through(200, LONG).await;
    line.reconcile(200).await;
}

/// Publishes the events in any order, in parcels of any size.
async fn publish_shuffled(line: &Line, mut events: Vec<(String, String)>) {
    fastrand::shuffle(&mut events);
    let mut parcels: HashMap<String, Vec<String>> = HashMap::new();
    for (key, event) in events {
        let parcel = parcels.entry(key.clone()).or_default();
        parcel.push(event);
        if parcel.len() >= fastrand::usize(1..=32) {
            let parcel = std::mem::take(parcel);
            assert!(line.vhost.publish("events", &key, format!("[{}]", parcel.join(",")).as_bytes()).await);
        }
    }
    for (key, parcel) in parcels.into_iter().filter(|(_, parcel)| !parcel.is_empty()) {
        assert!(line.vhost.publish("events", &key, format!("[{}]", parcel.join(",")).as_bytes()).await);
    }
}
