//! The pages. One file per thing that is looked at; what may be done is decided by the engine, which asks who does it.

mod account;
mod acts;
mod audit;
pub(crate) mod body;
mod failures;
mod letters;
mod line;
mod live;
mod login;
pub(crate) mod mask;
mod mend;
mod orders;
mod page;
mod person;
mod plans;
mod runs;
mod search;
mod shown;
mod trouble;
mod words;

use std::sync::Arc;

use axum::{
    Router,
    http::Uri,
    middleware,
    response::{IntoResponse as _, Response},
    routing::{get, post},
};
use common::http::{BodyLimit, Problem};
use tokio_util::sync::CancellationToken;

#[cfg(test)]
pub(crate) use self::shown::death;
use self::trouble::Trouble;
use crate::{Console, Desk, people::People};

/// A body that is edited in a browser, as a form writes it: up to three bytes for one.
const LARGEST_EDIT: usize = 3 * mend::LARGEST + 64 * 1024;

/// What every page can reach.
#[derive(Clone)]
pub(crate) struct Pages {
    pub(crate) console: Console,
    pub(crate) desk: Desk,
    pub(crate) people: Arc<People>,
    pub(crate) stop: CancellationToken,
}

pub(crate) fn routes(pages: Pages) -> Router {
    let edit = get(mend::form).post(mend::edit).layer(axum::Extension(BodyLimit(LARGEST_EDIT)));
    Router::new()
        .route("/", get(failures::all))
        .route("/groups/{key}", get(failures::one))
        .route("/search", get(search::search))
        .route("/letters/{id}", get(letters::show))
        .route("/letters/{id}/body", get(body::download))
        .route("/letters/{id}/edit", edit)
        .route("/letters/{id}/retry", post(acts::retry))
        .route("/letters/{id}/discard", post(acts::discard))
        .route("/letters/{id}/restore", post(acts::restore))
        .route("/letters/{id}/take-back", post(acts::take_back))
        .route("/plans", post(plans::plan))
        .route("/plans/{id}", post(plans::start))
        .route("/runs", get(runs::all))
        .route("/runs/{id}", get(runs::show).post(runs::steer))
        .route("/orders", get(orders::all))
        .route("/orders/{id}", get(orders::show))
        .route("/orders/{id}/cancel", post(orders::cancel))
        .route("/orders/{id}/paid-back", post(orders::paid_back))
        .route("/line", get(line::show))
        .route("/audit", get(audit::show))
        .route("/account", get(account::show))
        .route("/account/password", post(account::password))
        .route("/account/log-out-others", post(account::log_out_others))
        .route("/account/tokens", post(account::mint))
        .route("/account/tokens/revoke", post(account::revoke))
        .route("/login", get(login::form).post(login::log_in))
        .route("/logout", post(login::log_out))
        .route("/live", get(live::live))
        .route("/style.css", get(page::style))
        .route("/live.js", get(page::script))
        .route("/{*rest}", get(nowhere))
        .layer(middleware::from_fn_with_state(pages.clone(), trouble::frame))
        .layer(middleware::map_response(page::guard))
        .with_state(pages)
}

async fn nowhere(address: Uri) -> Response {
    if address.path().starts_with("/api/") {
        return Problem::not_found("there is nothing at this address").into_response();
    }
    Trouble::not_found("There is nothing at this address.").into_response()
}

/// `name=value` of an address, or nothing.
fn parameter(query: Option<&str>, name: &str) -> String {
    let mut pairs = form_urlencoded::parse(query.unwrap_or_default().as_bytes());
    pairs.find(|(key, _)| key == name).map(|(_, value)| value.into_owned()).unwrap_or_default()
}
