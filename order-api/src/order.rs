//! The life of an order, as a pure function: *(order, what happened) → (order, what follows)*.
//!
//! No I/O and no clock of its own. What is heard twice, late or out of order changes nothing that it should not: each
//! thing that can happen is legal in the states listed here and means nothing in any other.
//!
//! ```text
//! pending ── stock locked ──► awaiting_payment ── paid ──► paid ── called off by the shop ─┐
//!    │  └─── stock locked, nothing owed ───────────────────►┘                              │
//!    │                            │  ↺ declined, reminded                                  ▼
//!    ├── stock refused ──► rejected                                                    refunding ──► refunded
//!    │                            ├── no attempt left ──► payment_failed                   ▲
//!    └────────────┬───────────────┘                                                        │
//!                 ├── deadline passed ──► expired              money for one that is off ──┘
//!                 └── called off ───────► cancelled
//! ```

pub mod again;

use std::{fmt, str::FromStr};

use common::{
    events::{
        OrderCancelled, OrderExpired, OrderPaid, OrderPaymentDeclined, OrderPaymentDue, OrderPaymentFailed,
        OrderPaymentReminder, OrderReceived, OrderRefundDue, OrderRefunded, OrderRejected, Shortage,
    },
    ids::{OrderId, TransactionId, UserId},
    money::Money,
};
use time::{Duration, OffsetDateTime};

/// Where an order stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Status {
    /// Accepted, waiting for stock.
    Pending,
    /// Stock locked, payment due.
    AwaitingPayment,
    /// Money captured.
    Paid,
    /// Not enough stock.
    Rejected,
    /// Every allowed attempt was declined.
    PaymentFailed,
    /// The deadline passed unpaid.
    Expired,
    /// Called off by the customer or the shop.
    Cancelled,
    /// It is off, but its money is there and goes back.
    Refunding,
    /// It is off, and its money is back.
    Refunded,
}

impl Status {
    pub(crate) const NAMES: [(Self, &'static str); 9] = [
        (Self::Pending, "pending"),
        (Self::AwaitingPayment, "awaiting_payment"),
        (Self::Paid, "paid"),
        (Self::Rejected, "rejected"),
        (Self::PaymentFailed, "payment_failed"),
        (Self::Expired, "expired"),
        (Self::Cancelled, "cancelled"),
        (Self::Refunding, "refunding"),
        (Self::Refunded, "refunded"),
    ];

    /// Whether the customer has an outcome. Money that comes late, or the shop, may still change it.
    #[must_use]
    pub fn is_answered(self) -> bool {
        !matches!(self, Self::Pending | Self::AwaitingPayment)
    }

    /// Whether nothing is under way any more that whoever follows the order would wait for.
    #[must_use]
    pub fn is_over(self) -> bool {
        self.is_answered() && self != Self::Refunding
    }

    #[must_use]
    pub fn as_str(self) -> &'static str {
        Self::NAMES.iter().find(|(status, _)| *status == self).map_or("", |(_, name)| name)
    }
}

impl fmt::Display for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for Status {
    type Err = String;

    fn from_str(name: &str) -> Result<Self, String> {
        let known = Self::NAMES.iter().find(|(_, n)| *n == name);
        known.map(|(status, _)| *status).ok_or_else(|| format!("{name:?} is not the status of an order"))
    }
}

/// As much of an order as its decisions need.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Order {
    pub id: OrderId,
    pub user_id: UserId,
    pub status: Status,
    /// Raised by every transition: whoever hears an older version after a newer one can tell.
    pub version: i32,
    pub amount: Money,
    /// The payment that paid it, or that is to be given back.
    pub transaction_id: Option<TransactionId>,
    /// Until when it can be paid.
    pub deadline: OffsetDateTime,
    /// The last attempt to pay that is known to have been declined.
    pub declines: i32,
    /// Whether the customer was reminded to pay.
    pub reminded: bool,
}

/// Who calls an order off.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Canceller {
    Customer,
    Shop,
}

/// What the workers may report, or somebody may ask for, or the time brings.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Happened {
    StockLocked,
    StockRefused(Vec<Shortage>),
    Paid {
        transaction_id: TransactionId,
        amount: Money,
    },
    /// An attempt to pay, counted from 1; where none are left, that was the last.
    Declined {
        attempt: i32,
        attempts_left: i32,
        reason: String,
    },
    Refunded {
        transaction_id: TransactionId,
    },
    CancelAsked {
        by: Canceller,
    },
    /// Somebody looked at the clock.
    Looked(Clock),
}

/// The time, by PostgreSQL's clock, and so long before the deadline a customer is reminded (never, if it is zero).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Clock {
    pub now: OffsetDateTime,
    pub remind_before: Duration,
}

