//! `POST /api/inventory/lock`: stock is locked for an order, once, however often it is asked for.

use std::collections::BTreeMap;

use axum::{
    Json,
    extract::State,
    http::{HeaderMap, StatusCode},
    response::{IntoResponse as _, Response},
};
use common::{
    auth::{Caller, Scope},
    events::Shortage,
    http::{Code, FieldError, JsonBody, Object, Problem, codes::INVALID_FIELD},
    ids::{OrderId, ProductId},
    money::Currency,
    trace,
};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use super::codes;
use crate::{
    ahead::{self, Outcome},
    reservation::{self, Quantities},
};

/// The most lines, and the most of one product in one line, as an order may have them.
const MOST_LINES: usize = 100;
const MOST_OF_ONE: i64 = 1_000_000;

/// The documented request.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct LockStock {
    order_id: String,
    items: Vec<Object<Item>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Item {
    product_id: String,
    /// A number is judged by its value: `2.0` is 2.
    quantity: Box<RawValue>,
}

/// A request that is in order.
#[derive(Debug)]
pub(crate) struct Wanted {
    order_id: OrderId,
    pub quantities: Quantities,
    /// In which line each product is first.
    pub lines: BTreeMap<ProductId, usize>,
}

impl LockStock {
    /// Checks it, and says everything that is wrong at once.
    pub(crate) fn check(self) -> Result<Wanted, Vec<FieldError>> {
        let mut errors = Vec::new();
        let order_id = self.order_id.parse::<OrderId>();
        let order_id =
            order_id.map_err(|error| errors.push(FieldError::new(INVALID_FIELD, "orderId", error.to_string()))).ok();
        if self.items.is_empty() || self.items.len() > MOST_LINES {
            let message = format!("must have 1 to {MOST_LINES} lines");
            errors.push(FieldError::new(codes::INVALID_ITEMS, "items", message));
        }
        let items = self.items.into_iter().take(MOST_LINES).enumerate();
        let lines: Vec<(ProductId, i64)> = items.filter_map(|(i, Object(item))| item.check(i, &mut errors)).collect();
        let (Some(order_id), true) = (order_id, errors.is_empty()) else { return Err(errors) };
        let quantities = reservation::sum(lines.iter().map(|(product, quantity)| (product, *quantity)))
            .map_err(|why| vec![FieldError::new(codes::INVALID_ITEMS, "items", why)])?;
        // Backwards, so that the first line of a product is the one that stays.
        let lines = lines.into_iter().enumerate().rev().map(|(i, (product, _))| (product, i)).collect();
        Ok(Wanted { order_id, quantities, lines })
    }
}

impl Item {
    fn check(self, i: usize, errors: &mut Vec<FieldError>) -> Option<(ProductId, i64)> {
        let mut refuse = |code, field: &str, message: String| {
            errors.push(FieldError::new(code, format!("items[{i}].{field}"), message));
        };
        let quantity = match whole_number(self.quantity.get()) {
            Some(quantity @ 1..=MOST_OF_ONE) => Some(quantity),
            _ => {
                refuse(codes::INVALID_QUANTITY, "quantity", format!("must be a whole number from 1 to {MOST_OF_ONE}"));
                None
            }
        };
        let product_id = ProductId::try_from(self.product_id)
            .map_err(|error| refuse(codes::UNKNOWN_PRODUCT, "productId", error.to_string()))
            .ok();
        product_id.zip(quantity)
    }
}

/// A JSON number judged by its value: `2`, `2.0` and `2e0` are one number.
fn whole_number(text: &str) -> Option<i64> {
    let pieces = Currency { code: String::new(), exponent: 0 };
    pieces.parse(text).ok().map(|number| number.0)
}

/// The documented answer.
#[derive(Serialize)]
struct Locked {
    code: u16,
    message: &'static str,
    locked: bool,
}

