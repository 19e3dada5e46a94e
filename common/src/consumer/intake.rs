//! From deliveries to batches.

use futures_util::{FutureExt as _, StreamExt as _};
use lapin::{
    Acker,
    message::Delivery,
    types::{AMQPValue, FieldTable},
};

use crate::{
    config,
    events::{Opened, open},
};

/// One parcel as it was delivered.
#[derive(Debug)]
pub(super) struct Delivered {
    pub body: Vec<u8>,
    pub acker: Acker,
    /// How often it came back because its consumer died or let go of it.
    pub returns: u32,
    /// Its events, or why it has none.
    pub events: Result<Vec<Opened>, String>,
}

impl Delivered {
    fn new(delivery: Delivery) -> Self {
        // The header is the broker's only where the broker says that it delivers again; else it is the sender's.
        let headers = delivery.properties.headers().as_ref().filter(|_| delivery.redelivered);
        let returns = headers.map_or(0, delivery_count).max(u32::from(delivery.redelivered));
        let events = open(&delivery.data);
        Self { events, returns, acker: delivery.acker, body: delivery.data }
    }

    pub(super) fn size(&self) -> usize {
        self.events.as_ref().map_or(1, Vec::len)
    }
}

fn delivery_count(headers: &FieldTable) -> u32 {
    match headers.inner().get("x-delivery-count") {
        Some(AMQPValue::LongLongInt(n)) => u32::try_from(*n).unwrap_or(u32::MAX),
        Some(AMQPValue::LongInt(n)) => u32::try_from(*n).unwrap_or(u32::MAX),
        Some(AMQPValue::LongUInt(n)) => *n,
        _ => 0,
    }
}

/// What a batch may have at most.
pub(super) struct Most {
    events: usize,
    bytes: usize,
    /// What is sent ahead is several batches, or one: a batch that takes more leaves a worker to wait for the broker.
    parcels: usize,
}

impl Most {
    pub(super) fn of(settings: &config::Consumer, outside: bool) -> Self {
        Self { events: settings.most_events(outside), bytes: settings.max_bytes, parcels: settings.prefetch.into() }
    }

    /// Whether so much is a whole batch.
    pub(super) fn is_reached(&self, parcels: usize, events: usize) -> bool {
        parcels >= self.parcels || events >= self.events
    }
}

/// The stream of deliveries, taken batch by batch.
pub(super) struct Intake {
    stream: lapin::Consumer,
    /// A parcel that was met while a batch was being gathered, and is not of it: it came back before, and is a batch by
    /// itself, or there was no more room.
    ahead: Option<Delivered>,
    end: Option<String>,
}

impl Intake {
    pub(super) fn new(stream: lapin::Consumer) -> Self {
        Self { stream, ahead: None, end: None }
    }

    pub(super) fn tag(&self) -> lapin::types::ShortString {
        self.stream.tag()
    }

    /// Waits for a delivery and takes with it whatever else has arrived, within the limits. `None` at the end of the
    /// stream. Nothing is lost when the wait is given up.
    pub(super) async fn next(&mut self, most: &Most) -> Option<Vec<Delivered>> {
        let first = match self.ahead.take() {
            Some(delivered) => delivered,
            None => {
                if self.end.is_some() {
                    return None;
                }
                let item = self.stream.next().await;
                self.accept(item)?
            }
        };
        let mut events = first.size();
        let mut bytes = first.body.len();
        let alone = first.returns > 0;
        let mut batch = vec![first];
        while !alone && !most.is_reached(batch.len(), events) && bytes < most.bytes {
            let Some(item) = self.stream.next().now_or_never() else { break };
            let Some(delivered) = self.accept(item) else { break };
            let is_too_much = events + delivered.size() > most.events || bytes + delivered.body.len() > most.bytes;
            if delivered.returns > 0 || is_too_much {
                self.ahead = Some(delivered);
                break;
            }
            events += delivered.size();
            bytes += delivered.body.len();
            batch.push(delivered);
        }
        Some(batch)
    }

    /// Whether there was more than the last batch had room for.
    pub(super) fn has_more(&self) -> bool {
        self.ahead.is_some()
    }

    fn accept(&mut self, item: Option<lapin::Result<Delivery>>) -> Option<Delivered> {
        match item {
            Some(Ok(delivery)) => Some(Delivered::new(delivery)),
            Some(Err(error)) => {
                self.end = Some(crate::db::describe(&error));
                None
            }
            None => {
                self.end = Some("the broker cancelled the consumer".to_owned());
                None
            }
        }
    }

    pub(super) fn why_ended(self) -> String {
        self.end.unwrap_or_else(|| "the stream ended".to_owned())
    }
}
