//! Guessing passwords does not pay: attempts are counted before they are looked at, in the table that all processes share.

use std::{net::IpAddr, sync::Arc, time::Duration};

use common::db::DbError;
use tokio_util::sync::CancellationToken;

use super::{People, secret};

/// For so many minutes an attempt counts.
const MINUTES: i32 = 15;
const TIDY_EVERY: Duration = Duration::from_secs(600);

impl People {
    /// Counts an attempt, and says in how many seconds the next may be made if there were too many.
    pub(super) async fn count_attempt(&self, name: &str, address: IpAddr) -> Result<Option<u32>, DbError> {
        let rows = self
            .db
            .query(include_str!("attempts/count.sql"), &[&keys(name, address), &self.limits(), &MINUTES])
            .await?;
        let waits = rows.iter().map(|row| row.try_get::<_, i32>(0)).collect::<Result<Vec<_>, _>>()?;
        Ok(waits.into_iter().max().and_then(|wait| u32::try_from(wait).ok()))
    }

    /// It was no guess: it does not count.
    pub(super) async fn forget_attempt(&self, name: &str, address: IpAddr) -> Result<(), DbError> {
        let sql = "UPDATE login_attempts SET attempts = CASE WHEN key = ($1::bytea[])[1] THEN 0 ELSE attempts - 1 END
                   WHERE key = ANY ($1)";
        self.db.execute(sql, &[&keys(name, address)]).await.map(|_| ())
    }

    /// What does not count any more goes.
    async fn tidy(&self) -> Result<(), DbError> {
        let (idle, longest) = (self.idle().as_secs_f64(), self.longest().as_secs_f64());
        let attempts = "DELETE FROM login_attempts WHERE since < now() - make_interval(mins => $1)";
        self.db.execute(attempts, &[&MINUTES]).await?;
        let sessions = "DELETE FROM sessions WHERE used_at < now() - make_interval(secs => $1)
                        OR begun_at < now() - make_interval(secs => $2)";
        self.db.execute(sessions, &[&idle, &longest]).await.map(|_| ())
    }

    fn limits(&self) -> Vec<i32> {
        let settings = &self.settings;
        [settings.attempts, settings.attempts_per_address, settings.attempts_per_account]
            .map(|limit| i32::try_from(limit).unwrap_or(i32::MAX))
            .into()
    }
}

/// By both, by address, by account. The first keeps a guesser out without keeping out whose account it is.
fn keys(name: &str, address: IpAddr) -> Vec<Vec<u8>> {
    [format!("both {address} {name}"), format!("address {address}"), format!("account {name}")]
        .map(|key| secret::hash(&key))
        .into()
}

/// Forgets what does not count any more, now and then, until `stop`.
pub(crate) async fn tidy_for_ever(people: Arc<People>, stop: CancellationToken) {
    while stop.run_until_cancelled(tokio::time::sleep(TIDY_EVERY)).await.is_some() {
        if let Err(error) = people.tidy().await {
            tracing::debug!(%error, "sessions that are over are not forgotten yet");
        }
    }
}
