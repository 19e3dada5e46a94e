//! `orders.timeout`: some order's time is up. Which one, whoever looks finds in the table.

use std::sync::Arc;

use common::{
    consumer::{Failure, Handler, Verdict},
    db::Tx,
    events::Event,
    outbox::Outbox,
};
use tokio::sync::Notify;

pub(crate) struct Timeout {
    pub look: Arc<Notify>,
}

impl Handler for Timeout {
    async fn handle(&self, _: &mut Tx, events: &[Event], _: &mut Outbox) -> Result<Vec<Verdict>, Failure> {
        self.look.notify_one();
        Ok(events.iter().map(|_| Verdict::Done).collect())
    }
}
