//! `GET /api/orders`: orders, the newest first, page by page.

use axum::{
    Json,
    extract::State,
    http::Uri,
    response::{IntoResponse as _, Response},
};
use common::{
    auth::{Caller, Scope},
    http::{
        Code, Problem, Query,
        codes::{self, INSUFFICIENT_SCOPE},
        whole,
    },
    ids::{OrderId, UserId},
    money::Currency,
};
use serde::Serialize;
use serde_json::value::RawValue;
use time::{OffsetDateTime, UtcOffset, format_description::well_known::Rfc3339};
use utoipa::ToSchema;
use uuid::Uuid;

use super::{
    openapi,
    show::{decimal, instant},
};
use crate::store::{self, Listed, Page, Wanted};

const MOST_AT_ONCE: u16 = 100;
const USUALLY_AT_ONCE: u16 = 20;

#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = OrderPage)]
struct ShownPage<'a> {
    #[schema(minimum = 200, maximum = 200)]
    code: u16,
    message: &'static str,
    #[schema(max_items = 100)]
    orders: Vec<ShownOrder<'a>>,
    /// Leads to the next page; null where there is none.
    #[schema(required)]
    next_cursor: Option<String>,
}

#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = ListedOrder)]
struct ShownOrder<'a> {
    #[schema(value_type = openapi::OrderId)]
    order_id: OrderId,
    #[schema(value_type = openapi::UserId)]
    user_id: &'a UserId,
    #[schema(value_type = openapi::OrderStatus)]
    status: &'static str,
    #[schema(minimum = 1)]
    version: i32,
    #[schema(value_type = openapi::Amount)]
    order_amount: Box<RawValue>,
    /// ISO 4217.
    #[schema(example = "USD")]
    currency: &'a str,
    #[schema(value_type = openapi::Instant)]
    created_at: String,
}

pub(super) const REFUSES: &[&Code] =
    &[codes::INVALID_FIELD, codes::UNKNOWN_FIELD, codes::DUPLICATE_FIELD, INSUFFICIENT_SCOPE];

/// List orders
///
/// The newest first. Customers see their own orders; the shop sees all of them, or one customer's. A page may hold fewer
/// orders than the limit, or none, and still lead to a next one: where few orders have the status that is asked for, the
/// next page goes on looking.
#[utoipa::path(
    get,
    path = "/api/orders",
    operation_id = "listOrders",
    tag = "Orders",
    security(("bearer" = [])),
    params(
        ("status" = inline(Option<openapi::OrderStatus>), Query, description = "Only those that stand so."),
        ("from" = inline(Option<openapi::Instant>), Query, description = "Only those placed then or later."),
        ("cursor" = Option<String>, Query, pattern = "^b[0-9a-f]{32}$", description = "The `nextCursor` of the page before."),
        ("limit" = Option<u16>, Query, minimum = 1, maximum = 100, description = "How many at most: 20 unless said."),
        ("userId" = inline(Option<openapi::UserId>), Query,
            description = "Only this customer's. Others than one's own need the scope `service`, `staff` or `admin`."),
    ),
    responses((status = 200, description = "A page of orders.", body = ShownPage, example = json!({
        "code": 200,
        "message": "Orders found",
        "orders": [{
            "orderId": "ORD019A2B3C4D5E7F60A1B2C3D4E5F60718",
            "userId": "123456",
            "status": "paid",
            "version": 3,
            "orderAmount": 100.50,
            "currency": "USD",
            "createdAt": "2026-01-31T12:00:00.123456Z",
        }],
        "nextCursor": "b019a2b3c4d5e7f60a1b2c3d4e5f60718",
    }))),
)]
pub(super) async fn list(State(api): super::SharedState, caller: Caller, address: Uri) -> Result<Response, Problem> {
    let mut query = Query::of(&address);
    let user_id = query.optional("userId", |text| UserId::try_from(text.to_owned()).map_err(|why| why.to_string()));
    let wanted = Wanted {
        status: query.optional("status", |text| {
            text.parse().map_err(|_| "must be the status of an order, such as pending".to_owned())
        }),
        from: query.optional("from", moment),
        before: query.optional("cursor", from_cursor),
        limit: query.optional("limit", |text| whole(text, 1..=MOST_AT_ONCE)).unwrap_or(USUALLY_AT_ONCE),
        user_id: None,
    };
    query.finish()?;
    let wanted = Wanted { user_id: whose(&caller, user_id)?, ..wanted };
    let Page { orders, next } = api.turns.take("orders cannot be read", store::list(&api.units.db, &wanted)).await?;
    let shown = orders.iter().map(|listed| shown(listed, &api.currency)).collect::<Option<_>>();
    let page = ShownPage {
        code: 200,
        message: "Orders found",
        orders: shown.ok_or_else(Problem::internal)?,
        next_cursor: next.map(to_cursor),
    };
    Ok(Json(page).into_response())
}