/// The documented refusal, and what is short.
#[derive(Serialize)]
struct NotLocked {
    code: u16,
    message: &'static str,
    locked: bool,
    errors: Vec<Short>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Short {
    code: &'static Code,
    #[serde(skip_serializing_if = "Option::is_none")]
    field: Option<String>,
    message: String,
    #[serde(flatten)]
    shortage: Shortage,
}

/// Lock an order's stock
///
/// All of it, or nothing. Needs the scope `service`. The order need not exist yet: if none of that name is placed, with the
/// same items, within `inventory.lock_expires_ms`, the stock is given back; asking again begins that time anew. The same
/// order with other items is refused. Where there is not enough nothing is remembered, and the same may be asked again.
pub(super) async fn lock(
    State(api): super::SharedState,
    caller: Caller,
    headers: HeaderMap,
    JsonBody(body): JsonBody<LockStock>,
) -> Result<Response, Problem> {
    caller.must_have(Scope::Service)?;
    let Wanted { order_id, quantities, lines } = body.check().map_err(Problem::invalid)?;
    let trace = trace::of_request(headers.get("traceparent").and_then(|value| value.to_str().ok()));
    let field = |product: &ProductId| lines.get(product).map(|i| format!("items[{i}].productId"));
    let locked = ahead::lock(&api.units, order_id, &quantities, api.lock_expires_ms, &trace);
    match api.take("stock cannot be locked", locked).await? {
        Outcome::Locked => {
            Ok(Json(Locked { code: 200, message: "Inventory locked successfully", locked: true }).into_response())
        }
        Outcome::Short(shortages) => {
            let errors = shortages.into_iter().map(|shortage| Short {
                code: codes::INSUFFICIENT_INVENTORY,
                field: field(&shortage.product_id),
                message: format!(
                    "{} of {} are asked for, and {} available",
                    shortage.asked, shortage.product_id, shortage.available
                ),
                shortage,
            });
            let refused =
                NotLocked { code: 400, message: "Insufficient inventory", locked: false, errors: errors.collect() };
            Ok((StatusCode::BAD_REQUEST, Json(refused)).into_response())
        }
        Outcome::Unknown(products) => {
            let unknown = products.iter().map(|product| FieldError {
                code: codes::UNKNOWN_PRODUCT,
                field: field(product),
                message: format!("there is no product {product}"),
            });
            Err(Problem::invalid(unknown.collect()))
        }
        Outcome::OtherItems => Err(Problem::new(codes::OTHER_ITEMS, "other items are locked for this order already")),
        Outcome::Off => Err(Problem::new(codes::ORDER_IS_OFF, "the order is off, and its stock was given back")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(order: &str, items: &str) -> Result<Wanted, Vec<(&'static str, String)>> {
        let body = format!(r#"{{"orderId":"{order}","items":[{items}]}}"#);
        let request: LockStock = serde_json::from_str(&body).unwrap();
        request.check().map_err(|errors| {
            errors.into_iter().map(|error| (error.code.name, error.field.unwrap_or_default())).collect()
        })
    }

    const ORDER: &str = "ORD019A2B3C4D5E7F60A1B2C3D4E5F60718";

    #[test]
    fn lines_of_one_product_are_added_up_and_known_by_the_first() {
        let items = r#"{"productId":"B","quantity":1},{"productId":"A","quantity":2.0},{"productId":"B","quantity":3}"#;
        let wanted = check(ORDER, items).unwrap();
        let sums: Vec<_> = wanted.quantities.iter().map(|(product, sum)| (product.as_str(), *sum)).collect();
        assert_eq!(sums, [("A", 2), ("B", 4)]);
        assert_eq!(wanted.lines.into_values().collect::<Vec<_>>(), [1, 0]);
    }

    #[test]
    fn everything_that_is_wrong_is_said_at_once() {
        let items = r#"{"productId":"A","quantity":0},{"productId":"a b","quantity":1000001},{"productId":"A","quantity":"1"},{"productId":"A","quantity":1.5}"#;
        let expected = [
            ("invalid_field", "orderId"),
            ("invalid_quantity", "items[0].quantity"),
            ("invalid_quantity", "items[1].quantity"),
            ("unknown_product", "items[1].productId"),
            ("invalid_quantity", "items[2].quantity"),
            ("invalid_quantity", "items[3].quantity"),
        ];
        assert_eq!(check("ORD123456", items).unwrap_err(), expected.map(|(code, field)| (code, field.to_owned())));
        assert_eq!(check(ORDER, "").unwrap_err(), [("invalid_items", "items".to_owned())]);
        let many = vec![r#"{"productId":"A","quantity":1000000}"#; 101];
        assert_eq!(check(ORDER, &many.join(",")).unwrap_err(), [("invalid_items", "items".to_owned())]);
        assert_eq!(check(ORDER, &many[1..].join(",")).unwrap().quantities.into_values().next(), Some(100_000_000));
    }
}
