//! `/healthz` (the process lives), `/readyz` (it can do its work, or why not), `/metrics`.

use std::{fmt, pin::Pin, sync::Arc};

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
    let checks = Arc::new(checks);
    Router::new()
        .route("/healthz", get(async || Json(json!({"status": "alive"}))))
        .route("/readyz", get(move || ready(Arc::clone(&checks))))
        .route("/metrics", get(move || metrics(exporter.clone())))
}

async fn ready(checks: Arc<Vec<Check>>) -> Response {
    let answers = join_all(checks.iter().map(|check| (check.ask)())).await;
    let is_ready = checks.iter().zip(&answers).all(|(check, answer)| !check.required || answer.is_ok());
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
