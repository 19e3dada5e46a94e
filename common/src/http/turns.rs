//! Whatever asks the database for one client: a few at a time, so that the work of the queues always finds a connection,
//! and whoever would wait too long for their turn is told at once to come back later.

use std::sync::Arc;

use tokio::{
    sync::{Semaphore, SemaphorePermit},
    time::Instant,
};

use super::{
    Problem,
    admission::{Admission, Limits, Place},
};
use crate::db::DbError;

/// A reader may wait so many times as long as the limits say: nobody waits for them but their client.
const PATIENCE: u64 = 10;

#[derive(Debug)]
pub struct Turns {
    free: Semaphore,
    admission: Arc<Admission>,
}

/// A turn at the database, until it is dropped. Nobody may wait for a second one who has it.
#[derive(Debug)]
pub struct Turn<'a> {
    turns: &'a Turns,
    began: Instant,
    _permit: Option<SemaphorePermit<'a>>,
    place: Option<Place>,
}

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        self.turns.admission.served(self.began.elapsed());
    }
}

impl Turns {
    /// Half of the connections are for this.
    #[must_use]
    pub fn new(limits: Limits, connections: usize) -> Self {
        let at_once = (connections / 2).max(1);
        // One of them says less than a group of orders does: the first on a new connection takes many times as long.
        let longest_wait_ms = PATIENCE * limits.longest_wait_ms;
        let limits = Limits { group: at_once, memory: 32, most_per_second: 0, longest_wait_ms, ..limits };
        Self { free: Semaphore::new(at_once), admission: Arc::new(Admission::new(limits)) }
    }

    /// For a worker, whose requests are few: so many may wait, and no longer than two seconds.
    #[must_use]
    pub fn of_worker(connections: usize) -> Self {
        let limits =
            Limits { group: 1, memory: 32, most_waiting: 1_000, most_per_second: 0, longest_wait_ms: 2_000 / PATIENCE };
        Self::new(limits, connections)
    }

    /// Waits for a turn, if that is not for too long. `what` is what cannot be done otherwise.
    pub async fn turn(&self, what: &str) -> Result<Turn<'_>, Problem> {
        let Some(place) = self.admission.admit(0) else {
            return Err(Problem::overloaded(format!("{what} at the moment: too many ask; try again shortly")));
        };
        let mut turn = self.must().await;
        turn.place = Some(place);
        Ok(turn)
    }

    /// Waits for a turn for as long as it takes: for what must be written whoever else waits.
    pub async fn must(&self) -> Turn<'_> {
        // It is never closed.
        let permit = self.free.acquire().await.ok();
        Turn { turns: self, began: Instant::now(), _permit: permit, place: None }
    }

    /// Does it when its turn comes. Where it fails, `what` cannot be done at the moment.
    pub async fn take<T>(
        &self,
        what: &'static str,
        work: impl Future<Output = Result<T, DbError>>,
    ) -> Result<T, Problem> {
        let _turn = self.turn(what).await?;
        work.await.map_err(|error| {
            if let DbError::Refused(why) = &error {
                tracing::error!(error = why, "{what}: the database refuses what it is asked");
                return Problem::internal();
            }
            tracing::warn!(%error, "{what}");
            Problem::unavailable(format!("{what} at the moment; try again shortly"))
        })
    }
}
