//! Ingestion: every dead-letter queue, and `unroutable`, is drained into the console's schema. What a message says is
//! written, committed, and only then acknowledged; while the console is down, messages wait in their queues.
//!
//! - `arrival`: from a message to what is known of it; nothing is refused.
//! - `headers`, `reason`: the parts of that which come from outside in any shape.
//! - `store`: a batch, written at once; what was written before changes nothing.

pub(crate) mod arrival;
pub(crate) mod headers;
pub(crate) mod reason;
mod store;

use std::time::Duration;

use common::{
    Backoff,
    broker::{
        Lane, Link,
        topology::{UNROUTABLE, WORK_QUEUES, dead_letter_queue},
    },
    crash::{self, Mistake, Point},
    db::DbError,
};
use futures_util::{StreamExt as _, future::join_all};
use lapin::{
    message::Delivery,
    options::{BasicAckOptions, BasicConsumeOptions, BasicQosOptions},
    types::FieldTable,
};
use time::OffsetDateTime;
use tokio_util::sync::CancellationToken;

use crate::{Console, ingest::arrival::Arrival};

/// The client takes in whatever it is sent, so a queue of large messages must not be sent many at a time.
const CAREFUL: u16 = 8;
/// The size from which on a message is large.
const LARGE_BYTES: usize = 256 * 1024;
/// How long a batch may wait to grow.
const GATHER: Duration = Duration::from_millis(10);
/// The most deaths written in one transaction.
const DEATHS_MOST: usize = 2_000;
/// How often the same is tried again where it has met with somebody else's.
const CONFLICTS: u32 = 10;

/// Drains all queues of the dead until `stop`.
pub(crate) async fn ingest(console: Console, link: Link, stop: CancellationToken) {
    let queues = WORK_QUEUES
        .iter()
        .map(|queue| (queue.name, dead_letter_queue(queue.name)))
        .chain([(UNROUTABLE, UNROUTABLE.to_owned())]);
    let (console, link, stop) = (&console, &link, &stop);
    let drains = queues.map(async |(source, queue)| Drain { console, link, source, queue, stop }.run().await);
    join_all(drains).await;
}

struct Drain<'a> {
    console: &'a Console,
    link: &'a Link,
    /// Where the letters died.
    source: &'static str,
    queue: String,
    stop: &'a CancellationToken,
}

/// Why a session is over.
enum End {
    Stopped,
    /// Another prefetch suits what comes.
    Adjust(u16),
    Lost(String),
    /// The database is away; the deliveries go back until it answers.
    Held(String),
}

