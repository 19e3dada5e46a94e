//! `POST /api/orders/{orderId}/cancel`: an order is called off. Asking again is answered like the first time.

use axum::{
    Json,
    extract::{Path, State, rejection::PathRejection},
    http::HeaderMap,
    response::{IntoResponse as _, Response},
};
use common::{
    auth::{Caller, Scope},
    http::{
        Code, Problem,
        codes::{INSUFFICIENT_SCOPE, NOT_FOUND},
    },
    ids::OrderId,
    trace,
};
use serde::Serialize;
use utoipa::ToSchema;

use super::{codes, openapi, show};
use crate::{
    cancel::{self, Outcome},
    order::{Canceller, Order},
};

#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = OrderCancelled)]
struct Cancelled {
    #[schema(minimum = 200, maximum = 200)]
    code: u16,
    message: &'static str,
    #[schema(value_type = openapi::OrderId)]
    order_id: OrderId,
    /// `cancelled`, or where it was paid `refunding` and then `refunded`.
    #[schema(value_type = openapi::OrderStatus)]
    status: &'static str,
}

pub(super) const REFUSES: &[&Code] = &[NOT_FOUND, INSUFFICIENT_SCOPE, codes::NOT_CANCELLABLE];

/// Cancel an order
///
/// Customers cancel their own orders as long as they are not paid; `staff` and `admin` anybody's, paid ones too: then the
/// goods go back into stock and the money to the customer. A payment that is under way when the order is cancelled is
/// given back as well. An order that is off already is answered with how it stands. The timeline says whose token it was, to
/// the shop only.
#[utoipa::path(
    post,
    path = "/api/orders/{order_id}/cancel",
    operation_id = "cancelOrder",
    tag = "Orders",
    security(("bearer" = [])),
    params(("order_id" = inline(openapi::OrderId), Path, description = "As the answer to placing the order says it.")),
    responses((status = 200, description = "The order is off.", body = Cancelled, example = json!({
        "code": 200,
        "message": "Order cancelled",
        "orderId": "ORD019A2B3C4D5E7F60A1B2C3D4E5F60718",
        "status": "cancelled",
    }))),
)]
pub(super) async fn cancel(
    State(api): super::SharedState,
    caller: Caller,
    id: Result<Path<String>, PathRejection>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let id = show::order_id(id)?;
    if caller.may_see_everything() && !is_shop(&caller) && !caller.has(Scope::Customer) {
        let message = "to cancel orders, the token needs the scope `customer` (one's own), `staff` or `admin`";
        return Err(Problem::new(INSUFFICIENT_SCOPE, message));
    }
    let incoming = headers.get("traceparent").and_then(|value| value.to_str().ok());
    let trace = trace::of_request(incoming);
    let cancelled = cancel::cancel(&api.units, id, &caller.user_id, |order| canceller(&caller, order), Some(&trace));
    match api.turns.take("orders cannot be changed", cancelled).await? {
        Outcome::Off(status) => {
            let status = status.as_str();
            Ok(Json(Cancelled { code: 200, message: "Order cancelled", order_id: id, status }).into_response())
        }
        Outcome::TooLate(status) => {
            let message = format!("the order is {status}, and can no longer be cancelled");
            Err(Problem::new(codes::NOT_CANCELLABLE, message))
        }
        Outcome::Unknown => Err(show::unknown()),
    }
}

fn is_shop(caller: &Caller) -> bool {
    caller.has(Scope::Staff) || caller.has(Scope::Admin)
}

/// As whom the caller may call this order off, if at all.
fn canceller(caller: &Caller, order: &Order) -> Option<Canceller> {
    if caller.has(Scope::Customer) && caller.user_id == order.user_id {
        return Some(Canceller::Customer);
    }
    is_shop(caller).then_some(Canceller::Shop)
}
