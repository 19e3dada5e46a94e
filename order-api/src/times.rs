//! When an order's time is up, and when to look at it before.

use common::config::{ConfigError, bounded};
use serde::Deserialize;
use time::{Duration, OffsetDateTime};

use crate::order::{Clock, Order, Status};

/// The `[orders.times]` section.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Times {
    /// How long a customer has to pay, from when the order was accepted.
    pub deadline_ms: u32,
    /// How long before the deadline a customer is reminded to pay; 0 for never.
    pub remind_before_ms: u32,
    /// When a customer hears that the order was received, if it has not come to anything by then.
    pub received_ms: u32,
    /// When an order that waits for stock or payment is announced again, for its announcement may have been lost; then
    /// after twice as long, and so on.
    pub stuck_ms: u32,
    /// How long an event may have waited in a queue. Where a broker has lost its data, it is said again how all orders
    /// stand that could have had news within so long before it was last known to have it.
    pub reach_ms: u32,
    /// How often it is looked for orders whose time is up, if nothing wakes anybody.
    pub look_ms: u32,
}

impl Default for Times {
    fn default() -> Self {
        Self {
            deadline_ms: 15 * 60_000,
            remind_before_ms: 5 * 60_000,
            received_ms: 2_000,
            stuck_ms: 60_000,
            reach_ms: 60 * 60_000,
            look_ms: 2_000,
        }
    }
}

/// How often a refund is asked for again: what has not come of it by then was not lost, and is somebody's to mend.
const REFUND_LOOKS: i32 = 5;

impl Times {
    pub(crate) fn check(&self) -> Result<(), ConfigError> {
        const MONTH_MS: u32 = 30 * 24 * 60 * 60 * 1_000;
        bounded("orders.times.deadline_ms", self.deadline_ms, 100, MONTH_MS)?;
        bounded("orders.times.remind_before_ms", self.remind_before_ms, 0, MONTH_MS)?;
        bounded("orders.times.received_ms", self.received_ms, 100, MONTH_MS)?;
        bounded("orders.times.stuck_ms", self.stuck_ms, 100, MONTH_MS)?;
        bounded("orders.times.reach_ms", self.reach_ms, 0, MONTH_MS)?;
        bounded("orders.times.look_ms", self.look_ms, 10, 600_000)
    }

    pub(crate) fn deadline_ms(&self) -> i64 {
        self.deadline_ms.into()
    }

    /// How long before that an order was accepted which could have had news by then.
    pub(crate) fn reach_ms(&self) -> i64 {
        i64::from(self.reach_ms) + self.deadline_ms()
    }

    /// Zero where there is no time for a reminder.
    fn remind_before(&self) -> u32 {
        if self.remind_before_ms < self.deadline_ms { self.remind_before_ms } else { 0 }
    }

    pub(crate) fn clock(&self, now: OffsetDateTime) -> Clock {
        Clock { now, remind_before: Duration::milliseconds(self.remind_before().into()) }
    }

    /// How long after they were sent the signals to look arrive.
    pub(crate) fn delays_ms(&self) -> Vec<u64> {
        let reminder = (self.remind_before() > 0).then(|| u64::from(self.deadline_ms - self.remind_before()));
        reminder.into_iter().chain([self.deadline_ms.into()]).collect()
    }

    /// How long after an order was accepted it is looked at first.
    pub(crate) fn first_look_ms(&self) -> i64 {
        (self.deadline_ms - self.remind_before()).min(self.stuck_ms).min(self.received_ms).into()
    }

    /// Whether what was announced of an order may have been lost by now.
    pub(crate) fn is_stuck(&self, created_at: OffsetDateTime, now: OffsetDateTime) -> bool {
        now >= created_at + Duration::milliseconds(self.stuck_ms.into())
    }

    /// When it may have been lost the next time.
    fn next_stuck(&self, created_at: OffsetDateTime, now: OffsetDateTime) -> OffsetDateTime {
        let mut after = Duration::milliseconds(self.stuck_ms.into());
        while created_at + after <= now {
            after *= 2;
        }
        created_at + after
    }

    /// When to look at an order again that was looked at so many times; never, if nothing is to be expected of it.
    pub(crate) fn next_look(
        &self,
        order: &Order,
        created_at: OffsetDateTime,
        looks: i32,
        now: OffsetDateTime,
    ) -> Option<OffsetDateTime> {
        match order.status {
            Status::Pending | Status::AwaitingPayment => {
                let stuck = self.next_stuck(created_at, now);
                let reminder = order.deadline - self.clock(now).remind_before;
                [stuck, reminder, order.deadline].into_iter().filter(|at| *at > now).min().or(Some(order.deadline))
            }
            Status::Refunding if looks < REFUND_LOOKS => {
                Some(now + Duration::minutes(1) * 2_i32.pow(looks.clamp(0, REFUND_LOOKS).unsigned_abs()))
            }
            _ => None,
        }
    }
}
