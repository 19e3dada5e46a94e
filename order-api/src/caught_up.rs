//! Whether what the workers had said before this process was listening has been heard.
//!
//! An order whose deadline passed while nobody listened may have been paid in time: what says so waits in
//! `orders.progress`. So after a start, after every reconnect, and after the database was away, nothing expires until a marker that was sent through that
//! queue has come out of it, twice, for what came out together with the first may not be committed yet. Another process may
//! take a marker; then it is sent again. What cannot be found out within a minute is not waited for any longer.

use std::{sync::Arc, time::Duration};

use common::{
    broker::{LinkState, topology::ORDERS_PROGRESS},
    events::OrderWakeup,
    signals::Signals,
};
use tokio::{
    sync::{Notify, watch},
    time::{Instant, sleep, sleep_until, timeout},
};
use uuid::Uuid;

/// How long a marker may take before another is sent.
const PASSAGE: Duration = Duration::from_secs(1);
/// How long nothing expires at the most.
const PATIENCE: Duration = Duration::from_secs(60);

/// The marker that came out of the queue last.
#[derive(Clone)]
pub(crate) struct Markers(watch::Sender<Uuid>);

impl Markers {
    pub(crate) fn new() -> Self {
        Self(watch::Sender::new(Uuid::nil()))
    }

    pub(crate) fn heard(&self, marker: Uuid) {
        self.0.send_replace(marker);
    }
}

/// Whether it is so.
pub(crate) struct CaughtUp {
    is_so: watch::Receiver<bool>,
    doubt: Arc<Notify>,
}

impl CaughtUp {
    /// Returns when it is.
    pub(crate) async fn wait(&mut self) {
        if self.is_so.wait_for(|is_so| *is_so).await.is_err() {
            std::future::pending::<()>().await;
        }
    }

    /// It may not be so any more, and is found out again.
    pub(crate) async fn doubt(&mut self) {
        self.doubt.notify_one();
        // Else the old answer would be taken for the new one.
        let _ = timeout(PASSAGE, self.is_so.wait_for(|is_so| !is_so)).await;
    }
}

/// What tells whether it is so, and the task that finds out, for ever.
pub(crate) fn caught_up(markers: &Markers, signals: Signals) -> (CaughtUp, impl Future<Output = ()> + use<>) {
    let (said, is_so) = watch::channel(false);
    let doubt = Arc::new(Notify::new());
    let caught_up = CaughtUp { is_so, doubt: Arc::clone(&doubt) };
    let heard = markers.0.subscribe();
    let task = async move {
        let mut connection = signals.connection();
        loop {
            let was_up = is_up(&connection);
            tokio::select! {
                () = passage(&signals, heard.clone()), if was_up => {}
                () = sleep_until(Instant::now() + PATIENCE) => {
                    tracing::warn!("what the workers said before cannot be told apart; orders expire all the same");
                }
                () = until(&mut connection, !was_up) => continue,
            }
            said.send_replace(true);
            tokio::select! {
                () = until(&mut connection, !was_up) => {}
                () = doubt.notified() => {}
            }
            said.send_replace(false);
        }
    };
    (caught_up, task)
}

/// Returns when two markers have gone through the queue, one after the other.
async fn passage(signals: &Signals, mut heard: watch::Receiver<Uuid>) {
    let mut passed = 0;
    while passed < 2 {
        match signals.send(&ORDERS_PROGRESS, None, &OrderWakeup {}).await {
            Ok(marker) => {
                let came = timeout(PASSAGE, heard.wait_for(|heard| *heard == marker)).await;
                passed += usize::from(matches!(came, Ok(Ok(_))));
            }
            Err(error) => {
                tracing::debug!(%error, "a marker could not be sent");
                sleep(PASSAGE).await;
            }
        }
    }
}

fn is_up(connection: &watch::Receiver<LinkState>) -> bool {
    *connection.borrow() == LinkState::Up
}

/// Returns when the connection is there, or is not.
async fn until(connection: &mut watch::Receiver<LinkState>, up: bool) {
    if connection.wait_for(|state| (*state == LinkState::Up) == up).await.is_err() {
        std::future::pending::<()>().await;
    }
}
