//! Whether what an order waits for may still wait itself, for its worker.
//!
//! An order that has heard nothing for long is announced again, for its announcement may have been lost. But where the
//! workers are behind, or stopped, that is why: what was announced lies in their queue, and to say it again for each of a
//! hundred thousand orders would only make the queue longer. So it is said again only while nothing waits there that was
//! not even handed out, and while the broker is there at all; otherwise at the next look. (What was lost is not said again
//! where a backlog lasts until the last look before the deadline.) Refunds are few, and asked for again whatever waits.

use std::time::Duration;

use common::broker::{
    Depth, Link,
    topology::{INVENTORY_LOCK, PAYMENT_CHARGE},
};
use tokio::time::{Instant, timeout};

use crate::order::Status;

/// A backlog does not come or go sooner than that.
const EVERY: Duration = Duration::from_secs(2);
/// Orders whose time is up do not wait for a broker that does not answer.
const PATIENCE: Duration = Duration::from_millis(500);

/// What is known of one queue.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Queue {
    is_behind: bool,
    /// It had nothing at all, as a queue that cannot answer.
    was_silent: bool,
}

impl Queue {
    const UNKNOWN: Self = Self { is_behind: true, was_silent: false };

    /// What had messages a moment ago has none left only if somebody is there who took them, or if it says so twice.
    fn then(self, depth: Depth) -> Self {
        let was_silent = depth == Depth::default();
        let is_behind = depth.messages > 0 || was_silent && self.is_behind && !self.was_silent;
        Self { is_behind, was_silent }
    }
}

/// Which workers are behind with what orders wait for.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Behind {
    lock: Queue,
    charge: Queue,
}

impl Behind {
    /// Whether what was said last of such an order may not have been heard yet.
    pub(crate) fn with(self, status: Status) -> bool {
        match status {
            Status::Pending => self.lock.is_behind,
            Status::AwaitingPayment => self.charge.is_behind,
            _ => false,
        }
    }
}

/// Knows it as of a moment ago, and asks the broker.
pub(crate) struct Backlog {
    link: Link,
    known: Behind,
    asked: Option<Instant>,
}

impl Backlog {
    pub(crate) fn new(link: Link) -> Self {
        Self { link, known: Behind::default(), asked: None }
    }

    pub(crate) async fn now(&mut self) -> Behind {
        if self.asked.is_some_and(|asked| asked.elapsed() < EVERY) {
            return self.known;
        }
        let Behind { lock, charge } = self.known;
        self.known = match timeout(PATIENCE, self.link.depths(INVENTORY_LOCK.name, PAYMENT_CHARGE.name)).await {
            Ok(Ok((locking, charging))) => Behind { lock: lock.then(locking), charge: charge.then(charging) },
            _ => Behind { lock: Queue::UNKNOWN, charge: Queue::UNKNOWN },
        };
        self.asked = Some(Instant::now());
        self.known
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_queue_that_says_nothing_is_believed_the_second_time() {
        let depth = |messages, consumers| Depth { messages, consumers };
        let mut queue = Queue::default();
        let mut is_behind_after = |depth| {
            queue = queue.then(depth);
            queue.is_behind
        };
        assert!(!is_behind_after(depth(0, 0)));
        assert!(is_behind_after(depth(7, 0)));
        assert!(is_behind_after(depth(0, 0)));
        assert!(!is_behind_after(depth(0, 0)));
        assert!(is_behind_after(depth(7, 1)));
        assert!(!is_behind_after(depth(0, 1)));
        assert!(Queue::UNKNOWN.then(depth(0, 0)).is_behind);
    }

    #[test]
    fn each_order_waits_for_one_queue() {
        let [lock, charge] = [Queue::UNKNOWN, Queue::default()];
        let waits =
            |behind: Behind| [Status::Pending, Status::AwaitingPayment, Status::Refunding].map(|s| behind.with(s));
        assert_eq!(waits(Behind { lock, charge }), [true, false, false]);
        assert_eq!(waits(Behind { lock: charge, charge: lock }), [false, true, false]);
    }
}
