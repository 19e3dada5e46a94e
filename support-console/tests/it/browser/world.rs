//! The line at work, and things in it that go wrong by themselves.

use std::collections::BTreeMap;

use common::{
    events::{Event, OrderPaid, OrderPaymentDue, OrderRefundDue, Payload, pack},
    ids::{OrderId, TransactionId},
};
use e2e::{
    Database, LONG, Process, Sandbox, Vhost, eventually, in_seconds, service_settings, signed, token, token_with,
};
use futures_util::{StreamExt as _, stream};
use hyper::Method;
use serde_json::{Value, json};

use crate::visitor::Desk;

const SERVICES: [(&str, &str); 4] = [
    ("order-api", "orders"),
    ("inventory-worker", "inventory"),
    ("payment-worker", "payments"),
    ("notification-worker", "notifications"),
];
/// Of the demo catalogue.
const USER: &str = "123456";

pub(crate) struct World {
    // First, so that they end before what they use is taken away.
    services: Vec<Process>,
    pub desk: Desk,
    sandbox: Sandbox,
}

impl World {
    pub(crate) async fn start() -> Self {
        let (database, vhost, sandbox) = tokio::join!(Database::create(), Vhost::create(), Sandbox::start());
        database.load_demo().await;
        let mut services = Vec::new();
        let mut urls = Vec::new();
        for (name, schema) in SERVICES {
            let mut all: BTreeMap<String, String> = service_settings(schema, &database, &vhost);
            // What spends attempts is soon dead.
            all.insert("CONVEYOR__CONSUMER__RETRY_DELAYS_MS".to_owned(), "50".to_owned());
            match name {
                "payment-worker" => all.extend(sandbox.payment_settings()),
                "notification-worker" => all.extend(sandbox.notification_settings()),
                _ => {}
            }
            let mut process = Process::spawn(name, all).await;
            process.wait_ready().await;
            let key = if schema == "orders" { "ORDERS".to_owned() } else { schema.to_uppercase() };
            urls.push((format!("CONVEYOR__SUPPORT__SERVICES__{key}"), format!("http://127.0.0.1:{}", process.port)));
            services.push(process);
        }
        urls.push(("CONVEYOR__CONSUMER__RETRY_DELAYS_MS".to_owned(), "50".to_owned()));
        urls.extend(management());
        let settings: Vec<(&str, &str)> = urls.iter().map(|(key, value)| (key.as_str(), value.as_str())).collect();
        let desk = Desk::start_on(database, vhost, &settings).await;
        Self { services, desk, sandbox }
    }

    fn service(&self, name: &str) -> &Process {
        self.services.iter().find(|service| service.name() == name).expect("a service")
    }

    /// An order that went well.
    pub(crate) async fn paid_order(&self) -> String {
        let request = signed(json!({
            "userId": USER, "token": token(USER), "orderAmount": 100.50,
            "items": [{"productId": "P001", "quantity": 2}, {"productId": "P002", "quantity": 1}],
        }));
        let answer = self.service("order-api").http.post_json("/api/orders/create", &request).await.expect("an answer");
        assert_eq!(answer.status, 200, "{}", answer.text());
        answer.json()["orderId"].as_str().expect("an id").to_owned()
    }

    /// An order that was paid with a card that the gateway gives nothing back to, and then called off.
    pub(crate) async fn owed_order(&self) -> String {
        let card = json!({"cardNumber": "4000000000000127", "expiryDate": "12/30", "cvv": "123"});
        let path = format!("/api/payment/methods/{USER}");
        self.ask("payment-worker", Method::PUT, &path, &token(USER), &card).await;
        let order = self.paid_order().await;
        let database = &self.desk.database;
        let paid = "SELECT count(*) FROM orders.orders WHERE status = 'paid'";
        eventually(LONG, "both are paid", async || (database.count(paid).await == 2).then_some(())).await;
        let staff = token_with(&json!({"sub": "olga", "scope": "staff", "exp": in_seconds(3_600)}));
        self.ask("order-api", Method::POST, &format!("/api/orders/{order}/cancel"), &staff, &json!({})).await;
        let dead = "SELECT count(*) FROM support.letters WHERE reason LIKE '%refuses the refund%'";
        eventually(LONG, "its letter", async || (database.count(dead).await == 1).then_some(())).await;
        order
    }

