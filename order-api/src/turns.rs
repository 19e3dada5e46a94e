//! Whatever asks the database for one client, apart from the writing of orders: a few at a time, so that orders always find
//! a connection, and whoever would wait too long for their turn is told at once to come back later.

use std::sync::Arc;

use common::{db::DbError, http::Problem};
use tokio::{sync::Semaphore, time::Instant};

use crate::{
    Orders,
    admission::{Admission, Limits},
};

/// A reader may wait so many times as long as an order: nobody waits for them but their client.
const PATIENCE: u64 = 10;

pub(crate) struct Turns {
    free: Semaphore,
    admission: Arc<Admission>,
}

impl Turns {
    /// Half of the connections are for this.
    pub(crate) fn new(settings: &Orders, connections: usize) -> Self {
        let at_once = (connections / 2).max(1);
        // One of them says less than a group of orders does: the first on a new connection takes many times as long.
        let longest_wait_ms = PATIENCE * settings.longest_wait_ms;
        let limits = Limits { group: at_once, memory: 32, most_per_second: 0, longest_wait_ms, ..settings.limits() };
        Self { free: Semaphore::new(at_once), admission: Arc::new(Admission::new(limits)) }
    }

    /// Does it when its turn comes. Where it fails, `what` cannot be done at the moment.
    pub(crate) async fn take<T>(
        &self,
        what: &'static str,
        work: impl Future<Output = Result<T, DbError>>,
    ) -> Result<T, Problem> {
        let Some(_place) = self.admission.admit(0) else {
            return Err(Problem::overloaded(format!("{what} at the moment: too many ask; try again shortly")));
        };
        // It is never closed.
        let _turn = self.free.acquire().await;
        let began = Instant::now();
        let done = work.await;
        self.admission.served(began.elapsed());
        done.map_err(|error| {
            if let DbError::Refused(why) = &error {
                tracing::error!(error = why, "{what}: the database refuses what it is asked");
                return Problem::internal();
            }
            tracing::warn!(%error, "{what}");
            Problem::unavailable(format!("{what} at the moment; try again shortly"))
        })
    }
}