/// What everyone must hear.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Announcement {
    Received(OrderReceived),
    PaymentDue(OrderPaymentDue),
    PaymentDeclined(OrderPaymentDeclined),
    PaymentReminder(OrderPaymentReminder),
    Paid(OrderPaid),
    Rejected(OrderRejected),
    PaymentFailed(OrderPaymentFailed),
    Expired(OrderExpired),
    Cancelled(OrderCancelled),
    RefundDue(OrderRefundDue),
    Refunded(OrderRefunded),
}

/// What follows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Next {
    /// It means nothing to this order, or nothing any more.
    Unchanged,
    /// The order is another; `detail` is for its timeline.
    Changed { order: Order, announcements: Vec<Announcement>, detail: Option<String> },
    /// The order is what it was, and yet something must be done about it.
    Said(Announcement),
    /// It cannot be true of this order, and somebody must look.
    Absurd(String),
}

/// Decides what follows from what happened.
#[must_use]
pub fn next(order: &Order, happened: &Happened) -> Next {
    use Status::{AwaitingPayment, Cancelled, Expired, Paid, PaymentFailed, Pending, Refunded, Refunding, Rejected};
    match (order.status, happened) {
        (Pending, Happened::StockLocked) if order.amount == Money(0) => paid(order, None),
        (Pending, Happened::StockLocked) => {
            let order = moved(order, AwaitingPayment);
            changed(Announcement::PaymentDue(payment_due(&order)), order, None)
        }
        (Pending, Happened::StockRefused(shortages)) => {
            let order = moved(order, Rejected);
            let announcement = Announcement::Rejected(OrderRejected {
                order_id: order.id,
                user_id: order.user_id.clone(),
                version: order.version,
                shortages: shortages.clone(),
            });
            changed(announcement, order, Some(in_words(shortages)))
        }
        // A payment can only follow a lock: hearing of it first means that the lock's report is still on its way.
        (Pending, Happened::Paid { .. } | Happened::Declined { .. } | Happened::Refunded { .. }) => {
            Next::Absurd("a payment was reported before its stock was locked".to_owned())
        }
        // What is locked by then, or about to be, or paid: whoever holds it hears of this and gives it back.
        (Pending | AwaitingPayment, Happened::CancelAsked { by }) => {
            let detail = match by {
                Canceller::Customer => "by the customer",
                Canceller::Shop => "by the shop",
            };
            cancelled(order, detail.to_owned())
        }
        (Pending | AwaitingPayment, Happened::Looked(clock)) => looked(order, *clock),

        (AwaitingPayment, Happened::Paid { transaction_id, amount }) if *amount == order.amount => {
            paid(order, Some(*transaction_id))
        }
        (AwaitingPayment, Happened::Paid { amount, .. }) => {
            Next::Absurd(format!("{} minor units were captured for an order of {}", amount.0, order.amount.0))
        }
        (AwaitingPayment, Happened::Declined { attempt, attempts_left, reason }) => {
            declined(order, *attempt, *attempts_left, reason)
        }
        // Its stock was locked for a while, by request, and was gone when its turn came.
        (AwaitingPayment, Happened::StockRefused(shortages)) => cancelled(order, in_words(shortages)),

        (Paid, Happened::CancelAsked { by: Canceller::Shop }) => given_up(order, "by the shop".to_owned()),
        (Paid, Happened::StockRefused(shortages)) => given_up(order, in_words(shortages)),
        // Money for an order that is off is never kept.
        (Rejected | PaymentFailed | Expired | Cancelled, Happened::Paid { transaction_id, amount }) => {
            let order = Order { transaction_id: Some(*transaction_id), ..moved(order, Refunding) };
            let announcement = Announcement::RefundDue(refund_due(&order, *transaction_id, *amount));
            changed(announcement, order, Some(transaction_id.to_string()))
        }
        // Nor is any other than the one payment, whatever becomes of the order.
        (Paid | Refunding | Refunded, Happened::Paid { transaction_id, amount })
            if order.transaction_id != Some(*transaction_id) =>
        {
            Next::Said(Announcement::RefundDue(refund_due(order, *transaction_id, *amount)))
        }
        (Refunding, Happened::Refunded { transaction_id }) if order.transaction_id == Some(*transaction_id) => {
            let order = moved(order, Refunded);
            let announcement = Announcement::Refunded(OrderRefunded {
                order_id: order.id,
                user_id: order.user_id.clone(),
                version: order.version,
                transaction_id: *transaction_id,
                amount: order.amount,
            });
            changed(announcement, order, Some(transaction_id.to_string()))
        }

        (
            AwaitingPayment | Paid | Rejected | PaymentFailed | Expired | Cancelled | Refunding | Refunded,
            Happened::StockLocked
            | Happened::StockRefused(_)
            | Happened::Paid { .. }
            | Happened::Declined { .. }
            | Happened::Refunded { .. }
            | Happened::CancelAsked { .. }
            | Happened::Looked(_),
        ) => Next::Unchanged,
    }
}

