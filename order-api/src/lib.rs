//! The edge of Conveyor and the life of an order.
//!
//! Every decision about an order is made in [`order`], a pure module; everything else here carries it out. Only this
//! service says `order.*`, and it alone hears what the workers answer.

mod announce;
mod behind;
mod cancel;
mod catalogue;
mod caught_up;
#[cfg(any(test, feature = "fuzzing"))]
#[allow(clippy::unwrap_used, clippy::panic, reason = "a property that does not hold ends the run")]
pub mod fuzzing;
mod handlers;
mod http;
mod intake;
mod look;
mod lost;
mod once;
mod open;
pub mod order;
mod signing;
mod store;
mod times;
mod watch;

use std::{sync::Arc, time::Duration};

use common::{
    auth::Tokens,
    broker::topology::{ORDERS_PROGRESS, ORDERS_TIMEOUT},
    config::{ConfigError, Settings, bounded},
    http::{admission, turns},
    money::Currency,
    service::{About, Service, ServiceError},
};
use serde::Deserialize;
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::{
    admission::Limits,
    signing::{Signatures, key::Keys},
    times::Times,
};

pub const ABOUT: About = About {
    name: "order-api",
    purpose: "takes orders over HTTP and leads each of them through its life",
    schema: "orders",
    bind: "127.0.0.1:8080",
    section: Some("orders"),
    parts: &["http", ORDERS_PROGRESS.name, ORDERS_TIMEOUT.name],
    // Orders are accepted while the broker is away: the outbox holds what they announce.
    needs_broker: false,
};

/// The `[orders]` section.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Orders {
    pub currency: Currency,
    pub times: Times,
    /// The most orders written in one commit.
    pub group_commit: usize,
    /// While this many orders a second arrive, groups are written half of `pace_ms` apart; with more, nearer to all of
    /// it. Once a group has `pace_until` orders, it only waits for those that come right behind.
    pub pace_half_per_second: u32,
    pub pace_ms: u64,
    pub pace_until: usize,
    /// Orders that may wait for their commit, and so many readers for their turn; one more is told to come back later.
    pub waiting: usize,
    /// An order that would wait for longer than this is told so at once, a reader after ten times as much; 0 for no such
    /// limit.
    pub longest_wait_ms: u64,
    /// No more orders than this are taken in a second; 0 for as many as can be.
    pub most_per_second: u32,
    /// How often prices are read afresh.
    pub catalogue_ms: u64,
    /// Whether an order must be signed with a key that is registered for its user.
    pub require_signature: bool,
    /// Whether a token must say that an order is its user's. Without, anybody orders in anybody's name: that is to measure what
    /// checking costs, and only starts on loopback.
    pub require_token: bool,
    /// How often is asked whether an order that somebody waits for has moved, how many may wait, and how many of them may
    /// be one and the same customer.
    pub watch_ms: u64,
    pub watchers: usize,
    pub watchers_per_user: usize,
}

impl Default for Orders {
    fn default() -> Self {
        Self {
            currency: Currency::default(),
            times: Times::default(),
            group_commit: 256,
            pace_half_per_second: 600,
            pace_ms: 24,
            pace_until: 64,
            waiting: 2_048,
            longest_wait_ms: 100,
            most_per_second: 0,
            catalogue_ms: 500,
            require_signature: true,
            require_token: true,
            watch_ms: 100,
            watchers: 15_000,
            watchers_per_user: 100,
        }
    }
}

