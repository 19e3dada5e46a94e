//! Waiting for an order's next step.
//!
//! However many wait, they cost one statement every so often: it asks which of all the watched orders are further than
//! they were, and brings those with their timelines. It asks the table, so it does not matter which process took the
//! step; and it asks only while somebody waits. While the database is away, everybody waits on.

use std::{
    collections::{HashMap, hash_map},
    sync::{Arc, Mutex, OnceLock, PoisonError},
    time::Duration,
};

use axum::body::Bytes;
use common::{
    backoff::Backoff,
    db::{Db, DbError},
    ids::{OrderId, UserId},
};
use tokio::{
    sync::{Notify, watch},
    time::Instant,
};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::{
    Orders,
    store::{self, Found},
};

/// Asking may take one part in so many of the time, at the most: where it is slow it is done less often.
const ONE_PART_IN: u32 = 4;
/// But not so much less often that readers would notice: one question that took long says little about the next.
const LONGEST_PAUSE: Duration = Duration::from_millis(500);

/// Lets readers wait.
#[derive(Clone)]
pub(crate) struct Watch {
    shared: Arc<Shared>,
}

struct Shared {
    watched: Mutex<Watched>,
    somebody_waits: Notify,
    most: usize,
    most_per_user: usize,
}

#[derive(Default)]
struct Watched {
    /// What is known of each order, and who wants to hear of more.
    orders: HashMap<OrderId, watch::Sender<Arc<Known>>>,
    /// How many wait, and how many of them are the same customer.
    waiting: usize,
    by_user: HashMap<UserId, usize>,
    /// Nobody asks any more: the process stops.
    is_over: bool,
}

/// What is known of an order, shared by all who wait for more.
pub(crate) struct Known {
    pub found: Found,
    /// Its steps in the words of an event stream, with their versions: put so by the first who needs them.
    pub events: OnceLock<Vec<(i32, Bytes)>>,
}

impl From<Found> for Arc<Known> {
    fn from(found: Found) -> Self {
        Arc::new(Known { found, events: OnceLock::new() })
    }
}

/// A place among those who may wait. They are bounded in number.
pub(crate) struct Place {
    shared: Arc<Shared>,
    user: Option<UserId>,
}

/// Why there is no place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Full {
    All,
    /// This user has as many as one can have.
    Theirs,
}

impl Drop for Place {
    fn drop(&mut self) {
        self.shared.with(|watched| {
            watched.waiting -= 1;
            let Some(user) = self.user.take() else { return };
            if let hash_map::Entry::Occupied(mut theirs) = watched.by_user.entry(user) {
                *theirs.get_mut() -= 1;
                if *theirs.get() == 0 {
                    theirs.remove();
                }
            }
        });
    }
}

/// Hears of an order's steps. It ends when nobody asks for them any more.
pub(crate) struct Follower {
    news: watch::Receiver<Arc<Known>>,
    _place: Place,
}

impl Follower {
    /// The order as it is known now.
    pub(crate) fn latest(&mut self) -> Arc<Known> {
        Arc::clone(&self.news.borrow_and_update())
    }

    /// Waits until there is something newer than the [`latest`](Self::latest); `false` if there will be nothing more.
    pub(crate) async fn changed(&mut self) -> bool {
        self.news.changed().await.is_ok()
    }
}

impl Watch {
    /// The watch, and the task that asks until `stop`.
    pub(crate) fn new(
        db: Db,
        settings: &Orders,
        stop: CancellationToken,
    ) -> (Self, impl Future<Output = ()> + Send + use<>) {
        let shared = Arc::new(Shared {
            watched: Mutex::default(),
            somebody_waits: Notify::new(),
            most: settings.watchers,
            most_per_user: settings.watchers_per_user,
        });
        let every = Duration::from_millis(settings.watch_ms);
        let ask = {
            let shared = Arc::clone(&shared);
            async move {
                stop.run_until_cancelled(ask(&shared, &db, every)).await;
                shared.with(|watched| {
                    watched.is_over = true;
                    watched.orders.clear();
                });
            }
        };
        (Self { shared }, ask)
    }

