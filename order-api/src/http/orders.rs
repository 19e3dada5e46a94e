//! `/api/orders`: creating and reading orders.

use axum::{
    Extension, Json,
    extract::{Path, State, rejection::PathRejection},
    http::{HeaderMap, StatusCode},
    response::{IntoResponse as _, Response},
};
use common::{
    auth::{Caller, Scope, Tokens},
    events::Line,
    http::{
        Code, JsonBody, Problem,
        codes::{INSUFFICIENT_SCOPE, INVALID_TOKEN, NOT_FOUND, TOKEN_EXPIRED},
    },
    ids::{OrderId, TransactionId, UserId},
    money::{Currency, Money},
    trace,
};
use serde::Serialize;
use serde_json::value::RawValue;
use time::{OffsetDateTime, format_description::well_known::Rfc3339};
use utoipa::ToSchema;

use super::{codes, create::CreateOrder, openapi};
use crate::{
    intake::{NewOrder, NotTaken},
    order::Status,
    store::{self, Found},
};

#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = OrderCreated)]
struct Created {
    #[schema(minimum = 200, maximum = 200)]
    code: u16,
    message: &'static str,
    #[schema(value_type = openapi::OrderId)]
    order_id: OrderId,
    /// `pending`: the order waits for stock.
    #[schema(value_type = openapi::OrderStatus)]
    status: &'static str,
}

pub(super) const CREATE_REFUSES: &[&Code] = &[
    codes::INVALID_USER,
    codes::INVALID_AMOUNT,
    codes::AMOUNT_MISMATCH,
    codes::INVALID_ITEMS,
    codes::INVALID_QUANTITY,
    codes::UNKNOWN_PRODUCT,
    codes::WRONG_USER,
    INVALID_TOKEN,
    TOKEN_EXPIRED,
    INSUFFICIENT_SCOPE,
];

/// Place an order
///
/// The answer comes once the order is stored for good; stock, payment and notification follow by themselves. The token
/// is a field of the body, and needs the scope `customer`.
#[utoipa::path(
    post,
    path = "/api/orders/create",
    operation_id = "createOrder",
    tag = "Orders",
    security(()),
    request_body(content = CreateOrder, example = json!({
        "userId": "123456",
        "token": "user authentication token",
        "signature": "digital signature",
        "orderAmount": 100.50,
        "items": [{"productId": "P001", "quantity": 2}, {"productId": "P002", "quantity": 1}],
    })),
    responses((
        status = 200,
        description = "The order is stored.",
        links(("theOrder" = (
            operation_id = "showOrder",
            parameters(("order_id" = "$response.body#/orderId")),
        ))),
        body = Created,
        example = json!({
            "code": 200,
            "message": "Order created successfully",
            "orderId": "ORD019A2B3C4D5E7F60A1B2C3D4E5F60718",
            "status": "pending",
        }),
    )),
)]
pub(super) async fn create(
    State(state): super::SharedState,
    Extension(tokens): Extension<Tokens>,
    headers: HeaderMap,
    JsonBody(request): JsonBody<CreateOrder>,
) -> Result<Response, Problem> {
    request.check_secrets().map_err(Problem::invalid)?;
    let caller = tokens.check(request.token())?;
    if !caller.has(Scope::Customer) {
        return Err(Problem::new(INSUFFICIENT_SCOPE, "the token does not have the scope `customer`"));
    }
    let prices = state.catalogue.prices().ok_or_else(|| Problem::unavailable("the catalogue has not been read yet"))?;
    let wanted = request.check(&prices, &state.currency).map_err(Problem::invalid)?;
    if wanted.user_id != caller.user_id {
        return Err(Problem::new(codes::WRONG_USER, "userId is not the user that the token is for"));
    }
    let order_id = OrderId::generate();
    let incoming = headers.get("traceparent").and_then(|value| value.to_str().ok());
    let order = NewOrder {
        id: order_id,
        user_id: wanted.user_id,
        amount: wanted.amount,
        lines: wanted.lines,
        traceparent: trace::of_request(incoming),
    };
    state.intake.take(order).await.map_err(|why| match why {
        NotTaken::Busy => Problem::unavailable("too many orders are waiting; try again shortly"),
        NotTaken::Unavailable => Problem::unavailable("orders cannot be stored at the moment; try again shortly"),
        NotTaken::Refused => Problem::internal(),
    })?;
    let created =
        Created { code: 200, message: "Order created successfully", order_id, status: Status::Pending.as_str() };
    Ok(Json(created).into_response())
}