fn shown<'a>(Listed { order, created_at }: &'a Listed, currency: &'a Currency) -> Option<ShownOrder<'a>> {
    Some(ShownOrder {
        order_id: order.id,
        user_id: &order.user_id,
        status: order.status.as_str(),
        version: order.version,
        order_amount: decimal(order.amount, currency)?,
        currency: &currency.code,
        created_at: instant(*created_at)?,
    })
}

/// Whose orders the caller is to be shown: `None` for everybody's.
fn whose(caller: &Caller, asked: Option<UserId>) -> Result<Option<UserId>, Problem> {
    if caller.may_see_everything() {
        return Ok(asked);
    }
    caller.must_have(Scope::Customer)?;
    if asked.is_some_and(|asked| asked != caller.user_id) {
        let message = "to read the orders of others, the token needs the scope `service`, `staff` or `admin`";
        return Err(Problem::new(INSUFFICIENT_SCOPE, message));
    }
    Ok(Some(caller.user_id.clone()))
}

pub(crate) fn moment(text: &str) -> Result<OffsetDateTime, String> {
    let moment = OffsetDateTime::parse(text, &Rfc3339).ok();
    // Where a calendar ends, a moment may be in it by one clock and beyond it by that of the database.
    let moment = moment.and_then(|moment| moment.checked_to_offset(UtcOffset::UTC));
    moment.ok_or_else(|| "must be a moment in RFC 3339, such as 2026-01-31T12:00:00Z".to_owned())
}

/// A cursor names the last order of a page. To its reader it is only a text that leads on.
pub(crate) fn to_cursor(id: OrderId) -> String {
    format!("b{}", id.0.simple())
}

pub(crate) fn from_cursor(text: &str) -> Result<OrderId, String> {
    let hex = text.strip_prefix('b').filter(|hex| hex.len() == 32);
    let id = hex.and_then(|hex| Uuid::try_parse(hex).ok());
    id.map(OrderId).ok_or_else(|| "must be the nextCursor of another answer".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_moment_is_one_by_every_clock() {
        for fine in
            ["2026-01-31T12:00:00Z", "2026-01-31T12:00:00.5+14:00", "0000-01-01T00:00:00Z", "9999-12-31T23:59:59Z"]
        {
            assert!(moment(fine).is_ok(), "{fine}");
        }
        for bad in ["", "2026-01-31", "9999-12-31T23:59:59-00:01", "9999-12-31T23:59:59-23:59"] {
            assert!(moment(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_cursor_leads_on_from_where_it_was_given() {
        let id = OrderId::generate();
        assert_eq!(from_cursor(&to_cursor(id)), Ok(id));
        for bad in ["", "b", "x", &id.to_string(), &id.0.to_string(), &format!("b{}x", id.0.simple())] {
            assert!(from_cursor(bad).is_err(), "{bad}");
        }
    }
}
