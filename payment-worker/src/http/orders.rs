//! `GET /api/payment/orders/{orderId}`: everything that is known of an order's money, for whoever is asked about it.

use axum::{
    Json,
    extract::{Path, State, rejection::PathRejection},
};
use common::{
    auth::Caller,
    db::{Db, DbError},
    http::Problem,
    ids::{OrderId, TransactionId, UserId},
    money::{Currency, Money},
};
use serde::Serialize;
use serde_json::value::RawValue;
use time::{OffsetDateTime, format_description::well_known::Rfc3339};
use tokio_postgres::Row;

use super::{SharedState, UNREACHABLE};
use crate::{gateway::PaymentGateway, store::PaidBack};

/// What is owed, and every attempt to have it. The gateway's name for a stored method is not among it.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Shown {
    code: u16,
    message: &'static str,
    order_id: OrderId,
    #[serde(skip_serializing_if = "Option::is_none")]
    user_id: Option<UserId>,
    /// What is owed; absent where the order ended before its payment fell due.
    #[serde(skip_serializing_if = "Option::is_none")]
    amount: Option<Box<RawValue>>,
    currency: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    deadline: Option<String>,
    /// The order is off: nothing is charged for it any more.
    off: bool,
    payments: Vec<Payment>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Payment {
    transaction_id: TransactionId,
    attempt: i32,
    /// `open`, `captured`, `declined` or `voided`.
    status: String,
    amount: Box<RawValue>,
    /// `stored`, `card`, or another way by its name.
    method: String,
    /// How many more there could be after this one.
    attempts_left: i32,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<String>,
    /// What has become of captured money since: `due`, `refunded`, `refused`, or `paid_back` by hand because it is refused.
    #[serde(skip_serializing_if = "Option::is_none")]
    refund: Option<String>,
    created_at: String,
    /// When the money came.
    #[serde(skip_serializing_if = "Option::is_none")]
    captured_at: Option<String>,
    /// When the gateway was last asked anew to give it back, or last said what became of that.
    #[serde(skip_serializing_if = "Option::is_none")]
    refund_tried_at: Option<String>,
    updated_at: String,
    #[serde(flatten)]
    for_the_shop: Option<ForTheShop>,
}

/// What means nothing to a customer.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct ForTheShop {
    /// The gateway's own name for it.
    #[serde(skip_serializing_if = "Option::is_none")]
    gateway_reference: Option<String>,
    /// When somebody comes back to it by themselves, and how often they have.
    #[serde(skip_serializing_if = "Option::is_none")]
    looked_after_at: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    looked_after: Option<i32>,
    /// Who paid it back by hand. Where `refund` is `refunded` all the same, it was given back twice.
    #[serde(skip_serializing_if = "Option::is_none")]
    paid_back: Option<ByHand>,
}

/// Money that a person has paid back, as it was noted.
#[derive(Serialize)]
pub(super) struct ByHand {
    at: String,
    by: String,
    note: String,
}

impl ByHand {
    pub(super) fn of(PaidBack { account, note, at }: PaidBack) -> Result<Self, DbError> {
        Ok(Self { at: instant(at)?, by: account, note })
    }

    fn read(row: &Row) -> Result<Option<Self>, DbError> {
        let Some(account) = row.try_get("paid_back_by")? else { return Ok(None) };
        let (note, at) = (row.try_get("paid_back_note")?, row.try_get("paid_back_at")?);
        Self::of(PaidBack { account, note, at }).map(Some)
    }
}

