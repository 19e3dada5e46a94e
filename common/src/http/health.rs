//! `/healthz` (the process lives), `/readyz` (it can do its work, or why not), `/metrics`.

use std::{
    fmt,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use axum::{
    Json, Router,
    http::{StatusCode, header},
    response::{IntoResponse as _, Response},
    routing::get,
};
use futures_util::future::join_all;
use serde_json::json;

use crate::telemetry::Exporter;

type Answer = Pin<Box<dyn Future<Output = Result<(), String>> + Send>>;

/// Something the service depends on, and how to ask whether it is there.
#[derive(Clone)]
pub struct Check {
    name: &'static str,
    /// Without it the service cannot do its work; otherwise its absence is only reported.
    required: bool,
    ask: Arc<dyn Fn() -> Answer + Send + Sync>,
}

impl fmt::Debug for Check {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Check").field("name", &self.name).field("required", &self.required).finish_non_exhaustive()
    }
}

impl Check {
    pub fn new<F>(name: &'static str, required: bool, ask: impl Fn() -> F + Send + Sync + 'static) -> Self
    where
        F: Future<Output = Result<(), String>> + Send + 'static,
    {
        Self { name, required, ask: Arc::new(move || Box::pin(ask())) }
    }
}

/// What operators ask for every few seconds: nothing of it is worth a trace.
pub(super) const PAGES: [&str; 3] = ["/healthz", "/readyz", "/metrics"];

pub(super) fn routes(checks: Vec<Check>, exporter: Option<Exporter>) -> Router {
    let readiness = Arc::new(Readiness { checks, was_ready: AtomicBool::new(false) });
    Router::new()
        .route("/healthz", get(async || Json(json!({"status": "alive"}))))
        .route("/readyz", get(move || ready(Arc::clone(&readiness))))
        .route("/metrics", get(move || metrics(exporter.clone())))
}

struct Readiness {
    checks: Vec<Check>,
    /// When it was last asked. One that starts is not ready, and need not say so.
    was_ready: AtomicBool,
}

/// A change of the answer is logged: those who ask keep no record of why.
async fn ready(readiness: Arc<Readiness>) -> Response {
    let checks = &readiness.checks;
    let answers = join_all(checks.iter().map(|check| (check.ask)())).await;
    let is_ready = checks.iter().zip(&answers).all(|(check, answer)| !check.required || answer.is_ok());
    if readiness.was_ready.swap(is_ready, Ordering::Relaxed) != is_ready {
        let failed = checks.iter().zip(&answers).filter(|(check, _)| check.required);
        let failed = failed.filter_map(|(check, answer)| Some(format!("{}: {}", check.name, answer.as_ref().err()?)));
        match failed.collect::<Vec<_>>().join("; ") {
            why if why.is_empty() => tracing::info!("ready"),
            why => tracing::warn!(%why, "not ready"),
        }
    }
    let detail: serde_json::Map<String, serde_json::Value> = checks
        .iter()
        .zip(answers)
        .map(|(check, answer)| {
            let said = answer.map_or_else(|why| json!({"ok": false, "why": why}), |()| json!({"ok": true}));
            (check.name.to_owned(), said)
        })
        .collect();
    let (status, word) =
        if is_ready { (StatusCode::OK, "ready") } else { (StatusCode::SERVICE_UNAVAILABLE, "not ready") };
    (status, Json(json!({"status": word, "checks": detail}))).into_response()
}

async fn metrics(exporter: Option<Exporter>) -> Response {
    let text = exporter.map(|exporter| exporter.render()).unwrap_or_default();
    ([(header::CONTENT_TYPE, "text/plain; version=0.0.4")], text).into_response()
}
