//! The runner: carries runs on, driven by what is in the tables and by nothing else. Any number of processes may have one;
//! a run is driven by whoever holds its lease. What a process had in hand when it died is either committed, and then it is
//! in the outbox, or it never happened.
//!
//! - `next`: what to do next, decided by numbers alone.
//! - `send`: one handful of letters, in one transaction.

mod next;
mod send;

use std::time::Duration;

use common::db::DbError;
use tokio::{task::JoinSet, time::Instant};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::{Action, Console, tries};
use next::{At, Move, next};

/// How long a run waits for a process that has died.
const LEASE_S: f64 = 10.0;
/// How often to look for runs that nobody drives, and for what is due.
const EVERY: Duration = Duration::from_millis(500);
/// How long nothing may be heard before a run is looked at again.
const LISTEN: Duration = Duration::from_millis(200);
/// How often plans are cleared away.
const TIDY_EVERY: Duration = Duration::from_secs(60);

/// Drives runs until `stop`.
pub(crate) async fn drive_all(console: Console, stop: CancellationToken) {
    let me = Uuid::now_v7();
    let mut driving = JoinSet::new();
    let mut changes = console.watch();
    let mut tidied = Instant::now();
    loop {
        match claim(&console, me).await {
            Ok(runs) => {
                for run in runs {
                    driving.spawn(drive(console.clone(), me, run, stop.clone()));
                }
            }
            Err(error) => tracing::debug!(%error, "runs could not be looked for; trying again"),
        }
        if let Err(error) = end_trials(&console).await {
            tracing::debug!(%error, "what was unroutable could not be looked after; trying again");
        }
        if tidied.elapsed() >= TIDY_EVERY {
            tidied = Instant::now();
            if let Err(error) = tidy(&console).await {
                tracing::warn!(%error, "plans that nobody started could not be cleared away");
            }
        }
        while driving.try_join_next().is_some() {}
        let told = async {
            tokio::time::timeout(EVERY, changes.changed()).await.ok();
            // Much is heard of while much is done; runs begin seldom.
            tokio::time::sleep(Duration::from_millis(10)).await;
        };
        if stop.run_until_cancelled(told).await.is_none() {
            break;
        }
    }
    while driving.join_next().await.is_some() {}
    let freed = "UPDATE runs SET leased_until = '-infinity' WHERE owner = $1 AND state = 'running'";
    if let Err(error) = console.db().execute(freed, &[&me]).await {
        tracing::debug!(%error, "leases could not be given back; they end by themselves");
    }
}

/// Takes runs that nobody drives.
async fn claim(console: &Console, me: Uuid) -> Result<Vec<Uuid>, DbError> {
    let rows = console.db().query(include_str!("runner/claim.sql"), &[&me, &LEASE_S]).await?;
    rows.iter().map(|row| Ok(row.try_get(0)?)).collect()
}

/// Drives one run until it rests, or somebody else drives it.
async fn drive(console: Console, me: Uuid, run: Uuid, stop: CancellationToken) {
    let mut changes = console.watch();
    let mut pace = Pace::new();
    let mut conflicts = 0_u64;
    while !stop.is_cancelled() {
        changes.mark_unchanged();
        match go_on(&console, me, run, &mut pace).await {
            Ok(Went::On) => {
                conflicts = 0;
                continue;
            }
            Ok(Went::Resting) => return,
            Ok(Went::Waiting(most)) => {
                let heard = tokio::time::timeout(most, changes.changed());
                let _ = stop.run_until_cancelled(heard).await;
            }
            // It met with somebody else's; the same again may well succeed.
            Err(DbError::Conflict(_)) if conflicts < 50 => {
                conflicts += 1;
                tokio::time::sleep(Duration::from_millis(fastrand::u64(1..=5 * conflicts))).await;
            }
            Err(error) => {
                tracing::warn!(run = %run, %error, "a run could not go on; its lease will be taken up again");
                tokio::time::sleep(Duration::from_secs(1)).await;
                return;
            }
        }
    }
}

enum Went {
    On,
    Waiting(Duration),
    Resting,
}

