//! What customers are told, and that they were told it.

mod handlers;
mod message;
mod store;
pub mod transport;

use common::{
    broker::topology::NOTIFICATION_SEND,
    config::{NoSection, Settings},
    service::{About, Service, ServiceError},
};
use tokio_util::sync::CancellationToken;

pub const ABOUT: About = About {
    name: "notification-worker",
    purpose: "tells customers what has become of their orders",
    schema: "notifications",
    bind: "127.0.0.1:8083",
    section: None,
    parts: &[NOTIFICATION_SEND.name],
    needs_broker: true,
};

/// Runs the service until `stop`.
pub async fn run(settings: Settings<NoSection>, stop: CancellationToken) -> Result<(), ServiceError> {
    let mut service = Service::new(ABOUT, settings.common, stop)?;
    service.consume_with_effects(&NOTIFICATION_SEND, handlers::Send { transport: transport::Log });
    service.run(axum::Router::new()).await
}
