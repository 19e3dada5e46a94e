//! The engine as its faces hold it: cheap to clone.

use std::{sync::Arc, time::Duration};

use common::{db::Db, outbox::Units};
use tokio::sync::watch;

use crate::Support;

/// A commit takes about as long.
const ABOUT_TO_BE: Duration = Duration::from_millis(20);

#[derive(Clone)]
pub struct Console {
    pub(crate) units: Units,
    pub(crate) settings: Arc<Support>,
    pub(crate) changes: Arc<watch::Sender<u64>>,
}

impl Console {
    #[must_use]
    pub fn new(units: Units, settings: Arc<Support>) -> Self {
        Self { units, settings, changes: Arc::new(watch::Sender::new(0)) }
    }

    /// The console's own schema.
    #[must_use]
    pub fn db(&self) -> &Db {
        &self.units.db
    }

    /// How many seconds without word are too long.
    pub(crate) fn late(&self) -> f64 {
        Duration::from_secs(self.settings.no_word_after_s).as_secs_f64()
    }

    /// Signals, a moment later, that something has changed: letters came, a run moved, somebody acted.
    #[must_use]
    pub fn watch(&self) -> watch::Receiver<u64> {
        self.changes.subscribe()
    }

    /// The same for somebody whose commit is about to be.
    pub(crate) fn changed_soon(&self) {
        let changes = Arc::clone(&self.changes);
        tokio::spawn(async move {
            tokio::time::sleep(ABOUT_TO_BE).await;
            changes.send_modify(|count| *count = count.wrapping_add(1));
        });
    }

    pub(crate) fn changed(&self) {
        self.changes.send_modify(|count| *count = count.wrapping_add(1));
    }
}
