//! The whole line with the sandbox as the outside world: real charges, real mails, everything that can happen to an order.

mod books;
mod outages;
mod outcomes;
mod paid_back;
mod secrets;

use std::collections::BTreeMap;

use e2e::{
    Database, LONG, Process, Sandbox, Vhost, assert_clean, eventually, http::Answer, in_seconds, sandbox::Mail, signed,
    token, token_with,
};
use hyper::Method;
use serde_json::{Value, json};

use crate::line::Line;

const APPROVED: &str = "4111111111111111";
const DECLINED: &str = "4000000000000010";
/// What the demo catalogue asks for one, in minor units.
const PRICES: [(&str, i64); 4] = [("P001", 3_525), ("P002", 3_000), ("P003", 1_999), ("P004", 0)];
/// What the demo catalogue has of each.
const ON_HAND: [(&str, i64); 4] =
    [("P001", 1_000_000_000), ("P002", 1_000_000_000), ("P003", 100), ("P004", 1_000_000)];
/// Of one P001.
const AMOUNT: i64 = 3_525;

struct Saga {
    // First, so that the processes end before what they use is taken away.
    line: Line,
    sandbox: Sandbox,
}

impl Saga {
    /// What a gateway or a mail server is waited for is short; a deadline is a quarter of an hour, unless told otherwise.
    async fn start(settings: &[(&str, &str)], world: &[&str]) -> Self {
        let (database, vhost, sandbox) = tokio::join!(Database::create(), Vhost::create(), Sandbox::start_with(world));
        let mut all: BTreeMap<String, String> = sandbox.payment_settings();
        all.extend(sandbox.notification_settings());
        for (key, value) in [
            ("CONSUMER__RETRY_DELAYS_MS", "200,500,1000,2000"),
            ("ORDERS__TIMES__LOOK_MS", "50"),
            ("PAYMENTS__ASK_AFTER_MS", "300"),
            ("PAYMENTS__ASK_AFTER_MOST_MS", "2000"),
            ("PAYMENTS__RECONCILE_MS", "50"),
            ("PAYMENTS__BREAKER_REST_MS", "300"),
            ("PAYMENTS__CALL_TIMEOUT_MS", "2500"),
            ("PAYMENTS__ANSWER_WITHIN_MS", "300"),
            ("PAYMENTS__WAIT_MS", "200"),
            ("PAYMENTS__CALLS_PER_SECOND", "0"),
            ("NOTIFICATIONS__TIMEOUT_MS", "2000"),
        ]
        .iter()
        .chain(settings)
        {
            all.insert(format!("CONVEYOR__{key}"), (*value).to_owned());
        }
        Self { line: Line::start_with(database, vhost, &all).await, sandbox }
    }

    fn payments(&self) -> &Process {
        &self.line.processes[2]
    }

    fn notifications(&self) -> &Process {
        &self.line.processes[3]
    }

    /// Somebody who signs orders, is told by mail, and has a stored card that behaves so, or none.
    async fn customer(&self, user: &str, behaviour: Option<&str>) {
        self.line.database.register_key(user).await;
        let contact = json!({"email": format!("{user}@example.test"), "channel": "email"});
        let path = format!("/api/notification/contacts/{user}");
        let answer = ask(self.notifications(), Method::PUT, &path, &token(user), &contact).await;
        assert_eq!(answer.status, 200, "{}", answer.text());
        let Some(behaviour) = behaviour else { return };
        let sql = "INSERT INTO payments.methods (user_id, token, brand, last4, exp_month, exp_year)
                   VALUES ($1, $2, 'visa', '1111', 12, 2030)";
        let method = format!("pm_sandbox_{behaviour}_1111");
        self.line.database.connect().await.execute(sql, &[&user, &method]).await.unwrap();
    }

    /// Places an order for so many of each product.
    async fn place(&self, user: &str, items: &[(&str, i64)]) -> String {
        let items: Vec<Value> =
            items.iter().map(|(id, quantity)| json!({"productId": id, "quantity": quantity})).collect();
        let body = json!({"userId": user, "token": token(user), "orderAmount": decimal(worth(&items)), "items": items});
        let answer = self.ask_patiently(Method::POST, "/api/orders/create", &token(user), &signed(body)).await;
        assert_eq!(answer.status, 200, "{}", answer.text());
        answer.json()["orderId"].as_str().unwrap().to_owned()
    }

    /// Asks order-api, until it is not too busy.
    async fn ask_patiently(&self, method: Method, path: &str, token: &str, body: &Value) -> Answer {
        eventually(LONG, &format!("an answer to {path}"), async || {
            let answer = ask(self.line.api(), method.clone(), path, token, body).await;
            (answer.status != 503).then_some(answer)
        })
        .await
    }

    async fn place_one(&self, user: &str) -> String {
        self.place(user, &[("P001", 1)]).await
    }

    async fn order(&self, id: &str) -> Value {
        let answer = self.ask_patiently(Method::GET, &format!("/api/orders/{id}"), &staff(), &Value::Null).await;
        assert_eq!(answer.status, 200, "{}", answer.text());
        answer.json()
    }

    async fn until(&self, id: &str, status: &str) -> Value {
        let what = format!("{id} is {status}");
        eventually(LONG, &what, async || Some(self.order(id).await).filter(|order| order["status"] == status)).await
    }

