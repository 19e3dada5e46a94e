//! What is known of the broker, and which orders are still to be said again because one has lost its data.

use common::db::{Db, DbError, Tx};
use uuid::Uuid;

use super::wakeups::{self, Open};

/// Of which generation it should be.
pub(crate) async fn generation(db: &Db) -> Result<i64, DbError> {
    let rows = db.query("SELECT generation FROM broker", &[]).await?;
    rows.first().ok_or_else(|| DbError::unexpected("no broker is known"))?.try_get(0).map_err(DbError::from)
}

/// It has all that was published to it.
pub(crate) async fn is_good(db: &Db, generation: i64) -> Result<(), DbError> {
    db.execute("UPDATE broker SET known_good = now() WHERE generation = $1", &[&generation]).await.map(|_| ())
}

/// It has lost what it had, and is of the next generation from now on: all orders are to be said again that were accepted
/// up to so long before it was last known to be good. Says whether nobody else had noted it.
pub(crate) async fn is_new(db: &Db, generation: i64, reach_ms: i64) -> Result<bool, DbError> {
    Ok(db.execute(include_str!("new_broker.sql"), &[&generation, &reach_ms]).await? > 0)
}

/// Takes some orders that are to be said again, if nobody else is at it, and notes that they are. Says how many there
/// were; nothing, if none are left.
pub(crate) async fn take_some(tx: &mut Tx, most: i64) -> Result<Option<Vec<Open>>, DbError> {
    let rows = tx
        .query("SELECT again_after, again_until FROM broker WHERE again_after IS NOT NULL FOR UPDATE SKIP LOCKED", &[])
        .await?;
    let Some(row) = rows.first() else { return Ok(None) };
    let (after, until): (Uuid, Uuid) = (row.try_get(0)?, row.try_get(1)?);
    let rows = tx.query(include_str!("read_orders_between.sql"), &[&after, &until, &most]).await?;
    match rows.last() {
        Some(last) => {
            let last: Uuid = last.try_get("id")?;
            tx.write("UPDATE broker SET again_after = $1", common::params![last]);
        }
        None => tx.write("UPDATE broker SET again_after = NULL, again_until = NULL", Vec::new()),
    }
    Ok(Some(wakeups::readable(&rows).0))
}
