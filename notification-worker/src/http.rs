//! The routes. One file per resource.

mod codes;
mod contacts;
mod mask;
mod orders;
mod send;

use std::{sync::Arc, time::Duration};

use axum::{
    Extension, Router,
    routing::{get, post, put},
};
use common::{
    auth::Tokens,
    db::{Db, DbError},
    http::{FieldError, Problem, codes::INVALID_FIELD},
    ids::UserId,
};

use crate::transport::Ways;

/// What every route can reach.
pub(crate) struct State {
    pub db: Db,
    pub ways: Ways,
    /// How long one request to send may take.
    pub claim_for: Duration,
}

type SharedState = axum::extract::State<Arc<State>>;

pub(crate) fn routes(state: State, tokens: Tokens) -> Router {
    let contact = put(contacts::store).get(contacts::show).delete(contacts::forget);
    Router::new()
        .route("/api/notification/contacts/{user_id}", contact)
        .route("/api/notification/orders/{order_id}", get(orders::show))
        .route("/api/notification/send", post(send::send))
        .layer(Extension(tokens))
        .with_state(Arc::new(state))
}

/// What a client is told when the database did not do what it should.
fn failed(error: DbError) -> Problem {
    if let DbError::Outage(why) | DbError::Conflict(why) = &error {
        tracing::warn!(why, "contacts cannot be reached");
        return Problem::unavailable("contacts cannot be reached");
    }
    tracing::error!(%error, "a request could not be carried out");
    Problem::internal()
}

/// The user that a field names, or what is wrong with it.
fn user_of(text: String) -> Result<UserId, FieldError> {
    UserId::try_from(text).map_err(|error| FieldError::new(INVALID_FIELD, "userId", error.to_string()))
}
