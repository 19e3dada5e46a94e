//! Runs: what somebody does with exactly the letters of a plan.

mod steps;

use std::time::Duration;

use common::db::DbError;
use serde::{Deserialize, Serialize};
use serde_json::json;
use time::OffsetDateTime;
use tokio_postgres::Row;
use uuid::Uuid;

pub use self::steps::Steps;
use crate::{
    Console, LetterLine, Refusal, Role, State, Who,
    audit::{self, On},
    ingest::reason::clean,
    letter::line_columns,
};

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

macro_rules! columns {
    () => {
        "id, scope, action, coalesce(started_by, planned_by), coalesce(started_at, planned_at), finished_at, note, state, \
         why, steps, rate, tolerate, step, total, sent, done, failed, skipped"
    };
}
const NOTE_MOST: usize = 500;
/// How many letters of each kind the page of a run shows.
const SHOWN: i64 = 50;

impl Console {
    /// Retries exactly these letters.
    pub async fn start_run(&self, who: &Who, snapshot: Uuid, steps: &Steps) -> Result<Uuid, Refusal> {
        steps.check()?;
        self.start(who, snapshot, Action::Retry, steps, "").await
    }

    /// Puts exactly these letters away. It is a run like any other.
    pub async fn discard(&self, who: &Who, snapshot: Uuid, reason: &str) -> Result<Uuid, Refusal> {
        let reason = clean(reason.trim(), NOTE_MOST);
        if reason.is_empty() {
            return Err(Refusal::Invalid { field: "reason", message: "must say why".to_owned() });
        }
        self.start(who, snapshot, Action::Discard, &Steps::at_once(), &reason).await
    }

    /// Takes exactly these letters out again.
    pub async fn restore(&self, who: &Who, snapshot: Uuid) -> Result<Uuid, Refusal> {
        self.start(who, snapshot, Action::Restore, &Steps::at_once(), "").await
    }

    async fn start(
        &self,
        who: &Who,
        snapshot: Uuid,
        action: Action,
        steps: &Steps,
        note: &str,
    ) -> Result<Uuid, Refusal> {
        who.must_be(Role::Operator)?;
        let number = |number: u32| i32::try_from(number).unwrap_or(i32::MAX);
        let first: Vec<i32> = steps.first.iter().copied().map(number).collect();
        let (rate, tolerate) = (number(steps.rate), number(steps.tolerate));
        let mut tx = self.db().begin().await?;
        let rows = tx
            .query(
                include_str!("run/start.sql"),
                &[&snapshot, &action.name(), &who.account, &first, &rate, &tolerate, &note],
            )
            .await?;
        let Some(row) = rows.first() else {
            return Err(match self.read_run(snapshot).await? {
                Some(run) if run.state != RunState::Planned => Refusal::RunIs(run.state.name()),
                _ => Refusal::NotFound("plan"),
            });
        };
        let (scope, total): (String, i32) = (row.try_get(0)?, row.try_get(1)?);
        if scope.starts_with("letter:") {
            // Of many, those that have changed are left out and named; of one nothing would be left.
            let changed = tx.query(include_str!("run/changed.sql"), &[&snapshot]).await?;
            if let Some(row) = changed.first() {
                return Err(Refusal::ChangedSince { seen: row.try_get(0)?, now: row.try_get(1)? });
            }
        }
        let mut details = json!({"scope": scope, "letters": total});
        if action == Action::Retry && total > 1 {
            details["steps"] = json!(steps.to_string());
        }
        if !note.is_empty() {
            details["reason"] = json!(note);
        }
        audit::add(&mut tx, who, action.name(), On::Run(snapshot), &details);
        tx.commit().await?;
        self.changed();
        Ok(snapshot)
    }

    pub async fn run(&self, id: Uuid) -> Result<RunPage, Refusal> {
        let run = self.read_run(id).await?.filter(|run| run.state != RunState::Planned);
        let run = run.ok_or(Refusal::NotFound("run"))?;
        let late = self.late();
        let mut tx = self.db().begin().await?;
        let sql = concat!(
            "SELECT ",
            line_columns!(),
            " FROM (SELECT letter FROM run_letters WHERE run = $2 AND state = $3 ORDER BY position LIMIT $4) AS u \
             JOIN letters AS l ON l.id = u.letter"
        );
        let [failures, unanswered, skips] = tx
            .queries([
                (sql, &[&late, &id, &"failed", &SHOWN]),
                (sql, &[&late, &id, &"sent", &SHOWN]),
                (
                    "SELECT letter, why FROM run_letters WHERE run = $1 AND state = 'skipped' ORDER BY position LIMIT $2",
                    &[&id, &SHOWN],
                ),
            ])
            .await?;
        tx.commit().await?;
        let lines = |rows: &[Row]| rows.iter().map(LetterLine::read).collect::<Result<Vec<_>, _>>();
        let skip = |row: &Row| Ok::<_, tokio_postgres::Error>(Skip { letter: row.try_get(0)?, why: row.try_get(1)? });
        Ok(RunPage {
            run,
            failures: lines(&failures)?,
            unanswered: lines(&unanswered)?,
            skips: skips.iter().map(skip).collect::<Result<_, _>>()?,
        })
    }

