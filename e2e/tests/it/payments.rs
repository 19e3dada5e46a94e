//! payment-worker against the sandbox's gateway: what order-api would say, a test says.

mod asking;
mod books;
mod callbacks;
mod crashes;
mod crowds;
mod paid_back;
mod paying;
mod refunds;
pub(crate) mod secrets;
mod shown;
mod stopping;
mod stored;
mod together;
mod trouble;

use std::collections::BTreeMap;

use common::{
    events::{Event, OrderCancelled, OrderPaymentDue, OrderRefundDue, Payload},
    ids::{OrderId, TransactionId, UserId},
    money::Money,
};
use e2e::{
    Database, LONG, Process, Sandbox, Vhost, eventually, http::Answer, in_seconds, service_settings, token, token_with,
};
use hyper::Method;
use lapin::{
    options::{QueueBindOptions, QueueDeclareOptions},
    types::FieldTable,
};
use serde_json::{Value, json};
use time::{Duration, OffsetDateTime};
use tokio::sync::Mutex;

const PROCESS: &str = "/api/payment/process";
const AMOUNT: Money = Money(10_050);
/// A customer without a stored method.
const WALKER: &str = "walker";

/// The order says that this payment is to be given back.
fn refund_due(order: OrderId, transaction: &str) -> Event {
    let transaction_id: TransactionId = transaction.parse().unwrap();
    let user_id = named("123456");
    let due = OrderRefundDue { order_id: order, user_id, version: 4, transaction_id, amount: AMOUNT };
    Event::new("test", order.to_string(), None, &due).unwrap()
}

/// Where money is taken: payment-workers, a gateway, and an ear for what they say.
struct Till {
    // First, so that they end before what they use is taken away.
    workers: Vec<Process>,
    sandbox: Sandbox,
    database: Database,
    vhost: Vhost,
    heard: Mutex<Vec<Value>>,
}

impl Till {
    async fn open() -> Self {
        Self::open_with(1, &[], &[]).await
    }

    async fn open_with(workers: usize, settings: &[(&str, &str)], world: &[&str]) -> Self {
        let (database, vhost) = (Database::create().await, Vhost::create().await);
        let sandbox = Sandbox::start_with(world).await;
        database.load_demo().await;
        vhost.declare_line().await;
        let channel = vhost.channel().await;
        let options = QueueDeclareOptions { durable: true, ..Default::default() };
        channel.queue_declare("test.ear".into(), options, FieldTable::default()).await.unwrap();
        let (options, arguments) = (QueueBindOptions::default(), FieldTable::default());
        let bind = channel.queue_bind("test.ear".into(), "events".into(), "payment.#".into(), options, arguments);
        bind.await.unwrap();
        let mut till = Self { workers: Vec::new(), sandbox, database, vhost, heard: Mutex::default() };
        for _ in 0..workers {
            till.add_worker(settings).await;
        }
        till
    }

