//! Tries: one letter's part in one run, from being sent to being known.
//!
//! Locks are taken in one order everywhere: letters, their groups (by the triggers), tries, runs; each sorted.

use std::collections::BTreeMap;

use common::{
    consumer::{Failure, Handler, Verdict},
    db::{DbError, Tx},
    events::{Event, SupportRetried},
    outbox::Outbox,
};
use uuid::Uuid;

use crate::Console;

/// What has become of a try.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Outcome {
    Done,
    Failed,
}

impl Outcome {
    fn name(self) -> &'static str {
        match self {
            Self::Done => "done",
            Self::Failed => "failed",
        }
    }
}

/// Notes the outcome of tries, and counts it in their runs. What is known already stays as it is, but that a success
/// always counts. The letters come first, by whoever calls this.
pub(crate) async fn settle(tx: &mut Tx, retries: &[Uuid], outcome: Outcome) -> Result<(), DbError> {
    tx.query(include_str!("tries/settle.sql"), &[&retries, &outcome.name()]).await.map(|_| ())
}

/// Hears from the workers what is done.
pub(crate) struct Progress(pub Console);

impl Handler for Progress {
    async fn handle(&self, tx: &mut Tx, events: &[Event], _: &mut Outbox) -> Result<Vec<Verdict>, Failure> {
        let mut done = BTreeMap::new();
        let verdicts = events
            .iter()
            .map(|event| match event.payload::<SupportRetried>() {
                Ok(report) => {
                    done.insert(report.retry_id, ());
                    Verdict::Done
                }
                Err(why) => Verdict::Reject(why),
            })
            .collect();
        let done: Vec<Uuid> = done.into_keys().collect();
        finish(tx, &done).await?;
        self.0.changed_soon();
        Ok(verdicts)
    }
}

/// These tries have succeeded.
pub(crate) async fn finish(tx: &mut Tx, retries: &[Uuid]) -> Result<(), DbError> {
    if retries.is_empty() {
        return Ok(());
    }
    tx.queries([
        (include_str!("tries/lock_tried.sql"), &[&retries]),
        (include_str!("tries/finish_letters.sql"), &[&retries]),
    ])
    .await?;
    settle(tx, retries, Outcome::Done).await
}
