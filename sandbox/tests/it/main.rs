//! The sandbox over real sockets, as those see it who use it.
#![expect(clippy::panic, clippy::expect_used, reason = "tests fail by panicking")]

mod callbacks;
mod charges;
mod listener;
mod messages;
mod pages;

use e2e::http::{Answer, Client};
use hyper::Method;
use sandbox::{Running, Settings};
use serde_json::{Value, json};

/// A sandbox and somebody who has its key.
pub(crate) struct Customer {
    pub(crate) running: Running,
    pub(crate) http: Client,
}

impl Customer {
    pub(crate) async fn of(settings: Settings) -> Self {
        let running = sandbox::start(settings).await.expect("starting the sandbox");
        let http = Client::new(&format!("http://{}", running.http));
        Self { running, http }
    }

    pub(crate) async fn new() -> Self {
        Self::of(Settings::for_tests()).await
    }

    pub(crate) async fn send(&self, method: Method, path: &str, key: &str, body: &Value) -> Result<Answer, String> {
        let headers = [("authorization", "Bearer sandbox-key"), ("idempotency-key", key)];
        self.http.send(method, path, &headers, body.to_string()).await
    }

    pub(crate) async fn post(&self, path: &str, key: &str, body: &Value) -> (u16, Value) {
        let answer = self.send(Method::POST, path, key, body).await.expect("an answer");
        (answer.status.as_u16(), answer.json())
    }

    pub(crate) async fn get(&self, path: &str) -> (u16, Value) {
        let answer = self.send(Method::GET, path, "none", &Value::Null).await.expect("an answer");
        (answer.status.as_u16(), answer.json())
    }

    pub(crate) async fn mail(&self, to: &str, message: &str) {
        let mut sender = messages::Sender::new(self).await;
        assert_eq!(sender.say("EHLO test").await, 250);
        assert_eq!(sender.send(to, message).await, 250);
    }

    pub(crate) async fn fault(&self, what: &str, state: &str) {
        let body = json!({what: state}).to_string();
        let answer = self.http.send(Method::PUT, "/sandbox/faults", &[], body).await.expect("an answer");
        assert_eq!(answer.status, 200, "{}", answer.text());
    }
}

pub(crate) fn charge(method: &Value) -> Value {
    json!({"amount": 10_050, "currency": "USD", "reference": "TXN1", "orderId": "ORD1", "method": method})
}

pub(crate) fn card(number: &str) -> Value {
    json!({"type": "card", "number": number, "expMonth": 12, "expYear": 2099, "cvv": "123"})
}
