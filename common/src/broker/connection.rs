//! One supervised connection to RabbitMQ.
//!
//! The client's own recovery is left off: with it, pending confirms hang until the reconnect and a dead channel can
//! look alive. The rule here is simpler: any error, timeout or end of a stream → drop the connection, back off,
//! connect, declare, go on.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use futures_util::StreamExt as _;
use lapin::{Channel, Connection, ConnectionProperties, uri::AMQPUri};
use secrecy::{ExposeSecret as _, SecretString};
use tokio::sync::{Mutex, watch};
use tokio_util::sync::CancellationToken;

use super::topology::Topology;
use crate::{backoff::Backoff, config::ConfigError, db::describe};

/// How long the broker may take to answer anything before the connection counts as lost.
const ANSWER: Duration = Duration::from_secs(10);
/// A connection keeps two buffers of 32 frames, and goes round in them: with frames of the usual 128 KiB those would be
/// most of what an idle service occupies. A parcel of 128 events fits in one of these; a larger body is split.
/// Headers are not: those of one message must fit, and ours take a tenth of it.
const FRAME_BYTES: u32 = 64 * 1024;
/// Two missed heartbeats end a connection.
const HEARTBEAT_SECONDS: u16 = 5;

#[derive(Debug, Clone, thiserror::Error)]
pub enum BrokerError {
    #[error("the broker is not available: {0}")]
    Outage(String),
    #[error("the broker will not have the topology: {0}")]
    Topology(String),
}

impl From<lapin::Error> for BrokerError {
    fn from(error: lapin::Error) -> Self {
        Self::Outage(describe(&error))
    }
}

impl BrokerError {
    fn timeout(_: tokio::time::error::Elapsed) -> Self {
        Self::Outage(format!("no answer within {} s", ANSWER.as_secs()))
    }
}

/// A connection that is made again whenever it is lost. Publishing and consuming have one each, for a broker that
/// blocks publishers (memory, disk) must not stop acknowledgements.
#[derive(Clone)]
pub struct Link {
    inner: Arc<Inner>,
}

struct Inner {
    uri: AMQPUri,
    name: String,
    topology: Arc<Topology>,
    current: Mutex<Current>,
    /// The generation of the present connection: what an earlier one still has to say counts no more.
    newest: Arc<AtomicU64>,
    state: watch::Sender<LinkState>,
}

#[derive(Default)]
struct Current {
    connection: Option<Connection>,
    /// Cancelled when that ends.
    lost: CancellationToken,
    generation: u64,
    /// The present outage, as it was logged last.
    outage: Option<String>,
}

/// A channel, and which of the link's successive connections it is on.
pub struct Lane {
    pub channel: Channel,
    lost: CancellationToken,
    generation: u64,
}

impl Lane {
    /// What the broker answers, for as long as there is a connection.
    pub async fn ask<T>(&self, question: impl Future<Output = lapin::Result<T>>) -> Result<T, BrokerError> {
        answered(&self.lost, async { Ok(question.await?) }).await
    }

    /// Returns when the connection has ended.
    pub async fn lost(&self) {
        self.lost.cancelled().await;
    }

    #[must_use]
    pub fn is_lost(&self) -> bool {
        self.lost.is_cancelled() || !self.channel.status().connected()
    }
}

/// Everything that is asked on a connection is asked through here: the client never answers what it was asked between the
/// end of its connection and its own noticing. An answer that is there counts, whatever has happened since.
async fn answered<T>(
    lost: &CancellationToken,
    question: impl Future<Output = Result<T, BrokerError>>,
) -> Result<T, BrokerError> {
    tokio::select! {
        biased;
        answer = tokio::time::timeout(ANSWER, question) => answer.map_err(BrokerError::timeout)?,
        () = lost.cancelled() => Err(BrokerError::Outage("the connection was lost".to_owned())),
    }
}

/// What is to be said of a link on `/readyz`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LinkState {
    Up,
    Down(String),
    /// By us, at the end.
    Closed,
}

impl Link {
    /// Prepares a link; it connects when first used.
    pub fn new(url: &SecretString, name: String, topology: Arc<Topology>) -> Result<Self, ConfigError> {
        let mut uri: AMQPUri = url.expose_secret().parse().map_err(|_| {
            ConfigError("broker.url: not a URL of the form amqp://user:password@host:port/vhost".to_owned())
        })?;
        uri.query.heartbeat.get_or_insert(HEARTBEAT_SECONDS);
        uri.query.connection_timeout.get_or_insert(5_000);
        uri.query.frame_max.get_or_insert(FRAME_BYTES);
        let (state, _) = watch::channel(LinkState::Down("not connected yet".to_owned()));
        Ok(Self {
            inner: Arc::new(Inner { uri, name, topology, current: Mutex::default(), newest: Arc::default(), state }),
        })
    }