    async fn ask(&self, service: &str, method: Method, path: &str, token: &str, body: &Value) {
        let authorization = format!("Bearer {token}");
        let headers = [("authorization", authorization.as_str()), ("content-type", "application/json")];
        let answer =
            self.service(service).http.send(method, path, &headers, body.to_string()).await.expect("an answer");
        assert_eq!(answer.status, 200, "{path}: {}", answer.text());
    }

    /// Three ways to fail: so many customers whose mail server sends everything back twice, refunds of what nobody paid,
    /// and an event without its amount.
    pub(crate) async fn letters_fail(&self, customers: usize) {
        let shop = &token_with(&json!({"sub": "shop", "scope": "service", "exp": in_seconds(3_600)}));
        let known = stream::iter(0..customers).map(async |i| {
            let contact = json!({"email": format!("later+{i}@example.test"), "channel": "email"});
            let path = format!("/api/notification/contacts/customer-{i}");
            self.ask("notification-worker", Method::PUT, &path, shop, &contact).await;
        });
        known.buffer_unordered(16).collect::<Vec<()>>().await;
        let paid = (0..customers).map(|i| event::<OrderPaid>(&format!("customer-{i}"), json!({"amount": 10_050})));
        self.say("notification.send", paid.collect()).await;
        let refunds = ["jane", "joe", "jim"].map(|user| {
            event::<OrderRefundDue>(user, json!({"amount": 7_500, "transactionId": TransactionId::generate()}))
        });
        self.say("payment.settle", refunds.into()).await;
        let deadline = "2099-11-23T16:05:59Z";
        let mut due = event::<OrderPaymentDue>("jane", json!({"amount": 10_050, "deadline": deadline}));
        due["data"].as_object_mut().expect("an object").remove("amount");
        self.say("payment.charge", vec![due]).await;
        let (database, wanted) = (&self.desk.database, i64::try_from(customers).unwrap() + 4);
        eventually(LONG * 2, "every letter", async || {
            (database.count("SELECT count(*) FROM support.letters").await == wanted).then_some(())
        })
        .await;
    }

    /// To this queue alone, in parcels of one.
    async fn say(&self, queue: &str, events: Vec<Value>) {
        let parcels = events.iter().map(|event| pack([event.to_string().as_bytes()]));
        assert!(self.desk.vhost.publish_all("redeliver", queue, parcels).await);
    }

    /// Whether the mail server turns everybody away.
    pub(crate) async fn mail_fails(&self, fails: bool) {
        self.sandbox.fault("smtp", if fails { "tempfail" } else { "up" }).await;
    }

    /// How many of those customers were told.
    pub(crate) async fn mails(&self) -> usize {
        self.sandbox.mails().await.iter().filter(|mail| mail.to.starts_with("later+")).count()
    }

    /// How many payments are due of which the mended event told.
    pub(crate) async fn open_payments(&self) -> i64 {
        self.desk.database.count("SELECT count(*) FROM payments.dues WHERE user_id = 'jane'").await
    }
}

/// Where the board of the line asks for the queues.
fn management() -> Vec<(String, String)> {
    let url = std::env::var("CONVEYOR_TEST_MANAGEMENT_URL").expect("the management's URL");
    vec![("CONVEYOR__SUPPORT__BOARD__MANAGEMENT_URL".to_owned(), url)]
}

fn event<P: Payload>(user: &str, more: Value) -> Value {
    let order = OrderId::generate();
    let mut data = json!({"orderId": order, "userId": user, "version": 3});
    data.as_object_mut().expect("an object").extend(more.as_object().cloned().unwrap_or_default());
    let payload: P = serde_json::from_value(data).expect("a payload");
    let event = Event::new("test", order.to_string(), None, &payload).expect("an event");
    serde_json::to_value(&event).expect("JSON")
}
