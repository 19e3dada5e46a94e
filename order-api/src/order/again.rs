//! Saying again how an order stands: what was said of it may have died with a broker.
//!
//! Each announcement is made as it was, with its version, so whoever has heard it, or something newer, can tell.

use common::events::{OrderCancelled, OrderExpired, OrderPaid, OrderPaymentFailed, OrderRefunded, OrderRejected};

use super::{Announcement, Order, Status, payment_due, refund_due};

/// A row of an order's timeline.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Step {
    pub version: i32,
    pub status: Status,
    pub detail: String,
}

/// What is to be said. An order that waits for stock is announced with all its lines, by whoever has them.
#[must_use]
pub fn again(order: &Order, steps: &[Step]) -> Vec<Announcement> {
    match (order.status, order.transaction_id) {
        (Status::Pending, _) => Vec::new(),
        (Status::AwaitingPayment, _) => vec![Announcement::PaymentDue(payment_due(order))],
        (Status::Paid, transaction_id) => vec![Announcement::Paid(OrderPaid {
            order_id: order.id,
            user_id: order.user_id.clone(),
            version: order.version,
            amount: order.amount,
            transaction_id,
        })],
        (Status::Rejected | Status::PaymentFailed | Status::Expired | Status::Cancelled, _) => {
            off(order, steps).into_iter().collect()
        }
        (Status::Refunding, Some(transaction_id)) => {
            let due = Announcement::RefundDue(refund_due(order, transaction_id, order.amount));
            off(order, steps).into_iter().chain([due]).collect()
        }
        (Status::Refunded, Some(transaction_id)) => {
            let refunded = Announcement::Refunded(OrderRefunded {
                order_id: order.id,
                user_id: order.user_id.clone(),
                version: order.version,
                transaction_id,
                amount: order.amount,
            });
            off(order, steps).into_iter().chain([refunded]).collect()
        }
        (Status::Refunding | Status::Refunded, None) => Vec::new(),
    }
}

/// That it is off, as it was said when it came to be so: its stock comes back by that.
fn off(order: &Order, steps: &[Step]) -> Option<Announcement> {
    let is_off = |step: &&Step| step.status.is_answered() && step.status != Status::Paid;
    let Step { version, status, detail } = steps.iter().find(is_off)?;
    let (order_id, user_id, version) = (order.id, order.user_id.clone(), *version);
    Some(match status {
        // What was missing is not in the timeline in a form that could be said again.
        Status::Rejected => Announcement::Rejected(OrderRejected { order_id, user_id, version, shortages: Vec::new() }),
        Status::PaymentFailed => {
            Announcement::PaymentFailed(OrderPaymentFailed { order_id, user_id, version, reason: detail.clone() })
        }
        Status::Expired => Announcement::Expired(OrderExpired { order_id, user_id, version }),
        // One that was paid is refunded from the moment in which it is called off.
        Status::Cancelled | Status::Refunding | Status::Refunded => {
            Announcement::Cancelled(OrderCancelled { order_id, user_id, version })
        }
        Status::Pending | Status::AwaitingPayment | Status::Paid => return None,
    })
}
