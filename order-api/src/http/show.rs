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
    http::{
        Code, Problem, Query,
        codes::{self, NOT_FOUND},
        whole,
    },
    ids::{OrderId, TransactionId, UserId},
    money::{Currency, Money},
};
use futures_util::stream;
use serde::Serialize;
use serde_json::value::RawValue;
use time::{OffsetDateTime, format_description::well_known::Rfc3339};
use tokio::time::Instant;
use utoipa::ToSchema;

use super::{State as Api, openapi};
use crate::{
    cancel,
    order::Order,
    store::{self, Entry, Found},
    watch::{Follower, Known},
};

/// The longest that a reader may ask to wait, in seconds.
const LONGEST_WAIT: u64 = 60;

#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = Order)]
struct Shown<'a> {
    #[schema(minimum = 200, maximum = 200)]
    code: u16,
    message: &'static str,
    #[schema(value_type = openapi::OrderId)]
    order_id: OrderId,
    #[schema(value_type = openapi::UserId)]
    user_id: &'a UserId,
    #[schema(value_type = openapi::OrderStatus)]
    status: &'static str,
    /// Grows by one with every step.
    #[schema(minimum = 1)]
    version: i32,
    #[schema(value_type = openapi::Amount)]
    order_amount: Box<RawValue>,
    /// ISO 4217.
    #[schema(example = "USD")]
    currency: &'a str,
    items: Vec<ShownLine<'a>>,
    /// The payment, once there is one.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = openapi::TransactionId, required = false)]
    transaction_id: Option<TransactionId>,
    #[schema(value_type = openapi::Instant)]
    created_at: String,
    /// Until when it can be paid.
    #[schema(value_type = openapi::Instant)]
    deadline: String,
    /// Everything that has happened to the order, oldest first.
    history: Vec<ShownEntry<'a>>,
}

#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = OrderLine)]
struct ShownLine<'a> {
    #[schema(value_type = openapi::ProductId)]
    product_id: &'a str,
    #[schema(minimum = 1, maximum = 1_000_000)]
    quantity: i64,
    /// What one cost when the order was placed.
    #[schema(value_type = openapi::Amount)]
    unit_price: Box<RawValue>,
}

/// A step of an order's timeline.
#[derive(Serialize, ToSchema)]
#[schema(as = OrderStep)]
pub(super) struct ShownEntry<'a> {
    /// The order's version after it.
    #[schema(minimum = 1)]
    version: i32,
    #[schema(value_type = openapi::OrderStatus)]
    status: &'a str,
    #[schema(value_type = openapi::Instant)]
    at: String,
    /// What led to this step, such as `inventory.locked`.
    cause: &'a str,
    /// What is worth knowing about it, such as the products that are short.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    detail: Option<&'a str>,
}

impl<'a> ShownEntry<'a> {
    /// Who of the shop's people it was is nobody's business but the shop's.
    pub(super) fn of(entry: &'a Entry, to_the_shop: bool) -> Option<Self> {
        let detail = entry.detail.as_deref();
        Some(Self {
            version: entry.version,
            status: &entry.status,
            at: instant(entry.at)?,
            cause: &entry.cause,
            detail: if to_the_shop { detail } else { detail.map(cancel::without_name) },
        })
    }
}

pub(super) const REFUSES: &[&Code] = &[NOT_FOUND, codes::INVALID_FIELD, codes::UNKNOWN_FIELD, codes::DUPLICATE_FIELD];