    async fn until_count(&self, sql: &str, wanted: i64) {
        crate::alone::until_count(&self.line.database, sql, wanted).await;
    }

    /// Pays by card, once payment-worker knows that the order is to be paid.
    async fn pay(&self, user: &str, id: &str, amount: i64, card: &str) -> Answer {
        let sql = format!("SELECT count(*) FROM payments.dues WHERE holder = 'order:{id}'");
        self.until_count(&sql, 1).await;
        self.try_to_pay(user, id, amount, card).await
    }

    async fn try_to_pay(&self, user: &str, id: &str, amount: i64, card: &str) -> Answer {
        let body = json!({
            "orderId": id, "userId": user, "paymentAmount": decimal(amount), "paymentMethod": "credit_card",
            "paymentDetails": {"cardNumber": card, "expiryDate": "12/30", "cvv": crate::payments::secrets::CVV},
        });
        ask(self.payments(), Method::POST, "/api/payment/process", &token(user), &body).await
    }

    async fn cancel(&self, id: &str, token: &str) -> Answer {
        ask(self.line.api(), Method::POST, &format!("/api/orders/{id}/cancel"), token, &Value::Null).await
    }

    /// Lets an order's time be up so many seconds from now.
    async fn hurry(&self, id: &str, seconds: f64) {
        let sql = "UPDATE orders.orders SET deadline = now() + $2 * interval '1 second'
                   WHERE 'ORD' || upper(replace(id::text, '-', '')) = upper($1)";
        let client = self.line.database.connect().await;
        assert_eq!(client.execute(sql, &[&id, &seconds]).await.unwrap(), 1, "there is no {id}");
        client.batch_execute("UPDATE orders.wakeups SET due = now()").await.unwrap();
    }

    /// What the customer was told of an order, the newest first.
    async fn told(&self, id: &str) -> Vec<Mail> {
        self.sandbox.mails().await.into_iter().filter(|mail| mail.text.contains(id)).collect()
    }

    /// Waits until this is the last that the customer was told.
    async fn until_told(&self, id: &str, subject: &str, words: &str) {
        eventually(LONG, &format!("{subject} of {id}"), async || {
            self.told(id).await.first().is_some_and(|mail| mail.subject == subject).then_some(())
        })
        .await;
        let last = self.told(id).await.remove(0);
        assert!(last.text.contains(words), "{words:?} is not in {:?}", last.text);
    }

    /// Waits until nothing is under way any more, and fails if something is left over or a piece of stock is missing.
    async fn assert_settled(&self) {
        let open = "SELECT (SELECT count(*) FROM orders.orders WHERE status IN ('pending', 'awaiting_payment'))
                         + (SELECT count(*) FROM payments.payments WHERE state = 'open' OR refund = 'due')
                         + (SELECT count(*) FROM payments.follow_ups)
                         + (SELECT count(*) FROM notifications.notifications WHERE state = 'pending')
                         + (SELECT count(*) FROM inventory.reservations WHERE state = 'locked')";
        eventually(LONG * 3, "nothing is under way", async || {
            (self.line.database.count(open).await == 0).then_some(())
        })
        .await;
        assert_clean(&self.line.database, &self.line.vhost).await;
        assert_eq!(self.line.database.count("SELECT sum(reserved)::bigint FROM inventory.products").await, 0);
        for (product, had) in ON_HAND {
            let sold = format!(
                "SELECT coalesce(sum((line->>'quantity')::bigint), 0)::bigint
                 FROM orders.orders, json_array_elements(lines) AS line
                 WHERE status = 'paid' AND line->>'productId' = '{product}'"
            );
            let gone = format!("SELECT {had} - on_hand FROM inventory.products WHERE product_id = '{product}'");
            let (sold, gone) = (self.line.database.count(&sold).await, self.line.database.count(&gone).await);
            assert_eq!(sold, gone, "{product}");
        }
    }
}

/// A connection that was kept may be closed just when it is used again: then it is asked once more, under the same key.
async fn ask(process: &Process, method: Method, path: &str, token: &str, body: &Value) -> Answer {
    let (authorization, key) = (format!("Bearer {token}"), format!("test-{:x}", fastrand::u128(..)));
    let headers = [
        ("authorization", authorization.as_str()),
        ("content-type", "application/json"),
        ("idempotency-key", key.as_str()),
    ];
    let body = if body.is_null() { String::new() } else { body.to_string() };
    match process.http.send(method.clone(), path, &headers, body.clone()).await {
        Ok(answer) => answer,
        Err(_) => process.http.send(method, path, &headers, body).await.unwrap(),
    }
}

fn staff() -> String {
    token_with(&json!({"sub": "clerk", "scope": "staff", "exp": in_seconds(3_600)}))
}

/// As a request says it.
fn decimal(minor: i64) -> Value {
    serde_json::from_str(&format!("{}.{:02}", minor / 100, minor % 100)).unwrap()
}

fn worth(items: &[Value]) -> i64 {
    let price = |item: &Value| PRICES.iter().find(|(id, _)| item["productId"] == *id).unwrap().1;
    items.iter().map(|item| price(item) * item["quantity"].as_i64().unwrap()).sum()
}