impl Orders {
    fn check(&self) -> Result<(), ConfigError> {
        self.times.check()?;
        bounded("orders.group_commit", self.group_commit, 1, 10_000)?;
        bounded("orders.pace_half_per_second", self.pace_half_per_second, 1, 1_000_000)?;
        bounded("orders.pace_ms", self.pace_ms, 0, 1_000)?;
        bounded("orders.pace_until", self.pace_until, 1, 10_000)?;
        bounded("orders.catalogue_ms", self.catalogue_ms, 10, 600_000)?;
        bounded("orders.watch_ms", self.watch_ms, 10, 10_000)?;
        bounded("orders.watchers", self.watchers, 1, 1_000_000)?;
        bounded("orders.watchers_per_user", self.watchers_per_user, 1, 1_000_000)?;
        bounded("orders.waiting", self.waiting, 1, 1_000_000)?;
        bounded("orders.longest_wait_ms", self.longest_wait_ms, 0, 600_000)?;
        bounded("orders.most_per_second", self.most_per_second, 0, 1_000_000)?;
        bounded("orders.currency.exponent", self.currency.exponent, 0, 4)
    }

    /// What bounds the queue of orders; others have another size of group.
    fn limits(&self) -> Limits {
        Limits {
            group: self.group_commit,
            memory: 4,
            most_waiting: self.waiting,
            most_per_second: self.most_per_second,
            longest_wait_ms: self.longest_wait_ms,
        }
    }
}

/// Runs the service until `stop`.
pub async fn run(settings: Settings<Orders>, stop: CancellationToken) -> Result<(), ServiceError> {
    let Settings { common, own } = settings;
    own.check()?;
    if !own.require_token {
        open::check(&common.http)?;
    }
    // Whoever waits has a connection each: some are left for everybody else.
    let own = Orders { watchers: own.watchers.min((common.http.most_connections / 4 * 3).max(1)), ..own };
    let serves_http = common.parts.runs("http");
    let turns = turns::Turns::new(own.limits(), common.database.pool_size);
    let tokens = if serves_http { Some(Tokens::new(&common.auth)?) } else { None };
    let looks = common.parts.runs(ORDERS_TIMEOUT.name);
    if looks && !common.parts.runs(ORDERS_PROGRESS.name) {
        let why = "orders.timeout needs orders.progress in the same process, to know what was paid in time";
        return Err(ConfigError(format!("parts: {why}")).into());
    }
    let mut service = Service::with_delays(ABOUT, common, &own.times.delays_ms(), stop)?;
    service.consume(&ORDERS_PROGRESS, handlers::Progress { listener: Uuid::now_v7() });
    if looks {
        let look = Arc::new(Notify::new());
        let caught_up = caught_up::CaughtUp::new(service.units().db.clone(), service.link(), service.signals());
        service.spawn(look::look_for_ever(
            service.units().clone(),
            own.times.clone(),
            Arc::clone(&look),
            caught_up,
            behind::Backlog::new(service.consuming().clone()),
            service.stop().clone(),
        ));
        service.spawn(lost::say_again_for_ever(
            service.units().clone(),
            service.link(),
            own.times.clone(),
            service.stop().clone(),
        ));
        service.consume(&ORDERS_TIMEOUT, handlers::Timeout { look });
    }
    let Some(tokens) = tokens else {
        return service.run(axum::Router::new()).await;
    };
    let every = Duration::from_millis(own.catalogue_ms);
    let (catalogue, refresh) = catalogue::Catalogue::new(service.units().db.clone(), every, service.stop().clone());
    service.require(catalogue.check());
    let signatures = own.require_signature.then(|| Signatures::new(Keys::new(service.units().db.clone())));
    let accepted = Arc::new(Notify::new());
    service.spawn(look::wake_later(
        service.signals(),
        own.times.clone(),
        Arc::clone(&accepted),
        service.stop().clone(),
    ));
    let (intake, write, deliver) =
        intake::Intake::new(service.units().clone(), signatures.clone(), catalogue.clone(), &own, accepted);
    let (watch, ask) = watch::Watch::new(service.units().db.clone(), &own, service.stop().clone());
    service.spawn(refresh);
    service.spawn(write);
    // They have news for many requests at once.
    service.spawn_beside_http(ask);
    service.spawn_beside_http(deliver);
    let state = http::State::new(service.units().clone(), turns, catalogue, intake, signatures, watch, own);
    service.run(http::routes(state, tokens)).await
}