/// Does the next thing that is to be done for a run.
async fn go_on(console: &Console, me: Uuid, run: Uuid, pace: &mut Pace) -> Result<Went, DbError> {
    let rows = console.db().query(include_str!("runner/look.sql"), &[&run, &me, &LEASE_S]).await?;
    let Some(row) = rows.first() else { return Ok(Went::Resting) };
    let at = At {
        action: Action::named(row.try_get(0)?)?,
        steps: row.try_get(1)?,
        tolerate: row.try_get(2)?,
        step: row.try_get(3)?,
        step_sent: row.try_get(4)?,
        step_settled: row.try_get(5)?,
        step_failed: row.try_get(6)?,
        position: row.try_get(7)?,
        total: row.try_get(8)?,
        most: console.settings.most_under_way,
    };
    let (rate, note): (i32, String) = (row.try_get(9)?, row.try_get(10)?);
    match next(&at) {
        Move::Send(most) => {
            let most = if at.is_last_step() { pace.allow(rate, most) } else { most };
            if most == 0 {
                return Ok(Went::Waiting(Duration::from_millis(20)));
            }
            send::handful(console, me, run, &at, most, &note).await?;
            console.changed();
            Ok(Went::On)
        }
        Move::Wait => Ok(Went::Waiting(LISTEN)),
        Move::Advance => turn(console, me, run, &at, "running", "").await,
        Move::Finish => turn(console, me, run, &at, "finished", "").await,
        Move::Stop => {
            let why = match at.tolerate {
                0 => format!("{} failed in step {}, so no more were sent", at.step_failed, at.step + 1),
                most => format!(
                    "{} failed in step {}, and at most {most} may; no more were sent",
                    at.step_failed,
                    at.step + 1
                ),
            };
            turn(console, me, run, &at, "stopped", &why).await
        }
    }
}

/// Goes on to the next step, or comes to rest.
async fn turn(console: &Console, me: Uuid, run: Uuid, at: &At, to: &str, why: &str) -> Result<Went, DbError> {
    console.db().execute(include_str!("runner/turn.sql"), &[&run, &me, &at.step, &to, &why]).await?;
    console.changed();
    Ok(Went::On)
}

/// What was unroutable, was sent again, was confirmed by the broker, and has not come back for a while, has arrived.
async fn end_trials(console: &Console) -> Result<(), DbError> {
    let rows = console.db().query(include_str!("runner/due_trials.sql"), &[]).await?;
    if rows.is_empty() {
        return Ok(());
    }
    let due: Vec<Uuid> = rows.iter().map(|row| row.try_get(0)).collect::<Result<_, _>>()?;
    let mut tx = console.db().begin().await?;
    tries::finish(&mut tx, &due).await?;
    tx.query("DELETE FROM on_trial WHERE retry_id = ANY ($1)", &[&due]).await?;
    tx.commit().await?;
    console.changed();
    Ok(())
}

async fn tidy(console: &Console) -> Result<(), DbError> {
    let kept = Duration::from_secs(console.settings.plan_kept_s).as_secs_f64();
    let mut tx = console.db().begin().await?;
    let rows = tx.query(include_str!("runner/old_plans.sql"), &[&kept]).await?;
    let old: Vec<Uuid> = rows.iter().map(|row| row.try_get(0)).collect::<Result<_, _>>()?;
    if !old.is_empty() {
        tx.query("DELETE FROM run_letters WHERE run = ANY ($1)", &[&old]).await?;
        tx.query("DELETE FROM runs WHERE id = ANY ($1)", &[&old]).await?;
    }
    tx.commit().await
}

/// Keeps to a rate.
struct Pace {
    since: Instant,
    allowed: f64,
}

impl Pace {
    fn new() -> Self {
        Self { since: Instant::now(), allowed: 1.0 }
    }

    /// How many may go now, of those that could.
    fn allow(&mut self, rate: i32, most: i32) -> i32 {
        if rate == 0 {
            return most;
        }
        let rate = f64::from(rate);
        self.allowed = (self.allowed + self.since.elapsed().as_secs_f64() * rate).min((rate / 4.0).max(1.0));
        self.since = Instant::now();
        let now = self.allowed.floor().min(f64::from(most)).max(0.0);
        self.allowed -= now;
        #[expect(clippy::cast_possible_truncation, reason = "it is whole and no more than an i32")]
        {
            now as i32
        }
    }
}
