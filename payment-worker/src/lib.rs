//! Money: attempts to capture it, and what became of them.

pub mod gateway;
mod handlers;
mod store;

use common::{
    broker::topology::PAYMENT_CHARGE,
    config::{NoSection, Settings},
    service::{About, Service, ServiceError},
};
use tokio_util::sync::CancellationToken;

pub const ABOUT: About = About {
    name: "payment-worker",
    purpose: "charges for orders whose payment has fallen due",
    schema: "payments",
    bind: "127.0.0.1:8082",
    section: None,
    parts: &[PAYMENT_CHARGE.name],
    needs_broker: true,
};

/// Runs the service until `stop`.
pub async fn run(settings: Settings<NoSection>, stop: CancellationToken) -> Result<(), ServiceError> {
    let mut service = Service::new(ABOUT, settings.common, stop)?;
    service.consume_with_effects(&PAYMENT_CHARGE, handlers::Charge { gateway: gateway::Instant });
    service.run(axum::Router::new()).await
}
