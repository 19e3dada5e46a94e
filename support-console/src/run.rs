//! Runs: what somebody does with exactly the letters that were on their screen.

use serde::{Deserialize, Serialize};
use time::OffsetDateTime;
use uuid::Uuid;

use crate::{Console, LetterLine, Query, Refusal, Who};

/// What is to be done with each letter.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Action {
    /// Failed ones are sent again.
    Retry,
    /// Failed ones are put away.
    Discard,
    /// Discarded ones are failed again.
    Restore,
}

/// Which letters.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Scope {
    Letter(Uuid),
    Group(Uuid),
    Query(Query),
}

/// The letters as they were when they were looked at. What comes later is not in it, and what changes later is skipped.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Snapshot {
    /// Also the id of the run, once it is started.
    pub id: Uuid,
    pub action: Action,
    pub count: i64,
    /// Those of them that cannot be retried as they are, and would be skipped.
    pub unreadable: i64,
}

/// How a retry goes about it: a step begins only when all of the step before have been reported done.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct Steps {
    /// How many letters each of the first steps takes, such as 1 and 10; the last step takes the rest.
    pub first: Vec<u32>,
    /// Letters a second in the last step; 0 for as fast as it goes.
    pub rate: u32,
    /// How many may fail in a step before the run stops by itself.
    pub tolerate: u32,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum RunState {
    Planned,
    Running,
    Paused,
    /// By itself, for too many of a step failed.
    Stopped,
    Cancelled,
    Finished,
}

#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Run {
    pub id: Uuid,
    /// Of what: `letter:…`, `group:…` or a query.
    pub scope: String,
    pub action: Action,
    pub account: String,
    #[serde(with = "time::serde::rfc3339")]
    pub started_at: OffsetDateTime,
    #[serde(with = "time::serde::rfc3339::option")]
    pub finished_at: Option<OffsetDateTime>,
    pub note: String,
    pub state: RunState,
    /// Why it stands where it stands.
    pub why: String,
    pub steps: Steps,
    /// The step it is at, from 0.
    pub step: i32,
    pub total: i32,
    /// Sent so far; of these, `done` and `failed` are known.
    pub sent: i32,
    pub done: i32,
    pub failed: i32,
    /// Changed since the snapshot, in somebody else's hands, or not to be read.
    pub skipped: i32,
}

/// A run and the letters that somebody may want to look at.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct RunPage {
    #[serde(flatten)]
    pub run: Run,
    /// The first of those that failed again.
    pub failures: Vec<LetterLine>,
    /// The first of those that were skipped, and why.
    pub skips: Vec<Skip>,
    /// The first of those there is no word of.
    pub unanswered: Vec<LetterLine>,
}

#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Skip {
    pub letter: Uuid,
    pub why: String,
}

impl Default for Steps {
    /// One, then ten, then the rest.
    fn default() -> Self {
        Self { first: vec![1, 10], rate: 0, tolerate: 0 }
    }
}

impl Steps {
    /// All of them at once.
    #[must_use]
    pub fn at_once() -> Self {
        Self { first: Vec::new(), rate: 0, tolerate: u32::MAX }
    }
}

impl Console {
    /// Takes down which letters there are that `action` can be done with.
    pub async fn plan(&self, who: &Who, scope: &Scope, action: Action) -> Result<Snapshot, Refusal> {
        todo!("{who:?} {scope:?} {action:?}")
    }

    /// Retries exactly these letters.
    pub async fn start_run(&self, who: &Who, snapshot: Uuid, steps: &Steps) -> Result<Uuid, Refusal> {
        todo!("{who:?} {snapshot:?} {steps:?}")
    }

    /// Puts exactly these letters away. It is a run like any other.
    pub async fn discard(&self, who: &Who, snapshot: Uuid, reason: &str) -> Result<Uuid, Refusal> {
        todo!("{who:?} {snapshot:?} {reason:?}")
    }

    /// Takes exactly these letters out again.
    pub async fn restore(&self, who: &Who, snapshot: Uuid) -> Result<Uuid, Refusal> {
        todo!("{who:?} {snapshot:?}")
    }

    pub async fn run(&self, id: Uuid) -> Result<RunPage, Refusal> {
        todo!("{id:?}")
    }

    /// The newest first, at most 100; `before` is the last id of the page before.
    pub async fn runs(&self, before: Option<Uuid>) -> Result<Vec<Run>, Refusal> {
        todo!("{before:?}")
    }

    pub async fn pause(&self, who: &Who, run: Uuid) -> Result<(), Refusal> {
        todo!("{who:?} {run:?}")
    }

    /// Goes on with a run that was paused, or that stopped by itself.
    pub async fn resume(&self, who: &Who, run: Uuid) -> Result<(), Refusal> {
        todo!("{who:?} {run:?}")
    }

    /// Ends a run; what was sent is on its way.
    pub async fn cancel(&self, who: &Who, run: Uuid) -> Result<(), Refusal> {
        todo!("{who:?} {run:?}")
    }

    /// Waits until a run has come to rest (finished, stopped, cancelled, paused), or for so long.
    pub async fn until_at_rest(&self, run: Uuid, patience: std::time::Duration) -> Result<Run, Refusal> {
        todo!("{run:?} {patience:?}")
    }
}
