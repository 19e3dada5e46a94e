//! The routes. One file per resource.

mod codes;
pub(crate) mod contacts;
pub(crate) mod mask;
mod orders;
pub(crate) mod send;

use std::{sync::Arc, time::Duration};

use axum::{
    Extension, Router,
    routing::{get, post, put},
};
use common::{
    auth::Tokens,
    db::Db,
    http::{FieldError, codes::INVALID_FIELD, turns::Turns},
    ids::UserId,
};

use crate::transport::Ways;

/// What every route can reach.
pub(crate) struct State {
    pub db: Db,
    pub turns: Turns,
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

/// What cannot be done while too many ask the database.
const UNREACHABLE: &str = "contacts cannot be reached";

/// The user that a field names, or what is wrong with it.
fn user_of(text: String) -> Result<UserId, FieldError> {
    UserId::try_from(text).map_err(|error| FieldError::new(INVALID_FIELD, "userId", error.to_string()))
}
