//! Writing what has died: whole batches, one statement for each table. What was written before changes nothing.

use std::collections::{BTreeMap, HashMap, HashSet};

use common::db::{Db, DbError, Tx};
use time::OffsetDateTime;
use uuid::Uuid;

use super::{
    arrival::{Arrival, group_key},
    reason::{pattern, words},
};
use crate::tries::{self, Outcome};
use common::broker::topology::UNROUTABLE;

/// Between the parts of what travels as one text. No part has a control character in it.
const BETWEEN: &str = "\x1f";

/// Writes all of them in one transaction.
pub(super) async fn take_in(db: &Db, arrivals: &[Arrival]) -> Result<(), DbError> {
    let mut tx = db.begin().await?;
    let found = find_retries(&mut tx, arrivals).await?;
    let all: Vec<Heard<'_>> = arrivals.iter().map(|arrival| Heard::new(arrival, &found)).collect();
    let heard = note_deaths(&mut tx, &all).await?;
    let new = all.iter().filter(|one| heard.contains(&(one.letter, one.arrival.death_id)));
    let (mut again, mut fresh): (Vec<&Heard<'_>>, BTreeMap<Uuid, &Heard<'_>>) = (Vec::new(), BTreeMap::new());
    for one in new {
        if one.is_retry {
            again.push(one);
            continue;
        }
        let newest = fresh.entry(one.letter).or_insert(one);
        if one.arrival.died_at > newest.arrival.died_at {
            *newest = one;
        }
    }
    write_letters(&mut tx, &fresh.into_values().collect::<Vec<_>>()).await?;
    write_failures(&mut tx, &again).await?;
    tx.commit().await
}

/// A death, and the letter it is of: that which was retried, if it was a retry.
struct Heard<'a> {
    arrival: &'a Arrival,
    letter: Uuid,
    is_retry: bool,
    group: Uuid,
    queue: &'a str,
    kind: &'a str,
}

struct Tried {
    letter: Uuid,
    queue: String,
    kind: String,
}

impl<'a> Heard<'a> {
    fn new(arrival: &'a Arrival, found: &'a HashMap<Uuid, Tried>) -> Self {
        // What was sent everywhere, and died in one queue, is that queue's letter; what was sent to one queue and found none
        // is still that queue's.
        let is_its = |tried: &&Tried| tried.queue == arrival.queue || arrival.queue == UNROUTABLE;
        let tried = arrival.retry_id.and_then(|id| found.get(&id)).filter(is_its);
        match tried {
            Some(tried) => Self {
                arrival,
                letter: tried.letter,
                is_retry: true,
                group: group_key(&tried.queue, &tried.kind, &arrival.death, &arrival.reason),
                queue: &tried.queue,
                kind: &tried.kind,
            },
            None => Self {
                arrival,
                letter: arrival.letter,
                is_retry: false,
                group: arrival.group(),
                queue: &arrival.queue,
                kind: &arrival.about.kind,
            },
        }
    }
}

async fn find_retries(tx: &mut Tx, arrivals: &[Arrival]) -> Result<HashMap<Uuid, Tried>, DbError> {
    let ids: Vec<Uuid> = arrivals.iter().filter_map(|arrival| arrival.retry_id).collect();
    if ids.is_empty() {
        return Ok(HashMap::new());
    }
    let rows = tx.query(include_str!("sql/find_retries.sql"), &[&ids]).await?;
    rows.iter()
        .map(|row| {
            Ok((row.try_get(0)?, Tried { letter: row.try_get(1)?, queue: row.try_get(2)?, kind: row.try_get(3)? }))
        })
        .collect()
}

