//! A letter: one event that died, or one message that cannot be read, and everything that became of it.

use std::{fmt, str::FromStr};

use common::db::DbError;
use serde::Serialize;
use serde_json::Value;
use time::OffsetDateTime;
use tokio_postgres::Row;
use uuid::Uuid;

use crate::{
    Audited, Console, Refusal,
    diff::{self, diff},
};

/// Where a letter stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum State {
    /// It waits for somebody.
    Failed,
    /// It was sent again, and there is no word of it yet.
    Retrying,
    /// Its worker has said that it is done.
    Done,
    /// Somebody has decided that nothing is to be done about it.
    Discarded,
}

/// A letter as a list shows it.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct LetterLine {
    pub id: Uuid,
    pub group: Uuid,
    /// The queue it died in, or `unroutable`.
    pub queue: String,
    /// The event's type; empty where there is no event to be read.
    pub kind: String,
    /// The order.
    pub subject: String,
    pub users: Vec<String>,
    pub products: Vec<String>,
    /// `rejected`, `exhausted`, `unreadable`, `poison`, `delivery_limit`, `unroutable` or another word of the broker's.
    pub death: String,
    pub reason: String,
    pub service: String,
    pub attempts: i32,
    /// Retries by staff.
    pub tries: i32,
    pub readable: bool,
    pub body_bytes: i32,
    #[serde(with = "time::serde::rfc3339")]
    pub died_at: OffsetDateTime,
    #[serde(with = "time::serde::rfc3339")]
    pub first_seen: OffsetDateTime,
    #[serde(with = "time::serde::rfc3339")]
    pub last_seen: OffsetDateTime,
    pub state: State,
    #[serde(with = "time::serde::rfc3339")]
    pub state_since: OffsetDateTime,
    pub version: i32,
    /// It has been in retry for so long that it may be taken back.
    pub no_word: bool,
    /// Why it was discarded.
    pub note: String,
}

/// Everything there is about a letter.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct LetterPage {
    #[serde(flatten)]
    pub line: LetterLine,
    pub event_id: Option<Uuid>,
    /// Where an unroutable one was published to.
    pub exchange: String,
    pub routing_key: String,
    /// What would be sent again: a parcel of one, or bytes that cannot be read.
    #[serde(skip)]
    pub body: Vec<u8>,
    /// `{"properties": {…}, "headers": {…}}`, as the message had them.
    pub headers: Value,
    /// The newest first.
    pub deaths: Vec<Death>,
    pub edits: Vec<Edit>,
    pub runs: Vec<LetterRun>,
    pub audit: Vec<Audited>,
}

#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Death {
    #[serde(with = "time::serde::rfc3339")]
    pub died_at: OffsetDateTime,
    pub death: String,
    pub reason: String,
    pub service: String,
    pub attempts: i32,
    pub headers: Value,
    /// Whose retry it was, if it was one.
    pub retry_id: Option<Uuid>,
}

#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Edit {
    pub id: Uuid,
    pub account: String,
    #[serde(with = "time::serde::rfc3339")]
    pub at: OffsetDateTime,
    /// The letter's version before it.
    pub version: i32,
    /// What changed, line by line; none where that is too much to look at.
    pub diff: Option<Vec<DiffLine>>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase", tag = "is", content = "text")]
pub enum DiffLine {
    Same(String),
    Removed(String),
    Added(String),
}

/// A letter's part in a run.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct LetterRun {
    pub run: Uuid,
    pub action: String,
    pub account: String,
    #[serde(with = "time::serde::rfc3339")]
    pub at: OffsetDateTime,
    /// `waiting`, `sent`, `done`, `failed` or `skipped`.
    pub state: String,
    /// Why it was skipped.
    pub why: String,
    pub retry_id: Uuid,
}

impl State {
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Failed => "failed",
            Self::Retrying => "retrying",
            Self::Done => "done",
            Self::Discarded => "discarded",
        }
    }
}

impl fmt::Display for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for State {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "failed" => Ok(Self::Failed),
            "retrying" => Ok(Self::Retrying),
            "done" => Ok(Self::Done),
            "discarded" => Ok(Self::Discarded),
            _ => Err(format!("there is no state {text:?}; there are failed, retrying, done and discarded")),
        }
    }
}

