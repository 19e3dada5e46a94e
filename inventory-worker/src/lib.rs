//! Stock, and what is held of it for whom.
//!
//! A lock takes all of an order's lines or none. It is confirmed when the order is paid (the goods leave the stock) or
//! released when it is off; what had left comes back. [`reservation`] decides; everything else here carries it out.

mod ahead;
#[cfg(any(test, feature = "fuzzing"))]
#[allow(clippy::unwrap_used, clippy::panic, reason = "a property that does not hold ends the run")]
pub mod fuzzing;
mod handlers;
mod http;
pub mod reservation;
mod stock;
mod store;

use std::time::Duration;

use common::{
    auth::Tokens,
    broker::topology::{INVENTORY_LOCK, INVENTORY_SETTLE},
    config::{ConfigError, Settings, bounded},
    service::{About, Service, ServiceError},
};
use serde::Deserialize;
use tokio_util::sync::CancellationToken;

pub const ABOUT: About = About {
    name: "inventory-worker",
    purpose: "locks stock for new orders, and confirms or releases it",
    schema: "inventory",
    bind: "127.0.0.1:8081",
    section: Some("inventory"),
    parts: &["http", INVENTORY_LOCK.name, INVENTORY_SETTLE.name],
    needs_broker: true,
};

/// The `[inventory]` section.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Inventory {
    /// How long stock that was locked over HTTP waits for its order, from when it was last asked for.
    pub lock_expires_ms: u32,
    /// How often to look for locks whose time is up.
    pub expire_every_ms: u64,
}

impl Default for Inventory {
    fn default() -> Self {
        Self { lock_expires_ms: 10 * 60 * 1_000, expire_every_ms: 1_000 }
    }
}

impl Inventory {
    fn check(&self) -> Result<(), ConfigError> {
        bounded("inventory.lock_expires_ms", self.lock_expires_ms, 100, 7 * 24 * 60 * 60 * 1_000)?;
        bounded("inventory.expire_every_ms", self.expire_every_ms, 10, 600_000)
    }
}

/// Runs the service until `stop`.
pub async fn run(settings: Settings<Inventory>, stop: CancellationToken) -> Result<(), ServiceError> {
    let Settings { common, own } = settings;
    own.check()?;
    let tokens = if common.parts.runs("http") { Some(Tokens::new(&common.auth)?) } else { None };
    let connections = common.database.pool_size;
    let mut service = Service::new(ABOUT, common, stop)?;
    service.consume(&INVENTORY_LOCK, handlers::Lock);
    service.consume(&INVENTORY_SETTLE, handlers::Settle);
    // Whichever part this process runs: whoever has locked something may be gone when its time is up.
    let every = Duration::from_millis(own.expire_every_ms);
    service.spawn(ahead::expire(service.units().clone(), every, service.stop().clone()));
    let api = match tokens {
        Some(tokens) => http::routes(http::State::new(service.units().clone(), connections, own), tokens),
        None => axum::Router::new(),
    };
    service.run(api).await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_setting_out_of_bounds_is_named() {
        assert!(Inventory::default().check().is_ok());
        let bad = [
            (Inventory { lock_expires_ms: 0, ..Inventory::default() }, "inventory.lock_expires_ms"),
            (Inventory { expire_every_ms: 0, ..Inventory::default() }, "inventory.expire_every_ms"),
        ];
        for (settings, named) in bad {
            assert!(settings.check().is_err_and(|error| error.to_string().contains(named)), "{named}");
        }
    }
}
