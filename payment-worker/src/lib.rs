//! Money: attempts to capture it, giving it back, and what became of both.
//!
//! What is heard makes of what stands is decided in [`payment`], a pure module; everything else here carries it out.

mod announce;
pub mod card;
#[cfg(any(test, feature = "fuzzing"))]
#[allow(clippy::unwrap_used, clippy::panic, reason = "a property that does not hold ends the run")]
pub mod fuzzing;
pub mod gateway;
mod handlers;
pub mod http;
mod outcomes;
pub mod payment;
mod reconcile;
mod settings;
mod store;

pub use settings::{Payments, Which};

use std::{sync::Arc, time::Duration};

use common::{
    auth::Tokens,
    broker::topology::{PAYMENT_CHARGE, PAYMENT_SETTLE},
    config::{ConfigError, Settings},
    http::turns::Turns,
    service::{About, Service, ServiceError},
};
use nix::sys::resource::{Resource, setrlimit};
use tokio_util::sync::CancellationToken;

use crate::gateway::{HttpGateway, Instant, PaymentGateway};

/// The part that asks about what nobody answered.
const RECONCILE: &str = "reconcile";

pub const ABOUT: About = About {
    name: "payment-worker",
    purpose: "charges for orders whose payment has fallen due, and gives money back",
    schema: "payments",
    bind: "127.0.0.1:8082",
    section: Some("payments"),
    parts: &["http", PAYMENT_CHARGE.name, PAYMENT_SETTLE.name, RECONCILE],
    needs_broker: true,
};

/// Runs the service until `stop`.
pub async fn run(settings: Settings<Payments>, stop: CancellationToken) -> Result<(), ServiceError> {
    leave_no_core()?;
    settings.own.check()?;
    match settings.own.gateway {
        Which::Instant => serve(Instant, settings, stop).await,
        Which::Http => {
            let gateway = HttpGateway::new(settings.own.options()?).map_err(ConfigError)?;
            serve(gateway, settings, stop).await
        }
    }
}

async fn serve<G: PaymentGateway>(
    gateway: G,
    settings: Settings<Payments>,
    stop: CancellationToken,
) -> Result<(), ServiceError> {
    let Settings { common, own } = settings;
    let (gateway, rules) = (Arc::new(gateway), own.rules());
    let (serves_http, reconciles) = (common.parts.runs("http"), common.parts.runs(RECONCILE));
    let tokens = if serves_http { Some(Tokens::new(&common.auth)?) } else { None };
    let callback_secret = own.callback_secret()?;
    // Whatever is not the queues' own leaves them connections to the database.
    let turns = Arc::new(Turns::of_worker(common.database.pool_size));
    let mut service = Service::new(ABOUT, common, stop)?;
    service.consume_with_effects(&PAYMENT_CHARGE, handlers::Charge { gateway: Arc::clone(&gateway), rules });
    service.consume_with_effects(&PAYMENT_SETTLE, handlers::Settle { gateway: Arc::clone(&gateway), rules });
    if reconciles {
        let reconciler = reconcile::Reconciler {
            units: service.units().clone(),
            turns: Arc::clone(&turns),
            gateway: Arc::clone(&gateway),
            rules,
            every: Duration::from_millis(own.reconcile_ms),
        };
        let stop = service.stop().clone();
        service.spawn(reconciler.run(stop));
    }
    let Some(tokens) = tokens else {
        return service.run(axum::Router::new()).await;
    };
    let state = http::State::new(service.units().clone(), turns, gateway, callback_secret, &own)?;
    service.run(http::routes(state, tokens)).await
}

/// A card is in memory for a moment. Nothing writes that memory to a disk, and no other process of this user reads it.
fn leave_no_core() -> Result<(), ServiceError> {
    let failed = |error: nix::Error| ServiceError::Failed(format!("core dumps could not be turned off: {error}"));
    setrlimit(Resource::RLIMIT_CORE, 0, 0).map_err(failed)?;
    #[cfg(target_os = "linux")]
    nix::sys::prctl::set_dumpable(false).map_err(failed)?;
    Ok(())
}
