//! The sweeper: publishes what a crash or an outage left in the table.

use std::time::Duration;

use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use super::{delete_rows, dispatch::publish};
use crate::{
    broker::{Link, LinkState, Publisher},
    config,
    crash::{self, Mistake, Point},
    db::{Db, DbError},
    events::Parcel,
};

/// Parcels claimed at a time: a moment's work, so that the lease is never in question, and of bounded size.
const CLAIM: i64 = 200;

/// Looks on a timer, and at once at the start, until `stop`.
pub async fn sweep(db: Db, publisher: Publisher, link: Link, settings: config::Outbox, stop: CancellationToken) {
    let every = Duration::from_millis(settings.sweep_ms);
    let mut broker = link.watch();
    loop {
        // Claiming while the broker is away would only renew the leases.
        match stop.run_until_cancelled(broker.wait_for(|state| *state == LinkState::Up)).await {
            Some(Ok(_)) => {}
            Some(Err(_)) | None => return,
        }
        let swept = stop.run_until_cancelled(sweep_once(&db, &publisher)).await;
        let pause = match swept {
            None => return,
            // There may be more: go on at once.
            Some(Ok(rows)) if rows == usize::try_from(CLAIM).unwrap_or(usize::MAX) => continue,
            Some(Ok(_)) => every,
            Some(Err(error)) => {
                tracing::warn!(%error, "the outbox could not be swept; trying again");
                every
            }
        };
        // Jitter keeps several instances from sweeping in step.
        let pause = pause.mul_f64(0.75 + fastrand::f64() / 2.0);
        if stop.run_until_cancelled(tokio::time::sleep(pause)).await.is_none() {
            return;
        }
    }
}

/// Claims, publishes and deletes one lot; returns how many rows were published.
async fn sweep_once(db: &Db, publisher: &Publisher) -> Result<usize, DbError> {
    let claimed = db.query(include_str!("claim.sql"), &[&CLAIM]).await?;
    if claimed.is_empty() {
        return Ok(0);
    }
    if crash::makes(Mistake::DeleteBeforeConfirm) {
        let ids: Vec<Uuid> = claimed.iter().map(|row| row.try_get(0)).collect::<Result<_, _>>()?;
        delete_rows(db, &ids).await?;
    }
    crash::here(Point::SweepClaimed);
    let parcels: Vec<Parcel> = claimed
        .iter()
        .map(|row| {
            Ok::<_, tokio_postgres::Error>(Parcel {
                id: row.try_get(0)?,
                exchange: row.try_get(1)?,
                routing_key: row.try_get(2)?,
                kind: row.try_get(3)?,
                body: row.try_get(4)?,
                headers: None,
            })
        })
        .collect::<Result<_, _>>()?;
    let confirmed: Vec<Uuid> = publish(publisher, parcels).await;
    crash::here(Point::SweepPublished);
    delete_rows(db, &confirmed).await?;
    metrics::counter!("conveyor_outbox_swept_total").increment(confirmed.len() as u64);
    tracing::info!(parcels = confirmed.len(), "published parcels that were left behind in the outbox");
    Ok(confirmed.len())
}
