//! Finding letters.

use std::{fmt, str::FromStr};

use serde::Serialize;
use time::OffsetDateTime;
use uuid::Uuid;

use crate::{Console, LetterLine, Query, Refusal};

/// Where a page ends and the next one begins. It prints to, and is read from, a text for URLs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Cursor {
    pub died_at: OffsetDateTime,
    pub id: Uuid,
}

/// One page of what was found, the newest first.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Page {
    pub letters: Vec<LetterLine>,
    /// How many there are in all, where that is quick to tell.
    pub total: Option<i64>,
    /// Where the next page begins, as a text; none after the last. A page can be short, or empty, with another after it:
    /// then so many letters were looked at that it is better to say so than to let somebody wait.
    pub next: Option<String>,
}

impl Console {
    /// One page of the letters that `query` finds, of at most `limit` (1 to 200).
    pub async fn search(&self, query: &Query, after: Option<Cursor>, limit: usize) -> Result<Page, Refusal> {
        todo!("{query:?} {after:?} {limit}")
    }
}

impl fmt::Display for Cursor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.died_at.unix_timestamp_nanos() / 1_000, self.id.simple())
    }
}

impl FromStr for Cursor {
    type Err = Refusal;

    fn from_str(text: &str) -> Result<Self, Refusal> {
        let read = || {
            let (micros, id) = text.rsplit_once('-')?;
            let nanos = micros.parse::<i128>().ok()?.checked_mul(1_000)?;
            let died_at = OffsetDateTime::from_unix_timestamp_nanos(nanos).ok()?;
            Some(Self { died_at, id: Uuid::try_parse(id).ok()? })
        };
        read().ok_or(Refusal::Invalid { field: "after", message: "is not where a page ended".to_owned() })
    }
}
