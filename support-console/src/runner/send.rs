//! A handful of letters: claimed, noted and put into the outbox in one transaction. A letter goes only if it is as it was
//! on the screen and in nobody else's hands; of two runs that want it, one skips it.

use std::collections::HashMap;

use common::{
    broker::topology::UNROUTABLE,
    db::{DbError, Tx},
    events::Parcel,
};
use tokio_postgres::Row;
use uuid::Uuid;

use super::{LEASE_S, next::At};
use crate::{Action, Console, State, again, letter::state};

/// The bytes of a handful; one letter alone may be larger.
const BYTES_MOST: i64 = 8 * 1024 * 1024;

struct Candidate {
    position: i32,
    letter: Uuid,
    seen: i32,
    retry_id: Uuid,
    version: i32,
    state: State,
    readable: bool,
    queue: String,
    exchange: String,
    routing_key: String,
    kind: String,
    bytes: i32,
}

pub(super) async fn handful(
    console: &Console,
    me: Uuid,
    run: Uuid,
    at: &At,
    most: i32,
    note: &str,
) -> Result<(), DbError> {
    let mut unit = console.units.begin().await?;
    let tx = &mut unit.tx;
    let limit = i64::from(most);
    let rows = tx.query(include_str!("candidates.sql"), &[&run, &at.position, &limit]).await?;
    let mut candidates = rows.iter().map(Candidate::read).collect::<Result<Vec<_>, _>>()?;
    candidates.sort_by_key(|candidate| candidate.position);
    let mut bytes = 0;
    candidates.retain(|candidate| {
        bytes += i64::from(candidate.bytes);
        candidate.position == at.position || bytes <= BYTES_MOST
    });
    // Nothing may be left out between two that are taken.
    let whole = candidates.iter().zip(at.position..).take_while(|(candidate, i)| candidate.position == *i).count();
    candidates.truncate(whole);
    let (mut go, mut skips) = (Vec::new(), Vec::new());
    for candidate in &candidates {
        match why_skip(candidate, at.action) {
            None => go.push(candidate),
            Some(why) => skips.push((candidate.position, why)),
        }
    }
    let mut parcels = Vec::new();
    if at.action == Action::Retry {
        parcels = compose(tx, &mut go, &mut skips).await?;
    }
    let looked_at = candidates.last().map_or(at.total, |candidate| candidate.position + 1);
    write(tx, console, at, &go, &skips, note, run).await?;
    let (sent, skipped) = (count(&go), count(&skips));
    let settled = if at.action == Action::Retry { 0 } else { sent };
    let counted = tx
        .query(include_str!("count.sql"), &[&run, &me, &LEASE_S, &at.position, &looked_at, &sent, &skipped, &settled])
        .await?;
    if counted.is_empty() {
        // Somebody paused it, or drives it: nothing of this has happened.
        return Err(DbError::Conflict("the run is in other hands".to_owned()));
    }
    parcels.into_iter().for_each(|parcel| unit.outbox.send(parcel));
    unit.commit().await
}

fn count<T>(items: &[T]) -> i32 {
    i32::try_from(items.len()).unwrap_or(i32::MAX)
}

/// Why a letter does not go.
fn why_skip(candidate: &Candidate, action: Action) -> Option<String> {
    if candidate.version != candidate.seen || candidate.state != action.needs() {
        return Some(match candidate.state {
            State::Retrying => "it is in another retry".to_owned(),
            State::Failed => "it has changed since".to_owned(),
            state => format!("it is {state} by now"),
        });
    }
    if action == Action::Retry && !candidate.readable {
        return Some("it cannot be read: it must be edited first".to_owned());
    }
    None
}

/// What is to be sent; letters that cannot be are skipped.
async fn compose(
    tx: &mut Tx,
    go: &mut Vec<&Candidate>,
    skips: &mut Vec<(i32, String)>,
) -> Result<Vec<Parcel>, DbError> {
    let ids: Vec<Uuid> = go.iter().map(|candidate| candidate.letter).collect();
    let rows = tx.query("SELECT letter, body FROM contents WHERE letter = ANY ($1)", &[&ids]).await?;
    let bodies: HashMap<Uuid, &[u8]> =
        rows.iter().map(|row| Ok((row.try_get(0)?, row.try_get(1)?))).collect::<Result<_, tokio_postgres::Error>>()?;
    let mut parcels = Vec::with_capacity(go.len());
    go.retain(|candidate| {
        let body = bodies.get(&candidate.letter).copied().unwrap_or_default();
        let to = again::To {
            queue: &candidate.queue,
            exchange: &candidate.exchange,
            routing_key: &candidate.routing_key,
            kind: &candidate.kind,
        };
        match again::parcel(candidate.retry_id, &to, body) {
            Ok(parcel) => {
                parcels.push(parcel);
                true
            }
            Err(why) => {
                skips.push((candidate.position, why));
                false
            }
        }
    });
    Ok(parcels)
}

async fn write(
    tx: &mut Tx,
    console: &Console,
    at: &At,
    go: &[&Candidate],
    skips: &[(i32, String)],
    note: &str,
    run: Uuid,
) -> Result<(), DbError> {
    let letters: Vec<Uuid> = go.iter().map(|candidate| candidate.letter).collect();
    let retries: Vec<Uuid> = go.iter().map(|candidate| candidate.retry_id).collect();
    let went: Vec<i32> = go.iter().map(|candidate| candidate.position).collect();
    let skipped: Vec<i32> = skips.iter().map(|(position, _)| *position).collect();
    let whys: Vec<&str> = skips.iter().map(|(_, why)| why.as_str()).collect();
    let is_retry = at.action == Action::Retry;
    let (to, became) = match at.action {
        Action::Retry => (State::Retrying, "sent"),
        Action::Discard => (State::Discarded, "done"),
        Action::Restore => (State::Failed, "done"),
    };
    if !letters.is_empty() {
        tx.query(include_str!("move_letters.sql"), &[&letters, &retries, &to.name(), &is_retry, &note]).await?;
    }
    tx.query(include_str!("move_tries.sql"), &[&run, &went, &became, &skipped, &whys]).await?;
    let on_trial: Vec<Uuid> =
        go.iter().filter(|one| is_retry && one.queue == UNROUTABLE).map(|one| one.retry_id).collect();
    if !on_trial.is_empty() {
        let trial = std::time::Duration::from_secs(console.settings.unroutable_trial_s).as_secs_f64();
        tx.query(include_str!("begin_trials.sql"), &[&on_trial, &trial]).await?;
    }
    Ok(())
}

impl Candidate {
    fn read(row: &Row) -> Result<Self, DbError> {
        Ok(Self {
            position: row.try_get(0)?,
            letter: row.try_get(1)?,
            seen: row.try_get(2)?,
            retry_id: row.try_get(3)?,
            version: row.try_get(4)?,
            state: state(row, 5)?,
            readable: row.try_get(6)?,
            queue: row.try_get(7)?,
            exchange: row.try_get(8)?,
            routing_key: row.try_get(9)?,
            kind: row.try_get(10)?,
            bytes: row.try_get(11)?,
        })
    }
}
