//! Seeing what there is to tell, and noting it together with to whom it is to be sent.

use common::{
    db::{Db, DbError},
    params,
};
use serde::{Deserialize, Serialize};
use tokio_postgres::Row;
use uuid::Uuid;

use super::Settings;

/// A notice names so many groups, and says how many more there are.
const MOST_NAMED: usize = 20;

/// What is told of one group.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Told {
    /// `new`, `grown` past a threshold, or `more` of the same after a while.
    pub what: String,
    pub key: Uuid,
    pub queue: String,
    /// The type of its events.
    pub kind: String,
    /// The reason, without what differs from letter to letter.
    pub pattern: String,
    /// How many wait for somebody.
    pub failed: i64,
    pub total: i64,
    /// How many came since it was told of last.
    pub since: i64,
    pub threshold: i64,
}

/// Notes a notice, if there is something to tell and enough time has passed since the last. Returns how many groups.
pub(super) async fn look(db: &Db, settings: &Settings, targets: &[(&'static str, String)]) -> Result<usize, DbError> {
    let gap = settings.gap_s as f64;
    let mut tx = db.begin().await?;
    let just_now = "SELECT 1 FROM notices WHERE created_at > now() - make_interval(secs => $1) LIMIT 1";
    if !tx.query(just_now, &[&gap]).await?.is_empty() {
        tx.commit().await?;
        return Ok(0);
    }
    let (thresholds, quiet) = (settings.thresholds(), settings.quiet_s as f64);
    let rows = tx.query(include_str!("look.sql"), &[&thresholds, &quiet]).await?;
    let groups = rows.len();
    if groups > 0 {
        let named: Vec<Told> = rows.iter().take(MOST_NAMED).map(told).collect::<Result<_, _>>()?;
        let named = serde_json::to_string(&named).map_err(DbError::unexpected)?;
        let unnamed = i64::try_from(groups.saturating_sub(MOST_NAMED)).unwrap_or(i64::MAX);
        let (ways, to): (Vec<&'static str>, Vec<String>) = targets.iter().cloned().unzip();
        tx.write(include_str!("note.sql"), params![Uuid::now_v7(), named, unnamed, ways, to]);
    }
    tx.commit().await?;
    Ok(groups)
}

fn told(row: &Row) -> Result<Told, DbError> {
    let bounded = |text: String| text.chars().take(300).collect();
    Ok(Told {
        what: row.try_get("what")?,
        key: row.try_get("key")?,
        queue: bounded(row.try_get("queue")?),
        kind: bounded(row.try_get("kind")?),
        pattern: bounded(row.try_get("pattern")?),
        failed: row.try_get("failed")?,
        total: row.try_get("total")?,
        since: row.try_get("since")?,
        threshold: row.try_get("passed")?,
    })
}
