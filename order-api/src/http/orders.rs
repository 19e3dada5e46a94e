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
    http::{JsonBody, Problem, Visit, codes::INSUFFICIENT_SCOPE},
    ids::{OrderId, TransactionId, UserId},
    money::{Currency, Money},
    trace,
};
use serde::Serialize;
use serde_json::value::RawValue;
use time::{OffsetDateTime, format_description::well_known::Rfc3339};

use super::{
    admitted::{Admitted, too_many_orders},
    codes,
    create::CreateOrder,
};
use crate::{
    intake::{NewOrder, NotTaken},
    order::Status,
    store::{self, Found},
};

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Created {
    code: u16,
    message: &'static str,
    order_id: OrderId,
    status: &'static str,
}

pub(super) async fn create(
    State(state): super::SharedState,
    Extension(tokens): Extension<Tokens>,
    headers: HeaderMap,
    visit: Visit,
    Admitted(_place, JsonBody(request)): Admitted<JsonBody<CreateOrder>>,
) -> Result<Response, Problem> {
    request.check_secrets().map_err(Problem::invalid)?;
    let caller = tokens.check(request.token())?;
    visit.count_for(&caller.user_id)?;
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
    state.intake.take(order).await.map_err(|why| {
        tracing::Span::current().record("order.id", tracing::field::display(order_id));
        match why {
            NotTaken::Busy => too_many_orders(),
            NotTaken::Unavailable => Problem::unavailable("orders cannot be stored at the moment; try again shortly"),
            NotTaken::Refused => Problem::internal(),
        }
    })?;
    let created =
        Created { code: 200, message: "Order created successfully", order_id, status: Status::Pending.as_str() };
    Ok(Json(created).into_response())
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Shown {
    code: u16,
    message: &'static str,
    order_id: OrderId,
    user_id: UserId,
    status: &'static str,
    order_amount: Box<RawValue>,
    currency: String,
    items: Vec<ShownLine>,
    #[serde(skip_serializing_if = "Option::is_none")]
    transaction_id: Option<TransactionId>,
    created_at: String,
    history: Vec<ShownEntry>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct ShownLine {
    product_id: String,
    quantity: i64,
    unit_price: Box<RawValue>,
}

#[derive(Serialize)]
struct ShownEntry {
    version: i32,
    status: String,
    at: String,
    cause: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    detail: Option<String>,
}

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
