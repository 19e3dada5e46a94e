//! The wire contract: what an event is, the closed list of payloads, and how events travel as parcels.
//!
//! A parcel is a CloudEvents batch (`application/cloudevents-batch+json`). The event is the unit of meaning and
//! of failure; the parcel is only how it travels.

mod parcel;
mod payloads;

pub use parcel::{MOST_EVENTS, Opened, Packer, Parcel, open, pack};
pub use payloads::*;

use serde::{Deserialize, Serialize, de::DeserializeOwned};
use serde_json::value::RawValue;
use time::OffsetDateTime;
use uuid::Uuid;

/// What an event of one type carries. The types are listed in [`payloads`](self).
pub trait Payload: Serialize + DeserializeOwned {
    /// The CloudEvents `type`, which is also the routing key.
    const TYPE: &'static str;
}

/// One thing that happened, as it travels.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Event {
    pub specversion: SpecVersion,
    pub id: Uuid,
    #[serde(rename = "type")]
    pub kind: String,
    pub source: String,
    /// The order this is about.
    pub subject: String,
    #[serde(with = "time::serde::rfc3339")]
    pub time: OffsetDateTime,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub traceparent: Option<String>,
    /// How many times this was tried, the current try included.
    #[serde(default = "first")]
    pub attempt: u32,
    /// Set on what staff have sent again: it has this one attempt, and what becomes of it is reported by this name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retryid: Option<Uuid>,
    pub data: Box<RawValue>,
}

/// The one version of CloudEvents that is spoken here.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub enum SpecVersion {
    #[serde(rename = "1.0")]
    V1,
}

fn first() -> u32 {
    1
}

impl Event {
    /// A new event that carries `payload`.
    pub fn new<P: Payload>(
        source: &str,
        subject: String,
        traceparent: Option<String>,
        payload: &P,
    ) -> Result<Self, serde_json::Error> {
        Ok(Self {
            specversion: SpecVersion::V1,
            id: Uuid::now_v7(),
            kind: P::TYPE.to_owned(),
            source: source.to_owned(),
            subject,
            time: OffsetDateTime::now_utc(),
            traceparent,
            attempt: first(),
            retryid: None,
            data: serde_json::value::to_raw_value(payload)?,
        })
    }

    /// What the event carries, if it is of that type and well formed.
    pub fn payload<P: Payload>(&self) -> Result<P, String> {
        if self.kind != P::TYPE {
            return Err(format!("expected an event of type {}, not {}", P::TYPE, self.kind));
        }
        serde_json::from_str(self.data.get()).map_err(|error| format!("{} cannot be read: {error}", P::TYPE))
    }
}
