//! Signals: events that one service sends to a queue of its own, at once or after a while.
//!
//! They go past the outbox, for they carry no truth: whoever receives one looks for itself. One that is lost delays
//! something that a timer would see to anyway.

use std::time::Duration;

use uuid::Uuid;

use crate::{
    broker::{
        NotPublished, Publisher,
        topology::{self, WorkQueue},
    },
    events::{Event, Parcel, Payload, pack},
};

/// Long enough for any broker that answers.
const PATIENCE: Duration = Duration::from_secs(5);

/// Sends signals.
#[derive(Clone)]
pub struct Signals {
    pub(crate) source: &'static str,
    pub(crate) publisher: Publisher,
}

impl Signals {
    /// Sends to a queue, and returns the event's id. A delay must be one of those that the service was made with.
    pub async fn send<P: Payload>(
        &self,
        queue: &WorkQueue,
        after_ms: Option<u64>,
        payload: &P,
    ) -> Result<Uuid, NotPublished> {
        let refused = |error: serde_json::Error| NotPublished(error.to_string());
        let event = Event::new(self.source, queue.name.to_owned(), None, payload).map_err(refused)?;
        let text = serde_json::to_vec(&event).map_err(refused)?;
        let parcel = Parcel {
            id: Uuid::now_v7(),
            exchange: after_ms.map_or_else(|| topology::REDELIVER.to_owned(), topology::delay_line),
            routing_key: queue.name.to_owned(),
            kind: P::TYPE.to_owned(),
            body: pack([text.as_slice()]),
            headers: None,
        };
        let answers = self.publisher.publish(vec![parcel], PATIENCE).await;
        answers.into_iter().next().unwrap_or_else(|| Err(NotPublished("no answer".to_owned())))?;
        Ok(event.id)
    }
}
