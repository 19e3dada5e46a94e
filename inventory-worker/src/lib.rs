//! Stock, and what is held of it for whom.
//!
//! A lock takes all of an order's lines or none. It is confirmed when the order is paid (the goods leave the stock) or
//! released when it is off. [`reservation`] decides; everything else here carries it out.

mod handlers;
pub mod reservation;
mod store;

use common::{
    broker::topology::{INVENTORY_LOCK, INVENTORY_SETTLE},
    config::{NoSection, Settings},
    service::{About, Service, ServiceError},
};
use tokio_util::sync::CancellationToken;

pub const ABOUT: About = About {
    name: "inventory-worker",
    purpose: "locks stock for new orders, and confirms or releases it",
    schema: "inventory",
    bind: "127.0.0.1:8081",
    section: None,
    parts: &[INVENTORY_LOCK.name, INVENTORY_SETTLE.name],
    needs_broker: true,
};

/// Runs the service until `stop`.
pub async fn run(settings: Settings<NoSection>, stop: CancellationToken) -> Result<(), ServiceError> {
    let mut service = Service::new(ABOUT, settings.common, stop)?;
    service.consume(&INVENTORY_LOCK, handlers::Lock);
    service.consume(&INVENTORY_SETTLE, handlers::Settle);
    service.run(axum::Router::new()).await
}
