//! From memory to the broker, and out of the table: the path that every event takes on an ordinary day.

use std::{collections::HashMap, sync::Arc, time::Duration};

use tokio::sync::mpsc;
use uuid::Uuid;

use super::Row;
use crate::{
    backoff::Backoff,
    broker::Publisher,
    config,
    db::Db,
    events::{Parcel, pack},
};

/// What is not confirmed by then is dropped from memory and left to the sweeper: well within the lease of 30 s.
const PATIENCE: Duration = Duration::from_secs(10);
/// Commits whose rows may wait in memory; beyond that they are left to the sweeper.
const WAITING_COMMITS: usize = 512;
/// How long deletions gather: nobody waits for them.
const DELETE_EVERY: Duration = Duration::from_millis(50);
const DELETE_MOST: usize = 10_000;

/// Takes the rows of committed work.
#[derive(Clone)]
pub struct Dispatcher {
    commits: mpsc::Sender<Vec<Row>>,
}

impl Dispatcher {
    /// The dispatcher, and the task that works until every handle on it is gone and all has been sent and deleted.
    pub fn new(publisher: Publisher, db: Db, settings: config::Outbox) -> (Self, impl Future<Output = ()> + Send) {
        let (commits, queue) = mpsc::channel(WAITING_COMMITS);
        let (published, to_delete) = mpsc::channel(WAITING_COMMITS);
        let work = async move {
            tokio::join!(dispatch(queue, publisher, Arc::new(settings), published), delete(to_delete, db));
        };
        (Self { commits }, work)
    }

    /// Sends the rows on their way. Never waits: when too much is waiting already, the sweeper will see to them.
    pub fn dispatch(&self, rows: Vec<Row>) {
        if rows.is_empty() {
            return;
        }
        let count = rows.len() as u64;
        match self.commits.try_send(rows) {
            Ok(()) => metrics::counter!("conveyor_outbox_dispatched_total").increment(count),
            Err(_) => metrics::counter!("conveyor_outbox_left_to_sweeper_total").increment(count),
        }
    }
}

async fn dispatch(
    mut queue: mpsc::Receiver<Vec<Row>>,
    publisher: Publisher,
    settings: Arc<config::Outbox>,
    published: mpsc::Sender<Vec<Uuid>>,
) {
    let mut commits = Vec::new();
    while queue.recv_many(&mut commits, WAITING_COMMITS).await > 0 {
        let rows: Vec<Row> = commits.drain(..).flatten().collect();
        let confirmed = publish(&publisher, &settings, rows).await;
        if published.send(confirmed).await.is_err() {
            return;
        }
    }
}

/// Packs the rows into parcels, publishes them, and returns the ids of those that the broker has confirmed.
pub(super) async fn publish(publisher: &Publisher, settings: &config::Outbox, rows: Vec<Row>) -> Vec<Uuid> {
    let (parcels, ids) = into_parcels(settings, rows);
    let answers = publisher.publish(parcels, PATIENCE).await;
    let mut confirmed = Vec::with_capacity(ids.len());
    let mut left = 0;
    for (ids, answer) in ids.into_iter().zip(answers) {
        match answer {
            Ok(()) => confirmed.extend(ids),
            Err(_) => left += ids.len(),
        }
    }
    if left > 0 {
        metrics::counter!("conveyor_outbox_left_to_sweeper_total").increment(left as u64);
        tracing::warn!(events = left, "not confirmed by the broker; left in the outbox for the sweeper");
    }
    confirmed
}

/// Groups rows that go the same way, in their order, into parcels within the limits.
fn into_parcels(settings: &config::Outbox, rows: Vec<Row>) -> (Vec<Parcel>, Vec<Vec<Uuid>>) {
    let mut ways: HashMap<(String, String, String), Vec<(Uuid, String)>> = HashMap::new();
    for row in rows {
        ways.entry((row.exchange, row.routing_key, row.kind)).or_default().push((row.id, row.body));
    }
    let mut parcels = Vec::new();
    let mut ids = Vec::new();
    for ((exchange, routing_key, kind), events) in ways {
        let mut rest = events.as_slice();
        while !rest.is_empty() {
            let (some, after) = rest.split_at(fitting(settings, rest));
            rest = after;
            parcels.push(Parcel {
                id: Uuid::now_v7(),
                exchange: exchange.clone(),
                routing_key: routing_key.clone(),
                kind: kind.clone(),
                body: pack(some.iter().map(|(_, body)| body.as_bytes())),
                headers: None,
            });
            ids.push(some.iter().map(|(id, _)| *id).collect());
        }
    }
    (parcels, ids)
}

/// How many of the events fit one parcel: at least one, however large.
fn fitting(settings: &config::Outbox, events: &[(Uuid, String)]) -> usize {
    let mut bytes = 2;
    let fitting = events.iter().take(settings.parcel_events).take_while(|(_, body)| {
        bytes += body.len() + 1;
        bytes <= settings.parcel_bytes
    });
    fitting.count().max(1)
}

/// Deletes what was confirmed, many commits at a time. A row that cannot be deleted now is published a second time by
/// the sweeper, which costs work but no harm.
async fn delete(mut confirmed: mpsc::Receiver<Vec<Uuid>>, db: Db) {
    let mut ids: Vec<Uuid> = Vec::new();
    while let Some(more) = confirmed.recv().await {
        ids.extend(more);
        let closed = gather(&mut confirmed, &mut ids).await;
        let mut backoff = Backoff::new(Duration::from_millis(100), Duration::from_secs(2));
        let mut tries = 0;
        while let Err(error) = super::delete_rows(&db, &ids).await {
            tries += 1;
            tracing::warn!(%error, events = ids.len(), "published events could not be deleted from the outbox");
            if tries >= 3 {
                break;
            }
            backoff.wait().await;
        }
        ids.clear();
        if closed {
            return;
        }
    }
}

/// Gathers for a while, or until there is much, or until no more can come (then `true`).
async fn gather(confirmed: &mut mpsc::Receiver<Vec<Uuid>>, ids: &mut Vec<Uuid>) -> bool {
    let enough = tokio::time::sleep(DELETE_EVERY);
    tokio::pin!(enough);
    while ids.len() < DELETE_MOST {
        tokio::select! {
            () = &mut enough => return false,
            more = confirmed.recv() => match more {
                Some(more) => ids.extend(more),
                None => return true,
            }
        }
    }
    false
}
