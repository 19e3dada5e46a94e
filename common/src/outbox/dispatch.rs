//! From memory to the broker, and out of the table: the path that every event takes on an ordinary day.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use tokio::sync::{Mutex, mpsc};
use uuid::Uuid;

use crate::{
    backoff::Backoff,
    broker::Publisher,
    crash::{self, Mistake, Point},
    db::Db,
    events::Parcel,
};

/// What is not confirmed by then is dropped from memory and left to the sweeper: well within the lease of 30 s.
const PATIENCE: Duration = Duration::from_secs(10);
/// Commits whose parcels may wait in memory, and their bytes; beyond that they are left to the sweeper.
const WAITING_COMMITS: usize = 512;
const WAITING_BYTES: usize = 64 * 1024 * 1024;
/// How long deletions gather: nobody waits for them.
const DELETE_EVERY: Duration = Duration::from_millis(250);
const DELETE_MOST: usize = 10_000;

/// Takes the rows of committed work.
#[derive(Clone)]
pub struct Dispatcher {
    commits: mpsc::Sender<Vec<Parcel>>,
    /// Bytes that wait or are on their way.
    waiting: Arc<AtomicUsize>,
}

impl Dispatcher {
    /// The dispatcher, and the task that works until every handle on it is gone and all has been sent and deleted.
    pub fn new(publisher: Publisher, db: Db) -> (Self, impl Future<Output = ()> + Send) {
        let (commits, queue) = mpsc::channel(WAITING_COMMITS);
        let (published, to_delete) = mpsc::channel(WAITING_COMMITS);
        let waiting = Arc::new(AtomicUsize::new(0));
        let sending = Sending { queue: Mutex::new(queue), publisher, waiting: Arc::clone(&waiting) };
        let work = async move {
            // Two, so that one sends while the other waits for the broker to confirm.
            let send = async {
                tokio::join!(sending.run(published.clone()), sending.run(published));
            };
            tokio::join!(send, delete(to_delete, db));
        };
        (Self { commits, waiting }, work)
    }

    /// Sends the parcels on their way. Never waits: when too much is waiting already, the sweeper will see to them.
    pub fn dispatch(&self, parcels: Vec<Parcel>) {
        if parcels.is_empty() {
            return;
        }
        let (count, bytes) = (parcels.len() as u64, bytes(&parcels));
        let before = self.waiting.fetch_add(bytes, Ordering::Relaxed);
        if before <= WAITING_BYTES && self.commits.try_send(parcels).is_ok() {
            metrics::counter!("conveyor_outbox_dispatched_total").increment(count);
        } else {
            self.waiting.fetch_sub(bytes, Ordering::Relaxed);
            metrics::counter!("conveyor_outbox_left_to_sweeper_total").increment(count);
        }
    }
}

fn bytes(parcels: &[Parcel]) -> usize {
    parcels.iter().map(|parcel| parcel.body.len()).sum()
}

struct Sending {
    queue: Mutex<mpsc::Receiver<Vec<Parcel>>>,
    publisher: Publisher,
    waiting: Arc<AtomicUsize>,
}

impl Sending {
    /// Sends what has gathered, again and again, until nothing more can come.
    async fn run(&self, published: mpsc::Sender<Vec<Uuid>>) {
        let mut commits = Vec::new();
        while self.queue.lock().await.recv_many(&mut commits, WAITING_COMMITS).await > 0 {
            let parcels: Vec<Parcel> = commits.drain(..).flatten().collect();
            let bytes = bytes(&parcels);
            if crash::makes(Mistake::DeleteBeforeConfirm) {
                let _ = published.send(parcels.iter().map(|parcel| parcel.id).collect()).await;
                tokio::time::sleep(2 * crash::LONG_ENOUGH).await;
            }
            let confirmed = publish(&self.publisher, parcels).await;
            self.waiting.fetch_sub(bytes, Ordering::Relaxed);
            if published.send(confirmed).await.is_err() {
                return;
            }
        }
    }
}

/// Publishes the parcels, and returns the ids of those that the broker has confirmed.
pub(super) async fn publish(publisher: &Publisher, parcels: Vec<Parcel>) -> Vec<Uuid> {
    let ids: Vec<Uuid> = parcels.iter().map(|parcel| parcel.id).collect();
    let answers = publisher.publish(parcels, PATIENCE).await;
    let confirmed: Vec<Uuid> =
        ids.iter().zip(answers).filter(|(_, answer)| answer.is_ok()).map(|(id, _)| *id).collect();
    if !confirmed.is_empty() {
        crash::here(Point::OutboxConfirmed);
    }
    let left = ids.len() - confirmed.len();
    if left > 0 {
        metrics::counter!("conveyor_outbox_left_to_sweeper_total").increment(left as u64);
        tracing::warn!(parcels = left, "not confirmed by the broker; left in the outbox for the sweeper");
    }
    confirmed
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
            tracing::warn!(%error, parcels = ids.len(), "published parcels could not be deleted from the outbox");
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
