//! The JSON API, for the CLI and whatever else works with a token: `/api/support/…`. It decides nothing; the engine does.
//! Refusals have the one shape of all services.

mod codes;
mod letters;
mod orders;
mod runs;
mod shown;

use std::sync::Arc;

use axum::{
    Extension, Json, Router,
    extract::{Path, State, rejection::PathRejection},
    http::Uri,
    routing::{get, post},
};
use common::http::{BodyLimit, Problem, Query};
use serde_json::{Value, json};
use uuid::Uuid;

use crate::{Console, Refusal, board::Board, mend::BODY_MOST, people::Bearer, services::Services};

/// What every route can reach.
pub(crate) struct Api {
    pub console: Console,
    pub services: Services,
    pub board: Board,
}

/// A body that is edited, as JSON writes it: two bytes for each that it marks as one of a text's own.
const LARGEST_EDIT: usize = 2 * BODY_MOST + 64 * 1024;

type SharedApi = State<Arc<Api>>;
type Named = Result<Path<String>, PathRejection>;

/// To be merged where the layers of all of the console's routes are.
pub(crate) fn routes(api: Api) -> Router {
    let support = Router::new()
        .route("/whoami", get(whoami))
        .route("/groups", get(letters::groups))
        .route("/groups/{key}", get(letters::group))
        .route("/letters", get(letters::search))
        .route("/letters/{id}", get(letters::show))
        .route("/letters/{id}/body", get(letters::body))
        .route("/letters/{id}/edit", post(letters::edit).layer(Extension(BodyLimit(LARGEST_EDIT))))
        .route("/letters/{id}/take-back", post(letters::take_back))
        .route("/plans", post(runs::plan))
        .route("/runs", get(runs::list).post(runs::start))
        .route("/runs/{id}", get(runs::show))
        .route("/runs/{id}/pause", post(runs::pause))
        .route("/runs/{id}/resume", post(runs::resume))
        .route("/runs/{id}/cancel", post(runs::cancel))
        .route("/audit", get(runs::audit))
        .route("/board", get(board))
        .route("/orders", get(orders::list))
        .route("/orders/{id}", get(orders::show))
        .route("/orders/{id}/cancel", post(orders::cancel))
        .route("/orders/{id}/paid-back", post(orders::paid_back));
    Router::new().nest("/api/support", support).with_state(Arc::new(api))
}

/// Whose token it is.
async fn whoami(Bearer(who): Bearer, address: Uri) -> Result<Json<Value>, Problem> {
    Query::of(&address).finish()?;
    Ok(Json(json!({"account": who.account, "role": who.role})))
}

async fn board(State(api): SharedApi, Bearer(_): Bearer, address: Uri) -> Result<Json<Value>, Problem> {
    Query::of(&address).finish()?;
    serde_json::to_value(&*api.board.now()).map(Json).map_err(|_| Problem::internal())
}

/// What an address names. What cannot be an id is answered like one that does not exist.
fn id(path: Named, what: &'static str) -> Result<Uuid, Problem> {
    path.ok().and_then(|Path(id)| id.parse().ok()).ok_or_else(|| codes::problem(Refusal::NotFound(what)))
}

fn uuid(text: &str) -> Result<Uuid, String> {
    text.parse().map_err(|_| "must be an id, such as 01234567-89ab-7cde-8f01-23456789abcd".to_owned())
}
