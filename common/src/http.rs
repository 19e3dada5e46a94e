//! HTTP scaffolding: every answer in one shape, every request bounded, and the three pages that operators need.

mod address;
pub mod admission;
mod code;
mod connections;
mod entrance;
mod form;
mod guard;
mod health;
mod json;
mod origin;
mod problem;
mod query;
mod rate;
mod seat;
mod slow;
pub mod turns;
mod visit;

#[cfg(any(test, feature = "fuzzing"))]
pub(crate) use address::asked_by;
pub use code::{Code, codes};
pub use form::Form;
pub use health::Check;
pub use json::{BodyLimit, JsonBody, JsonText, Object};
pub use origin::Origins;
pub use problem::{FieldError, Problem};
pub use query::{Query, whole};
pub use visit::{Visit, discard};

use std::{net::SocketAddr, sync::Arc, time::Duration};

use axum::{Router, middleware};
use hyper::{server::conn::http1, service::service_fn};
use hyper_util::{rt::TokioTimer, server::graceful::GracefulShutdown, service::TowerToHyperService};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use self::{
    connections::Connections,
    seat::Seat,
    slow::Patient,
    visit::{House, LARGEST_HEAD_READ},
};
use crate::{
    config::{self, ConfigError},
    telemetry::Exporter,
};

/// How long a stop waits for busy connections to end by themselves.
const BUSY_END_WITHIN: Duration = Duration::from_millis(500);
/// How long after a failed accept the next is tried: most likely there are no file descriptors left.
const AFTER_A_FAILED_ACCEPT: Duration = Duration::from_millis(200);

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
    origins: Origins,
    checks: Vec<Check>,
    exporter: Option<Exporter>,
    stop: CancellationToken,
) {
    let house = Arc::new(House::new(&settings));
    let mut router = health::routes(checks, exporter)
        .merge(api)
        .fallback(async || Problem::not_found("there is nothing at this address"))
        .method_not_allowed_fallback(async || Problem::method_not_allowed())
        // One layer for all that is done to every request: each layer makes and drops a dozen boxes for it.
        .layer(middleware::from_fn_with_state((stop.clone(), origins.clone()), guard::guard));
    // Outermost, so that a page may read every answer, whoever gave it.
    if let Some(cors) = origins.cors() {
        router = router.layer(cors);
    }
    let mut http = http1::Builder::new();
    // What a connection may be quiet for, or take to say what it wants.
    http.timer(TokioTimer::new())
        .header_read_timeout(Duration::from_millis(settings.head_timeout_ms))
        .max_buf_size(LARGEST_HEAD_READ);
    let write_within = Duration::from_millis(settings.write_timeout_ms);
    let router = TowerToHyperService::new(router);
    let graceful = GracefulShutdown::new();
    let mut connections = Connections::new(&settings, Arc::clone(&house));
    let mut tidy = tokio::time::interval(rate::TIDY_EVERY);
    loop {
        let (stream, peer) = tokio::select! {
            () = stop.cancelled() => break,
            Some(()) = connections.ended() => continue,
            _ = tidy.tick() => {
                house.rates.tidy();
                continue;
            }
            accepted = listener.accept() => match accepted {
                Ok((stream, peer)) => (stream, peer.ip()),
                Err(error) => {
                    tracing::warn!(%error, "a connection could not be accepted");
                    connections.make_room();
                    tokio::time::sleep(AFTER_A_FAILED_ACCEPT).await;
                    continue;
                }
            },
        };
        if !connections.admit(peer) {
            continue;
        }
        // An answer is one small packet: waiting to fill it would only add latency.
        if let Err(error) = stream.set_nodelay(true) {
            tracing::debug!(%error, "TCP_NODELAY could not be set");
        }
        let seat = Arc::new(Seat::new(peer));
        let visit = Visit { house: Arc::clone(&house), seat: Arc::clone(&seat) };
        let router = router.clone();
        let service = service_fn(move |request| entrance::enter(&router, &visit, request));
        let stream = Patient::new(stream, Arc::clone(&seat), write_within);
        let connection = graceful.watch(http.serve_connection(stream, service));
        connections.add(seat, async move {
            if let Err(error) = connection.await {
                tracing::debug!(%error, "a connection ended early");
            }
        });
    }
    drop(listener);
    // Busy connections end with their next answer, so that no request meets a closing door; then the quiet ones are
    // closed.
    let busy = async { while connections.ended().await.is_some() {} };
    let _ = tokio::time::timeout(BUSY_END_WITHIN, busy).await;
    // A request that was begun is answered within its time limit. Whoever has not said by then what they want is cut off.
    let _ = tokio::time::timeout(house.answer_within, graceful.shutdown()).await;
    connections.shutdown().await;
}
