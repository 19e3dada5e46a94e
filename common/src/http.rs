//! HTTP scaffolding: every answer in one shape, every request bounded, and the three pages that operators need.

mod guard;
mod health;
mod json;
mod problem;

pub use health::Check;
pub use json::{JsonBody, Object};
pub use problem::{FieldError, Problem};

use std::{net::SocketAddr, time::Duration};

use axum::{Extension, Router, middleware, serve::ListenerExt as _};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use crate::{
    config::{self, ConfigError},
    telemetry::Exporter,
};

/// Opens the port, so that a taken one is known before anything else is started.
pub async fn listen(settings: &config::Http, usual: &str) -> Result<TcpListener, ConfigError> {
    let bind = if settings.bind.is_empty() { usual } else { &settings.bind };
    let address: SocketAddr = bind.parse().map_err(|_| {
        ConfigError(format!("http.bind: {bind:?} is not an address and a port, such as 127.0.0.1:8080"))
    })?;
    TcpListener::bind(address)
        .await
        .map_err(|error| ConfigError(format!("http.bind: cannot listen on {address}: {error}")))
}

/// Serves `api` and the operators' pages until `stop`, then finishes what was begun.
pub async fn serve(
    listener: TcpListener,
    api: Router,
    settings: config::Http,
    checks: Vec<Check>,
    exporter: Option<Exporter>,
    stop: CancellationToken,
) -> std::io::Result<()> {
    let timeout = Duration::from_millis(settings.request_timeout_ms);
    let router = health::routes(checks, exporter)
        .merge(api)
        .fallback(async || Problem::not_found("there is nothing at this address"))
        .method_not_allowed_fallback(async || Problem::method_not_allowed())
        .layer(Extension(json::BodyLimit(settings.body_limit_bytes)))
        .layer(middleware::from_fn(move |request, next| guard::guard(timeout, request, next)));
    let listener = listener.tap_io(|stream| {
        // An answer is one small packet: waiting to fill it would only add latency.
        if let Err(error) = stream.set_nodelay(true) {
            tracing::debug!(%error, "TCP_NODELAY could not be set");
        }
    });
    axum::serve(listener, router).with_graceful_shutdown(stop.cancelled_owned()).await
}
