//! The routes. One file per resource.

mod callback;
pub mod codes;
pub(crate) mod methods;
mod orders;
pub(crate) mod paid_back;
pub(crate) mod process;
pub(crate) mod signature;

use std::{sync::Arc, time::Duration};

use axum::{
    Extension, Router,
    routing::{get, post},
};
use common::{
    auth::Tokens,
    config::ConfigError,
    consumer::Failure,
    http::{Problem, turns::Turns},
    money::Currency,
    outbox::Units,
};
use secrecy::SecretString;
use tokio::{
    runtime::Handle,
    sync::{OwnedSemaphorePermit, Semaphore},
};

use crate::{Payments, card::Calendar, gateway::PaymentGateway, http::signature::Signatures, settings::Rules};

/// What every route can reach.
pub(crate) struct State<G> {
    units: Units,
    turns: Arc<Turns>,
    /// For those who pay: each holds one from before their attempt is begun until what came of it is recorded.
    tills: Arc<Semaphore>,
    gateway: Arc<G>,
    rules: Rules,
    currency: Currency,
    calendar: Calendar,
    /// None where no callbacks are expected.
    signatures: Option<Signatures>,
    answer_within: Duration,
    wait: Duration,
    /// What was begun goes on here, whether its customer stays for the answer or not.
    here: Handle,
}

impl<G> State<G> {
    /// To be called where the service's work is done.
    pub(crate) fn new(
        units: Units,
        turns: Arc<Turns>,
        gateway: Arc<G>,
        callback_secret: Option<SecretString>,
        settings: &Payments,
    ) -> Result<Self, ConfigError> {
        Ok(Self {
            units,
            turns,
            tills: Arc::new(Semaphore::new(TILLS * settings.at_once)),
            gateway,
            rules: settings.rules(),
            currency: settings.currency.clone(),
            calendar: settings.calendar()?,
            signatures: callback_secret.map(|secret| Signatures::new(secret, settings.callback_tolerance_s)),
            answer_within: Duration::from_millis(settings.answer_within_ms),
            wait: Duration::from_millis(settings.wait_ms),
            here: Handle::current(),
        })
    }
}

/// So many may pay for each call to the gateway that may be under way: one calls, the others wait their turn.
const TILLS: usize = 4;

/// What cannot be done while too many ask the database.
const UNREACHABLE: &str = "payments cannot be reached";

impl<G> State<G> {
    /// A place at the till; whoever finds none is told to come back, and nothing of their card is kept.
    fn till(&self) -> Result<OwnedSemaphorePermit, Problem> {
        Arc::clone(&self.tills).try_acquire_owned().map_err(|_| {
            metrics::counter!("conveyor_payments_turned_away_total").increment(1);
            Problem::overloaded("too many pay at the moment; nothing was charged. Try again shortly")
        })
    }
}

type SharedState<G> = axum::extract::State<Arc<State<G>>>;

pub(crate) fn routes<G: PaymentGateway>(state: State<G>, tokens: Tokens) -> Router {
    let methods = get(methods::show).put(methods::put).delete(methods::delete);
    Router::new()
        .route("/api/payment/process", post(process::process))
        .route("/api/payment/callback", post(callback::callback))
        .route("/api/payment/methods/{user_id}", methods)
        .route("/api/payment/orders/{order_id}", get(orders::show))
        .route("/api/payment/orders/{order_id}/paid-back", post(paid_back::paid_back))
        .layer(Extension(tokens))
        .with_state(Arc::new(state))
}

/// Why nothing could be read or written, for the client.
fn unreachable(error: &impl std::fmt::Display) -> Problem {
    tracing::warn!(%error, "payments cannot be reached");
    Problem::unavailable("payments cannot be reached; try again shortly")
}

fn failed(failure: &Failure) -> Problem {
    match failure {
        Failure::Outage(why) | Failure::Conflict(why) => unreachable(why),
        Failure::Fault(why) => {
            tracing::error!(why, "a payment could not be handled");
            Problem::internal()
        }
    }
}
