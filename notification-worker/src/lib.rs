//! What customers are told, and that they were told it.
//!
//! What may still be told is decided in `truth`, a pure module: a customer's last word from us must be true.

mod contact;
#[cfg(any(test, feature = "fuzzing"))]
#[allow(clippy::unwrap_used, clippy::panic, reason = "a property that does not hold ends the run")]
pub mod fuzzing;
mod handlers;
mod http;
mod message;
mod settings;
mod store;
mod transport;
mod truth;

use std::{sync::Arc, time::Duration};

use common::{
    auth::Tokens,
    broker::topology::NOTIFICATION_SEND,
    config::Settings,
    http::turns::Turns,
    service::{About, Service, ServiceError},
};
use tokio_util::sync::CancellationToken;

pub use crate::settings::Notifications;
use crate::transport::Ways;

pub const ABOUT: About = About {
    name: "notification-worker",
    purpose: "tells customers what has become of their orders",
    schema: "notifications",
    bind: "127.0.0.1:8083",
    section: Some("notifications"),
    parts: &["http", NOTIFICATION_SEND.name],
    needs_broker: true,
};

/// Runs the service until `stop`.
pub async fn run(settings: Settings<Notifications>, stop: CancellationToken) -> Result<(), ServiceError> {
    let Settings { common, own } = settings;
    own.check(&common.consumer)?;
    let own = Arc::new(own);
    let tokens = if common.parts.runs("http") { Some(Tokens::new(&common.auth)?) } else { None };
    let claim_for = own.longest_batch(&common.consumer);
    let ways = Arc::new(Ways::new(&own)?);
    // Requests leave the queue connections to the database.
    let turns = Turns::of_worker(common.database.pool_size);
    let mut service = Service::new(ABOUT, common, stop)?;
    for check in Ways::checks(&ways) {
        service.require(check);
    }
    let of_requests = ways.again(&own)?;
    service.consume_with_effects(&NOTIFICATION_SEND, handlers::Send { ways, settings: Arc::clone(&own), claim_for });
    let Some(tokens) = tokens else {
        return service.run(axum::Router::new()).await;
    };
    let state = http::State {
        db: service.units().db.clone(),
        turns,
        ways: of_requests,
        claim_for: Duration::from_millis(own.timeout_ms) + Duration::from_secs(5),
    };
    service.run(http::routes(state, tokens)).await
}
