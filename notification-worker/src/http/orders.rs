//! `GET /api/notification/orders/{orderId}`: what a customer was told of an order, for whoever is asked about it.

use axum::{
    Json,
    extract::{Path, State, rejection::PathRejection},
};
use common::{
    auth::{Caller, Scope},
    db::{Db, DbError},
    http::Problem,
    ids::{OrderId, UserId},
};
use serde::Serialize;
use time::{OffsetDateTime, format_description::well_known::Rfc3339};
use tokio_postgres::Row;
use uuid::Uuid;

use super::{UNREACHABLE, mask};

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Shown {
    code: u16,
    message: &'static str,
    order_id: OrderId,
    user_id: UserId,
    /// Where they can be told now, which need not be where they were told then.
    #[serde(skip_serializing_if = "Option::is_none")]
    contact: Option<Reached>,
    notifications: Vec<Notification>,
}

#[derive(Serialize)]
struct Reached {
    channel: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    email: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    phone: Option<String>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Notification {
    event_id: Uuid,
    /// The type of the event it tells of, such as `order.paid`, and the order's version in it.
    #[serde(rename = "type")]
    kind: String,
    version: i32,
    /// `sent`; `pending`: it is being told, or will be; `superseded`: something newer was told; `no_contact`: there is no
    /// address; `refused`: the address does not take it.
    status: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    channel: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<String>,
    created_at: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    sent_at: Option<String>,
}

pub(super) async fn show(
    State(state): super::SharedState,
    caller: Caller,
    path: Result<Path<String>, PathRejection>,
) -> Result<Json<Shown>, Problem> {
    let order_id: OrderId = path.ok().and_then(|Path(id)| id.parse().ok()).ok_or_else(unknown)?;
    let rows = state.turns.take(UNREACHABLE, read(&state.db, order_id)).await?;
    let first = rows.first().ok_or_else(unknown)?;
    let user_id = user_of(first).map_err(|error| odd(&error))?;
    if !caller.may_see(&user_id) {
        return Err(unknown());
    }
    let is_own = caller.has(Scope::Customer) && caller.user_id == user_id;
    // Staff need to recognise an address, not to have it.
    let masked = !is_own && !caller.has(Scope::Admin) && !caller.has(Scope::Service);
    let contact = reached(first, masked).map_err(|error| odd(&error))?;
    let notifications: Result<_, DbError> = rows.iter().map(|row| notification(row, masked)).collect();
    let notifications = notifications.map_err(|error| odd(&error))?;
    Ok(Json(Shown { code: 200, message: "Notifications found", order_id, user_id, contact, notifications }))
}

async fn read(db: &Db, order_id: OrderId) -> Result<Vec<Row>, DbError> {
    db.query(include_str!("../store/show_order.sql"), &[&order_id.0]).await
}

/// What stands in the table is not what this program puts there.
fn odd(error: &DbError) -> Problem {
    tracing::error!(%error, "an order's notices cannot be shown");
    Problem::internal()
}

fn user_of(row: &Row) -> Result<UserId, DbError> {
    UserId::try_from(row.try_get::<_, String>("user_id")?).map_err(DbError::unexpected)
}

fn reached(row: &Row, masked: bool) -> Result<Option<Reached>, DbError> {
    let Some(channel) = row.try_get("wanted")? else { return Ok(None) };
    let (email, phone): (Option<String>, Option<String>) = (row.try_get("email")?, row.try_get("phone")?);
    Ok(Some(if masked {
        let (email, phone) = (email.as_deref().map(mask::email), phone.as_deref().map(mask::phone));
        Reached { channel, email, phone }
    } else {
        Reached { channel, email, phone }
    }))
}

fn notification(row: &Row, masked: bool) -> Result<Notification, DbError> {
    let reason: Option<String> = row.try_get("reason")?;
    let sent_at: Option<OffsetDateTime> = row.try_get("sent_at")?;
    Ok(Notification {
        event_id: row.try_get("event_id")?,
        kind: row.try_get("kind")?,
        version: row.try_get("version")?,
        status: row.try_get("state")?,
        channel: row.try_get("channel")?,
        reason: reason.map(|reason| if masked { mask::text(&reason) } else { reason }),
        created_at: instant(row.try_get("created_at")?)?,
        sent_at: sent_at.map(instant).transpose()?,
    })
}

fn instant(at: OffsetDateTime) -> Result<String, DbError> {
    at.format(&Rfc3339).map_err(DbError::unexpected)
}

fn unknown() -> Problem {
    Problem::not_found("there is no such order, or its customer was never to be told of it")
}
