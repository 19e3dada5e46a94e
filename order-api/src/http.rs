//! The routes. One file per resource.

pub(crate) mod codes;
mod create;
mod orders;
mod signing_keys;

pub(crate) use create::{CreateOrder, Wanted};

use std::sync::Arc;

use axum::{
    Extension, Router,
    routing::{get, post, put},
};
use common::{auth::Tokens, db::Db, money::Currency};
use time::{OffsetDateTime, format_description::well_known::Rfc3339};

use crate::{intake::Intake, signing::Signatures};

/// What every route can reach. Shared, for it is handed from layer to layer with every request.
pub(crate) struct State {
    db: Db,
    intake: Intake,
    /// None where signatures are not required.
    signatures: Option<Signatures>,
    currency: Currency,
}

impl State {
    pub(crate) fn new(db: Db, intake: Intake, signatures: Option<Signatures>, currency: Currency) -> Self {
        Self { db, intake, signatures, currency }
    }
}

type SharedState = axum::extract::State<Arc<State>>;

pub(crate) fn routes(state: State, tokens: Tokens) -> Router {
    Router::new()
        .route("/api/orders/create", post(orders::create))
        .route("/api/orders/{order_id}", get(orders::show))
        .route("/api/users/{user_id}/signing-keys", get(signing_keys::list))
        .route("/api/users/{user_id}/signing-keys/{key_id}", put(signing_keys::register).delete(signing_keys::revoke))
        .layer(Extension(tokens))
        .with_state(Arc::new(state))
}

/// A moment as every answer says it.
fn instant(at: OffsetDateTime) -> Option<String> {
    at.format(&Rfc3339).ok()
}
