//! What is done to every request: a time limit, no escape for a panic, a request id, and counting.

use std::{panic::AssertUnwindSafe, time::Duration};

use axum::{
    extract::{MatchedPath, Request},
    http::{HeaderName, HeaderValue, StatusCode, header::CONNECTION},
    middleware::Next,
    response::{IntoResponse as _, Response},
};
use futures_util::FutureExt as _;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use super::{health::PAGES, problem::Problem};
use crate::trace::{self, Serving};

pub(super) const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

pub(super) const TRACEPARENT: HeaderName = HeaderName::from_static("traceparent");

/// After the stop, a connection ends with the answer that is given on it.
pub(super) async fn guard(timeout: Duration, stop: CancellationToken, mut request: Request, next: Next) -> Response {
    let began = Instant::now();
    let id = request.headers().get(&REQUEST_ID).filter(|id| is_request_id(id)).cloned().unwrap_or_else(new_request_id);
    let path = request.extensions().get::<MatchedPath>().cloned();
    let mut span = path.as_ref().and_then(|path| begin_span(path.as_str(), &mut request));
    let answer = AssertUnwindSafe(next.run(request)).catch_unwind();
    let mut response = match tokio::time::timeout(timeout, answer).await {
        Ok(Ok(response)) => response,
        Ok(Err(_)) => {
            tracing::error!(request.id = ?id, "a request handler panicked");
            Problem::internal().into_response()
        }
        Err(_) => Problem::unavailable("the request took too long").into_response(),
    };
    let status = response.status();
    if let Some(span) = &mut span {
        span.answered(status.as_u16());
    }
    if status.is_server_error() {
        tracing::warn!(request.id = ?id, http.status = status.as_u16(), duration_ms = began.elapsed().as_millis(), "a request failed");
    }
    if let Some(path) = path {
        count(path.as_str(), status, began.elapsed());
    }
    response.headers_mut().insert(REQUEST_ID, id);
    if stop.is_cancelled() {
        response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
    }
    response
}

/// The span of answering the request, if it is recorded; whatever the request causes finds it where a caller's
/// would be.
fn begin_span(path: &str, request: &mut Request) -> Option<Serving> {
    if PAGES.contains(&path) {
        return None;
    }
    let incoming = request.headers().get(&TRACEPARENT).and_then(|value| value.to_str().ok());
    let span = trace::serving(request.method().as_str(), path, incoming)?;
    if let Ok(own) = HeaderValue::from_str(&span.traceparent()) {
        request.headers_mut().insert(TRACEPARENT, own);
    }
    Some(span)
}

fn count(path: &str, status: StatusCode, took: Duration) {
    // One series per class of status: which one exactly is in the log.
    let class = match status.as_u16() {
        200..300 => "2xx",
        300..400 => "3xx",
        400..500 => "4xx",
        _ => "5xx",
    };
    metrics::histogram!("conveyor_http_seconds", "path" => path.to_owned(), "status" => class).record(took);
}

/// A caller's own id is kept when it is short and harmless.
fn is_request_id(value: &HeaderValue) -> bool {
    (1..=64).contains(&value.len()) && value.as_bytes().iter().all(|b| b.is_ascii_alphanumeric() || b"-_.".contains(b))
}

fn new_request_id() -> HeaderValue {
    let mut text = [0; uuid::fmt::Simple::LENGTH];
    let id = Uuid::now_v7();
    HeaderValue::from_str(id.simple().encode_lower(&mut text)).unwrap_or(HeaderValue::from_static("unknown"))
}