    async fn add_worker(&mut self, settings: &[(&str, &str)]) {
        let mut all: BTreeMap<String, String> = service_settings("payments", &self.database, &self.vhost);
        all.extend(self.sandbox.payment_settings());
        for (key, value) in [("ASK_AFTER_MS", "300"), ("RECONCILE_MS", "50"), ("BREAKER_REST_MS", "300")] {
            all.insert(format!("CONVEYOR__PAYMENTS__{key}"), value.to_owned());
        }
        // Far more than any test needs to see where something has been said that should not have been.
        all.insert("CONVEYOR__LOG__FILTER".to_owned(), "debug,lapin=off".to_owned());
        all.extend(settings.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())));
        let mut worker = Process::spawn("payment-worker", all).await;
        worker.wait_ready().await;
        self.workers.push(worker);
    }

    async fn say<P: Payload>(&self, order: OrderId, payload: &P) {
        self.say_event(&Event::new("test", order.to_string(), None, payload).unwrap(), "events", P::TYPE).await;
    }

    async fn say_event(&self, event: &Event, exchange: &str, routing_key: &str) {
        let parcel = format!("[{}]", serde_json::to_string(event).unwrap());
        assert!(self.vhost.publish(exchange, routing_key, parcel.as_bytes()).await);
    }

    /// Says that this user owes for an order, for a quarter of an hour.
    async fn fall_due(&self, order: OrderId, user: &str) {
        self.fall_due_until(order, user, Duration::minutes(15)).await;
    }

    async fn fall_due_until(&self, order: OrderId, user: &str, within: Duration) {
        let deadline = OffsetDateTime::now_utc() + within;
        let due = OrderPaymentDue { order_id: order, user_id: named(user), version: 2, amount: AMOUNT, deadline };
        self.say(order, &due).await;
    }

    /// The same for a new order, once payment-worker knows of it.
    async fn owing(&self, user: &str) -> OrderId {
        let order = OrderId::generate();
        self.fall_due(order, user).await;
        self.until_owed(order).await;
        order
    }

    async fn until_owed(&self, order: OrderId) {
        let sql = format!("SELECT count(*) FROM payments.dues WHERE holder = 'order:{order}'");
        self.until(&sql, 1).await;
    }

    async fn call_off(&self, order: OrderId) {
        self.say(order, &OrderCancelled { order_id: order, user_id: named("123456"), version: 3 }).await;
    }

    async fn ask_back(&self, order: OrderId, transaction: &str) {
        self.say_event(&refund_due(order, transaction), "events", OrderRefundDue::TYPE).await;
    }

    async fn until(&self, sql: &str, wanted: i64) {
        crate::alone::until_count(&self.database, sql, wanted).await;
    }

    /// Lets a user pay with a card of the sandbox that behaves so.
    async fn store_method(&self, user: &str, behaviour: &str) {
        let sql = "INSERT INTO payments.methods (user_id, token, brand, last4, exp_month, exp_year)
                   VALUES ($1, $2, 'visa', '1111', 12, 2030)";
        let token = format!("pm_sandbox_{behaviour}_1111");
        self.database.connect().await.execute(sql, &[&user, &token]).await.unwrap();
    }

    /// What was said of an order so far: type and data.
    async fn heard(&self, order: OrderId) -> Vec<(String, Value)> {
        let mut heard = self.heard.lock().await;
        for message in self.vhost.drain("test.ear").await {
            heard.extend(message.events());
        }
        let of_order = heard.iter().filter(|event| event["data"]["orderId"] == order.to_string());
        of_order.map(|event| (event["type"].as_str().unwrap().to_owned(), event["data"].clone())).collect()
    }

    /// Waits until so much was said of an order, and returns the last of it.
    async fn until_heard(&self, order: OrderId, count: usize) -> (String, Value) {
        eventually(LONG, &format!("{count} events of {order}"), async || {
            let mut heard = self.heard(order).await;
            assert!(heard.len() <= count, "{count} were expected: {heard:?}");
            heard.pop().filter(|_| heard.len() + 1 == count)
        })
        .await
    }

    /// Pays with a card, as the user of the request.
    async fn pay(&self, worker: usize, body: &Value) -> Answer {
        let user = body["userId"].as_str().unwrap();
        self.post(worker, PROCESS, &token(user), body).await
    }

    async fn post(&self, worker: usize, path: &str, token: &str, body: &Value) -> Answer {
        self.send(worker, Method::POST, path, token, body).await
    }

    async fn send(&self, worker: usize, method: Method, path: &str, token: &str, body: &Value) -> Answer {
        let authorization = format!("Bearer {token}");
        let headers = [("authorization", authorization.as_str()), ("content-type", "application/json")];
        self.workers[worker].http.send(method, path, &headers, body.to_string()).await.unwrap()
    }

    /// How an order's only charge stands at the gateway.
    async fn charged(&self, order: OrderId) -> (String, i64) {
        let charges = self.sandbox.charges_of(&order.to_string()).await;
        assert_eq!(charges.len(), 1, "{charges:?}");
        (charges[0].status.clone(), charges[0].refunded)
    }

    /// No event has died, and nothing is left to be looked after.
    async fn assert_settled(&self) {
        self.until("SELECT count(*) FROM payments.payments WHERE state = 'open' OR refund = 'due'", 0).await;
        self.until("SELECT count(*) FROM payments.follow_ups", 0).await;
        for queue in ["payment.charge.dlq", "payment.settle.dlq", "unroutable"] {
            assert_eq!(self.vhost.ready(queue).await, Some(0), "{queue}");
        }
    }
}

fn named(user: &str) -> UserId {
    UserId::try_from(user.to_owned()).unwrap()
}

fn with_scope(user: &str, scope: &str) -> String {
    token_with(&json!({"sub": user, "scope": scope, "exp": in_seconds(600)}))
}

/// The documented request, for this order and card.
fn by_card(order: OrderId, user: &str, number: &str) -> Value {
    json!({
        "orderId": order, "userId": user, "paymentAmount": 100.50, "paymentMethod": "credit_card",
        "paymentDetails": {"cardNumber": number, "expiryDate": "12/30", "cvv": "123"},
    })
}

fn code(answer: &Answer) -> (u16, String) {
    (answer.status.as_u16(), answer.json()["errors"][0]["code"].as_str().unwrap_or_default().to_owned())
}

const APPROVED: &str = "4111111111111111";
const DECLINED: &str = "4000000000000010";
const POOR: &str = "4000000000000028";
const SLOW: &str = "4000000000000044";
const ASYNC: &str = "4000000000000101";