impl Drain<'_> {
    async fn run(&self) {
        let mut backoff = Backoff::new(Duration::from_millis(100), Duration::from_secs(5));
        let mut prefetch = CAREFUL;
        loop {
            let Some(lane) = self.stop.run_until_cancelled(self.link.lane_eventually()).await else { return };
            match self.session(&lane, prefetch).await {
                End::Stopped => return,
                End::Adjust(to) => {
                    prefetch = to;
                    let _ = lane.ask(lane.channel.close(200, "adjusted".into())).await;
                    backoff.reset();
                    continue;
                }
                End::Lost(why) => self.link.give_up(&lane, &why).await,
                End::Held(why) => {
                    tracing::warn!(
                        queue = self.queue,
                        why,
                        "dead letters wait in their queue until the database is back"
                    );
                    let _ = lane.ask(lane.channel.close(200, "held".into())).await;
                    while self.console.db().check_writes().await.is_err() {
                        if self.stop.run_until_cancelled(backoff.wait()).await.is_none() {
                            return;
                        }
                    }
                }
            }
            if self.stop.run_until_cancelled(backoff.wait()).await.is_none() {
                return;
            }
        }
    }

    async fn session(&self, lane: &Lane, prefetch: u16) -> End {
        let asked = async {
            lane.channel.basic_qos(prefetch, BasicQosOptions { global: false }).await?;
            let options = BasicConsumeOptions::default();
            lane.channel.basic_consume(self.queue.as_str().into(), "".into(), options, FieldTable::default()).await
        };
        let mut stream = match lane.ask(asked).await {
            Ok(stream) => stream,
            Err(error) => return End::Lost(error.to_string()),
        };
        loop {
            let first = tokio::select! {
                biased;
                // What is not acknowledged comes again, and changes nothing then.
                () = self.stop.cancelled() => return End::Stopped,
                () = lane.lost() => return End::Lost("the connection was lost".to_owned()),
                item = stream.next() => item,
            };
            let Some(first) = first else { return End::Lost("the broker cancelled the consumer".to_owned()) };
            let mut batch = match first {
                Ok(delivery) => vec![delivery],
                Err(error) => return End::Lost(error.to_string()),
            };
            let ended = self.gather(&mut stream, &mut batch).await;
            let largest = batch.iter().map(|delivery| delivery.data.len()).max().unwrap_or(0);
            if let Err(end) = self.write(lane, batch).await {
                return end;
            }
            if let Some(why) = ended {
                return End::Lost(why);
            }
            let suits =
                if largest >= LARGE_BYTES { CAREFUL } else { self.console.settings.ingest_messages.max(CAREFUL) };
            if suits != prefetch {
                return End::Adjust(suits);
            }
        }
    }

    /// Adds what else has come, within the limits; says why if there can be no more.
    async fn gather(&self, stream: &mut lapin::Consumer, batch: &mut Vec<Delivery>) -> Option<String> {
        let settings = &self.console.settings;
        let until = tokio::time::sleep(GATHER);
        tokio::pin!(until);
        let mut bytes: usize = batch.iter().map(|delivery| delivery.data.len()).sum();
        while batch.len() < usize::from(settings.ingest_messages) && bytes < settings.ingest_bytes {
            let item = tokio::select! {
                biased;
                item = stream.next() => item,
                () = &mut until => break,
            };
            match item {
                Some(Ok(delivery)) => {
                    bytes += delivery.data.len();
                    batch.push(delivery);
                }
                Some(Err(error)) => return Some(error.to_string()),
                None => return Some("the broker cancelled the consumer".to_owned()),
            }
        }
        None
    }

    /// Writes a batch, and acknowledges it.
    async fn write(&self, lane: &Lane, batch: Vec<Delivery>) -> Result<(), End> {
        let Some(last) = batch.last().map(|delivery| delivery.acker.clone()) else { return Ok(()) };
        let messages = batch.len() as u64;
        let now = OffsetDateTime::now_utc();
        let arrivals: Vec<Arrival> =
            batch.into_iter().flat_map(|delivery| arrival::read(self.source, delivery, now)).collect();
        if crash::makes(Mistake::AckBeforeCommit) {
            let _ = lane.ask(last.ack(BasicAckOptions { multiple: true })).await;
            tokio::time::sleep(crash::LONG_ENOUGH).await;
        }
        crash::here(Point::LettersTaken);
        self.take_in(arrivals).await.map_err(|error| End::Held(error.to_string()))?;
        crash::here(Point::LettersKept);
        metrics::counter!("conveyor_support_ingested_total", "queue" => self.source).increment(messages);
        self.console.changed();
        match lane.ask(last.ack(BasicAckOptions { multiple: true })).await {
            Ok(true) => Ok(()),
            Ok(false) => Err(End::Lost("the channel was closed before the acknowledgement".to_owned())),
            Err(error) => Err(End::Lost(error.to_string())),
        }
    }

    /// Writes deaths, in ever smaller parts where PostgreSQL will not have them: one that it will not have by itself is
    /// kept as bytes with no more than their queue.
    async fn take_in(&self, arrivals: Vec<Arrival>) -> Result<(), DbError> {
        let mut parts = vec![arrivals];
        let mut conflicts = 0;
        while let Some(mut part) = parts.pop() {
            if part.len() > DEATHS_MOST {
                parts.push(part.split_off(DEATHS_MOST));
            }
            match store::take_in(self.console.db(), &part).await {
                Ok(()) => {}
                Err(DbError::Conflict(_)) if conflicts < CONFLICTS => {
                    conflicts += 1;
                    tokio::time::sleep(Duration::from_millis(fastrand::u64(1..20 * u64::from(conflicts)))).await;
                    parts.push(part);
                }
                Err(DbError::Refused(why)) if part.len() == 1 && part.iter().any(|arrival| !arrival.is_plain()) => {
                    tracing::error!(queue = self.queue, why, "a dead letter could not be written; keeping its bytes");
                    parts.push(part.into_iter().map(|arrival| arrival.plain(&why)).collect());
                }
                Err(DbError::Refused(_)) if part.len() > 1 => {
                    let right = part.split_off(part.len() / 2);
                    parts.extend([right, part]);
                }
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }
}
