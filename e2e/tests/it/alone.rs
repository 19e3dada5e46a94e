//! order-api by itself: what the workers would say, a test says.

use std::collections::BTreeMap;

use common::{
    events::{Event, InventoryLocked, InventoryRejected, Payload},
    ids::OrderId,
};
use e2e::{Database, LONG, Process, Vhost, eventually, service_settings, token};
use hyper::Method;
use serde_json::Value;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
};

use crate::line::{USER, documented};

pub(crate) struct Alone {
    // First, so that it ends before what it uses is taken away.
    pub api: Process,
    pub database: Database,
    pub vhost: Vhost,
}

impl Alone {
    pub(crate) async fn start(settings: &[(&str, &str)]) -> Self {
        let (database, vhost) = (Database::create().await, Vhost::create().await);
        database.load_demo().await;
        vhost.declare_line().await;
        let api = Self::another(&database, &vhost, settings).await;
        Self { api, database, vhost }
    }

    /// One more process of the same service.
    pub(crate) async fn another(database: &Database, vhost: &Vhost, settings: &[(&str, &str)]) -> Process {
        let mut all: BTreeMap<String, String> = service_settings("orders", database, vhost);
        all.extend(settings.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())));
        let mut api = Process::spawn("order-api", all).await;
        api.wait_ready().await;
        api
    }

    pub(crate) async fn place(&self) -> OrderId {
        let answer = self.api.http.post_json("/api/orders/create", &documented()).await.unwrap();
        assert_eq!(answer.status, 200, "{}", answer.text());
        answer.json()["orderId"].as_str().unwrap().parse().unwrap()
    }

    pub(crate) async fn show(&self, path: &str) -> Value {
        let answer = self.api.http.get_as(path, &token(USER)).await.unwrap();
        assert_eq!(answer.status, 200, "{}", answer.text());
        answer.json()
    }

    /// The status, and the code and field of every error.
    pub(crate) async fn refusal(&self, method: Method, path: &str, token: &str, body: &str) -> (u16, Vec<[String; 2]>) {
        let authorization = format!("Bearer {token}");
        let headers = [("authorization", authorization.as_str()), ("content-type", "application/json")];
        let answer = self.api.http.send(method, path, &headers, body.to_owned()).await.unwrap();
        let envelope = answer.json();
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let errors = envelope["errors"].as_array().unwrap_or_else(|| panic!("{path}: {envelope}"));
        (answer.status.as_u16(), errors.iter().map(|error| [text(&error["code"]), text(&error["field"])]).collect())
    }

    /// Says that there is no stock for them, which is the end of them.
    pub(crate) async fn end(&self, orders: &[OrderId]) {
        self.say(orders, |order_id| InventoryRejected { order_id, shortages: Vec::new() }).await;
    }

    /// Says that their stock is locked: their payment is due.
    pub(crate) async fn lock(&self, orders: &[OrderId]) {
        self.say(orders, |order_id| InventoryLocked { order_id }).await;
    }

    /// What a worker would say of each of them.
    pub(crate) async fn say<P: Payload>(&self, orders: &[OrderId], payload: impl Fn(OrderId) -> P) {
        let events = orders.iter().map(|id| {
            let event = Event::new("test", id.to_string(), None, &payload(*id)).unwrap();
            serde_json::to_string(&event).unwrap()
        });
        let events: Vec<String> = events.collect();
        let parcels: Vec<String> = events.chunks(64).map(|parcel| format!("[{}]", parcel.join(","))).collect();
        assert!(self.vhost.publish_all("events", P::TYPE, parcels).await);
    }

    /// The deadline of every order that waits is now.
    pub(crate) async fn time_passes(&self) {
        let sql = "UPDATE orders.orders SET deadline = now() WHERE status IN ('pending', 'awaiting_payment');
                   UPDATE orders.wakeups SET due = now()";
        self.database.connect().await.batch_execute(sql).await.unwrap();
    }

    /// Waits until so many wait for an order's next step.
    pub(crate) async fn until_watchers(&self, count: f64) {
        self.api.until_metric("conveyor_watchers", |watchers| watchers == count).await;
    }
}

/// An event stream, as it comes over the wire.
pub(crate) struct Stream {
    socket: TcpStream,
    heard: Vec<u8>,
}

impl Stream {
    pub(crate) async fn open(port: u16, order: &OrderId, last_heard: Option<&str>) -> Self {
        let socket = TcpStream::connect(("127.0.0.1", port)).await.unwrap();
        let mut stream = Self { socket, heard: Vec::new() };
        let resumed = last_heard.map(|id| format!("Last-Event-ID: {id}\r\n")).unwrap_or_default();
        let request = format!(
            "GET /api/orders/{order}/events HTTP/1.1\r\nHost: test\r\nAuthorization: Bearer {}\r\n{resumed}\r\n",
            token(USER)
        );
        stream.socket.write_all(request.as_bytes()).await.unwrap();
        stream
    }

    /// Waits until it has brought this.
    pub(crate) async fn until(&mut self, text: &str) -> String {
        let what = format!("{text:?} in a stream");
        tokio::time::timeout(LONG, async {
            while !self.said().contains(text) {
                assert!(self.read().await > 0, "it ended before {text:?}: {}", self.said());
            }
        })
        .await
        .expect(&what);
        self.said()
    }

    /// The versions of the steps that it has brought so far.
    pub(crate) fn versions(&self) -> Vec<u32> {
        self.said().lines().filter_map(|line| line.strip_prefix("id: ")?.parse().ok()).collect()
    }

    fn said(&self) -> String {
        String::from_utf8_lossy(&self.heard).into_owned()
    }

    async fn read(&mut self) -> usize {
        self.socket.read_buf(&mut self.heard).await.unwrap_or(0)
    }
}

/// What ends the body of a stream that was not broken off.
pub(crate) const END: &str = "\r\n0\r\n\r\n";

/// Waits until something of the database counts so many.
pub(crate) async fn until_count(database: &Database, sql: &str, wanted: i64) {
    eventually(LONG, &format!("{wanted} by {sql}"), async || (database.count(sql).await == wanted).then_some(())).await;
}

pub(crate) async fn until_at_least(database: &Database, sql: &str, wanted: i64) {
    let what = format!("{wanted} or more by {sql}");
    eventually(LONG, &what, async || (database.count(sql).await >= wanted).then_some(())).await;
}
