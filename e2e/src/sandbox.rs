//! The outside world, as the `sandbox` binary plays it: what was charged, what was sent, and switches to break it.

use std::{collections::BTreeMap, process::Stdio};

use hyper::Method;
use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use serde::{Deserialize, de::DeserializeOwned};
use serde_json::{Value, json};
use tokio::process::{Child, Command};

use crate::{
    http::Client,
    process::{free_port, program},
    wait::{LONG, eventually},
};

/// What cards do, and the number of one that does so.
pub const CARDS: [(&str, &str); 14] = [
    ("approved", "4111111111111111"),
    ("declined", "4000000000000010"),
    ("insufficient_funds", "4000000000000028"),
    ("expired_card", "4000000000000036"),
    ("slow", "4000000000000044"),
    ("timeout", "4000000000000051"),
    ("callback_lost", "4000000000000069"),
    ("callback_twice", "4000000000000077"),
    ("callback_first", "4000000000000085"),
    ("error", "4000000000000093"),
    ("async", "4000000000000101"),
    ("async_declined", "4000000000000119"),
    ("refund_refused", "4000000000000127"),
    ("refund_async", "4000000000000135"),
];

/// A sandbox process on ports of its own; it ends when this is dropped.
#[derive(Debug)]
pub struct Sandbox {
    child: Child,
    http_port: u16,
    smtp_port: u16,
    pub http: Client,
}

/// Everything that was ever charged, the oldest first.
#[derive(Debug, Clone, Deserialize)]
pub struct Ledger {
    pub charges: Vec<Charge>,
    pub totals: Totals,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Charge {
    pub id: String,
    pub key: String,
    /// Empty, as `reference` is, where the key was voided before anything was charged under it.
    pub order_id: String,
    pub reference: String,
    /// In minor units, as every amount here.
    pub amount: i64,
    pub currency: String,
    /// `processing`, `captured`, `declined` or `voided`.
    pub status: String,
    pub reason: Option<String>,
    pub refunded: i64,
    pub behaviour: Option<String>,
    pub refunds: Vec<Refund>,
    pub events: Vec<Event>,
}

#[derive(Debug, Clone, Deserialize)]
pub struct Refund {
    pub key: String,
    pub amount: i64,
    /// `processing`, `refunded` or `refused`.
    pub status: String,
}

#[derive(Debug, Clone, Deserialize)]
pub struct Event {
    pub id: String,
    #[serde(rename = "type")]
    pub kind: String,
    /// How often it was sent, and how often that was answered with 2xx.
    pub sent: u32,
    pub heard: u32,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Totals {
    pub charges: i64,
    pub processing: i64,
    pub captured: i64,
    pub declined: i64,
    pub voided: i64,
    pub captured_amount: i64,
    pub refunded_amount: i64,
    pub net_amount: i64,
}

/// One mail to one recipient.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Mail {
    pub message_id: String,
    pub to: String,
    pub from: String,
    pub subject: String,
    pub text: String,
    pub received_at: String,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Sms {
    pub key: String,
    pub to: String,
    pub text: String,
    pub received_at: String,
}

/// A call to the gateway: when it began, and how many were under way then.
#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Call {
    /// Unix milliseconds.
    pub at: i64,
    pub at_once: usize,
}

impl Sandbox {
    /// Returns when it answers.
    pub async fn start() -> Self {
        Self::start_with(&[]).await
    }

    /// With arguments of its command line, such as `--today 2025-06-01`.
    pub async fn start_with(arguments: &[&str]) -> Self {
        let (http_port, smtp_port) = (free_port(), free_port());
        let mut command = Command::new(program("sandbox"));
        command.args(["--http", &format!("127.0.0.1:{http_port}"), "--smtp", &format!("127.0.0.1:{smtp_port}")]);
        command.args(arguments).stdin(Stdio::null()).stdout(Stdio::null()).kill_on_drop(true);
        let child = command.spawn().expect("running the sandbox");
        let http = Client::new(&format!("http://127.0.0.1:{http_port}"));
        eventually(LONG, "the sandbox answers", async || {
            http.get("/healthz").await.ok().filter(|answer| answer.status.is_success())
        })
        .await;
        Self { child, http_port, smtp_port, http }
    }

