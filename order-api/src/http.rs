//! The routes. One file per resource.

mod admitted;
mod cancel;
pub(crate) mod codes;
mod create;
mod docs;
pub(crate) mod list;
mod openapi;
mod operators;
pub(crate) mod products;
mod show;
mod signing_keys;
mod stream;

pub(crate) use create::{CreateOrder, Wanted};

use std::sync::Arc;

use axum::{Extension, Router};
use common::{
    auth::{Caller, Tokens},
    http::Problem,
    money::Currency,
    outbox::Units,
};
use utoipa_axum::{router::OpenApiRouter, routes};

use crate::{
    Orders,
    catalogue::Catalogue,
    intake::Intake,
    signing::Signatures,
    turns::Turns,
    watch::{Full, Place, Watch},
};

/// What every route can reach. Shared, for it is handed from layer to layer with every request.
pub(crate) struct State {
    units: Units,
    turns: Turns,
    catalogue: Catalogue,
    intake: Intake,
    /// None where signatures are not required.
    signatures: Option<Signatures>,
    watch: Watch,
    currency: Currency,
    /// Whether an order's user must be who a token says.
    require_token: bool,
}

impl State {
    pub(crate) fn new(
        units: Units,
        turns: Turns,
        catalogue: Catalogue,
        intake: Intake,
        signatures: Option<Signatures>,
        watch: Watch,
        settings: Orders,
    ) -> Self {
        let Orders { currency, require_token, .. } = settings;
        Self { units, turns, catalogue, intake, signatures, watch, currency, require_token }
    }
}

type SharedState = axum::extract::State<Arc<State>>;

pub(crate) fn routes(state: State, tokens: Tokens) -> Router {
    let (router, described) = described().split_for_parts();
    let documents = docs::Documents::new(&openapi::document(&described));
    router.layer((Extension(documents), Extension(tokens))).with_state(Arc::new(state))
}

/// Every route with its description: `routes!` takes no handler that has none.
fn described() -> OpenApiRouter<Arc<State>> {
    use openapi::operation;

    OpenApiRouter::with_openapi(openapi::beginning())
        .routes(operation(routes!(create::create), create::REFUSES))
        .routes(operation(routes!(list::list), list::REFUSES))
        .routes(operation(routes!(show::show), show::REFUSES))
        .routes(operation(routes!(stream::events), stream::REFUSES))
        .routes(operation(routes!(cancel::cancel), cancel::REFUSES))
        .routes(operation(routes!(products::list), &[]))
        .routes(operation(routes!(products::put), products::PUT_REFUSES))
        .routes(operation(routes!(signing_keys::list), signing_keys::LIST_REFUSES))
        .routes(operation(routes!(signing_keys::register), signing_keys::REGISTER_REFUSES))
        .routes(operation(routes!(signing_keys::revoke), signing_keys::REVOKE_REFUSES))
        .routes(routes!(docs::openapi))
        .routes(routes!(docs::docs))
        .routes(routes!(docs::style))
}

/// A place among those who wait for an order's next step. A customer can have only so many of them.
fn place(state: &State, caller: &Caller) -> Result<Place, Problem> {
    let counted = (!caller.may_see_everything()).then_some(&caller.user_id);
    state.watch.place(counted).map_err(|full| match full {
        Full::All => Problem::overloaded("too many are waiting for orders; try again shortly"),
        Full::Theirs => Problem::rate_limited("this user is waiting for too many orders already; close some first", 1),
    })
}