pub(super) async fn show<G: PaymentGateway>(
    State(state): SharedState<G>,
    caller: Caller,
    path: Result<Path<String>, PathRejection>,
) -> Result<Json<Shown>, Problem> {
    let order_id: OrderId = path.ok().and_then(|Path(id)| id.parse().ok()).ok_or_else(unknown)?;
    let rows = state.turns.take(UNREACHABLE, read(&state.units.db, order_id)).await?;
    let first = rows.first().ok_or_else(unknown)?;
    let user = user_of(first).map_err(|error| odd(&error))?;
    // Somebody else's order reads like one of which nothing is known, and so does one whose customer is not known here.
    let may_see = user.as_ref().map_or(caller.may_see_everything(), |user| caller.may_see(user));
    if !may_see {
        return Err(unknown());
    }
    let to_the_shop = caller.may_see_everything();
    shown(order_id, user, &rows, &state.currency, to_the_shop).map(Json).map_err(|error| odd(&error))
}

async fn read(db: &Db, order_id: OrderId) -> Result<Vec<Row>, DbError> {
    db.query(include_str!("../store/show_order.sql"), &[&format!("order:{order_id}")]).await
}

fn user_of(row: &Row) -> Result<Option<UserId>, DbError> {
    let user: Option<String> = row.try_get("user_id")?;
    user.map(UserId::try_from).transpose().map_err(DbError::unexpected)
}

fn shown(
    order_id: OrderId,
    user_id: Option<UserId>,
    rows: &[Row],
    currency: &Currency,
    to_the_shop: bool,
) -> Result<Shown, DbError> {
    let mut shown = Shown {
        code: 200,
        message: "Payments found",
        order_id,
        user_id,
        amount: None,
        currency: currency.code.clone(),
        deadline: None,
        off: false,
        payments: Vec::with_capacity(rows.len()),
    };
    if let Some(row) = rows.first() {
        let owed: Option<i64> = row.try_get("owed")?;
        shown.amount = owed.map(|owed| decimal(owed, currency)).transpose()?;
        shown.deadline = row.try_get::<_, Option<OffsetDateTime>>("deadline")?.map(instant).transpose()?;
        shown.off = row.try_get::<_, Option<bool>>("off")?.unwrap_or(false);
    }
    for row in rows {
        let Some(id) = row.try_get("id")? else { continue };
        shown.payments.push(payment(TransactionId(id), row, currency, to_the_shop)?);
    }
    Ok(shown)
}

fn payment(
    transaction_id: TransactionId,
    row: &Row,
    currency: &Currency,
    to_the_shop: bool,
) -> Result<Payment, DbError> {
    let for_the_shop = ForTheShop {
        gateway_reference: row.try_get("gateway_reference")?,
        looked_after_at: row.try_get::<_, Option<OffsetDateTime>>("due_at")?.map(instant).transpose()?,
        looked_after: row.try_get("tries")?,
        paid_back: ByHand::read(row)?,
    };
    Ok(Payment {
        transaction_id,
        attempt: row.try_get("attempt")?,
        status: row.try_get("state")?,
        amount: decimal(row.try_get("amount")?, currency)?,
        method: row.try_get("method")?,
        attempts_left: row.try_get("attempts_left")?,
        reason: row.try_get("reason")?,
        refund: row.try_get("refund")?,
        created_at: instant(row.try_get("created_at")?)?,
        captured_at: row.try_get::<_, Option<OffsetDateTime>>("captured_at")?.map(instant).transpose()?,
        refund_tried_at: row.try_get::<_, Option<OffsetDateTime>>("refund_tried_at")?.map(instant).transpose()?,
        updated_at: instant(row.try_get("updated_at")?)?,
        for_the_shop: to_the_shop.then_some(for_the_shop),
    })
}

fn decimal(minor: i64, currency: &Currency) -> Result<Box<RawValue>, DbError> {
    RawValue::from_string(currency.format(Money(minor))).map_err(DbError::unexpected)
}

fn instant(at: OffsetDateTime) -> Result<String, DbError> {
    at.format(&Rfc3339).map_err(DbError::unexpected)
}

/// What stands in the table is not what this program puts there.
pub(super) fn odd(error: &DbError) -> Problem {
    tracing::error!(%error, "an order's payments cannot be shown");
    Problem::internal()
}

fn unknown() -> Problem {
    Problem::not_found("there is no such order, or nothing was ever due for it")
}
