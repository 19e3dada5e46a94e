//! `GET /api/orders/{orderId}/events`: an order's timeline as server-sent events, from its first step to its outcome.

use std::{convert::Infallible, time::Duration};

use axum::{
    body::{Body, Bytes},
    extract::{Path, State, rejection::PathRejection},
    http::{
        HeaderMap, HeaderName, HeaderValue, StatusCode, Uri,
        header::{CACHE_CONTROL, CONTENT_TYPE},
    },
    response::{IntoResponse as _, Response},
};
use common::{
    auth::Caller,
    http::{
        Code, FieldError, Problem, Query,
        codes::{INVALID_FIELD, NOT_FOUND, UNKNOWN_FIELD},
        whole,
    },
    ids::OrderId,
};
use futures_util::stream;
use serde::Serialize;

use super::{
    openapi,
    show::{self, ShownEntry},
};
use crate::{store::Found, watch::Follower};

const LAST_EVENT_ID: HeaderName = HeaderName::from_static("last-event-id");
/// Some proxies hold back what they could send on.
const X_ACCEL_BUFFERING: HeaderName = HeaderName::from_static("x-accel-buffering");

/// After so much silence something is said, so that nothing in between takes the stream for dead, and a reader that has
/// gone is noticed.
const SILENCE: Duration = Duration::from_secs(15);

/// When a reader whose stream has broken off may come back, in milliseconds: not all of them at once.
const COME_BACK: std::ops::Range<u32> = 1_000..3_000;

/// The data of one event.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Step<'a> {
    order_id: OrderId,
    #[serde(flatten)]
    entry: ShownEntry<'a>,
}

pub(super) const REFUSES: &[&Code] = &[NOT_FOUND, INVALID_FIELD, UNKNOWN_FIELD];

/// Follow an order
///
/// Its timeline as server-sent events, from its first step to its outcome. Each event `status` is a step, with the order's
/// version as its `id`; a comment every 15 seconds shows that the stream lives, which ends after the outcome.
#[utoipa::path(
    get,
    path = "/api/orders/{order_id}/events",
    operation_id = "followOrder",
    tag = "Orders",
    security(("bearer" = [])),
    params(
        ("order_id" = inline(openapi::OrderId), Path, description = "As the answer to placing the order says it."),
        ("Last-Event-ID" = Option<i32>, Header, minimum = 0, maximum = 2_147_483_647,
            description = "The version that was heard of last: what came after it follows."),
    ),
    responses(
        (status = 200, description = "The timeline, as it happens.", body = String, content_type = "text/event-stream"),
        (status = 204, description = "The outcome was heard already, and nothing will follow."),
    ),
)]
pub(super) async fn events(
    State(api): super::SharedState,
    caller: Caller,
    id: Result<Path<String>, PathRejection>,
    headers: HeaderMap,
    address: Uri,
) -> Result<Response, Problem> {
    Query::of(&address).finish()?;
    let heard = last_heard(&headers)?;
    let place = super::place(&api, &caller)?;
    let found = show::find(&api, &caller, id).await?;
    if found.order.status.is_over() && heard >= found.order.version {
        // Nothing will come any more. A browser comes back whenever a stream ends, unless it is told so.
        return Ok(StatusCode::NO_CONTENT.into_response());
    }
    let steps = Steps {
        heard: heard.min(found.order.version),
        follower: api.watch.follow(found, place),
        has_begun: false,
        is_over: false,
    };
    let body = stream::unfold(steps, async |mut steps| {
        let text = steps.next().await?;
        Some((Ok::<_, Infallible>(text), steps))
    });
    let headers = [
        (CONTENT_TYPE, HeaderValue::from_static("text/event-stream")),
        (CACHE_CONTROL, HeaderValue::from_static("no-store")),
        (X_ACCEL_BUFFERING, HeaderValue::from_static("no")),
    ];
    Ok((headers, Body::from_stream(body)).into_response())
}

/// The version that the reader heard of last: 0 if of none.
fn last_heard(headers: &HeaderMap) -> Result<i32, Problem> {
    let Some(value) = headers.get(LAST_EVENT_ID).filter(|value| !value.is_empty()) else { return Ok(0) };
    whole(value.to_str().unwrap_or_default(), 0..=i32::MAX)
        .map_err(|why| Problem::invalid(vec![FieldError::new(INVALID_FIELD, "Last-Event-ID", why)]))
}

/// What one reader still has to hear.
struct Steps {
    follower: Follower,
    heard: i32,
    has_begun: bool,
    is_over: bool,
}

impl Steps {
    /// What is to be sent next, as soon as there is something; `None` at the end.
    async fn next(&mut self) -> Option<Bytes> {
        if self.is_over {
            return None;
        }
        let mut parts = Vec::new();
        if !std::mem::replace(&mut self.has_begun, true) {
            parts.push(format!("retry: {}\n\n", fastrand::u32(COME_BACK)).into());
        }
        loop {
            let known = self.follower.latest();
            let events = known.events.get_or_init(|| in_words(&known.found));
            parts.extend(events.iter().filter(|(version, _)| *version > self.heard).map(|(_, event)| event.clone()));
            self.heard = self.heard.max(known.found.order.version);
            self.is_over = known.found.order.status.is_over();
            match parts.as_slice() {
                // A reader who claims to have heard more than there is.
                [] if self.is_over => return None,
                [] => {}
                [one] => return Some(one.clone()),
                several => return Some(several.concat().into()),
            }
            match tokio::time::timeout(SILENCE, self.follower.changed()).await {
                Ok(true) => {}
                // The service stops; whoever comes back finds another, and goes on from what they heard.
                Ok(false) => return None,
                Err(_) => return Some(Bytes::from_static(b":\n\n")),
            }
        }
    }
}

/// Every step of the order's timeline, with its version. All readers share it, so it is as a customer may see it.
fn in_words(found: &Found) -> Vec<(i32, Bytes)> {
    let events = found.history.iter().filter_map(|entry| {
        let step = Step { order_id: found.order.id, entry: ShownEntry::of(entry, false)? };
        let data = serde_json::to_string(&step).ok()?;
        Some((entry.version, format!("id: {}\nevent: status\ndata: {data}\n\n", entry.version).into()))
    });
    events.collect()
}
