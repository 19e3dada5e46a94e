//! `POST /api/orders/create`.

use axum::{
    Extension, Json,
    extract::State,
    http::HeaderMap,
    response::{IntoResponse as _, Response},
};
use common::{
    auth::{Scope, Tokens},
    http::{JsonBody, Problem, codes::INSUFFICIENT_SCOPE},
    ids::OrderId,
    trace,
};
use serde::Serialize;

use super::{codes, create::CreateOrder};
use crate::{
    intake::{NewOrder, NotTaken},
    order::Status,
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
