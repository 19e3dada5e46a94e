//! From the body of a create request to an order that may be written, or to everything that is wrong with it.

use std::collections::HashMap;

use common::{
    auth::LONGEST_TOKEN,
    events::Line,
    http::{FieldError, Object, codes::INVALID_FIELD},
    ids::ProductId,
    money::{BadMoney, Currency, Money},
};
use serde::Deserialize;
use serde_json::value::RawValue;
use utoipa::ToSchema;

use crate::http::{codes, openapi};

/// The most lines an order may have.
const MOST_LINES: usize = 100;
/// The most of one product in one line.
const MOST_OF_ONE: i64 = 1_000_000;
/// The longest token or signature that is looked at.
const LONGEST_SECRET: usize = LONGEST_TOKEN;

/// The documented request. Numbers are kept as the text they were sent as: an amount never passes through a float.
///
/// It has no `Debug`: the token and the signature must not reach a log.
#[derive(Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[schema(description = "An order to be placed.")]
pub(crate) struct CreateOrder {
    /// Whose order it is: the `sub` of the token.
    #[schema(value_type = openapi::UserId)]
    pub user_id: String,
    /// The JWT that says who you are, of at most 8192 bytes.
    #[schema(min_length = 1, max_length = 8192, pattern = r"^[^\x00]+$")]
    pub token: String,
    /// The name of a registered key, a colon, and the base64 of an Ed25519 signature over the RFC 8785 form of the body
    /// without this field. Where signatures are not required, any text of at most 8192 bytes.
    #[schema(min_length = 1, max_length = 8192, pattern = r"^[^\x00]+$")]
    pub signature: String,
    /// The sum of prices times quantities, exactly.
    #[schema(value_type = openapi::Amount)]
    order_amount: Box<RawValue>,
    /// The lines of the order. A product may be in several.
    #[schema(value_type = Vec<Item>, min_items = 1, max_items = 100)]
    items: Vec<Object<Item>>,
}

#[derive(Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[schema(as = WantedLine, description = "One line of an order to be placed.")]
struct Item {
    #[schema(value_type = openapi::ProductId)]
    product_id: String,
    /// How many. A number is judged by its value: `2.0` is 2.
    #[schema(value_type = i64, minimum = 1, maximum = 1_000_000)]
    quantity: Box<RawValue>,
}

/// An order that is in order.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Wanted {
    pub amount: Money,
    pub lines: Vec<Line>,
}

impl CreateOrder {
    /// The token and the signature are texts that can be looked at.
    pub(crate) fn check_secrets(&self) -> Result<(), Vec<FieldError>> {
        let bad = |secret: &str| secret.is_empty() || secret.len() > LONGEST_SECRET || secret.contains('\0');
        let errors: Vec<FieldError> = [("token", &self.token), ("signature", &self.signature)]
            .into_iter()
            .filter(|(_, secret)| bad(secret))
            .map(|(name, _)| {
                FieldError::new(INVALID_FIELD, name, format!("must be a text of 1 to {LONGEST_SECRET} bytes"))
            })
            .collect();
        if errors.is_empty() { Ok(()) } else { Err(errors) }
    }

    /// Checks what is ordered, and says everything that is wrong at once.
    pub(crate) fn check(
        self,
        prices: &HashMap<ProductId, Money>,
        currency: &Currency,
    ) -> Result<Wanted, Vec<FieldError>> {
        let mut errors = Vec::new();
        let amount = currency
            .parse(self.order_amount.get())
            .map_err(|error| errors.push(FieldError::new(codes::INVALID_AMOUNT, "orderAmount", error.to_string())))
            .ok();
        if self.items.is_empty() || self.items.len() > MOST_LINES {
            let message = format!("must have 1 to {MOST_LINES} lines");
            errors.push(FieldError::new(codes::INVALID_ITEMS, "items", message));
        }
        let lines: Vec<Line> = self
            .items
            .into_iter()
            .take(MOST_LINES)
            .enumerate()
            .filter_map(|(i, Object(item))| item.check(i, prices, &mut errors))
            .collect();
        let (Some(amount), true) = (amount, errors.is_empty()) else {
            return Err(errors);
        };
        let total: i128 = lines.iter().map(|line| i128::from(line.unit_price.0) * i128::from(line.quantity)).sum();
        if total != i128::from(amount.0) {
            let message = match i64::try_from(total) {
                Ok(total) => format!("is not the sum of the items, which is {}", currency.format(Money(total))),
                Err(_) => "is not the sum of the items".to_owned(),
            };
            return Err(vec![FieldError::new(codes::AMOUNT_MISMATCH, "orderAmount", message)]);
        }
        Ok(Wanted { amount, lines })
    }
}