    /// A fresh channel, on the present connection or on a new one.
    pub async fn lane(&self) -> Result<Lane, BrokerError> {
        let mut current = self.inner.current.lock().await;
        let is_up = |connection: &&Connection| connection.status().connected() && !current.lost.is_cancelled();
        if let Some(connection) = current.connection.as_ref().filter(is_up) {
            let channel = answered(&current.lost, async { Ok(connection.create_channel().await?) }).await?;
            return Ok(Lane { channel, lost: current.lost.clone(), generation: current.generation });
        }
        current.connection = None;
        let lost = CancellationToken::new();
        match tokio::time::timeout(ANSWER, self.connect(current.generation + 1, lost.clone()))
            .await
            .map_err(BrokerError::timeout)
            .flatten()
        {
            Ok((connection, channel)) => {
                current.connection = Some(connection);
                current.lost = lost.clone();
                current.generation += 1;
                current.outage = None;
                self.inner.newest.store(current.generation, Ordering::Release);
                self.inner.state.send_replace(LinkState::Up);
                tracing::info!(broker.link = self.inner.name, "connected to the broker");
                Ok(Lane { channel, lost, generation: current.generation })
            }
            Err(error) => {
                self.inner.state.send_replace(LinkState::Down(error.to_string()));
                // Once for each thing that is wrong: a broker that is back but refuses is another matter than none.
                let why = error.to_string();
                if current.outage.as_ref() != Some(&why) {
                    current.outage = Some(why);
                    let at = format!("{}:{}", self.inner.uri.authority.host, self.inner.uri.authority.port);
                    tracing::error!(broker.link = self.inner.name, broker.address = at, %error, "no connection to the broker; trying until there is one");
                }
                Err(error)
            }
        }
    }

    /// As [`lane`](Self::lane), but keeps trying.
    pub async fn lane_eventually(&self) -> Lane {
        let mut backoff = Backoff::new(Duration::from_millis(100), Duration::from_secs(5));
        loop {
            if let Ok(lane) = self.lane().await {
                return lane;
            }
            backoff.wait().await;
        }
    }

    async fn connect(&self, generation: u64, lost: CancellationToken) -> Result<(Connection, Channel), BrokerError> {
        let inner = &self.inner;
        let properties = ConnectionProperties::default().with_connection_name(inner.name.clone().into());
        let connection = Connection::connect_uri(inner.uri.clone(), properties).await?;
        let mut events = connection.events_listener();
        let state = inner.state.clone();
        let newest = Arc::clone(&inner.newest);
        let name = inner.name.clone();
        // The listener ends with the connection, and this task with it.
        tokio::spawn(async move {
            while let Some(event) = events.next().await {
                if matches!(event, lapin::Event::Error(_)) {
                    lost.cancel();
                }
                match event {
                    // Closed by us, or followed by another connection already.
                    lapin::Event::Error(_)
                        if *state.borrow() == LinkState::Closed || newest.load(Ordering::Acquire) != generation => {}
                    lapin::Event::Error(error) => {
                        tracing::warn!(broker.link = name, %error, "the connection to the broker was lost");
                        state.send_replace(LinkState::Down(describe(&error)));
                    }
                    lapin::Event::ConnectionBlocked(reason) => {
                        tracing::warn!(broker.link = name, reason, "the broker blocks publishers");
                    }
                    _ => {}
                }
            }
            lost.cancel();
        });
        let channel = connection.create_channel().await?;
        inner.topology.declare(&channel).await?;
        Ok((connection, channel))
    }

    /// Declares everything again, where something of it seems to be missing.
    pub(super) async fn declare(&self, lane: &Lane) -> Result<(), BrokerError> {
        answered(&lane.lost, self.inner.topology.declare(&lane.channel)).await
    }

    /// Gives up the connection that `lane` is on, after an error there: everything on it starts afresh. Several users
    /// of one connection notice its end; only the first of them acts.
    pub async fn give_up(&self, lane: &Lane, why: &str) {
        let mut current = self.inner.current.lock().await;
        if current.generation != lane.generation {
            return;
        }
        if let Some(connection) = current.connection.take() {
            tracing::warn!(broker.link = self.inner.name, why, "giving up a connection to the broker");
            current.lost.cancel();
            self.inner.state.send_replace(LinkState::Closed);
            self.close_quietly(connection).await;
            self.inner.state.send_replace(LinkState::Down(why.to_owned()));
        }
    }

    /// Closes the connection in good order.
    pub async fn close(&self) {
        self.inner.state.send_replace(LinkState::Closed);
        if let Some(connection) = self.inner.current.lock().await.connection.take() {
            self.close_quietly(connection).await;
        }
    }

    async fn close_quietly(&self, connection: Connection) {
        let closing = connection.close(200, "done".into());
        if let Ok(Err(error)) = tokio::time::timeout(Duration::from_secs(2), closing).await {
            tracing::debug!(broker.link = self.inner.name, %error, "the connection was gone before it was closed");
        }
    }

    #[must_use]
    pub fn state(&self) -> LinkState {
        self.inner.state.borrow().clone()
    }

    /// Signals every change of state.
    #[must_use]
    pub fn watch(&self) -> watch::Receiver<LinkState> {
        self.inner.state.subscribe()
    }
}
