//! The routes. One file per resource.

mod admitted;
mod cancel;
pub(crate) mod codes;
mod create;
mod list;
mod orders;
mod products;
mod query;
mod show;
mod signing_keys;
mod stream;

pub(crate) use create::{CreateOrder, Wanted};

use std::sync::Arc;

use axum::{
    Extension, Router,
    routing::{get, post, put},
};
use common::{auth::Tokens, http::Problem, money::Currency, outbox::Units};

use crate::{
    catalogue::Catalogue,
    intake::Intake,
    signing::Signatures,
    watch::{Place, Watch},
};

/// What every route can reach. Shared, for it is handed from layer to layer with every request.
pub(crate) struct State {
    units: Units,
    catalogue: Catalogue,
    intake: Intake,
    /// None where signatures are not required.
    signatures: Option<Signatures>,
    watch: Watch,
    currency: Currency,
}

impl State {
    pub(crate) fn new(
        units: Units,
        catalogue: Catalogue,
        intake: Intake,
        signatures: Option<Signatures>,
        watch: Watch,
        currency: Currency,
    ) -> Self {
        Self { units, catalogue, intake, signatures, watch, currency }
    }
}

type SharedState = axum::extract::State<Arc<State>>;

pub(crate) fn routes(state: State, tokens: Tokens) -> Router {
    Router::new()
        .route("/api/orders", get(list::list))
        .route("/api/orders/create", post(orders::create))
        .route("/api/orders/{order_id}", get(show::show))
        .route("/api/orders/{order_id}/events", get(stream::events))
        .route("/api/orders/{order_id}/cancel", post(cancel::cancel))
        .route("/api/products", get(products::list))
        .route("/api/products/{product_id}", put(products::put))
        .route("/api/users/{user_id}/signing-keys", get(signing_keys::list))
        .route("/api/users/{user_id}/signing-keys/{key_id}", put(signing_keys::register).delete(signing_keys::revoke))
        .layer(Extension(tokens))
        .with_state(Arc::new(state))
}

/// A place among those who wait for an order's next step.
fn place(state: &State) -> Result<Place, Problem> {
    state.watch.place().ok_or_else(|| Problem::unavailable("too many are waiting for orders; try again shortly"))
}
