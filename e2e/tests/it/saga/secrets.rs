//! After orders were paid with every card there is, and given back: nothing of a card is anywhere in the whole line.

use e2e::token;
use hyper::Method;
use lapin::{
    options::{QueueBindOptions, QueueDeclareOptions},
    types::FieldTable,
};
use serde_json::json;

use super::{AMOUNT, Saga, ask, staff};
use crate::payments::secrets::{CVV, NUMBERS, dump, said_nothing};

#[tokio::test]
async fn nothing_of_a_card_is_left_in_the_whole_line() {
    let saga = Saga::start(&[("LOG__FILTER", "trace,lapin=off")], &[]).await;
    saga.customer("walker", None).await;
    // Whatever is said to anybody is kept here too.
    let channel = saga.line.vhost.channel().await;
    let options = QueueDeclareOptions { durable: true, ..Default::default() };
    channel.queue_declare("test.ear".into(), options, FieldTable::default()).await.unwrap();
    let (options, nothing) = (QueueBindOptions::default(), FieldTable::default());
    channel.queue_bind("test.ear".into(), "events".into(), "#".into(), options, nothing).await.unwrap();

    let mut orders = Vec::new();
    for card in NUMBERS {
        let id = saga.place_one("walker").await;
        let answer = saga.pay("walker", &id, AMOUNT, card).await;
        assert!([200, 202, 400].contains(&answer.status.as_u16()), "{}", answer.text());
        said_nothing(&answer.text(), "an answer");
        orders.push(id);
    }
    let stored = json!({"cardNumber": NUMBERS[0], "expiryDate": "12/30", "cvv": CVV});
    let path = "/api/payment/methods/walker";
    let answer = ask(saga.payments(), Method::PUT, path, &token("walker"), &stored).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    orders.push(saga.place_one("walker").await);
    saga.until_count("SELECT count(*) FROM payments.payments WHERE state = 'open'", 0).await;
    for id in &orders {
        assert_eq!(saga.cancel(id, &staff()).await.status, 200);
    }
    // All but that which is refused for good.
    saga.until_count("SELECT count(*) FROM orders.orders WHERE status IN ('cancelled', 'refunded')", 15).await;
    saga.until_count("SELECT count(*) FROM payments.payments WHERE refund = 'refused'", 1).await;
    saga.until_count("SELECT count(*) FROM notifications.notifications WHERE state = 'pending'", 0).await;

    for (table, rows) in dump(&saga.line.database).await {
        said_nothing(&rows, &table);
    }
    let mut heard = 0;
    for (queue, _) in saga.line.vhost.depths().await {
        for message in saga.line.vhost.drain(&queue).await {
            said_nothing(&String::from_utf8_lossy(&message.body), &queue);
            said_nothing(&format!("{:?}", message.headers), &queue);
            heard += usize::from(queue == "test.ear");
        }
    }
    assert!(heard >= 4 * orders.len(), "only {heard} parcels were heard");
    for process in &saga.line.processes {
        let said = process.said();
        assert!(said.contains("\"level\":\"TRACE\""), "{} was to say everything", process.name());
        said_nothing(&said, process.name());
    }
    for mail in saga.sandbox.mails().await {
        said_nothing(&mail.text, "a mail");
    }
}
