//! When to look at which orders again.

use common::{
    db::{Db, DbError, Tx},
    events::Line,
    ids::OrderId,
    params,
};
use time::OffsetDateTime;
use tokio_postgres::Row;
use uuid::Uuid;

use crate::order::{Order, again::Step};

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

/// An order, and what is needed to say again how it stands.
pub(crate) struct Open {
    pub order: Order,
    pub created_at: OffsetDateTime,
    /// What was ordered, where that is still to be locked.
    pub lines: Option<Vec<Line>>,
    /// Its timeline, where it has an outcome.
    pub steps: Vec<Step>,
}

/// Has these orders looked at after so long.
pub(crate) fn insert(tx: &mut Tx, after_ms: i64, orders: Vec<Uuid>) {
    tx.write(
        "INSERT INTO wakeups (id, due, orders) VALUES ($1, now() + $2::bigint * interval '1 millisecond', $3)",
        params![Uuid::now_v7(), after_ms, orders],
    );
}

/// Since when it is time to look at something that nobody is looking at.
pub(crate) async fn first_due(db: &Db) -> Result<Option<OffsetDateTime>, DbError> {
    let rows = db.query(include_str!("first_due_wakeup.sql"), &[]).await?;
    Ok(rows.first().map(|row| row.try_get(0)).transpose()?)
}

/// Takes what was due at that moment and nobody else has taken, the oldest first.
pub(crate) async fn take_due(tx: &mut Tx, by: OffsetDateTime) -> Result<Vec<Wakeup>, DbError> {
    let rows = tx.query(include_str!("take_due_wakeups.sql"), &[&MOST_ROWS, &by]).await?;
    let wakeup =
        |row: &Row| Ok(Wakeup { id: row.try_get("id")?, orders: row.try_get("orders")?, looks: row.try_get("looks")? });
    rows.iter().map(wakeup).collect()
}

/// Reads those of the orders that have not come to their end; and says which of them could not be read.
pub(crate) async fn read_open(tx: &mut Tx, ids: &[Uuid]) -> Result<(Vec<Open>, Vec<Uuid>), DbError> {
    Ok(readable(&tx.query(include_str!("read_open_orders.sql"), &[&ids]).await?))
}

/// The orders in these rows, and the ids of those that cannot be read: somebody has to mend them, and the others must not
/// suffer from it.
pub(super) fn readable(rows: &[Row]) -> (Vec<Open>, Vec<Uuid>) {
    let (mut open, mut unreadable) = (Vec::with_capacity(rows.len()), Vec::new());
    for row in rows {
        match read(row) {
            Ok(one) => open.push(one),
            Err(error) => {
                let id: Option<Uuid> = row.try_get("id").ok();
                let order = id.map(|id| OrderId(id).to_string());
                tracing::error!(order.id = order, %error, "an order cannot be read; it is left as it is");
                metrics::counter!("conveyor_orders_unreadable_total").increment(1);
                unreadable.extend(id);
            }
        }
    }
    (open, unreadable)
}

fn read(row: &Row) -> Result<Open, DbError> {
    let lines: Option<&str> = row.try_get("lines")?;
    let versions: Option<Vec<i32>> = row.try_get("versions")?;
    let statuses: Option<Vec<&str>> = row.try_get("statuses")?;
    let details: Option<Vec<&str>> = row.try_get("details")?;
    let steps = versions.into_iter().flatten().zip(statuses.into_iter().flatten()).zip(details.into_iter().flatten());
    let step = |((version, status), detail): ((i32, &str), &str)| {
        let status = status.parse().map_err(DbError::unexpected)?;
        Ok(Step { version, status, detail: detail.to_owned() })
    };
    Ok(Open {
        order: super::order(row)?,
        created_at: row.try_get("created_at")?,
        lines: lines.map(serde_json::from_str).transpose().map_err(DbError::unexpected)?,
        steps: steps.map(step).collect::<Result<_, DbError>>()?,
    })
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
