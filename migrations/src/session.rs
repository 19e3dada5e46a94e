//! One connection, and what to do when others are at the same thing.

use std::time::Duration;

use tokio::task::JoinHandle;
use tokio_postgres::{Client, Config, NoTls, error::SqlState};

use crate::Error;

pub(crate) struct Session {
    pub client: Client,
    /// Carries the client's words; ends after the client.
    connection: JoinHandle<()>,
}

impl Session {
    pub(crate) async fn open(target: &Config) -> Result<Self, Error> {
        let mut options = target.clone();
        options.application_name("migrate").connect_timeout(Duration::from_secs(5));
        let (client, connection) = options.connect(NoTls).await.map_err(Error::Unreachable)?;
        let connection = tokio::spawn(async move {
            // Whoever waits for an answer hears of a broken connection there.
            let _ = connection.await;
        });
        Ok(Self { client, connection })
    }

    /// Returns when the server has been told, so that nothing of the session is left behind.
    pub(crate) async fn close(self) {
        drop(self.client);
        let _ = self.connection.await;
    }
}

/// Does something again that failed because another was doing the same at that moment.
///
/// Roles belong to the cluster, and the system tables that hold them know no polite waiting: two that make or change
/// one role get a duplicate, or an internal error ("tuple concurrently updated").
pub(crate) async fn retried(
    mut act: impl AsyncFnMut() -> Result<(), tokio_postgres::Error>,
) -> Result<(), tokio_postgres::Error> {
    const TRIES: u32 = 30;
    for _ in 1..TRIES {
        match act().await {
            Err(error) if is_race(&error) => {}
            result => return result,
        }
        tokio::time::sleep(Duration::from_millis(fastrand::u64(5..100))).await;
    }
    act().await
}

fn is_race(error: &tokio_postgres::Error) -> bool {
    let races = [SqlState::DUPLICATE_OBJECT, SqlState::UNIQUE_VIOLATION, SqlState::INTERNAL_ERROR];
    error.code().is_some_and(|code| races.contains(code))
}
