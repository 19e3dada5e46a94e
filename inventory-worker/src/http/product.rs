//! `/api/inventory/{productId}`: what there is of a product, and what was counted.

use axum::{
    Json,
    extract::{Path, State, rejection::PathRejection},
};
use common::{
    auth::{Caller, Scope},
    db::DbError,
    http::{
        FieldError, JsonBody, Problem,
        codes::{INSUFFICIENT_SCOPE, INVALID_FIELD, MISSING_FIELD},
    },
    ids::{ProductId, UserId},
    outbox::Units,
};
use serde::{Deserialize, Serialize};

use super::codes;
use crate::{
    stock::{Change, Counted, MOST, Refused},
    store::products::{self, Audit},
};

/// The most characters in a reason.
const LONGEST_REASON: usize = 200;

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Shown {
    code: u16,
    message: &'static str,
    product_id: ProductId,
    on_hand: i64,
    reserved: i64,
    available: i64,
}

impl Shown {
    fn new(message: &'static str, product_id: ProductId, Counted { on_hand, reserved }: Counted) -> Self {
        Self { code: 200, message, product_id, on_hand, reserved, available: on_hand - reserved }
    }
}

fn product_id(id: Result<Path<String>, PathRejection>) -> Result<ProductId, FieldError> {
    let id = id.map(|Path(id)| id).unwrap_or_default();
    ProductId::try_from(id).map_err(|error| FieldError::new(INVALID_FIELD, "productId", error.to_string()))
}

fn unknown() -> Problem {
    Problem::not_found("there is no such product")
}

/// Show what there is of a product
///
/// Needs the scope `service`, `staff` or `admin`. What is reserved is on hand, but not available.
pub(super) async fn show(
    State(api): super::SharedState,
    caller: Caller,
    id: Result<Path<String>, PathRejection>,
) -> Result<Json<Shown>, Problem> {
    if !caller.may_see_everything() {
        let message = "to see stock, the token needs the scope `service`, `staff` or `admin`";
        return Err(Problem::new(INSUFFICIENT_SCOPE, message));
    }
    let id = product_id(id).map_err(|error| Problem::invalid(vec![error]))?;
    let counted = api.take("stock cannot be read", products::find(&api.units.db, &id)).await?;
    Ok(Json(Shown::new("Product found", id, counted.ok_or_else(unknown)?)))
}

/// What was counted, or by how much it differs; one of the two.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct Put {
    on_hand: Option<i64>,
    adjust: Option<i64>,
    reason: String,
}

impl Put {
    pub(crate) fn check(self, errors: &mut Vec<FieldError>) -> Option<(Change, String)> {
        let length = self.reason.chars().count();
        if !(1..=LONGEST_REASON).contains(&length) || self.reason.chars().any(char::is_control) {
            let message = format!("must have 1 to {LONGEST_REASON} characters, and no control characters among them");
            errors.push(FieldError::new(INVALID_FIELD, "reason", message));
        }
        let change = match (self.on_hand, self.adjust) {
            (Some(on_hand @ 0..=MOST), None) => Some(Change::Set(on_hand)),
            (None, Some(by)) if by != 0 && (-MOST..=MOST).contains(&by) => Some(Change::Adjust(by)),
            (Some(_), None) => {
                errors.push(FieldError::new(INVALID_FIELD, "onHand", format!("must be from 0 to {MOST}")));
                None
            }
            (None, Some(_)) => {
                let message = format!("must be from -{MOST} to {MOST}, and not 0");
                errors.push(FieldError::new(INVALID_FIELD, "adjust", message));
                None
            }
            (Some(_), Some(_)) => {
                let message = "cannot be given together with onHand: set what there is, or adjust it";
                errors.push(FieldError::new(INVALID_FIELD, "adjust", message));
                None
            }
            (None, None) => {
                let message = "is required, unless adjust says by how much it differs";
                errors.push(FieldError::new(MISSING_FIELD, "onHand", message));
                None
            }
        };
        Some((change?, self.reason))
    }
}

/// What became of it.
enum Outcome {
    Stored(Counted),
    Unknown,
    Refused(Refused, Counted),
}

/// Set or adjust what there is of a product
///
/// Needs the scope `admin`. To set what was counted can be repeated, and makes a product known that was not; an adjustment
/// counts each time that it is sent. There is never less on hand than is reserved. Who changed what, and why, is kept.
pub(super) async fn put(
    State(api): super::SharedState,
    caller: Caller,
    id: Result<Path<String>, PathRejection>,
    JsonBody(body): JsonBody<Put>,
) -> Result<Json<Shown>, Problem> {
    caller.must_have(Scope::Admin)?;
    let mut errors = Vec::new();
    let id = product_id(id).map_err(|error| errors.push(error)).ok();
    let change = body.check(&mut errors);
    let (Some(id), Some((change, reason)), true) = (id, change, errors.is_empty()) else {
        return Err(Problem::invalid(errors));
    };
    let changed = store(&api.units, &id, change, &caller.user_id, reason);
    match api.take("stock cannot be changed", changed).await? {
        Outcome::Stored(counted) => {
            tracing::info!(product.id = %id, on_hand = counted.on_hand, by = %caller.user_id, "stock was changed");
            Ok(Json(Shown::new("Stock stored", id, counted)))
        }
        Outcome::Unknown => Err(unknown()),
        Outcome::Refused(Refused::BelowReserved, Counted { on_hand, reserved }) => {
            let message = format!("{on_hand} are on hand, and {reserved} of them reserved: there cannot be fewer");
            Err(Problem::new(codes::BELOW_RESERVED, message))
        }
        Outcome::Refused(Refused::TooMuch, Counted { on_hand, .. }) => {
            let message = format!("{on_hand} are on hand, and there can be {MOST} at the most");
            Err(Problem::new(codes::TOO_MUCH_STOCK, message))
        }
    }
}

/// Changes it and remembers who did, or leaves no trace.
async fn store(units: &Units, id: &ProductId, change: Change, by: &UserId, reason: String) -> Result<Outcome, DbError> {
    let mut unit = units.begin().await?;
    let (counted, is_known) = match change {
        Change::Set(_) => products::lock_or_add(&mut unit.tx, id).await?,
        Change::Adjust(_) => match products::lock(&mut unit.tx, id).await? {
            Some(counted) => (counted, true),
            None => {
                unit.tx.start_over().await?;
                return Ok(Outcome::Unknown);
            }
        },
    };
    match counted.change(change) {
        Ok(changed) => {
            let before = is_known.then_some(counted.on_hand);
            products::set(&mut unit.tx, Audit { id, before, after: changed.on_hand, by, reason });
            unit.commit().await?;
            Ok(Outcome::Stored(changed))
        }
        Err(refused) => {
            unit.tx.start_over().await?;
            Ok(Outcome::Refused(refused, counted))
        }
    }
}