#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = Order)]
struct Shown {
    #[schema(minimum = 200, maximum = 200)]
    code: u16,
    message: &'static str,
    #[schema(value_type = openapi::OrderId)]
    order_id: OrderId,
    #[schema(value_type = openapi::UserId)]
    user_id: UserId,
    #[schema(value_type = openapi::OrderStatus)]
    status: &'static str,
    #[schema(value_type = openapi::Amount)]
    order_amount: Box<RawValue>,
    /// ISO 4217.
    #[schema(example = "USD")]
    currency: String,
    items: Vec<ShownLine>,
    /// The payment, once there is one.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = openapi::TransactionId, required = false)]
    transaction_id: Option<TransactionId>,
    #[schema(value_type = openapi::Instant)]
    created_at: String,
    /// Everything that has happened to the order, oldest first.
    history: Vec<ShownEntry>,
}

#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = OrderLine)]
struct ShownLine {
    #[schema(value_type = openapi::ProductId)]
    product_id: String,
    #[schema(minimum = 1, maximum = 1_000_000)]
    quantity: i64,
    /// What one cost when the order was placed.
    #[schema(value_type = openapi::Amount)]
    unit_price: Box<RawValue>,
}

#[derive(Serialize, ToSchema)]
#[schema(as = OrderStep)]
struct ShownEntry {
    /// Grows by one with every step.
    #[schema(minimum = 1)]
    version: i32,
    #[schema(value_type = openapi::OrderStatus)]
    status: String,
    #[schema(value_type = openapi::Instant)]
    at: String,
    /// What led to this step, such as `inventory.locked`.
    cause: String,
    /// What is worth knowing about it, such as the products that are short.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    detail: Option<String>,
}

pub(super) const SHOW_REFUSES: &[&Code] = &[NOT_FOUND];

/// Read an order
///
/// With everything that has happened to it. Customers see their own orders; somebody else's reads like one that does not
/// exist.
#[utoipa::path(
    get,
    path = "/api/orders/{order_id}",
    operation_id = "showOrder",
    tag = "Orders",
    security(("bearer" = [])),
    params(("order_id" = inline(openapi::OrderId), Path, description = "As the answer to placing the order says it.")),
    responses((status = 200, description = "The order as it stands.", body = Shown, example = json!({
        "code": 200,
        "message": "Order found",
        "orderId": "ORD019A2B3C4D5E7F60A1B2C3D4E5F60718",
        "userId": "123456",
        "status": "awaiting_payment",
        "orderAmount": 100.50,
        "currency": "USD",
        "items": [
            {"productId": "P001", "quantity": 2, "unitPrice": 35.25},
            {"productId": "P002", "quantity": 1, "unitPrice": 30.00},
        ],
        "createdAt": "2026-01-31T12:00:00.123456Z",
        "history": [
            {"version": 1, "status": "pending", "at": "2026-01-31T12:00:00.123456Z", "cause": "order.created"},
            {"version": 2, "status": "awaiting_payment", "at": "2026-01-31T12:00:00.142137Z", "cause": "inventory.locked"},
        ],
    }))),
)]
pub(super) async fn show(
    State(state): super::SharedState,
    caller: Caller,
    id: Result<Path<String>, PathRejection>,
) -> Result<Response, Problem> {
    // An id that cannot exist is answered like one that does not.
    let unknown = || Problem::not_found("there is no such order");
    let Path(id) = id.map_err(|_| unknown())?;
    let id: OrderId = id.parse().map_err(|_| unknown())?;
    let found = store::find(&state.db, id).await.map_err(|error| {
        tracing::warn!(%error, order.id = %id, "an order could not be read");
        Problem::unavailable("orders cannot be read at the moment; try again shortly")
    })?;
    // Somebody else's order is answered like one that does not exist.
    let found = found.filter(|found| caller.may_see(&found.order.user_id)).ok_or_else(unknown)?;
    let shown = shown(found, &state.currency).ok_or_else(Problem::internal)?;
    Ok((StatusCode::OK, Json(shown)).into_response())
}

fn shown(found: Found, currency: &Currency) -> Option<Shown> {
    let Found { order, lines, created_at, history } = found;
    Some(Shown {
        code: 200,
        message: "Order found",
        order_id: order.id,
        user_id: order.user_id,
        status: order.status.as_str(),
        order_amount: decimal(order.amount, currency)?,
        currency: currency.code.clone(),
        items: lines
            .into_iter()
            .map(|Line { product_id, quantity, unit_price }| {
                Some(ShownLine {
                    product_id: product_id.into_string(),
                    quantity,
                    unit_price: decimal(unit_price, currency)?,
                })
            })
            .collect::<Option<_>>()?,
        transaction_id: order.transaction_id,
        created_at: instant(created_at)?,
        history: history
            .into_iter()
            .map(|entry| {
                Some(ShownEntry {
                    version: entry.version,
                    status: entry.status,
                    at: instant(entry.at)?,
                    cause: entry.cause,
                    detail: entry.detail,
                })
            })
            .collect::<Option<_>>()?,
    })
}

/// An amount as a JSON number with all its decimals.
fn decimal(money: Money, currency: &Currency) -> Option<Box<RawValue>> {
    RawValue::from_string(currency.format(money)).ok()
}

fn instant(at: OffsetDateTime) -> Option<String> {
    at.format(&Rfc3339).ok()
}