/// The columns that [`LetterLine::read`] reads, of `letters AS l`; `$1` is how many seconds without word are too long.
macro_rules! line_columns {
    () => {
        "l.id, l.group_key, l.queue, l.kind, l.subject, l.users, l.products, l.death, l.reason, l.service, l.attempts, \
         l.tries, l.readable, l.body_bytes, l.died_at, l.first_seen, l.last_seen, l.state, l.state_since, l.version, \
         l.state = 'retrying' AND l.state_since < now() - make_interval(secs => $1) AS no_word, l.note"
    };
}
pub(crate) use line_columns;

impl LetterLine {
    pub(crate) fn read(row: &Row) -> Result<Self, DbError> {
        Ok(Self {
            id: row.try_get(0)?,
            group: row.try_get(1)?,
            queue: row.try_get(2)?,
            kind: row.try_get(3)?,
            subject: row.try_get(4)?,
            users: row.try_get(5)?,
            products: row.try_get(6)?,
            death: row.try_get(7)?,
            reason: row.try_get(8)?,
            service: row.try_get(9)?,
            attempts: row.try_get(10)?,
            tries: row.try_get(11)?,
            readable: row.try_get(12)?,
            body_bytes: row.try_get(13)?,
            died_at: row.try_get(14)?,
            first_seen: row.try_get(15)?,
            last_seen: row.try_get(16)?,
            state: state(row, 17)?,
            state_since: row.try_get(18)?,
            version: row.try_get(19)?,
            no_word: row.try_get(20)?,
            note: row.try_get(21)?,
        })
    }
}

pub(crate) fn state(row: &Row, column: usize) -> Result<State, DbError> {
    row.try_get::<_, &str>(column)?.parse().map_err(DbError::unexpected)
}

impl Console {
    /// Everything there is about one letter.
    pub async fn letter(&self, id: Uuid) -> Result<LetterPage, Refusal> {
        let mut tx = self.db().begin().await?;
        let late = self.late();
        let [lines, deaths, edits, runs, audit] = tx
            .queries([
                (
                    concat!(
                        "SELECT ",
                        line_columns!(),
                        ", l.event_id, l.exchange, l.routing_key, c.body, c.headers::text \
                         FROM letters AS l JOIN contents AS c ON c.letter = l.id WHERE l.id = $2"
                    ),
                    &[&late, &id],
                ),
                (include_str!("letter/deaths.sql"), &[&id]),
                (include_str!("letter/edits.sql"), &[&id, &diff::LARGEST]),
                (include_str!("letter/runs.sql"), &[&id]),
                (include_str!("letter/audit.sql"), &[&id]),
            ])
            .await?;
        tx.commit().await?;
        let row = lines.first().ok_or(Refusal::NotFound("letter"))?;
        Ok(LetterPage {
            line: LetterLine::read(row)?,
            event_id: row.try_get(22)?,
            exchange: row.try_get(23)?,
            routing_key: row.try_get(24)?,
            body: row.try_get(25)?,
            headers: json(row, 26)?,
            deaths: deaths.iter().map(Death::read).collect::<Result<_, _>>()?,
            edits: edits.iter().map(Edit::read).collect::<Result<_, _>>()?,
            runs: runs.iter().map(LetterRun::read).collect::<Result<_, _>>()?,
            audit: audit.iter().map(Audited::read).collect::<Result<_, _>>()?,
        })
    }
}

impl Death {
    fn read(row: &Row) -> Result<Self, DbError> {
        Ok(Self {
            died_at: row.try_get(0)?,
            death: row.try_get(1)?,
            reason: row.try_get(2)?,
            service: row.try_get(3)?,
            attempts: row.try_get(4)?,
            headers: json(row, 5)?,
            retry_id: row.try_get(6)?,
        })
    }
}

impl Edit {
    fn read(row: &Row) -> Result<Self, DbError> {
        Ok(Self {
            id: row.try_get(0)?,
            account: row.try_get(1)?,
            at: row.try_get(2)?,
            version: row.try_get(3)?,
            diff: row.try_get::<_, Option<_>>(4)?.zip(row.try_get(5)?).and_then(|(before, after)| diff(before, after)),
        })
    }
}

impl LetterRun {
    fn read(row: &Row) -> Result<Self, DbError> {
        Ok(Self {
            run: row.try_get(0)?,
            action: row.try_get(1)?,
            account: row.try_get(2)?,
            at: row.try_get(3)?,
            state: row.try_get(4)?,
            why: row.try_get(5)?,
            retry_id: row.try_get(6)?,
        })
    }
}

/// What PostgreSQL gave as the text of JSON.
pub(crate) fn json(row: &Row, column: usize) -> Result<Value, DbError> {
    serde_json::from_str(row.try_get(column)?).map_err(DbError::unexpected)
}
