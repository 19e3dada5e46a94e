//! The engine as its faces hold it: cheap to clone.

use std::sync::Arc;

use common::{db::Db, outbox::Units};
use tokio::sync::watch;

use crate::Support;

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

    /// Signals, a moment later, that something has changed: letters came, a run moved, somebody acted.
    #[must_use]
    pub fn watch(&self) -> watch::Receiver<u64> {
        self.changes.subscribe()
    }

    pub(crate) fn changed(&self) {
        self.changes.send_modify(|count| *count = count.wrapping_add(1));
    }
}