    /// The newest first, at most 100; `before` is the last id of the page before.
    pub async fn runs(&self, before: Option<Uuid>) -> Result<Vec<Run>, Refusal> {
        let sql = concat!(
            "SELECT ",
            columns!(),
            " FROM runs WHERE id < coalesce($1::uuid, 'ffffffff-ffff-ffff-ffff-ffffffffffff') AND state <> 'planned' \
             ORDER BY id DESC LIMIT 100"
        );
        let rows = self.db().query(sql, &[&before]).await?;
        Ok(rows.iter().map(Run::read).collect::<Result<_, _>>()?)
    }

    async fn read_run(&self, id: Uuid) -> Result<Option<Run>, Refusal> {
        let rows = self.db().query(concat!("SELECT ", columns!(), " FROM runs WHERE id = $1"), &[&id]).await?;
        Ok(rows.first().map(Run::read).transpose()?)
    }

    pub async fn pause(&self, who: &Who, run: Uuid) -> Result<(), Refusal> {
        self.turn(who, run, "pause", RunState::Paused, &["running"]).await
    }

    /// Goes on with a run that was paused, or that stopped by itself: what has failed in its step so far is forgiven.
    pub async fn resume(&self, who: &Who, run: Uuid) -> Result<(), Refusal> {
        self.turn(who, run, "resume", RunState::Running, &["paused", "stopped"]).await
    }

    /// Ends a run; what was sent is on its way.
    pub async fn cancel(&self, who: &Who, run: Uuid) -> Result<(), Refusal> {
        self.turn(who, run, "cancel", RunState::Cancelled, &["running", "paused", "stopped"]).await
    }

    async fn turn(
        &self,
        who: &Who,
        run: Uuid,
        action: &'static str,
        to: RunState,
        from: &[&str],
    ) -> Result<(), Refusal> {
        who.must_be(Role::Operator)?;
        let mut tx = self.db().begin().await?;
        let why = format!("{} by {}", to.name(), who.account);
        let turned = tx.query(include_str!("run/turn.sql"), &[&run, &to.name(), &from, &why]).await?;
        if turned.is_empty() {
            return Err(match self.read_run(run).await? {
                Some(run) if run.state != RunState::Planned => Refusal::RunIs(run.state.name()),
                _ => Refusal::NotFound("run"),
            });
        }
        audit::add(&mut tx, who, action, On::Run(run), &json!({}));
        tx.commit().await?;
        self.changed();
        Ok(())
    }

    /// Waits until a run has come to rest (finished, stopped, cancelled, paused), or for so long.
    pub async fn until_at_rest(&self, run: Uuid, patience: Duration) -> Result<Run, Refusal> {
        let until = tokio::time::Instant::now() + patience;
        let mut changes = self.watch();
        loop {
            let now = self.read_run(run).await?.ok_or(Refusal::NotFound("run"))?;
            if now.state != RunState::Running || tokio::time::Instant::now() >= until {
                return Ok(now);
            }
            // Another process may be driving it: then nothing is heard of it here.
            let soon = (tokio::time::Instant::now() + Duration::from_millis(100)).min(until);
            let _ = tokio::time::timeout_at(soon, changes.changed()).await;
        }
    }
}

impl Run {
    fn read(row: &Row) -> Result<Self, DbError> {
        let number = |number: i32| u32::try_from(number).unwrap_or(0);
        let first: Vec<i32> = row.try_get(9)?;
        Ok(Self {
            id: row.try_get(0)?,
            scope: row.try_get(1)?,
            action: Action::named(row.try_get(2)?)?,
            account: row.try_get(3)?,
            started_at: row.try_get(4)?,
            finished_at: row.try_get(5)?,
            note: row.try_get(6)?,
            state: RunState::named(row.try_get(7)?)?,
            why: row.try_get(8)?,
            steps: Steps {
                first: first.into_iter().map(number).collect(),
                rate: number(row.try_get(10)?),
                tolerate: number(row.try_get(11)?),
            },
            step: row.try_get(12)?,
            total: row.try_get(13)?,
            sent: row.try_get(14)?,
            done: row.try_get(15)?,
            failed: row.try_get(16)?,
            skipped: row.try_get(17)?,
        })
    }
}

impl Action {
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Retry => "retry",
            Self::Discard => "discard",
            Self::Restore => "restore",
        }
    }

    /// The state that a letter must be in for it.
    pub(crate) fn needs(self) -> State {
        match self {
            Self::Retry | Self::Discard => State::Failed,
            Self::Restore => State::Discarded,
        }
    }

    pub(crate) fn named(name: &str) -> Result<Self, DbError> {
        match name {
            "retry" => Ok(Self::Retry),
            "discard" => Ok(Self::Discard),
            "restore" => Ok(Self::Restore),
            other => Err(DbError::unexpected(format!("an action called {other}"))),
        }
    }
}

impl RunState {
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Planned => "planned",
            Self::Running => "running",
            Self::Paused => "paused",
            Self::Stopped => "stopped",
            Self::Cancelled => "cancelled",
            Self::Finished => "finished",
        }
    }

    fn named(name: &str) -> Result<Self, DbError> {
        [Self::Planned, Self::Running, Self::Paused, Self::Stopped, Self::Cancelled, Self::Finished]
            .into_iter()
            .find(|state| state.name() == name)
            .ok_or_else(|| DbError::unexpected(format!("a run's state called {name}")))
    }
}
