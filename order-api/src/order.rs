//! The life of an order, as a pure function: *(order, what happened) → (order, what follows)*.
//!
//! No I/O and no clock. What is heard twice, late or out of order changes nothing that it should not: each thing that
//! can happen is legal in the states listed here and means nothing in any other.
//!
//! ```text
//! pending ── stock locked ──► awaiting_payment ── paid ──► paid
//!    │  └─── stock locked, nothing owed ───────────────────►┘
//!    ├────── stock refused ──► rejected     └── failed ──► payment_failed
//!    └────── called off ─────► cancelled
//! ```

use std::{fmt, str::FromStr};

use common::{
    events::{OrderCancelled, OrderPaid, OrderPaymentDue, OrderPaymentFailed, OrderRejected, Shortage},
    ids::{OrderId, TransactionId, UserId},
    money::Money,
};
use time::OffsetDateTime;

/// Where an order stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
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
    /// Called off by the customer or the shop.
    Cancelled,
}

impl Status {
    pub(crate) const NAMES: [(Self, &'static str); 6] = [
        (Self::Pending, "pending"),
        (Self::AwaitingPayment, "awaiting_payment"),
        (Self::Paid, "paid"),
        (Self::Rejected, "rejected"),
        (Self::PaymentFailed, "payment_failed"),
        (Self::Cancelled, "cancelled"),
    ];

    /// Whether the customer has an outcome, and nothing more will happen.
    #[must_use]
    pub fn is_answered(self) -> bool {
        match self {
            Self::Pending | Self::AwaitingPayment => false,
            Self::Paid | Self::Rejected | Self::PaymentFailed | Self::Cancelled => true,
        }
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
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Order {
    pub id: OrderId,
    pub user_id: UserId,
    pub status: Status,
    /// Raised by every transition: whoever hears an older version after a newer one can tell.
    pub version: i32,
    pub amount: Money,
    pub transaction_id: Option<TransactionId>,
    /// Until when it can be paid.
    pub deadline: OffsetDateTime,
}

/// Who calls an order off.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Canceller {
    Customer,
    Shop,
}

/// What the workers may report, or somebody may ask for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Happened {
    StockLocked,
    StockRefused(Vec<Shortage>),
    Paid { transaction_id: TransactionId, amount: Money },
    PaymentFailed { reason: String },
    CancelAsked { by: Canceller },
}

/// What everyone must hear of a transition.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Announcement {
    PaymentDue(OrderPaymentDue),
    Paid(OrderPaid),
    Rejected(OrderRejected),
    PaymentFailed(OrderPaymentFailed),
    Cancelled(OrderCancelled),
}

/// What follows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Next {
    /// It means nothing to this order, or nothing any more.
    Unchanged,
    /// The order is another; `detail` is for its timeline.
    Changed { order: Order, announcement: Announcement, detail: Option<String> },
    /// It cannot be true of this order, and somebody must look.
    Absurd(String),
}

/// Decides what follows from what happened.
#[must_use]
pub fn next(order: &Order, happened: &Happened) -> Next {
    match (order.status, happened) {
        (Status::Pending, Happened::StockLocked) if order.amount == Money(0) => paid(order, None),
        (Status::Pending, Happened::StockLocked) => {
            let order = moved(order, Status::AwaitingPayment);
            let announcement = Announcement::PaymentDue(OrderPaymentDue {
                order_id: order.id,
                user_id: order.user_id.clone(),
                version: order.version,
                amount: order.amount,
                deadline: order.deadline,
            });
            Next::Changed { order, announcement, detail: None }
        }
        (Status::Pending, Happened::StockRefused(shortages)) => {
            let order = moved(order, Status::Rejected);
            let announcement = Announcement::Rejected(OrderRejected {
                order_id: order.id,
                user_id: order.user_id.clone(),
                version: order.version,
                shortages: shortages.clone(),
            });
            Next::Changed { order, announcement, detail: Some(in_words(shortages)) }
        }
        // Its stock may be locked meanwhile, or be about to be: whoever holds it hears of this and gives it back.
        (Status::Pending, Happened::CancelAsked { by }) => {
            let order = moved(order, Status::Cancelled);
            let announcement = Announcement::Cancelled(OrderCancelled {
                order_id: order.id,
                user_id: order.user_id.clone(),
                version: order.version,
            });
            let detail = match by {
                Canceller::Customer => "by the customer",
                Canceller::Shop => "by the shop",
            };
            Next::Changed { order, announcement, detail: Some(detail.to_owned()) }
        }
        (Status::AwaitingPayment, Happened::Paid { transaction_id, amount }) => {
            if *amount != order.amount {
                return Next::Absurd(format!(
                    "{} minor units were captured for an order of {}",
                    amount.0, order.amount.0
                ));
            }
            paid(order, Some(*transaction_id))
        }
        (Status::AwaitingPayment, Happened::PaymentFailed { reason }) => {
            let order = moved(order, Status::PaymentFailed);
            let announcement = Announcement::PaymentFailed(OrderPaymentFailed {
                order_id: order.id,
                user_id: order.user_id.clone(),
                version: order.version,
                reason: reason.clone(),
            });
            Next::Changed { order, announcement, detail: Some(reason.clone()) }
        }
        // A payment can only follow a lock: hearing of it first means that the lock's report is still on its way.
        (Status::Pending, Happened::Paid { .. } | Happened::PaymentFailed { .. }) => {
            Next::Absurd("a payment was reported before its stock was locked".to_owned())
        }
        // Among them a cancellation for which it is too late: the payment is under way.
        (Status::AwaitingPayment | Status::Paid | Status::Rejected | Status::PaymentFailed | Status::Cancelled, _) => {
            Next::Unchanged
        }
    }
}

