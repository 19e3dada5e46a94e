//! notification-worker by itself: what order-api would say, a test says; who takes the mails is the sandbox.

mod api;
mod outages;
mod shown;
mod truth;

use std::collections::BTreeMap;

use common::{
    events::{
        Event, OrderCancelled, OrderExpired, OrderPaid, OrderPaymentDeclined, OrderPaymentFailed, OrderPaymentReminder,
        OrderReceived, OrderRefunded, OrderRejected, Payload, pack,
    },
    ids::{OrderId, TransactionId},
};
use e2e::{
    Database, LONG, Process, Sandbox, Vhost, assert_clean, eventually, http::Answer, in_seconds, sandbox::Mail,
    service_settings, token_with,
};
use hyper::Method;
use serde_json::{Value, json};

const CUSTOMER: &str = "jane";
const ADDRESS: &str = "jane@example.test";
const QUEUE: &str = "notification.send";

pub(crate) struct Post {
    // First, so that it ends before what it uses is taken away.
    pub worker: Process,
    pub sandbox: Sandbox,
    pub database: Database,
    pub vhost: Vhost,
}

impl Post {
    /// With one customer, who wants mail.
    pub(crate) async fn start(settings: &[(&str, &str)]) -> Self {
        let (database, vhost, sandbox) = tokio::join!(Database::create(), Vhost::create(), Sandbox::start());
        let worker = Self::another(&database, &vhost, &sandbox, settings).await;
        let post = Self { worker, sandbox, database, vhost };
        post.contact(CUSTOMER, &json!({"email": ADDRESS, "channel": "email"})).await;
        post
    }

    /// One more process of the same service. Its tiers are short, and few: what spends attempts is soon dead.
    pub(crate) async fn another(
        database: &Database,
        vhost: &Vhost,
        sandbox: &Sandbox,
        settings: &[(&str, &str)],
    ) -> Process {
        let mut all: BTreeMap<String, String> = service_settings("notifications", database, vhost);
        all.extend(sandbox.notification_settings());
        all.insert("CONVEYOR__CONSUMER__RETRY_DELAYS_MS".to_owned(), "200,600".to_owned());
        all.insert("CONVEYOR__NOTIFICATIONS__TIMEOUT_MS".to_owned(), "2000".to_owned());
        all.extend(settings.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())));
        let mut worker = Process::spawn("notification-worker", all).await;
        worker.wait_ready().await;
        worker
    }

    pub(crate) async fn contact(&self, user: &str, contact: &Value) {
        let answer =
            self.ask(Method::PUT, &format!("/api/notification/contacts/{user}"), &scoped("service"), contact).await;
        assert_eq!(answer.status, 200, "{}", answer.text());
    }

    pub(crate) async fn ask(&self, method: Method, path: &str, token: &str, body: &Value) -> Answer {
        let authorization = format!("Bearer {token}");
        let headers = [("authorization", authorization.as_str()), ("content-type", "application/json")];
        let body = if body.is_null() { String::new() } else { body.to_string() };
        self.worker.http.send(method, path, &headers, body).await.expect("an answer")
    }

    /// Says all of these, in parcels of one, and to this queue alone: nobody takes what others would hear.
    pub(crate) async fn say(&self, events: &[Event]) {
        for event in events {
            let parcel = pack([serde_json::to_vec(event).unwrap().as_slice()]);
            assert!(self.vhost.publish("redeliver", QUEUE, &parcel).await);
        }
    }

    /// Waits until so many notices are in that state.
    pub(crate) async fn until_noted(&self, state: &str, count: i64) {
        let sql = format!("SELECT count(*) FROM notifications.notifications WHERE state = '{state}'");
        crate::alone::until_count(&self.database, &sql, count).await;
    }

    /// Waits until so many mails have come, and returns them, the oldest first.
    pub(crate) async fn until_mails(&self, count: usize) -> Vec<Mail> {
        eventually(LONG, &format!("{count} mails"), async || (self.sandbox.mails().await.len() >= count).then_some(()))
            .await;
        let mut mails = self.sandbox.mails().await;
        assert_eq!(mails.len(), count);
        mails.reverse();
        mails
    }

    /// Whatever is left of a message fails.
    pub(crate) async fn end(mut self) {
        assert!(self.worker.terminate().await.success());
        assert_clean(&self.database, &self.vhost).await;
    }
}

pub(crate) fn scoped(scope: &str) -> String {
    token_with(&json!({"sub": "shop", "scope": scope, "exp": in_seconds(3_600)}))
}

/// An event of that type with these fields besides its order and its customer.
pub(crate) fn event<P: Payload>(order: OrderId, user: &str, version: i32, more: Value) -> Event {
    let mut data = json!({"orderId": order, "userId": user, "version": version});
    data.as_object_mut().unwrap().extend(more.as_object().cloned().unwrap_or_default());
    let payload: P = serde_json::from_value(data).unwrap();
    Event::new("test", order.to_string(), None, &payload).unwrap()
}

pub(crate) fn received(order: OrderId, user: &str) -> Event {
    event::<OrderReceived>(order, user, 1, json!({"amount": 10_050}))
}

pub(crate) fn paid(order: OrderId, user: &str) -> Event {
    event::<OrderPaid>(order, user, 3, json!({"amount": 10_050}))
}

