//! What many descriptions have in common: identifiers, amounts, moments, and the one shape of every refusal.

use common::money::LARGEST;
use serde_json::{Value, json};
use utoipa::{
    PartialSchema, ToSchema,
    openapi::{KnownFormat, ObjectBuilder, RefOr, Schema, SchemaFormat, Type},
};

use super::refusals;
use crate::order::Status;

/// Defines a named text for the document; the type stands for it in `#[schema(value_type = …)]` and is nothing else.
macro_rules! text {
    ($name:ident, $pattern:literal, $example:literal, $description:literal) => {
        pub(in crate::http) struct $name;

        impl ToSchema for $name {}

        impl PartialSchema for $name {
            fn schema() -> RefOr<Schema> {
                let text = ObjectBuilder::new().schema_type(Type::String).pattern(Some($pattern));
                text.description(Some($description)).examples([$example]).into()
            }
        }
    };
}

text!(OrderId, "^ORD[0-9A-Fa-f]{32}$", "ORD019A2B3C4D5E7F60A1B2C3D4E5F60718", "Names an order. Grows with time.");
text!(TransactionId, "^TXN[0-9A-Fa-f]{32}$", "TXN019A2B3C4D5E7F60A1B2C3D4E5F60719", "Names a movement of money.");
text!(UserId, "^[A-Za-z0-9._@:+-]{1,64}$", "123456", "Names a customer: the `sub` of their token.");
text!(ProductId, "^[A-Za-z0-9._@:+-]{1,64}$", "P001", "Names a product of the catalogue.");

text!(KeyId, "^[A-Za-z0-9._-]{1,64}$", "laptop", "Names one of a user's signing keys.");

/// An amount of money, a JSON number.
pub(in crate::http) struct Amount;

impl ToSchema for Amount {}

impl PartialSchema for Amount {
    fn schema() -> RefOr<Schema> {
        let number = ObjectBuilder::new().schema_type(Type::Number);
        number
            .minimum(Some(0_usize))
            .maximum(usize::try_from(LARGEST).ok())
            .description(Some(
                "An amount in the shop's currency, with no more decimals than that has. It is a JSON number, read and \
                 written exactly: `100.50`, `100.5` and `1.005e2` are one amount.",
            ))
            .examples([json!(100.5)])
            .into()
    }
}

/// A moment, as RFC 3339 writes it.
pub(in crate::http) struct Instant;

impl ToSchema for Instant {}

impl PartialSchema for Instant {
    fn schema() -> RefOr<Schema> {
        let text = ObjectBuilder::new().schema_type(Type::String);
        text.format(Some(SchemaFormat::KnownFormat(KnownFormat::DateTime)))
            .description(Some("A moment, in UTC (RFC 3339)."))
            .examples(["2026-01-31T12:00:00.123456Z"])
            .into()
    }
}

/// Where an order stands.
pub(in crate::http) struct OrderStatus;

impl ToSchema for OrderStatus {}

impl PartialSchema for OrderStatus {
    fn schema() -> RefOr<Schema> {
        let text = ObjectBuilder::new().schema_type(Type::String);
        text.enum_values(Some(Status::NAMES.iter().map(|(_, name)| *name)))
            .description(Some(
                "Where an order stands. `pending` and `awaiting_payment` are on their way; others are outcomes.",
            ))
            .into()
    }
}

/// The names of all codes.
pub(in crate::http) struct ErrorCode;

impl ToSchema for ErrorCode {}

impl PartialSchema for ErrorCode {
    fn schema() -> RefOr<Schema> {
        let text = ObjectBuilder::new().schema_type(Type::String);
        text.enum_values(Some(refusals::known().map(|code| code.name)))
            .description(Some("Why: a name that never changes. `x-error-codes` says of each what to do about it."))
            .into()
    }
}

// What sends it is `common::http::Problem`.
/// The one shape of every refusal.
#[derive(ToSchema)]
#[expect(dead_code, reason = "it is only described")]
pub(in crate::http) struct Refusal {
    /// The status of the answer, once more.
    #[schema(minimum = 400, maximum = 599)]
    code: u16,
    /// What is wrong, for people. Do not take it apart: its words may change.
    message: String,
    /// Everything that is wrong, for programs.
    #[schema(min_items = 1)]
    errors: Vec<RefusalReason>,
}

/// One thing that is wrong.
#[derive(ToSchema)]
#[expect(dead_code, reason = "it is only described")]
pub(in crate::http) struct RefusalReason {
    #[schema(value_type = ErrorCode)]
    code: String,
    /// The path of the field, such as `items[1].quantity`; absent when the fault is not in one field.
    #[schema(nullable = false)]
    field: Option<String>,
    /// What is wrong with it, for people.
    message: String,
}

/// A refusal as it goes over the wire.
pub(super) fn example(code: &common::http::Code) -> Value {
    let reason = json!({"code": code.name, "message": code.meaning});
    json!({"code": code.status.as_u16(), "message": code.meaning, "errors": [reason]})
}
