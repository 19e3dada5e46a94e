//! What staff have sent again and is done is said to be, so that they need not guess.
//!
//! It is said before the delivery is acknowledged, in a transaction of its own: whoever dies in between is given the event
//! again, finds that it is done, and says so then. So it is said at least once.

use super::{handler::Failure, judge::Work};
use crate::{
    events::{Event, SupportRetried},
    outbox::Units,
};

pub(super) struct Reporting<'a> {
    pub units: &'a Units,
    pub queue: &'static str,
}

impl Work<&Event, Result<(), String>> for Reporting<'_> {
    async fn run(&self, done: &[&Event]) -> Result<Vec<Result<(), String>>, Failure> {
        let mut unit = self.units.begin().await?;
        for event in done {
            let Some(retry_id) = event.retryid else { continue };
            let report = SupportRetried { retry_id, queue: self.queue.to_owned(), event_id: event.id };
            unit.outbox.announce(event.traceparent.as_deref(), &event.subject, &report)?;
        }
        unit.commit().await?;
        Ok(vec![Ok(()); done.len()])
    }

    fn blame(&self, why: String) -> Result<(), String> {
        Err(why)
    }
}