    #[must_use]
    pub fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.http_port)
    }

    /// Host and port of all but its mail server.
    #[must_use]
    pub fn address(&self) -> String {
        format!("127.0.0.1:{}", self.http_port)
    }

    /// Where its mail server listens.
    #[must_use]
    pub fn smtp_port(&self) -> u16 {
        self.smtp_port
    }

    /// What payment-worker needs to find it, and to be found by its callbacks.
    #[must_use]
    pub fn payment_settings(&self) -> BTreeMap<String, String> {
        [
            ("GATEWAY", "http".to_owned()),
            ("GATEWAY_URL", self.url()),
            ("GATEWAY_KEY", "sandbox-key".to_owned()),
            ("CALLBACK_SECRET", "sandbox-callback-secret".to_owned()),
            ("CALLBACK_URL", "http://127.0.0.1:{port}/api/payment/callback".to_owned()),
        ]
        .map(|(key, value)| (format!("CONVEYOR__PAYMENTS__{key}"), value))
        .into()
    }

    /// What notification-worker needs to find it.
    #[must_use]
    pub fn notification_settings(&self) -> BTreeMap<String, String> {
        [
            ("TRANSPORTS", "email,sms".to_owned()),
            ("SMTP__HOST", "127.0.0.1".to_owned()),
            ("SMTP__PORT", self.smtp_port.to_string()),
            ("SMS__URL", self.url()),
            ("SMS__KEY", "sandbox-key".to_owned()),
        ]
        .map(|(key, value)| (format!("CONVEYOR__NOTIFICATIONS__{key}"), value))
        .into()
    }

    pub async fn ledger(&self) -> Ledger {
        self.get("/sandbox/ledger").await
    }

    /// The charges of one order, the oldest first.
    pub async fn charges_of(&self, order_id: &str) -> Vec<Charge> {
        self.get::<Ledger>(&format!("/sandbox/ledger?orderId={order_id}")).await.charges
    }

    /// The calls to the gateway since then (unix milliseconds), the oldest first.
    pub async fn calls(&self, since: i64) -> Vec<Call> {
        let found: Value = self.get(&format!("/sandbox/calls?since={since}")).await;
        parsed(found["calls"].clone())
    }

    /// The newest first.
    pub async fn mails_to(&self, address: &str) -> Vec<Mail> {
        let found: Value = self.get(&format!("/sandbox/mails?to={}", escaped(address))).await;
        parsed(found["mails"].clone())
    }

    /// Every mail to anybody, the newest first.
    pub async fn mails(&self) -> Vec<Mail> {
        let found: Value = self.get("/sandbox/mails?limit=1000000").await;
        parsed(found["mails"].clone())
    }

    /// The newest first.
    pub async fn sms_to(&self, number: &str) -> Vec<Sms> {
        let found: Value = self.get(&format!("/sandbox/sms?to={}", escaped(number))).await;
        parsed(found["sms"].clone())
    }

    /// Puts a part out of order, or back: `gateway` up, down, slow or throttled; `smtp` up, down, silent, tempfail or refuse;
    /// `sms` up or down.
    pub async fn fault(&self, what: &str, state: &str) {
        let body = json!({what: state}).to_string();
        let answer = self.http.send(Method::PUT, "/sandbox/faults", &[], body).await.expect("an answer");
        assert_eq!(answer.status, 200, "{}", answer.text());
    }

    pub fn signal(&self, signal: Signal) {
        let pid = self.child.id().and_then(|pid| i32::try_from(pid).ok());
        let Some(pid) = pid else { panic!("the sandbox has ended") };
        kill(Pid::from_raw(pid), signal).expect("sending a signal");
    }

    async fn get<T: DeserializeOwned>(&self, path: &str) -> T {
        let answer = self.http.get(path).await.expect("an answer of the sandbox");
        parsed(answer.json())
    }
}

fn parsed<T: DeserializeOwned>(value: Value) -> T {
    serde_json::from_value(value).expect("what the sandbox says")
}

/// As a parameter of an address.
fn escaped(text: &str) -> String {
    text.bytes()
        .map(|byte| match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'.' | b'-' | b'_' => char::from(byte).to_string(),
            other => format!("%{other:02X}"),
        })
        .collect()
}
