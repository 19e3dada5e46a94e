//! Groups: letters that died alike.

use common::db::DbError;
use serde::Serialize;
use time::OffsetDateTime;
use tokio_postgres::Row;
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

macro_rules! columns {
    () => {
        "key, queue, kind, death, pattern, example, first_seen, last_seen, failed, retrying, done, discarded"
    };
}

impl Console {
    /// Those that letters came to last first; at most 500.
    pub async fn groups(&self, filter: &GroupFilter) -> Result<Vec<Group>, Refusal> {
        let sql = concat!(
            "SELECT ",
            columns!(),
            " FROM groups WHERE ($1::text IS NULL OR queue = $1) AND ($2 OR failed + retrying > 0) \
             AND failed + retrying + done + discarded > 0 ORDER BY last_seen DESC, key LIMIT 500"
        );
        let rows = self.db().query(sql, &[&filter.queue, &filter.settled]).await?;
        Ok(rows.iter().map(Group::read).collect::<Result<_, _>>()?)
    }

    pub async fn group(&self, key: Uuid) -> Result<Group, Refusal> {
        let rows = self.db().query(concat!("SELECT ", columns!(), " FROM groups WHERE key = $1"), &[&key]).await?;
        Ok(Group::read(rows.first().ok_or(Refusal::NotFound("group"))?)?)
    }
}

impl Group {
    fn read(row: &Row) -> Result<Self, DbError> {
        Ok(Self {
            key: row.try_get(0)?,
            queue: row.try_get(1)?,
            kind: row.try_get(2)?,
            death: row.try_get(3)?,
            pattern: row.try_get(4)?,
            example: row.try_get(5)?,
            first_seen: row.try_get(6)?,
            last_seen: row.try_get(7)?,
            failed: row.try_get(8)?,
            retrying: row.try_get(9)?,
            done: row.try_get(10)?,
            discarded: row.try_get(11)?,
        })
    }
}
