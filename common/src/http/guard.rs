//! What is done to every request: limits, no escape for a panic, and counting.

use std::{panic::AssertUnwindSafe, pin::pin, time::Duration};

use axum::{
    extract::{MatchedPath, Request, State},
    http::{HeaderName, HeaderValue, StatusCode, header::CONNECTION},
    middleware::Next,
    response::{IntoResponse as _, Response},
};
use futures_util::FutureExt as _;
use tokio::time::{Instant, timeout_at};
use tokio_util::sync::CancellationToken;

use super::{
    code::{Code, codes},
    health::PAGES,
    origin::Origins,
    problem::Problem,
    visit::{self, Visit},
};
use crate::trace::{self, Serving};

pub(super) const TRACEPARENT: HeaderName = HeaderName::from_static("traceparent");

/// After the stop, a connection ends with the answer that is given on it.
pub(super) async fn guard(
    State((stop, origins)): State<(CancellationToken, Origins)>,
    mut request: Request,
    next: Next,
) -> Response {
    let began = Instant::now();
    let Some(visit) = request.extensions().get::<Visit>().cloned() else {
        return Problem::internal().into_response();
    };
    let method = request.method().clone();
    let path = request.extensions().get::<MatchedPath>().cloned();
    let mut span = path.as_ref().and_then(|path| begin_span(path.as_str(), &mut request));
    let is_page = path.as_ref().is_some_and(|path| PAGES.contains(&path.as_str()));
    let answer = async {
        // The operators' pages are nobody's turn and count for nobody.
        let turn = (!is_page).then(|| visit.admit(&request)).transpose();
        let _turn = match turn {
            Ok(turn) => turn,
            Err(problem) => {
                visit.discard(request.into_body()).await;
                return problem.into_response();
            }
        };
        match origins.admit(&request) {
            Ok(()) => next.run(request).await,
            Err(problem) => problem.into_response(),
        }
    };
    let mut answer = pin!(AssertUnwindSafe(answer).catch_unwind());
    let within = visit.house.answer_within;
    let mut until = began + within;
    let mut response = loop {
        match timeout_at(until, &mut answer).await {
            Ok(Ok(response)) => break response,
            Ok(Err(_)) => {
                tracing::error!(
                    http.request.method = method.as_str(),
                    http.route = path.as_ref().map(MatchedPath::as_str),
                    "a request handler panicked"
                );
                break Problem::internal().into_response();
            }
            // The client's body has its own time.
            Err(_) => match visit::later(&visit, until) {
                Some(later) => until = later,
                None => {
                    break Problem::unavailable("the request took too long; whether anything came of it is not known")
                        .into_response();
                }
            },
        }
    };
    let status = response.status();
    if let Some(span) = &mut span {
        span.answered(status.as_u16());
    }
    let refused = response.extensions().get::<&'static Code>().copied();
    if let Some(code) = refused {
        metrics::counter!("conveyor_http_refused_total", "code" => code.name).increment(1);
    }
    // That there is too much to do is counted; a line for each would be more to do. And whether it is ready a service says
    // when that changes.
    if status.is_server_error() && !is_page && refused != Some(codes::OVERLOADED) {
        tracing::warn!(
            http.request.method = method.as_str(),
            http.route = path.as_ref().map(MatchedPath::as_str),
            http.response.status_code = status.as_u16(),
            duration_ms = began.elapsed().as_millis(),
            "a request failed"
        );
    }
    if let Some(path) = path {
        count(path.as_str(), status, began.elapsed());
    }
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
