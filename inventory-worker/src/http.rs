//! The routes. One file per resource.

mod codes;
pub(crate) mod lock;
pub(crate) mod product;

use std::sync::Arc;

use axum::{
    Extension, Router,
    routing::{get, post},
};
use common::{auth::Tokens, db::DbError, http::Problem, outbox::Units};
use tokio::sync::Semaphore;

use crate::Inventory;

/// What every route can reach.
pub(crate) struct State {
    units: Units,
    turns: Semaphore,
    lock_expires_ms: i64,
}

impl State {
    /// Half of the connections are for this, so that the queues always find one.
    pub(crate) fn new(units: Units, connections: usize, settings: Inventory) -> Self {
        let turns = Semaphore::new((connections / 2).max(1));
        Self { units, turns, lock_expires_ms: settings.lock_expires_ms.into() }
    }

    /// Does it when its turn comes. Where it fails, `what` cannot be done at the moment. How many may wait, and for how
    /// long, is the chassis's to say.
    async fn take<T>(&self, what: &'static str, work: impl Future<Output = Result<T, DbError>>) -> Result<T, Problem> {
        // It is never closed.
        let _turn = self.turns.acquire().await;
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

type SharedState = axum::extract::State<Arc<State>>;

pub(crate) fn routes(state: State, tokens: Tokens) -> Router {
    Router::new()
        .route("/api/inventory/lock", post(lock::lock))
        .route("/api/inventory/{product_id}", get(product::show).put(product::put))
        .layer(Extension(tokens))
        .with_state(Arc::new(state))
}
