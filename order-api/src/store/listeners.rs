//! Who has dealt with what the workers said, and up to when.

use common::{
    db::{Db, DbError, Tx},
    params,
};
use time::OffsetDateTime;
use uuid::Uuid;

/// What time it is.
pub(crate) async fn now(db: &Db) -> Result<OffsetDateTime, DbError> {
    let rows = db.query("SELECT clock_timestamp()", &[]).await?;
    rows.first().ok_or_else(|| DbError::unexpected("no time"))?.try_get(0).map_err(DbError::from)
}

/// Notes, with all that came before it, that a process was given a marker of this moment.
pub(crate) fn note(tx: &mut Tx, listener: Uuid, sent_at: OffsetDateTime) {
    tx.write(
        "INSERT INTO listeners AS l (id, heard) VALUES ($1, $2)
         ON CONFLICT (id) DO UPDATE SET heard = greatest(l.heard, excluded.heard)",
        params![listener, sent_at],
    );
}

/// Who was given a marker of this moment or later, and of when the latest was.
pub(crate) async fn heard(db: &Db, since: OffsetDateTime) -> Result<Vec<(Uuid, OffsetDateTime)>, DbError> {
    let rows = db.query("SELECT id, heard FROM listeners WHERE heard >= $1", &[&since]).await?;
    rows.iter().map(|row| Ok((row.try_get(0)?, row.try_get(1)?))).collect()
}

/// Forgets those that are long gone.
pub(crate) async fn forget(db: &Db) -> Result<(), DbError> {
    db.execute("DELETE FROM listeners WHERE heard < now() - interval '1 day'", &[]).await.map(|_| ())
}