    /// A place to wait in, counted as this user's.
    pub(crate) fn place(&self, user: Option<&UserId>) -> Result<Place, Full> {
        self.shared.with(|watched| {
            if watched.waiting >= self.shared.most {
                return Err(Full::All);
            }
            if let Some(user) = user {
                let theirs = watched.by_user.entry(user.clone()).or_default();
                if *theirs >= self.shared.most_per_user {
                    return Err(Full::Theirs);
                }
                *theirs += 1;
            }
            watched.waiting += 1;
            Ok(Place { shared: Arc::clone(&self.shared), user: user.cloned() })
        })
    }

    /// From here on: the order as it was found, or as it is known by now, and every step after that.
    pub(crate) fn follow(&self, found: Found, place: Place) -> Follower {
        let news = self.shared.with(|watched| {
            if watched.is_over {
                return watch::channel(found.into()).1;
            }
            match watched.orders.entry(found.order.id) {
                hash_map::Entry::Vacant(entry) => {
                    let (sender, news) = watch::channel(found.into());
                    entry.insert(sender);
                    news
                }
                hash_map::Entry::Occupied(entry) => {
                    tell(entry.get(), found);
                    entry.get().subscribe()
                }
            }
        });
        self.shared.somebody_waits.notify_one();
        Follower { news, _place: place }
    }
}

/// Nobody hears of a step twice, nor of an earlier one after a later one.
fn tell(readers: &watch::Sender<Arc<Known>>, found: Found) {
    readers.send_if_modified(|known| {
        let is_new = known.found.order.version < found.order.version;
        if is_new {
            *known = found.into();
        }
        is_new
    });
}

impl Shared {
    fn with<T>(&self, act: impl FnOnce(&mut Watched) -> T) -> T {
        act(&mut self.watched.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// The orders that somebody still waits for, and the version that is known of each.
    fn known(&self) -> (Vec<Uuid>, Vec<i32>) {
        let (known, waiting): ((Vec<Uuid>, Vec<i32>), usize) = self.with(|watched| {
            watched.orders.retain(|_, readers| readers.receiver_count() > 0);
            let known = watched.orders.iter().map(|(id, readers)| (id.0, readers.borrow().found.order.version));
            (known.unzip(), watched.waiting)
        });
        metrics::gauge!("conveyor_watched_orders").set(known.0.len() as f64);
        metrics::gauge!("conveyor_watchers").set(waiting as f64);
        known
    }
}

async fn ask(shared: &Shared, db: &Db, every: Duration) {
    let queries = metrics::counter!("conveyor_watch_queries_total");
    let mut backoff = Backoff::new(every, Duration::from_secs(2));
    let mut pause = every;
    loop {
        if shared.known().0.is_empty() {
            shared.somebody_waits.notified().await;
            continue;
        }
        tokio::time::sleep(pause).await;
        let (ids, versions) = shared.known();
        let began = Instant::now();
        queries.increment(1);
        match store::find_beyond(db, &ids, &versions).await {
            Ok(moved) => {
                shared.with(|watched| {
                    for found in moved {
                        if let Some(readers) = watched.orders.get(&found.order.id) {
                            tell(readers, found);
                        }
                    }
                });
                backoff.reset();
            }
            Err(DbError::Refused(why)) => {
                // One of the orders cannot be read. Whoever reads it by itself hears so; the others come back.
                tracing::error!(error = why, "watched orders could not be read; their readers are sent away");
                shared.with(|watched| watched.orders.clear());
                backoff.wait().await;
            }
            Err(error) => {
                tracing::debug!(%error, "watched orders could not be read; their readers wait on");
                backoff.wait().await;
            }
        }
        pause = every.max((began.elapsed() * (ONE_PART_IN - 1)).min(LONGEST_PAUSE));
    }
}
