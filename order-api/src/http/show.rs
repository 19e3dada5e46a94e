//! `GET /api/orders/{orderId}`: an order with its timeline, at once or when it has moved.

use std::{io, sync::Arc, time::Duration};

use axum::{
    Json,
    body::Body,
    extract::{Path, State, rejection::PathRejection},
    http::{HeaderValue, Uri, header::CONTENT_TYPE},
    response::{IntoResponse as _, Response},
};
use common::{
    auth::Caller,
    events::Line,
    http::Problem,
    ids::{OrderId, TransactionId, UserId},
    money::{Currency, Money},
};
use futures_util::stream;
use serde::Serialize;
use serde_json::value::RawValue;
use time::{OffsetDateTime, format_description::well_known::Rfc3339};
use tokio::time::Instant;

use super::{
    State as Api,
    query::{Query, whole},
};
use crate::{
    order::Order,
    store::{self, Entry, Found},
    watch::{Follower, Known},
};

/// The longest that a reader may ask to wait, in seconds.
const LONGEST_WAIT: u64 = 60;

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Shown<'a> {
    code: u16,
    message: &'static str,
    order_id: OrderId,
    user_id: &'a UserId,
    status: &'static str,
    version: i32,
    order_amount: Box<RawValue>,
    currency: &'a str,
    items: Vec<ShownLine<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    transaction_id: Option<TransactionId>,
    created_at: String,
    history: Vec<ShownEntry<'a>>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct ShownLine<'a> {
    product_id: &'a str,
    quantity: i64,
    unit_price: Box<RawValue>,
}

/// A step of an order's timeline.
#[derive(Serialize)]
pub(super) struct ShownEntry<'a> {
    version: i32,
    status: &'a str,
    at: String,
    cause: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    detail: Option<&'a str>,
}

impl<'a> ShownEntry<'a> {
    pub(super) fn of(entry: &'a Entry) -> Option<Self> {
        Some(Self {
            version: entry.version,
            status: &entry.status,
            at: instant(entry.at)?,
            cause: &entry.cause,
            detail: entry.detail.as_deref(),
        })
    }
}

/// With `wait`, the answer is given when the order has moved on from what it is now (or from `version`, if the reader
/// says which one they know), or has its outcome, or when that many seconds are over. Waiting is done in the body of the
/// answer, so that neither the time limit nor any other bound on requests holds it for a request under way.
pub(super) async fn show(
    State(api): super::SharedState,
    caller: Caller,
    id: Result<Path<String>, PathRejection>,
    address: Uri,
) -> Result<Response, Problem> {
    let mut query = Query::of(&address);
    let wait = query.optional("wait", |text| whole(text, 0..=LONGEST_WAIT)).unwrap_or(0);
    let version = query.optional("version", |text| whole(text, 0..=i32::MAX));
    query.finish()?;
    let place = if wait > 0 { Some(super::place(&api)?) } else { None };
    let found = find(&api, &caller, id).await?;
    let is_known = |order: &Order| order.version <= version.unwrap_or(found.order.version);
    match place {
        Some(place) if is_known(&found.order) && !found.order.status.is_answered() => {
            let version = version.unwrap_or(found.order.version);
            let follower = api.watch.follow(found, place);
            let until = Instant::now() + Duration::from_secs(wait);
            let later = async move {
                let known = moved_on(follower, version, until).await;
                let text = shown(&known.found, &api.currency).and_then(|shown| serde_json::to_vec(&shown).ok());
                text.ok_or_else(|| io::Error::other("the order cannot be shown"))
            };
            let body = Body::from_stream(stream::once(later));
            Ok(([(CONTENT_TYPE, HeaderValue::from_static("application/json"))], body).into_response())
        }
        _ => Ok(Json(shown(&found, &api.currency).ok_or_else(Problem::internal)?).into_response()),
    }
}

/// The order as soon as it is beyond that version, or has its outcome; in the end as it is.
async fn moved_on(mut follower: Follower, version: i32, until: Instant) -> Arc<Known> {
    loop {
        let known = follower.latest();
        let order = &known.found.order;
        if order.version > version || order.status.is_answered() {
            return known;
        }
        match tokio::time::timeout_at(until, follower.changed()).await {
            Ok(true) => {}
            Ok(false) | Err(_) => return known,
        }
    }
}

/// The order that an address names, if the caller may see it. An id that cannot exist is answered like one that does not,
/// and so is somebody else's order.
pub(super) async fn find(
    api: &Api,
    caller: &Caller,
    id: Result<Path<String>, PathRejection>,
) -> Result<Found, Problem> {
    let id = order_id(id)?;
    let found = store::find(&api.units.db, id).await.map_err(|error| {
        tracing::warn!(%error, order.id = %id, "an order could not be read");
        Problem::unavailable("orders cannot be read at the moment; try again shortly")
    })?;
    found.filter(|found| caller.may_see(&found.order.user_id)).ok_or_else(unknown)
}

pub(super) fn order_id(id: Result<Path<String>, PathRejection>) -> Result<OrderId, Problem> {
    let Path(id) = id.map_err(|_| unknown())?;
    id.parse().map_err(|_| unknown())
}

pub(super) fn unknown() -> Problem {
    Problem::not_found("there is no such order")
}

fn shown<'a>(found: &'a Found, currency: &'a Currency) -> Option<Shown<'a>> {
    let Found { order, lines, created_at, history } = found;
    Some(Shown {
        code: 200,
        message: "Order found",
        order_id: order.id,
        user_id: &order.user_id,
        status: order.status.as_str(),
        version: order.version,
        order_amount: decimal(order.amount, currency)?,
        currency: &currency.code,
        items: lines
            .iter()
            .map(|Line { product_id, quantity, unit_price }| {
                Some(ShownLine {
                    product_id: product_id.as_str(),
                    quantity: *quantity,
                    unit_price: decimal(*unit_price, currency)?,
                })
            })
            .collect::<Option<_>>()?,
        transaction_id: order.transaction_id,
        created_at: instant(*created_at)?,
        history: history.iter().map(ShownEntry::of).collect::<Option<_>>()?,
    })
}

/// An amount as a JSON number with all its decimals.
pub(super) fn decimal(money: Money, currency: &Currency) -> Option<Box<RawValue>> {
    RawValue::from_string(currency.format(money)).ok()
}

pub(super) fn instant(at: OffsetDateTime) -> Option<String> {
    at.format(&Rfc3339).ok()
}
