//! A vhost of the broker for one test.

use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

use common::{
    broker::{
        BrokerError,
        topology::{Topology, WORK_QUEUES},
    },
    config::Consumer,
};
use hyper::{Method, StatusCode};
use lapin::{
    BasicProperties, Channel, Connection, ConnectionProperties,
    message::Delivery,
    options::{
        BasicAckOptions, BasicGetOptions, BasicPublishOptions, ConfirmSelectOptions, QueueDeclareOptions,
        QueueDeleteOptions,
    },
    types::{AMQPValue, FieldTable},
};
use serde_json::{Value, json};
use tokio::sync::OnceCell;
use uuid::Uuid;

use crate::{
    environment::{Url, finally, needed},
    http::Client,
    wait::{LONG, eventually},
};

/// A vhost of the test's own; removed with all that is in it when dropped.
#[derive(Debug)]
pub struct Vhost {
    pub name: String,
    broker: Url,
    management_url: String,
    management: Client,
    connection: OnceCell<Connection>,
}

/// A message that was taken out of a queue.
#[derive(Debug, Clone)]
pub struct Message {
    pub body: Vec<u8>,
    pub exchange: String,
    pub routing_key: String,
    /// Whether it was delivered to somebody before.
    pub redelivered: bool,
    /// Numbers and times as text.
    pub headers: BTreeMap<String, String>,
    pub properties: BasicProperties,
}

impl Message {
    /// A header that must be there.
    #[must_use]
    pub fn header(&self, name: &str) -> &str {
        match self.headers.get(name) {
            Some(value) => value,
            None => panic!("there is no header {name}; there are {:?}", self.headers),
        }
    }

    /// The events of the parcel.
    #[must_use]
    pub fn events(&self) -> Vec<Value> {
        serde_json::from_slice(&self.body)
            .unwrap_or_else(|error| panic!("no parcel: {error}: {}", String::from_utf8_lossy(&self.body)))
    }
}

impl Vhost {
    pub async fn create() -> Self {
        Self::create_at(&needed("CONVEYOR_TEST_AMQP_URL"), &needed("CONVEYOR_TEST_MANAGEMENT_URL")).await
    }

    /// The same on a broker of the test's own.
    pub async fn create_at(amqp_url: &str, management_url: &str) -> Self {
        let vhost = Self {
            name: format!("test-{}", Uuid::now_v7().simple()),
            broker: Url::parse(amqp_url),
            management_url: management_url.to_owned(),
            management: Client::new(management_url),
            connection: OnceCell::new(),
        };
        vhost.make().await;
        vhost
    }

    async fn make(&self) {
        self.manage(Method::PUT, &format!("/api/vhosts/{}", self.name), &Value::Null).await;
        let rights = json!({"configure": ".*", "write": ".*", "read": ".*"});
        let user = &self.broker.user;
        self.manage(Method::PUT, &format!("/api/permissions/{}/{user}", self.name), &rights).await;
    }

    /// All that is in it is gone, and every connection to it, as if the broker's disk had been replaced.
    pub async fn wipe(&mut self) {
        self.manage(Method::DELETE, &format!("/api/vhosts/{}", self.name), &Value::Null).await;
        self.connection = OnceCell::new();
        self.make().await;
    }

    #[must_use]
    pub fn url(&self) -> String {
        self.broker.with_path(&self.name)
    }

    /// Its broker's management, with user and password.
    #[must_use]
    pub fn management_url(&self) -> &str {
        &self.management_url
    }

    /// The same by another way, such as a [`Proxy`](crate::Proxy).
    #[must_use]
    pub fn url_through(&self, address: &str) -> String {
        Url { address: address.to_owned(), ..self.broker.clone() }.with_path(&self.name)
    }

    /// Where its broker listens.
    #[must_use]
    pub fn address(&self) -> &str {
        &self.broker.address
    }

