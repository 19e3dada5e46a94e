//! The routes. One file per resource.

mod admitted;
mod codes;
mod create;
mod orders;

use std::sync::Arc;

use axum::{
    Extension, Router,
    routing::{get, post},
};
use common::{auth::Tokens, db::Db, money::Currency};

use crate::{catalogue::Catalogue, intake::Intake};

/// What every route can reach. Shared, for it is handed from layer to layer with every request.
pub(crate) struct State {
    db: Db,
    catalogue: Catalogue,
    intake: Intake,
    currency: Currency,
}

impl State {
    pub(crate) fn new(db: Db, catalogue: Catalogue, intake: Intake, currency: Currency) -> Self {
        Self { db, catalogue, intake, currency }
    }
}

type SharedState = axum::extract::State<Arc<State>>;

pub(crate) fn routes(state: State, tokens: Tokens) -> Router {
    Router::new()
        .route("/api/orders/create", post(orders::create))
        .route("/api/orders/{order_id}", get(orders::show))
        .layer(Extension(tokens))
        .with_state(Arc::new(state))
}
