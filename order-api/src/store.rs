//! The `orders` schema: each statement takes a whole batch.

pub(crate) mod broker;
mod list;
pub(crate) mod listeners;
pub(crate) mod wakeups;

pub(crate) use list::{Listed, Page, Wanted, list};

use std::collections::{BTreeMap, HashMap};

use common::{
    db::{Db, DbError, Tx},
    events::Line,
    ids::{OrderId, TransactionId, UserId},
    money::Money,
    params,
};
use time::OffsetDateTime;
use tokio_postgres::Row;
use uuid::Uuid;

use crate::{
    intake::NewOrder,
    order::{Order, Status},
    signing::key::{KeyId, PublicKey},
    times::Times,
};

/// Writes new orders with the first row of their timelines, and when to look at them first.
pub(crate) fn insert(tx: &mut Tx, orders: &[&NewOrder], times: &Times) -> Result<(), DbError> {
    let lines: Vec<String> = orders
        .iter()
        .map(|order| serde_json::to_string(&order.lines))
        .collect::<Result<_, _>>()
        .map_err(DbError::unexpected)?;
    let ids: Vec<Uuid> = orders.iter().map(|order| order.id.0).collect();
    tx.write(
        include_str!("store/insert_orders.sql"),
        params![
            ids.clone(),
            orders.iter().map(|order| order.user_id.to_string()).collect::<Vec<_>>(),
            orders.iter().map(|order| order.amount.0).collect::<Vec<_>>(),
            lines,
            orders.iter().map(|order| order.once.as_ref().map(|once| once.key.clone())).collect::<Vec<_>>(),
            orders.iter().map(|order| order.once.as_ref().map(|once| once.hash.to_vec())).collect::<Vec<_>>(),
            times.deadline_ms(),
        ],
    );
    wakeups::insert(tx, times.first_look_ms(), ids.clone());
    tx.write(
        "INSERT INTO history (order_id, version, status, cause) SELECT unnest($1::uuid[]), 1, 'pending', 'order.created'",
        params![ids],
    );
    Ok(())
}

/// An order that a request with an idempotency key has made.
pub(crate) struct Made {
    pub user_id: String,
    pub key: String,
    pub hash: [u8; 32],
    pub order_id: OrderId,
}

/// The orders that requests of these users and keys have made already.
pub(crate) async fn find_made(db: &Db, names: Vec<(&UserId, &str)>) -> Result<Vec<Made>, DbError> {
    if names.is_empty() {
        return Ok(Vec::new());
    }
    let users: Vec<&str> = names.iter().map(|(user, _)| user.as_str()).collect();
    let keys: Vec<&str> = names.iter().map(|(_, key)| *key).collect();
    let rows = db.query(include_str!("store/find_made.sql"), &[&users, &keys]).await?;
    let made = |row: &Row| {
        let hash = row.try_get::<_, &[u8]>(2)?.try_into().map_err(DbError::unexpected)?;
        Ok(Made { user_id: row.try_get(0)?, key: row.try_get(1)?, hash, order_id: OrderId(row.try_get(3)?) })
    };
    rows.iter().map(made).collect()
}

/// The most signing keys that a user may have.
pub(crate) const MOST_KEYS: i64 = 16;

/// Registers a signing key. Says since when it is; or nothing, if the user has as many as one may have.
pub(crate) async fn register_key(
    db: &Db,
    user: &UserId,
    id: &KeyId,
    key: PublicKey,
) -> Result<Option<OffsetDateTime>, DbError> {
    let key: &[u8] = &key.0;
    let sql = include_str!("store/register_key.sql");
    let rows = db.query(sql, &[&user.as_str(), &id.as_str(), &key, &MOST_KEYS]).await?;
    Ok(rows.first().map(|row| row.try_get(0)).transpose()?)
}

/// Says whether there was such a key.
pub(crate) async fn revoke_key(db: &Db, user: &UserId, id: &KeyId) -> Result<bool, DbError> {
    let sql = "DELETE FROM signing_keys WHERE user_id = $1 AND key_id = $2";
    Ok(db.execute(sql, &[&user.as_str(), &id.as_str()]).await? > 0)
}

/// A user's signing keys, and since when they are registered.
pub(crate) async fn list_keys(db: &Db, user: &UserId) -> Result<Vec<(KeyId, PublicKey, OffsetDateTime)>, DbError> {
    let sql = "SELECT key_id, public_key, created_at FROM signing_keys WHERE user_id = $1 ORDER BY key_id";
    let rows = db.query(sql, &[&user.as_str()]).await?;
    let key = |row: &Row| {
        let id = row.try_get::<_, &str>(0)?.parse().map_err(DbError::unexpected)?;
        let bytes = row.try_get::<_, &[u8]>(1)?.try_into().map_err(DbError::unexpected)?;
        Ok((id, PublicKey(bytes), row.try_get(2)?))
    };
    rows.iter().map(key).collect()
}