/// Notes the deaths, and the groups they may make; returns those that were not known.
async fn note_deaths(tx: &mut Tx, all: &[Heard<'_>]) -> Result<HashSet<(Uuid, Uuid)>, DbError> {
    let groups: BTreeMap<Uuid, &Heard<'_>> = all.iter().map(|one| (one.group, one)).collect();
    let keys: Vec<Uuid> = groups.keys().copied().collect();
    let of = |column: for<'b> fn(&'b Heard<'_>) -> &'b str| groups.values().map(|one| column(one)).collect::<Vec<_>>();
    let patterns: Vec<String> = groups.values().map(|one| pattern(&one.arrival.reason)).collect();
    let when: Vec<OffsetDateTime> = groups.values().map(|one| one.arrival.died_at).collect();
    // In order: somebody else may be writing the same.
    let deaths: BTreeMap<(Uuid, Uuid), &Arrival> =
        all.iter().map(|one| ((one.letter, one.arrival.death_id), one.arrival)).collect();
    let letters: Vec<Uuid> = deaths.keys().map(|(letter, _)| *letter).collect();
    let ids: Vec<Uuid> = deaths.keys().map(|(_, id)| *id).collect();
    let text = |column: fn(&Arrival) -> &str| deaths.values().map(|death| column(death)).collect::<Vec<_>>();
    let died_at: Vec<OffsetDateTime> = deaths.values().map(|death| death.died_at).collect();
    let attempts: Vec<i32> = deaths.values().map(|death| death.attempts).collect();
    let retries: Vec<Option<Uuid>> = deaths.values().map(|death| death.retry_id).collect();
    let [_, new] = tx
        .queries([
            (
                include_str!("sql/insert_groups.sql"),
                &[
                    &keys,
                    &of(|one| one.queue),
                    &of(|one| one.kind),
                    &of(|one| &one.arrival.death),
                    &patterns,
                    &of(|one| &one.arrival.reason),
                    &when,
                ],
            ),
            (
                include_str!("sql/insert_deaths.sql"),
                &[
                    &letters,
                    &ids,
                    &died_at,
                    &text(|death| &death.death),
                    &text(|death| &death.reason),
                    &text(|death| &death.service),
                    &attempts,
                    &text(|death| &death.headers),
                    &retries,
                ],
            ),
        ])
        .await?;
    new.iter().map(|row| Ok((row.try_get(0)?, row.try_get(1)?))).collect()
}

/// Writes letters that are new or have died again by themselves, each once and in order.
async fn write_letters(tx: &mut Tx, letters: &[&Heard<'_>]) -> Result<(), DbError> {
    if letters.is_empty() {
        return Ok(());
    }
    let ids: Vec<Uuid> = letters.iter().map(|one| one.letter).collect();
    let groups: Vec<Uuid> = letters.iter().map(|one| one.group).collect();
    let text = |column: fn(&Arrival) -> &str| letters.iter().map(|one| column(one.arrival)).collect::<Vec<_>>();
    let joined = |column: fn(&Arrival) -> Vec<String>| {
        letters.iter().map(|one| column(one.arrival).join(BETWEEN)).collect::<Vec<_>>()
    };
    let events: Vec<Option<Uuid>> = letters.iter().map(|one| one.arrival.about.event_id).collect();
    let attempts: Vec<i32> = letters.iter().map(|one| one.arrival.attempts).collect();
    let readable: Vec<bool> = letters.iter().map(|one| one.arrival.about.readable).collect();
    let sizes: Vec<i32> = letters.iter().map(|one| i32::try_from(one.arrival.body.len()).unwrap_or(i32::MAX)).collect();
    let died_at: Vec<OffsetDateTime> = letters.iter().map(|one| one.arrival.died_at).collect();
    let bodies: Vec<&[u8]> = letters.iter().map(|one| one.arrival.body.as_slice()).collect();
    tx.queries([
        (
            include_str!("sql/upsert_letters.sql"),
            &[
                &ids,
                &groups,
                &text(|a| &a.queue),
                &text(|a| &a.exchange),
                &text(|a| &a.routing_key),
                &events,
                &text(|a| &a.about.kind),
                &text(|a| &a.about.subject),
                &joined(|a| a.about.users.clone()),
                &joined(|a| a.about.products.clone()),
                &text(|a| &a.death),
                &text(|a| &a.reason),
                &text(|a| &a.service),
                &attempts,
                &readable,
                &sizes,
                &died_at,
                &joined(Arrival::terms),
            ],
        ),
        (include_str!("sql/upsert_contents.sql"), &[&ids, &died_at, &bodies, &text(|a| &a.headers)]),
    ])
    .await
    .map(|_| ())
}

/// Writes what has become of retries.
async fn write_failures(tx: &mut Tx, again: &[&Heard<'_>]) -> Result<(), DbError> {
    // One retry can be heard of twice, for it is delivered at least once.
    let again: BTreeMap<Uuid, &Heard<'_>> =
        again.iter().filter_map(|one| Some((one.arrival.retry_id?, *one))).collect();
    if again.is_empty() {
        return Ok(());
    }
    let retries: Vec<Uuid> = again.keys().copied().collect();
    let letters: Vec<Uuid> = again.values().map(|one| one.letter).collect();
    let groups: Vec<Uuid> = again.values().map(|one| one.group).collect();
    let text = |column: fn(&Arrival) -> &str| again.values().map(|one| column(one.arrival)).collect::<Vec<_>>();
    let died_at: Vec<OffsetDateTime> = again.values().map(|one| one.arrival.died_at).collect();
    let found_by: Vec<String> = again
        .values()
        .map(|one| words(&one.arrival.reason).iter().map(|word| format!("w:{word}")).collect::<Vec<_>>().join(BETWEEN))
        .collect();
    tx.queries([
        (include_str!("sql/lock_letters.sql"), &[&letters]),
        (
            include_str!("sql/fail_letters.sql"),
            &[
                &letters,
                &retries,
                &died_at,
                &text(|a| &a.death),
                &text(|a| &a.reason),
                &text(|a| &a.service),
                &groups,
                &found_by,
            ],
        ),
    ])
    .await?;
    tries::settle(tx, &retries, Outcome::Failed).await
}