fn moved(order: &Order, status: Status) -> Order {
    Order { status, version: order.version + 1, ..order.clone() }
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
    Next::Changed { order, announcement, detail: transaction_id.map(|id| id.to_string()) }
}

fn in_words(shortages: &[Shortage]) -> String {
    let each = shortages.iter().map(|s| format!("{}: {} asked, {} available", s.product_id, s.asked, s.available));
    each.collect::<Vec<_>>().join("; ")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn order(status: Status, amount: i64) -> Order {
        Order {
            id: OrderId::generate(),
            user_id: UserId::try_from("123456".to_owned()).unwrap(),
            status,
            version: 1,
            amount: Money(amount),
            transaction_id: None,
            deadline: OffsetDateTime::UNIX_EPOCH,
        }
    }

    fn everything() -> Vec<Happened> {
        vec![
            Happened::StockLocked,
            Happened::StockRefused(Vec::new()),
            Happened::Paid { transaction_id: TransactionId::generate(), amount: Money(100) },
            Happened::PaymentFailed { reason: "declined".to_owned() },
            Happened::CancelAsked { by: Canceller::Customer },
            Happened::CancelAsked { by: Canceller::Shop },
        ]
    }

    #[test]
    fn the_happy_path_is_paid_in_two_steps() {
        let Next::Changed { order, announcement: Announcement::PaymentDue(due), .. } =
            next(&order(Status::Pending, 100), &Happened::StockLocked)
        else {
            panic!("not due")
        };
        assert_eq!((order.status, order.version, due.version, due.amount), (Status::AwaitingPayment, 2, 2, Money(100)));
        let transaction_id = TransactionId::generate();
        let Next::Changed { order, announcement: Announcement::Paid(paid), .. } =
            next(&order, &Happened::Paid { transaction_id, amount: Money(100) })
        else {
            panic!("not paid")
        };
        assert_eq!((order.status, order.version, paid.version), (Status::Paid, 3, 3));
        assert_eq!(order.transaction_id, Some(transaction_id));
    }

    #[test]
    fn an_order_of_nothing_is_paid_without_a_charge() {
        let next = next(&order(Status::Pending, 0), &Happened::StockLocked);
        assert!(
            matches!(next, Next::Changed { order, announcement: Announcement::Paid(_), .. } if order.status == Status::Paid)
        );
    }

    #[test]
    fn nothing_moves_an_order_that_has_its_answer() {
        for (status, _) in Status::NAMES.into_iter().filter(|(status, _)| status.is_answered()) {
            for happened in everything() {
                assert_eq!(next(&order(status, 100), &happened), Next::Unchanged, "{status} {happened:?}");
            }
        }
    }

    #[test]
    fn what_is_heard_twice_changes_nothing_the_second_time() {
        for status in [Status::Pending, Status::AwaitingPayment] {
            for happened in everything() {
                if let Next::Changed { order, .. } = next(&order(status, 100), &happened) {
                    assert_eq!(next(&order, &happened), Next::Unchanged, "{status} {happened:?}");
                }
            }
        }
    }

    #[test]
    fn an_order_can_be_called_off_until_its_payment_is_asked_for() {
        let asked = Happened::CancelAsked { by: Canceller::Customer };
        let Next::Changed { order: cancelled, announcement: Announcement::Cancelled(said), detail } =
            next(&order(Status::Pending, 100), &asked)
        else {
            panic!("not cancelled")
        };
        assert_eq!((cancelled.status, cancelled.version, said.version), (Status::Cancelled, 2, 2));
        assert_eq!(detail.as_deref(), Some("by the customer"));
        for late in [Happened::StockLocked, Happened::StockRefused(Vec::new()), asked.clone()] {
            assert_eq!(next(&cancelled, &late), Next::Unchanged, "{late:?}");
        }
        assert_eq!(next(&order(Status::AwaitingPayment, 100), &asked), Next::Unchanged);
    }

    #[test]
    fn the_wrong_amount_is_never_taken_for_payment() {
        let happened = Happened::Paid { transaction_id: TransactionId::generate(), amount: Money(99) };
        assert!(matches!(next(&order(Status::AwaitingPayment, 100), &happened), Next::Absurd(_)));
    }

    #[test]
    fn every_status_has_a_name_of_its_own() {
        for (status, name) in Status::NAMES {
            assert_eq!(name.parse(), Ok(status));
            assert_eq!(status.to_string(), name);
        }
    }
}
