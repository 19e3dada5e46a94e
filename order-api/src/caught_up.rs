//! Whether what the workers had said by some moment has been dealt with, whoever has heard it.
//!
//! An order whose deadline has passed may have been paid in time: what says so may still wait in `orders.progress`, behind
//! much else, or be in the hands of a process that is slow or frozen. So before orders expire whose time was up at some
//! moment, markers that were sent later have to come out of that queue. What they prove, and why:
//!
//! - The queue hands out what came first, first, and each process deals with what it is given in that order, in
//!   transactions. A marker is noted in the transaction of what came with it. So once a process has noted a marker that was
//!   sent at some moment, everything is committed that it was given before.
//! - That says nothing about the other processes. So the broker is asked how many consumers the queue has, and a round of
//!   markers is only complete when so many different processes have noted one that was sent after the question. Several are
//!   sent, for the queue hands them out in turn. Whoever is frozen counts, and so does whoever has no room for a marker
//!   because its hands are full, until it goes on; or until the broker gives it up (after two missed heartbeats) and takes
//!   back what it had, which comes before any marker that is sent from then on.
//! - What was taken back is handed out as redelivered. A process puts that aside until it has nothing else in hand, so a
//!   marker that it had been sent right behind overtakes it, and is noted too early. But it takes nothing new before it has
//!   dealt with what is put aside. So there are two rounds: the second begins when the first is complete, and the same
//!   processes must take part in both, for what one had in hand that is gone may just have been taken back.
//!
//! What this does not prove: a report that failed and waits in the delay line for its next attempt is not waited for, and
//! of what cannot be found out within a minute (a backlog longer than that, no broker) the money goes back if it was there.

use std::{collections::BTreeSet, time::Duration};

use common::{
    broker::{Link, topology::ORDERS_PROGRESS},
    db::{Db, DbError},
    events::OrderWakeup,
    signals::Signals,
};
use futures_util::future::join_all;
use time::OffsetDateTime;
use tokio::time::{Instant, sleep, sleep_until, timeout};
use uuid::Uuid;

use crate::store::listeners;

/// How long a round may take.
const PATIENCE: Duration = Duration::from_secs(60);
/// It is not found out more often than this: what becomes due meanwhile is found out about together.
const PAUSE: Duration = Duration::from_millis(500);
/// When markers are sent once more, if they have not all come: consumers come and go. Doubled every time.
const AGAIN: Duration = Duration::from_millis(200);
const AGAIN_MOST: Duration = Duration::from_secs(3);
/// How often it is looked who has noted one. Doubled every time.
const LOOK: Duration = Duration::from_millis(5);
const LOOK_MOST: Duration = Duration::from_millis(100);
/// There are not more processes than this that it could be asked of.
const MOST_MARKERS: usize = 256;

/// Knows up to when it is so, and finds out.
pub(crate) struct CaughtUp {
    db: Db,
    link: Link,
    signals: Signals,
    until: OffsetDateTime,
    next: Instant,
}

/// The processes that have noted a marker, and how many had to.
struct Round {
    listeners: BTreeSet<Uuid>,
    needed: usize,
}

/// Markers that were sent after this moment to so many.
struct Sent {
    at: OffsetDateTime,
    consumers: usize,
}

impl CaughtUp {
    pub(crate) fn new(db: Db, link: Link, signals: Signals) -> Self {
        Self { db, link, signals, until: OffsetDateTime::UNIX_EPOCH, next: Instant::now() }
    }

    /// Returns a moment not before `moment`, which must have passed, when all is dealt with that had been said by then.
    pub(crate) async fn up_to(&mut self, moment: OffsetDateTime) -> Result<OffsetDateTime, DbError> {
        if self.until < moment {
            sleep_until(self.next).await;
            self.next = Instant::now() + PAUSE;
            let began = listeners::now(&self.db).await?;
            self.rounds().await?;
            self.until = began;
        }
        Ok(self.until)
    }

    /// Returns after two complete rounds of the same processes, or when it cannot be found out.
    async fn rounds(&self) -> Result<(), DbError> {
        let mut last: Option<Round> = None;
        loop {
            let Ok(round) = timeout(PATIENCE, self.round()).await else {
                tracing::warn!("what the workers have said cannot all be heard; orders expire all the same");
                return Ok(());
            };
            let round = round?;
            let confirms =
                |last: &Round| round.listeners.intersection(&last.listeners).count() >= round.needed.max(last.needed);
            if last.as_ref().is_some_and(confirms) {
                return Ok(());
            }
            last = Some(round);
        }
    }

    /// Returns when as many processes as there are consumers have noted a marker of after this call.
    async fn round(&self) -> Result<Round, DbError> {
        let (mut look, mut again) = (LOOK, AGAIN);
        let mut send_at = Instant::now();
        // Where the queue is long, it is the first of many that come; where somebody has gone, only the last can.
        let mut all: Vec<Sent> = Vec::new();
        loop {
            if Instant::now() >= send_at {
                all.extend(self.send().await?);
                send_at = Instant::now() + again;
                again = (again * 2).min(AGAIN_MOST);
            }
            if let Some(first) = all.first() {
                let heard = listeners::heard(&self.db, first.at).await?;
                for sent in &all {
                    let listeners: BTreeSet<Uuid> =
                        heard.iter().filter(|(_, heard)| *heard >= sent.at).map(|(id, _)| *id).collect();
                    if listeners.len() >= sent.consumers {
                        return Ok(Round { listeners, needed: sent.consumers });
                    }
                }
            }
            sleep(look).await;
            look = (look * 2).min(LOOK_MOST);
        }
    }

    /// Sends markers, if there is a broker: enough for every consumer of the queue to be given one.
    async fn send(&self) -> Result<Option<Sent>, DbError> {
        let at = listeners::now(&self.db).await?;
        let consumers = match self.link.consumers(ORDERS_PROGRESS.name).await {
            // This process is between two consumers, or the queue has no leader.
            Ok(0) => return Ok(None),
            Ok(consumers) => usize::try_from(consumers).unwrap_or(usize::MAX),
            Err(error) => {
                tracing::debug!(%error, "it is not known who hears the workers");
                return Ok(None);
            }
        };
        let count = if consumers == 1 { 1 } else { consumers.saturating_mul(2).min(MOST_MARKERS) };
        let marker = OrderWakeup { sent_at: Some(at) };
        let sent = join_all((0..count).map(|_| self.signals.send(&ORDERS_PROGRESS, None, &marker))).await;
        metrics::counter!("conveyor_markers_total").increment(count as u64);
        if let Some(error) = sent.into_iter().find_map(Result::err) {
            tracing::debug!(%error, "a marker could not be sent");
        }
        Ok(Some(Sent { at, consumers }))
    }
}
