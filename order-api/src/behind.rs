//! Whether what an order waits for may still wait itself, for its worker.
//!
//! An order that has heard nothing for long is announced again, for its announcement may have been lost. But where the
//! workers are behind, or stopped, that is why: what was announced lies in their queue, and to say it again for each of a
//! hundred thousand orders would only make the queue longer. So it is said again only while nothing waits there that was
//! not even handed out, and while the broker is there at all; otherwise at the next look. (What was lost in the middle of a
//! backlog that outlasts the deadline is not said again.) Refunds are few, and asked for again whatever waits.

use std::time::Duration;

use common::broker::{
    Link,
    topology::{INVENTORY_LOCK, PAYMENT_CHARGE},
};
use tokio::time::{Instant, timeout};

use crate::order::Status;

/// A backlog does not come or go sooner than that.
const EVERY: Duration = Duration::from_secs(2);
/// Orders whose time is up do not wait for a broker that does not answer.
const PATIENCE: Duration = Duration::from_millis(500);

/// Which workers are behind with what orders wait for.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Behind {
    lock: bool,
    charge: bool,
}

impl Behind {
    const ALL: Self = Self { lock: true, charge: true };

    /// Whether what was said last of such an order may not have been heard yet.
    pub(crate) fn with(self, status: Status) -> bool {
        match status {
            Status::Pending => self.lock,
            Status::AwaitingPayment => self.charge,
            _ => false,
        }
    }
}

/// Knows it as of a moment ago, and asks the broker.
pub(crate) struct Backlog {
    link: Link,
    known: Option<(Instant, Behind)>,
}

impl Backlog {
    pub(crate) fn new(link: Link) -> Self {
        Self { link, known: None }
    }

    pub(crate) async fn now(&mut self) -> Behind {
        if let Some((_, known)) = self.known.filter(|(since, _)| since.elapsed() < EVERY) {
            return known;
        }
        let asked = self.link.waiting([INVENTORY_LOCK.name, PAYMENT_CHARGE.name]);
        let behind = match timeout(PATIENCE, asked).await {
            Ok(Ok([lock, charge])) => Behind { lock, charge },
            _ => Behind::ALL,
        };
        self.known = Some((Instant::now(), behind));
        behind
    }
}