/// Reads the orders of a batch, and locks none of them: if somebody else takes an order a step further before this
/// transaction does, [`record`] finds that step in the timeline, and the transaction is a conflict.
pub(crate) async fn read(tx: &mut Tx, ids: &[Uuid]) -> Result<HashMap<OrderId, Order>, DbError> {
    let rows = tx.query(include_str!("store/read_orders.sql"), &[&ids]).await?;
    rows.iter().map(|row| order(row).map(|order| (order.id, order))).collect()
}

/// A step in an order's life, to be written.
pub(crate) struct Transition {
    /// The order after it.
    pub order: Order,
    pub cause: String,
    pub detail: Option<String>,
}

/// Writes the transitions of a batch: every one into the timelines, the last of each order into its row. A timeline has
/// each version once, so of two transactions that take an order from the same version to the next, one fails.
pub(crate) fn record(tx: &mut Tx, mut transitions: Vec<Transition>) {
    if transitions.is_empty() {
        return;
    }
    // By id, as they lie in the table, and so that two batches with the same orders come upon them in the same order.
    transitions.sort_unstable_by_key(|t| (t.order.id, t.order.version));
    let last: BTreeMap<OrderId, &Order> = transitions.iter().map(|t| (t.order.id, &t.order)).collect();
    let orders: Vec<&Order> = last.into_values().collect();
    let refunding: Vec<Uuid> =
        orders.iter().filter(|order| order.status == Status::Refunding).map(|order| order.id.0).collect();
    if !refunding.is_empty() {
        wakeups::insert(tx, wakeups::REFUND_MS, refunding);
    }
    tx.write(
        include_str!("store/update_orders.sql"),
        params![
            orders.iter().map(|order| order.id.0).collect::<Vec<_>>(),
            orders.iter().map(|order| order.status.as_str()).collect::<Vec<_>>(),
            orders.iter().map(|order| order.version).collect::<Vec<_>>(),
            orders.iter().map(|order| order.transaction_id.map(|id| id.0)).collect::<Vec<_>>(),
            orders.iter().map(|order| order.declines).collect::<Vec<_>>(),
            orders.iter().map(|order| order.reminded).collect::<Vec<_>>(),
        ],
    );
    tx.write(
        include_str!("store/insert_history.sql"),
        params![
            transitions.iter().map(|t| t.order.id.0).collect::<Vec<_>>(),
            transitions.iter().map(|t| t.order.version).collect::<Vec<_>>(),
            transitions.iter().map(|t| t.order.status.as_str()).collect::<Vec<_>>(),
            transitions.iter_mut().map(|t| std::mem::take(&mut t.cause)).collect::<Vec<_>>(),
            transitions.into_iter().map(|t| t.detail).collect::<Vec<_>>(),
        ],
    );
}

/// An order as a reader sees it.
pub(crate) struct Found {
    pub order: Order,
    pub lines: Vec<Line>,
    pub created_at: OffsetDateTime,
    pub history: Vec<Entry>,
}

/// A row of an order's timeline.
pub(crate) struct Entry {
    pub version: i32,
    pub status: String,
    pub at: OffsetDateTime,
    pub cause: String,
    pub detail: Option<String>,
}

/// Reads one order with its timeline, in one statement and so at one moment.
pub(crate) async fn find(db: &Db, id: OrderId) -> Result<Option<Found>, DbError> {
    Ok(find_beyond(db, &[id.0], &[0]).await?.pop())
}

/// Reads those of the orders that are beyond the version that is known of them.
pub(crate) async fn find_beyond(db: &Db, ids: &[Uuid], versions: &[i32]) -> Result<Vec<Found>, DbError> {
    let rows = db.query(include_str!("store/find_orders.sql"), &[&ids, &versions]).await?;
    let mut orders: Vec<Found> = Vec::new();
    for row in &rows {
        let id = OrderId(row.try_get("id")?);
        if orders.last().is_none_or(|found| found.order.id != id) {
            let lines: &str = row.try_get("lines")?;
            orders.push(Found {
                order: order(row)?,
                lines: serde_json::from_str(lines).map_err(DbError::unexpected)?,
                created_at: row.try_get("created_at")?,
                history: Vec::new(),
            });
        }
        let entry = Entry {
            version: row.try_get("entry_version")?,
            status: row.try_get("entry_status")?,
            at: row.try_get("at")?,
            cause: row.try_get("cause")?,
            detail: row.try_get("detail")?,
        };
        if let Some(found) = orders.last_mut() {
            found.history.push(entry);
        }
    }
    Ok(orders)
}

fn order(row: &Row) -> Result<Order, DbError> {
    let status: String = row.try_get("status")?;
    let user_id: String = row.try_get("user_id")?;
    Ok(Order {
        id: OrderId(row.try_get("id")?),
        user_id: UserId::try_from(user_id).map_err(DbError::unexpected)?,
        status: status.parse().map_err(DbError::unexpected)?,
        version: row.try_get("version")?,
        amount: Money(row.try_get("amount")?),
        transaction_id: row.try_get::<_, Option<Uuid>>("transaction_id")?.map(TransactionId),
        deadline: row.try_get("deadline")?,
        declines: row.try_get("declines")?,
        reminded: row.try_get("reminded")?,
    })
}