// Waiting is done in the body of the answer, so that neither the time limit nor any other bound on requests holds it for a
// request under way.
/// Read an order
///
/// With everything that has happened to it. Customers see their own orders; somebody else's reads like one that does not
/// exist.
///
/// With `wait`, the answer comes when the order has moved on from what it is now (or from `version`, if you say which one you
/// know), or has its outcome, or when that many seconds are over.
#[utoipa::path(
    get,
    path = "/api/orders/{order_id}",
    operation_id = "showOrder",
    tag = "Orders",
    security(("bearer" = [])),
    params(
        ("order_id" = inline(openapi::OrderId), Path, description = "As the answer to placing the order says it."),
        ("wait" = Option<u64>, Query, minimum = 0, maximum = 60, description = "For how many seconds at most."),
        ("version" = Option<i32>, Query, minimum = 0, description = "The version that you know."),
    ),
    responses((status = 200, description = "The order as it stands.", body = Shown, example = json!({
        "code": 200,
        "message": "Order found",
        "orderId": "ORD019A2B3C4D5E7F60A1B2C3D4E5F60718",
        "userId": "123456",
        "status": "awaiting_payment",
        "version": 2,
        "orderAmount": 100.50,
        "currency": "USD",
        "items": [
            {"productId": "P001", "quantity": 2, "unitPrice": 35.25},
            {"productId": "P002", "quantity": 1, "unitPrice": 30.00},
        ],
        "createdAt": "2026-01-31T12:00:00.123456Z",
        "deadline": "2026-01-31T12:15:00.123456Z",
        "history": [
            {"version": 1, "status": "pending", "at": "2026-01-31T12:00:00.123456Z", "cause": "order.created"},
            {"version": 2, "status": "awaiting_payment", "at": "2026-01-31T12:00:00.142137Z", "cause": "inventory.locked"},
        ],
    }))),
)]
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
    let place = if wait > 0 { Some(super::place(&api, &caller)?) } else { None };
    let found = find(&api, &caller, id).await?;
    let to_the_shop = caller.may_see_everything();
    let is_known = |order: &Order| order.version <= version.unwrap_or(found.order.version);
    match place {
        Some(place) if is_known(&found.order) && !found.order.status.is_over() => {
            let version = version.unwrap_or(found.order.version);
            let follower = api.watch.follow(found, place);
            let until = Instant::now() + Duration::from_secs(wait);
            let later = async move {
                let known = moved_on(follower, version, until).await;
                let text =
                    shown(&known.found, &api.currency, to_the_shop).and_then(|shown| serde_json::to_vec(&shown).ok());
                text.ok_or_else(|| io::Error::other("the order cannot be shown"))
            };
            let body = Body::from_stream(stream::once(later));
            Ok(([(CONTENT_TYPE, HeaderValue::from_static("application/json"))], body).into_response())
        }
        _ => Ok(Json(shown(&found, &api.currency, to_the_shop).ok_or_else(Problem::internal)?).into_response()),
    }
}

/// The order as soon as it is beyond that version, or has its outcome; in the end as it is.
async fn moved_on(mut follower: Follower, version: i32, until: Instant) -> Arc<Known> {
    loop {
        let known = follower.latest();
        let order = &known.found.order;
        if order.version > version || order.status.is_over() {
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
    let found = api.turns.take("orders cannot be read", store::find(&api.units.db, id)).await?;
    found.filter(|found| caller.may_see(&found.order.user_id)).ok_or_else(unknown)
}

pub(super) fn order_id(id: Result<Path<String>, PathRejection>) -> Result<OrderId, Problem> {
    let Path(id) = id.map_err(|_| unknown())?;
    id.parse().map_err(|_| unknown())
}

pub(super) fn unknown() -> Problem {
    Problem::not_found("there is no such order")
}

fn shown<'a>(found: &'a Found, currency: &'a Currency, to_the_shop: bool) -> Option<Shown<'a>> {
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
        deadline: instant(order.deadline)?,
        history: history.iter().map(|entry| ShownEntry::of(entry, to_the_shop)).collect::<Option<_>>()?,
    })
}

/// An amount as a JSON number with all its decimals.
pub(super) fn decimal(money: Money, currency: &Currency) -> Option<Box<RawValue>> {
    RawValue::from_string(currency.format(money)).ok()
}

pub(super) fn instant(at: OffsetDateTime) -> Option<String> {
    at.format(&Rfc3339).ok()
}
