//! When to look at which orders again.

use common::{
    db::{DbError, Tx},
    events::Line,
    params,
};
use time::OffsetDateTime;
use tokio_postgres::Row;
use uuid::Uuid;

use crate::order::Order;

/// How long a refund may take before it is asked for again.
pub(crate) const REFUND_MS: i64 = 60_000;

/// The most rows that are taken at once.
const MOST_ROWS: i64 = 64;

/// Some orders that are to be looked at together.
pub(crate) struct Wakeup {
    pub id: Uuid,
    pub orders: Vec<Uuid>,
    /// How often they were looked at before.
    pub looks: i32,
}

/// An order that has not come to its end.
pub(crate) struct Open {
    pub order: Order,
    pub created_at: OffsetDateTime,
    /// What was ordered, where that is still to be locked.
    pub lines: Option<Vec<Line>>,
}

/// Has these orders looked at after so long.
pub(crate) fn insert(tx: &mut Tx, after_ms: i64, orders: Vec<Uuid>) {
    tx.write(
        "INSERT INTO wakeups (id, due, orders) VALUES ($1, now() + $2::bigint * interval '1 millisecond', $3)",
        params![Uuid::now_v7(), after_ms, orders],
    );
}

/// Takes what is due and nobody else has taken, the oldest first, and what time it is.
pub(crate) async fn take_due(tx: &mut Tx) -> Result<(Vec<Wakeup>, Option<OffsetDateTime>), DbError> {
    let rows = tx.query(include_str!("take_due_wakeups.sql"), &[&MOST_ROWS]).await?;
    let now = rows.first().map(|row| row.try_get("now")).transpose()?;
    let wakeup =
        |row: &Row| Ok(Wakeup { id: row.try_get("id")?, orders: row.try_get("orders")?, looks: row.try_get("looks")? });
    Ok((rows.iter().map(wakeup).collect::<Result<_, DbError>>()?, now))
}

/// Reads those of the orders that have not come to their end.
pub(crate) async fn read_open(tx: &mut Tx, ids: &[Uuid]) -> Result<Vec<Open>, DbError> {
    let rows = tx.query(include_str!("read_open_orders.sql"), &[&ids]).await?;
    let open = |row: &Row| {
        let lines: Option<&str> = row.try_get("lines")?;
        Ok(Open {
            order: super::order(row)?,
            created_at: row.try_get("created_at")?,
            lines: lines.map(serde_json::from_str).transpose().map_err(DbError::unexpected)?,
        })
    };
    rows.iter().map(open).collect()
}

/// Has what is left of each looked at again at its time; what nothing is left of is done with.
pub(crate) fn put_back(tx: &mut Tx, left: Vec<(Wakeup, Option<OffsetDateTime>)>) {
    let (mut ids, mut dues, mut orders, mut done) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    for (wakeup, due) in left {
        match due {
            Some(due) => {
                ids.push(wakeup.id);
                dues.push(due);
                // Rows of different lengths do not make an array of arrays.
                orders.push(serde_json::to_string(&wakeup.orders).unwrap_or_default());
            }
            None => done.push(wakeup.id),
        }
    }
    if !ids.is_empty() {
        tx.write(include_str!("put_back_wakeups.sql"), params![ids, dues, orders]);
    }
    if !done.is_empty() {
        tx.write("DELETE FROM wakeups WHERE id = ANY ($1)", params![done]);
    }
}