    /// A connection of its own, which the caller may break.
    pub async fn connect(&self) -> Connection {
        // A broker with too much to do may refuse a connection to a vhost that it has just made.
        let began = Instant::now();
        loop {
            let properties = ConnectionProperties::default().with_connection_name("test".into());
            match Connection::connect(&self.url(), properties).await {
                Ok(connection) => return connection,
                Err(error) => assert!(began.elapsed() < LONG, "cannot connect to the broker: {error}"),
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }

    /// A fresh channel on the harness's connection.
    pub async fn channel(&self) -> Channel {
        let connection = self.connection.get_or_init(|| self.connect()).await;
        connection.create_channel().await.expect("opening a channel")
    }

    /// Declares what all services together do.
    pub async fn declare_line(&self) {
        self.declare(&Topology::new(WORK_QUEUES, &Consumer::default().retry_delays_ms)).await;
    }

    pub async fn declare(&self, topology: &Topology) {
        // A broker with too much to do closes the connection now and then while it makes queues (541): like every service,
        // ask again, on another one.
        let declared = eventually(LONG, "the topology, or a refusal of it", async || {
            let connection = self.connect().await;
            let channel = connection.create_channel().await.ok()?;
            match topology.declare(&channel).await {
                Err(BrokerError::Outage(why)) => {
                    eprintln!("declaring again: {why}");
                    None
                }
                decided => Some(decided),
            }
        });
        declared.await.expect("the topology");
    }

    /// How many messages a queue holds that are with nobody; exact, and `None` if there is no such queue.
    pub async fn ready(&self, queue: &str) -> Option<u32> {
        let options = QueueDeclareOptions { passive: true, ..Default::default() };
        let channel = self.channel().await;
        let queue = channel.queue_declare(queue.into(), options, FieldTable::default()).await.ok()?;
        Some(queue.message_count())
    }

    /// Waits until a queue holds so many messages that are with nobody.
    pub async fn until_ready(&self, queue: &str, count: u32) {
        eventually(LONG, &format!("{count} messages in {queue}"), async || {
            (self.ready(queue).await == Some(count)).then_some(())
        })
        .await;
    }

    /// Every queue, with the number of its messages that are ready and of those that somebody has but did not
    /// acknowledge yet. The broker brings these figures up to date now and then: ask [`eventually`].
    pub async fn depths(&self) -> BTreeMap<String, (u64, u64)> {
        let path = format!("/api/queues/{}?columns=name,messages_ready,messages_unacknowledged", self.name);
        let queues = self.manage(Method::GET, &path, &Value::Null).await;
        let depth = |queue: &Value| {
            let name = queue["name"].as_str()?.to_owned();
            // A queue that was made this moment has no figures yet.
            let figure = |key: &str| queue[key].as_u64().unwrap_or(0);
            Some((name, (figure("messages_ready"), figure("messages_unacknowledged"))))
        };
        queues.as_array().into_iter().flatten().filter_map(depth).collect()
    }

    /// How many channels are there over which messages are published and confirmed. A moment late, like all figures of the
    /// management.
    pub async fn confirming(&self) -> usize {
        let path = format!("/api/vhosts/{}/channels?columns=confirm", self.name);
        let channels = self.manage(Method::GET, &path, &Value::Null).await;
        channels.as_array().into_iter().flatten().filter(|channel| channel["confirm"] == true).count()
    }

    /// Publishes one persistent message and waits for the confirm; `false` if no queue was there for it.
    pub async fn publish(&self, exchange: &str, routing_key: &str, body: &[u8]) -> bool {
        self.publish_all(exchange, routing_key, [body]).await
    }

    /// Publishes several, in this order; `true` if there was a queue for every one of them.
    pub async fn publish_all<B: AsRef<[u8]>>(
        &self,
        exchange: &str,
        routing_key: &str,
        bodies: impl IntoIterator<Item = B>,
    ) -> bool {
        let channel = self.channel().await;
        channel.confirm_select(ConfirmSelectOptions::default()).await.expect("asking for confirms");
        let options = BasicPublishOptions { mandatory: true, ..Default::default() };
        let properties = BasicProperties::default().with_delivery_mode(2);
        let mut sent = Vec::new();
        for body in bodies {
            let body = body.as_ref();
            let on_its_way =
                channel.basic_publish(exchange.into(), routing_key.into(), options, body, properties.clone()).await;
            sent.push(on_its_way.expect("publishing"));
        }
        let mut all_routed = true;
        for on_its_way in sent {
            let confirmation = on_its_way.await.expect("a confirm");
            assert!(confirmation.is_ack(), "the broker refused the message");
            all_routed &= confirmation.take_message().is_none();
        }
        all_routed
    }

    /// Takes all messages that a queue holds.
    pub async fn drain(&self, queue: &str) -> Vec<Message> {
        let channel = self.channel().await;
        let mut messages = Vec::new();
        while let Some(got) =
            channel.basic_get(queue.into(), BasicGetOptions::default()).await.expect("taking a message")
        {
            got.delivery.acker.ack(BasicAckOptions::default()).await.expect("acknowledging");
            messages.push(Message::from(got.delivery));
        }
        messages
    }

    pub async fn delete_queue(&self, queue: &str) {
        let deleted = self.channel().await.queue_delete(queue.into(), QueueDeleteOptions::default()).await;
        deleted.expect("deleting a queue");
    }

    async fn manage(&self, method: Method, path: &str, body: &Value) -> Value {
        let what = format!("{method} {path}");
        let headers = [("content-type", "application/json")];
        let began = Instant::now();
        let answer = loop {
            let answer = self.management.send(method.clone(), path, &headers, body.to_string()).await;
            let answer = answer.unwrap_or_else(|error| panic!("{what}: {error}"));
            // It fails to count queues that come and go meanwhile, and has its figures the next time.
            let is_unfinished = method == Method::GET && answer.status.is_server_error();
            if !is_unfinished || began.elapsed() >= LONG {
                break answer;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        };
        assert!(answer.status.is_success(), "{what}: {} {}", answer.status, answer.text());
        if answer.body.is_empty() { Value::Null } else { answer.json() }
    }
}

impl From<Delivery> for Message {
    fn from(delivery: Delivery) -> Self {
        let headers = delivery.properties.headers().clone().unwrap_or_default();
        Self {
            exchange: delivery.exchange.to_string(),
            routing_key: delivery.routing_key.to_string(),
            redelivered: delivery.redelivered,
            headers: headers.inner().iter().map(|(name, value)| (name.to_string(), readable(value))).collect(),
            properties: delivery.properties,
            body: delivery.data,
        }
    }
}

fn readable(value: &AMQPValue) -> String {
    match value {
        AMQPValue::LongString(text) => text.to_string(),
        AMQPValue::ShortString(text) => text.to_string(),
        AMQPValue::LongLongInt(number) => number.to_string(),
        AMQPValue::LongInt(number) => number.to_string(),
        AMQPValue::LongUInt(number) => number.to_string(),
        AMQPValue::Timestamp(seconds) => seconds.to_string(),
        other => format!("{other:?}"),
    }
}

impl Drop for Vhost {
    fn drop(&mut self) {
        let (name, management_url) = (self.name.clone(), self.management_url.clone());
        finally(async move {
            let management = Client::new(&management_url);
            // A busy broker may need to be asked twice.
            for _ in 0..5 {
                let answer = management.send(Method::DELETE, &format!("/api/vhosts/{name}"), &[], "").await;
                if answer.is_ok_and(|answer| answer.status.is_success() || answer.status == StatusCode::NOT_FOUND) {
                    return;
                }
                tokio::time::sleep(Duration::from_millis(200)).await;
            }
        });
    }
}
