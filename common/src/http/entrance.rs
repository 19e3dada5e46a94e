//! What comes before everything else and after everything else: a request has an id, which every answer and every line
//! of the log about it carries.

use std::{convert::Infallible, sync::Arc};

use axum::{
    Router,
    http::{HeaderName, HeaderValue},
    response::Response,
};
use hyper::{Request, body::Incoming, service::Service as _};
use hyper_util::service::TowerToHyperService;
use tracing::Instrument as _;
use uuid::Uuid;

use super::visit::Visit;

pub(super) const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

pub(super) fn enter(
    router: &TowerToHyperService<Router>,
    visit: &Visit,
    mut request: Request<Incoming>,
) -> impl Future<Output = Result<Response, Infallible>> + use<> {
    let id = request.headers().get(&REQUEST_ID).filter(|id| is_request_id(id)).cloned().unwrap_or_else(new_request_id);
    // As grave as a line can be, so that it is there whenever a line is.
    let span = tracing::error_span!("request", request.id = id.to_str().unwrap_or_default());
    let seat = Arc::clone(&visit.seat);
    seat.begins();
    request.extensions_mut().insert(visit.clone());
    let answered = router.call(request).instrument(span);
    async move {
        let mut answer = answered.await?;
        let headers = answer.headers_mut();
        headers.insert(REQUEST_ID, id);
        if let Some(standing) = seat.take_standing() {
            standing.tell(headers);
        }
        Ok(seat.ends(answer))
    }
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
