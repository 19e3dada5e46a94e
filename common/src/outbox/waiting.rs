//! How much waits to be published, for whoever watches the line.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::db::{Db, DbError};

/// Nobody needs to know it more exactly than that.
const MOST_COUNTED: i64 = 10_000;
const EVERY: Duration = Duration::from_secs(2);

/// What is in an outbox: parcels, and since when the oldest of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Waiting {
    /// At most ten thousand are counted.
    pub parcels: u64,
    pub oldest: Duration,
}

pub async fn waiting(db: &Db) -> Result<Waiting, DbError> {
    let sql = "SELECT (SELECT count(*) FROM (SELECT FROM outbox LIMIT $1) AS some),
                      (SELECT id FROM outbox ORDER BY id LIMIT 1)";
    let rows = db.query(sql, &[&MOST_COUNTED]).await?;
    let row = rows.first().ok_or_else(|| DbError::unexpected("a count without a row"))?;
    let (parcels, first): (i64, Option<Uuid>) = (row.try_get(0)?, row.try_get(1)?);
    Ok(Waiting { parcels: u64::try_from(parcels).unwrap_or(0), oldest: first.map_or(Duration::ZERO, age) })
}

/// An id knows when it was made.
fn age(id: Uuid) -> Duration {
    let Some(made) = id.get_timestamp() else { return Duration::ZERO };
    let (seconds, nanos) = made.to_unix();
    let made = UNIX_EPOCH + Duration::new(seconds, nanos);
    SystemTime::now().duration_since(made).unwrap_or_default()
}

/// Publishes it as metrics, until `stop`.
pub async fn measure(db: Db, stop: CancellationToken) {
    while stop.run_until_cancelled(tokio::time::sleep(EVERY)).await.is_some() {
        // When the database is away, so is the answer: the last one stays.
        if let Some(Ok(now)) = stop.run_until_cancelled(waiting(&db)).await {
            metrics::gauge!("conveyor_outbox_parcels").set(now.parcels as f64);
            metrics::gauge!("conveyor_outbox_oldest_seconds").set(now.oldest.as_secs_f64());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_knows_when_it_was_made() {
        assert!(age(Uuid::now_v7()) < Duration::from_secs(60));
        assert_eq!(age(Uuid::nil()), Duration::ZERO);
    }
}
