//! The routes. One file per resource.

mod codes;
mod create;
mod docs;
mod openapi;
mod operators;
mod orders;

use std::sync::Arc;

use axum::{Extension, Router};
use common::{auth::Tokens, db::Db, money::Currency};
use utoipa_axum::{router::OpenApiRouter, routes};

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
    let (router, described) = described().split_for_parts();
    let documents = docs::Documents::new(&openapi::document(&described));
    router.layer(Extension(documents)).layer(Extension(tokens)).with_state(Arc::new(state))
}

/// Every route with its description: `routes!` takes no handler that has none.
fn described() -> OpenApiRouter<Arc<State>> {
    use openapi::operation;

    OpenApiRouter::with_openapi(openapi::beginning())
        .routes(operation(routes!(orders::create), orders::CREATE_REFUSES))
        .routes(operation(routes!(orders::show), orders::SHOW_REFUSES))
        .routes(routes!(docs::openapi))
        .routes(routes!(docs::docs))
        .routes(routes!(docs::style))
}