impl Item {
    fn check(self, i: usize, prices: &HashMap<ProductId, Money>, errors: &mut Vec<FieldError>) -> Option<Line> {
        let mut refuse = |code, field: &str, message: String| {
            errors.push(FieldError::new(code, format!("items[{i}].{field}"), message));
        };
        let quantity = match whole_number(self.quantity.get()) {
            Ok(quantity @ 1..=MOST_OF_ONE) => Some(quantity),
            _ => {
                refuse(codes::INVALID_QUANTITY, "quantity", format!("must be a whole number from 1 to {MOST_OF_ONE}"));
                None
            }
        };
        let product_id = match ProductId::try_from(self.product_id) {
            Ok(product_id) => product_id,
            Err(error) => {
                refuse(codes::UNKNOWN_PRODUCT, "productId", error.to_string());
                return None;
            }
        };
        let Some(unit_price) = prices.get(&product_id).copied() else {
            refuse(codes::UNKNOWN_PRODUCT, "productId", format!("there is no product {product_id}"));
            return None;
        };
        Some(Line { product_id, quantity: quantity?, unit_price })
    }
}

/// A JSON number judged by its value, as amounts are: `2`, `2.0` and `2e0` are one number.
fn whole_number(text: &str) -> Result<i64, BadMoney> {
    Currency { code: String::new(), exponent: 0 }.parse(text).map(|number| number.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(body: &str) -> Result<Wanted, Vec<(&'static str, String)>> {
        let id = |id: &str| ProductId::try_from(id.to_owned()).unwrap();
        let prices = HashMap::from([(id("P001"), Money(3_525)), (id("P002"), Money(3_000))]);
        let request: CreateOrder = serde_json::from_str(body).unwrap();
        request
            .check_secrets()
            .and_then(|()| request.check(&prices, &Currency::default()))
            .map_err(|errors| errors.into_iter().map(|e| (e.code.name, e.field.unwrap_or_default())).collect())
    }

    fn body(amount: &str, items: &str) -> String {
        format!(r#"{{"userId":"123456","token":"t","signature":"s","orderAmount":{amount},"items":[{items}]}}"#)
    }

    const TWO_AND_ONE: &str = r#"{"productId":"P001","quantity":2},{"productId":"P002","quantity":1}"#;

    #[test]
    fn the_documented_example_is_in_order() {
        for amount in ["100.50", "100.5", "100.500", "1.005e2"] {
            let wanted = check(&body(amount, TWO_AND_ONE)).unwrap();
            assert_eq!((wanted.amount, wanted.lines.len()), (Money(10_050), 2), "{amount}");
        }
    }

    #[test]
    fn everything_that_is_wrong_is_said_at_once() {
        let items = r#"{"productId":"P001","quantity":0},{"productId":"P9","quantity":1.5},{"productId":"P002","quantity":"1"}"#;
        assert_eq!(
            check(&body("-1", items)).unwrap_err(),
            [
                ("invalid_amount", "orderAmount".to_owned()),
                ("invalid_quantity", "items[0].quantity".to_owned()),
                ("invalid_quantity", "items[1].quantity".to_owned()),
                ("unknown_product", "items[1].productId".to_owned()),
                ("invalid_quantity", "items[2].quantity".to_owned()),
            ]
        );
    }

    #[test]
    fn amounts_that_are_not_exact_or_not_the_sum_are_refused() {
        for (amount, code) in [
            ("100.51", "amount_mismatch"),
            ("100.505", "invalid_amount"),
            ("1e400", "invalid_amount"),
            ("1000000000001", "invalid_amount"),
            ("\"100.50\"", "invalid_amount"),
            ("null", "invalid_amount"),
            ("[]", "invalid_amount"),
        ] {
            let errors = check(&body(amount, TWO_AND_ONE)).unwrap_err();
            assert_eq!(errors, [(code, "orderAmount".to_owned())], "{amount}");
        }
    }

    #[test]
    fn the_number_of_lines_is_bounded() {
        let line = r#"{"productId":"P002","quantity":1}"#;
        assert_eq!(check(&body("0", "")).unwrap_err(), [("invalid_items", "items".to_owned())]);
        let many = vec![line; 101].join(",");
        assert_eq!(check(&body("3030", &many)).unwrap_err(), [("invalid_items", "items".to_owned())]);
        let most = vec![line; 100].join(",");
        assert!(check(&body("3000", &most)).is_ok());
    }

    #[test]
    fn a_nul_is_refused_wherever_it_stands() {
        let with = |token: &str, product: &str| {
            format!(
                r#"{{"userId":"u","token":"{token}","signature":"s","orderAmount":30,"items":[{{"productId":"{product}","quantity":1}}]}}"#
            )
        };
        assert!(check(&with("t", "P002")).is_ok());
        for bad in [with("t\\u0000", "P002"), with("t", "P002\\u0000")] {
            assert_eq!(check(&bad).unwrap_err().len(), 1, "{bad}");
        }
    }
}
