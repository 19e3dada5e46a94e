//! The routes. One file per resource.

mod callback;
pub mod codes;
mod methods;
mod orders;
mod process;
mod signature;

use std::{sync::Arc, time::Duration};

use axum::{
    Extension, Router,
    routing::{get, post},
};
use common::{
    auth::Tokens, config::ConfigError, consumer::Failure, db::DbError, http::Problem, money::Currency, outbox::Units,
};
use secrecy::SecretString;
use tokio::runtime::Handle;

use crate::{Payments, card::Calendar, gateway::PaymentGateway, http::signature::Signatures, settings::Rules};

/// What every route can reach.
pub(crate) struct State<G> {
    units: Units,
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
        gateway: Arc<G>,
        callback_secret: Option<SecretString>,
        settings: &Payments,
    ) -> Result<Self, ConfigError> {
        Ok(Self {
            units,
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

type SharedState<G> = axum::extract::State<Arc<State<G>>>;

pub(crate) fn routes<G: PaymentGateway>(state: State<G>, tokens: Tokens) -> Router {
    let methods = get(methods::show).put(methods::put).delete(methods::delete);
    Router::new()
        .route("/api/payment/process", post(process::process))
        .route("/api/payment/callback", post(callback::callback))
        .route("/api/payment/methods/{user_id}", methods)
        .route("/api/payment/orders/{order_id}", get(orders::show))
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

fn database(error: &DbError) -> Problem {
    match error {
        DbError::Refused(why) => {
            tracing::error!(why, "a payment could not be read");
            Problem::internal()
        }
        error => unreachable(error),
    }
}
