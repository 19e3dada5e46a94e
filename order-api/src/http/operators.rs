//! What operators ask: the pages are the chassis's (`common::http`), only their descriptions are here.

use serde_json::Value;
use utoipa::{OpenApi, ToSchema};

/// Whether the service can work.
#[derive(ToSchema)]
#[expect(dead_code, reason = "it is only described")]
struct Readiness {
    /// `ready` or `not ready`.
    status: String,
    /// What it depends on, by name, and why that is missing if it is.
    #[schema(value_type = Object)]
    checks: Value,
}

/// Whether the process lives
#[utoipa::path(get, path = "/healthz", operation_id = "alive", tag = "Operation", responses(
    (status = 200, description = "It lives.", body = Object, example = json!({"status": "alive"})),
))]
#[expect(dead_code, reason = "it is only described")]
fn healthz() {}

/// Whether the service can do its work, or why not
#[utoipa::path(get, path = "/readyz", operation_id = "ready", tag = "Operation", responses(
    (status = 200, description = "It can.", body = Readiness,
        example = json!({"status": "ready", "checks": {"catalogue": {"ok": true}, "database": {"ok": true}}})),
    (status = 503, description = "It cannot: `checks` says why.", body = Readiness),
))]
#[expect(dead_code, reason = "it is only described")]
fn readyz() {}

/// How the service is doing, for Prometheus
#[utoipa::path(get, path = "/metrics", operation_id = "metrics", tag = "Operation", responses(
    (status = 200, description = "Prometheus's text format.", body = String, content_type = "text/plain"),
))]
#[expect(dead_code, reason = "it is only described")]
fn metrics() {}

#[derive(OpenApi)]
#[openapi(paths(healthz, readyz, metrics))]
pub(super) struct Pages;