/// What a customer may hear of an order that has no answer yet when it is looked at first. Most are answered long before,
/// and nobody wants two mails within a second.
#[must_use]
pub fn received(order: &Order) -> Option<Announcement> {
    if order.status.is_answered() || order.declines > 0 || order.reminded {
        return None;
    }
    Some(Announcement::Received(OrderReceived {
        order_id: order.id,
        user_id: order.user_id.clone(),
        version: order.version,
        amount: order.amount,
    }))
}

fn looked(order: &Order, clock: Clock) -> Next {
    if clock.now >= order.deadline {
        let order = moved(order, Status::Expired);
        let announcement = Announcement::Expired(OrderExpired {
            order_id: order.id,
            user_id: order.user_id.clone(),
            version: order.version,
        });
        return changed(announcement, order, None);
    }
    let is_time = clock.remind_before > Duration::ZERO && clock.now >= order.deadline - clock.remind_before;
    if order.status != Status::AwaitingPayment || order.reminded || !is_time {
        return Next::Unchanged;
    }
    let order = Order { reminded: true, ..moved(order, order.status) };
    let announcement = Announcement::PaymentReminder(OrderPaymentReminder {
        order_id: order.id,
        user_id: order.user_id.clone(),
        version: order.version,
        amount: order.amount,
        deadline: order.deadline,
    });
    changed(announcement, order, Some("reminded".to_owned()))
}

fn declined(order: &Order, attempt: i32, attempts_left: i32, reason: &str) -> Next {
    if attempt <= order.declines {
        return Next::Unchanged;
    }
    let status = if attempts_left > 0 { Status::AwaitingPayment } else { Status::PaymentFailed };
    let order = Order { declines: attempt, ..moved(order, status) };
    let announcement = if attempts_left > 0 {
        Announcement::PaymentDeclined(OrderPaymentDeclined {
            order_id: order.id,
            user_id: order.user_id.clone(),
            version: order.version,
            amount: order.amount,
            reason: reason.to_owned(),
            attempts_left,
            deadline: order.deadline,
        })
    } else {
        Announcement::PaymentFailed(OrderPaymentFailed {
            order_id: order.id,
            user_id: order.user_id.clone(),
            version: order.version,
            reason: reason.to_owned(),
        })
    };
    changed(announcement, order, Some(reason.to_owned()))
}

fn paid(order: &Order, transaction_id: Option<TransactionId>) -> Next {
    let order = Order { transaction_id, ..moved(order, Status::Paid) };
    let announcement = Announcement::Paid(OrderPaid {
        order_id: order.id,
        user_id: order.user_id.clone(),
        version: order.version,
        amount: order.amount,
        transaction_id,
    });
    changed(announcement, order, transaction_id.map(|id| id.to_string()))
}

fn cancelled(order: &Order, detail: String) -> Next {
    let order = moved(order, Status::Cancelled);
    changed(Announcement::Cancelled(called_off(&order)), order, Some(detail))
}

/// An order that is paid is called off: its money goes back.
fn given_up(order: &Order, detail: String) -> Next {
    let Some(transaction_id) = order.transaction_id else { return cancelled(order, detail) };
    let order = moved(order, Status::Refunding);
    let announcements = vec![
        Announcement::Cancelled(called_off(&order)),
        Announcement::RefundDue(refund_due(&order, transaction_id, order.amount)),
    ];
    Next::Changed { order, announcements, detail: Some(detail) }
}

fn moved(order: &Order, status: Status) -> Order {
    Order { status, version: order.version + 1, ..order.clone() }
}

fn changed(announcement: Announcement, order: Order, detail: Option<String>) -> Next {
    Next::Changed { order, announcements: vec![announcement], detail }
}

fn payment_due(order: &Order) -> OrderPaymentDue {
    OrderPaymentDue {
        order_id: order.id,
        user_id: order.user_id.clone(),
        version: order.version,
        amount: order.amount,
        deadline: order.deadline,
    }
}

fn called_off(order: &Order) -> OrderCancelled {
    OrderCancelled { order_id: order.id, user_id: order.user_id.clone(), version: order.version }
}

fn refund_due(order: &Order, transaction_id: TransactionId, amount: Money) -> OrderRefundDue {
    OrderRefundDue {
        order_id: order.id,
        user_id: order.user_id.clone(),
        version: order.version,
        transaction_id,
        amount,
    }
}

fn in_words(shortages: &[Shortage]) -> String {
    let each = shortages.iter().map(|s| format!("{}: {} asked, {} available", s.product_id, s.asked, s.available));
    each.collect::<Vec<_>>().join("; ")
}

#[cfg(test)]
mod tests;