/// What a mail that tells of this event must carry, whoever sends it and however often.
pub(crate) fn message_id(event: &Event) -> String {
    format!("{}.email@conveyor", name(event))
}

/// Of what it tells: whoever says the same again gives it the same.
fn name(event: &Event) -> String {
    let data: Value = serde_json::from_str(event.data.get()).unwrap();
    format!("{}.{}.{}", event.subject, data["version"], event.kind)
}

#[tokio::test]
async fn each_outcome_is_told_by_mail() {
    let post = Post::start(&[]).await;
    let deadline = "2026-11-23T16:05:59Z";
    let transaction = TransactionId::generate();
    let due = json!({"amount": 10_050, "deadline": deadline});
    let declined = json!({"amount": 10_050, "deadline": deadline, "reason": "insufficient_funds", "attemptsLeft": 2});
    let missing = json!({"shortages": [{"productId": "P003", "asked": 101, "available": 100}]});
    let back = json!({"transactionId": transaction, "amount": 10_050});
    let new = OrderId::generate;
    let told = [
        (received(new(), CUSTOMER), "We have received your order", "over 100.50 USD"),
        (paid(new(), CUSTOMER), "Your order is paid", "has been successfully paid: 100.50 USD"),
        (
            event::<OrderRejected>(new(), CUSTOMER, 2, missing),
            "Your order is out of stock",
            "P003 (you ordered 101, we have 100)",
        ),
        (
            event::<OrderPaymentDeclined>(new(), CUSTOMER, 3, declined),
            "Your payment was declined",
            "declined (insufficient funds). Nothing was charged. Please try again before 23 November 2026, 16:05 UTC; 2 attempts are left.",
        ),
        (
            event::<OrderPaymentReminder>(new(), CUSTOMER, 3, due),
            "Please pay for your order",
            "before 23 November 2026, 16:05 UTC",
        ),
        (
            event::<OrderPaymentFailed>(new(), CUSTOMER, 5, json!({"reason": "card_declined"})),
            "Your payment failed",
            "no attempt is left",
        ),
        (event::<OrderExpired>(new(), CUSTOMER, 4, json!({})), "Your order has expired", "was not paid in time"),
        (event::<OrderCancelled>(new(), CUSTOMER, 4, json!({})), "Your order is cancelled", "has been cancelled"),
        (event::<OrderRefunded>(new(), CUSTOMER, 6, back), "Your money is on its way back", "refunded 100.50 USD"),
    ];
    post.say(&told.clone().map(|(event, ..)| event)).await;
    let mails = post.until_mails(told.len()).await;
    for (event, subject, words) in &told {
        let mail =
            mails.iter().find(|mail| mail.message_id == message_id(event)).unwrap_or_else(|| panic!("{subject}"));
        assert_eq!(
            (mail.subject.as_str(), mail.to.as_str(), mail.from.as_str()),
            (*subject, ADDRESS, "orders@conveyor.example")
        );
        assert!(mail.text.contains(words) && mail.text.contains(&event.subject), "{words:?}: {}", mail.text);
    }
    post.until_noted("sent", 9).await;
    // The same again, with the same ids: nobody is told twice.
    post.say(&told.map(|(event, ..)| event)).await;
    assert_clean(&post.database, &post.vhost).await;
    post.until_mails(9).await;
    post.end().await;
}

#[tokio::test]
async fn only_what_the_shop_wants_to_tell_is_told() {
    let post = Post::start(&[("CONVEYOR__NOTIFICATIONS__TELLS", "order.paid,order.expired")]).await;
    let order = OrderId::generate();
    let told = paid(order, CUSTOMER);
    post.say(&[received(order, CUSTOMER), told.clone()]).await;
    let mails = post.until_mails(1).await;
    assert_eq!(mails[0].message_id, message_id(&told));
    assert_clean(&post.database, &post.vhost).await;
    assert_eq!(post.database.count("SELECT count(*) FROM notifications.notifications").await, 1);
    post.end().await;
}

#[tokio::test]
async fn sms_goes_to_those_who_want_it() {
    let post = Post::start(&[]).await;
    let number = "+15551234567";
    post.contact("joe", &json!({"email": "joe@example.test", "phone": number, "channel": "sms"})).await;
    // The provider wants eight digits or more.
    post.contact("bad", &json!({"phone": "+1234567", "channel": "sms"})).await;
    let (good, bad) = (paid(OrderId::generate(), "joe"), paid(OrderId::generate(), "bad"));
    post.sandbox.fault("sms", "down").await;
    post.say(std::slice::from_ref(&good)).await;
    post.worker.until_metric(r#"conveyor_notifications_away{channel="sms"}"#, |away| away == 1.0).await;
    post.say(std::slice::from_ref(&bad)).await;
    post.sandbox.fault("sms", "up").await;
    post.until_noted("sent", 1).await;
    post.until_noted("refused", 1).await;
    let sms = post.sandbox.sms_to(number).await;
    assert_eq!(sms.len(), 1);
    assert_eq!(sms[0].key, format!("{}.sms", name(&good)));
    assert!(sms[0].text.contains("has been successfully paid: 100.50 USD"), "{}", sms[0].text);
    assert!(post.sandbox.mails().await.is_empty(), "it was told by mail as well");
    post.end().await;
}
