//! What everything that listens here shares.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use time::OffsetDateTime;
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use crate::{Settings, callbacks::Courier, calls::Calls, faults::Switches, inbox::Inbox, ledger::Ledger, sms::Phones};

#[derive(Debug)]
pub(crate) struct World {
    pub(crate) settings: Settings,
    ledger: Mutex<Ledger>,
    inbox: Mutex<Inbox>,
    sms: Mutex<Phones>,
    pub(crate) faults: Switches,
    pub(crate) courier: Courier,
    pub(crate) calls: Calls,
    pub(crate) stop: CancellationToken,
    pub(crate) tasks: TaskTracker,
}

impl World {
    pub(crate) fn new(settings: Settings, stop: CancellationToken, tasks: TaskTracker) -> Arc<Self> {
        Arc::new(Self {
            ledger: Mutex::new(Ledger::new(settings.keep_charges)),
            inbox: Mutex::new(Inbox::new(settings.keep_messages)),
            sms: Mutex::new(Phones::new(settings.keep_messages)),
            faults: Switches::default(),
            courier: Courier::default(),
            calls: Calls::default(),
            settings,
            stop,
            tasks,
        })
    }

    pub(crate) fn ledger(&self) -> MutexGuard<'_, Ledger> {
        self.ledger.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn inbox(&self) -> MutexGuard<'_, Inbox> {
        self.inbox.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn sms(&self) -> MutexGuard<'_, Phones> {
        self.sms.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Something that happens beside everything else, and is given up when all of this ends.
    pub(crate) fn beside(&self, task: impl Future<Output = ()> + Send + 'static) {
        let stop = self.stop.clone();
        self.tasks.spawn(async move {
            let _ = stop.run_until_cancelled(task).await;
        });
    }

    /// The year and month in which a card must still be good.
    pub(crate) fn today(&self) -> (i32, u8) {
        self.settings.today.unwrap_or_else(|| {
            let now = OffsetDateTime::now_utc();
            (now.year(), now.month().into())
        })
    }
}

/// Unix milliseconds.
pub(crate) fn now() -> i64 {
    i64::try_from(OffsetDateTime::now_utc().unix_timestamp_nanos() / 1_000_000).unwrap_or(i64::MAX)
}

/// As people and programs write a time.
pub(crate) fn written(milliseconds: i64) -> String {
    use time::format_description::well_known::Rfc3339;
    let time = OffsetDateTime::from_unix_timestamp_nanos(i128::from(milliseconds) * 1_000_000);
    time.ok().and_then(|time| time.format(&Rfc3339).ok()).unwrap_or_default()
}
