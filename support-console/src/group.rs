//! Groups: letters that died alike.

use serde::Serialize;
use time::OffsetDateTime;
use uuid::Uuid;

use crate::{Console, Refusal};

#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Group {
    pub key: Uuid,
    pub queue: String,
    pub kind: String,
    pub death: String,
    /// The reason with what differs from letter to letter left out.
    pub pattern: String,
    /// One reason as it was given.
    pub example: String,
    #[serde(with = "time::serde::rfc3339")]
    pub first_seen: OffsetDateTime,
    #[serde(with = "time::serde::rfc3339")]
    pub last_seen: OffsetDateTime,
    pub failed: i64,
    pub retrying: i64,
    pub done: i64,
    pub discarded: i64,
}

/// Which groups to show.
#[derive(Debug, Clone, Default)]
pub struct GroupFilter {
    pub queue: Option<String>,
    /// Those as well of which nothing waits or is in retry.
    pub settled: bool,
}

impl Console {
    /// Those that changed last first; at most 500.
    pub async fn groups(&self, filter: &GroupFilter) -> Result<Vec<Group>, Refusal> {
        todo!("{filter:?}")
    }

    pub async fn group(&self, key: Uuid) -> Result<Group, Refusal> {
        todo!("{key}")
    }
}
