//! The payload of every event type. Only `order-api` says `order.*`; workers answer with their own. Of what staff sent
//! again, the chassis says whether it is done.

use serde::{Deserialize, Serialize};
use time::OffsetDateTime;
use uuid::Uuid;

use super::Payload;
use crate::{
    ids::{OrderId, ProductId, TransactionId, UserId},
    money::Money,
};

macro_rules! payload {
    ($name:ident = $kind:literal) => {
        impl Payload for $name {
            const TYPE: &'static str = $kind;
        }
    };
}

/// So many of one product.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Line {
    pub product_id: ProductId,
    pub quantity: i64,
    pub unit_price: Money,
}

/// An order was accepted and waits for stock.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct OrderCreated {
    pub order_id: OrderId,
    pub user_id: UserId,
    pub version: i32,
    pub amount: Money,
    pub items: Vec<Line>,
}
payload!(OrderCreated = "order.created");

/// An order that was accepted is not answered at once, and its customer may hear that it is known.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct OrderReceived {
    pub order_id: OrderId,
    pub user_id: UserId,
    pub version: i32,
    pub amount: Money,
}
payload!(OrderReceived = "order.received");

/// Stock is locked; the customer owes `amount`, until the deadline. Said once in an order's life, and again, as it was,
/// where nothing has come of it for long.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct OrderPaymentDue {
    pub order_id: OrderId,
    pub user_id: UserId,
    pub version: i32,
    pub amount: Money,
    #[serde(with = "time::serde::rfc3339")]
    pub deadline: OffsetDateTime,
}
payload!(OrderPaymentDue = "order.payment_due");

/// An attempt to pay was declined. So many more are allowed, until the deadline.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct OrderPaymentDeclined {
    pub order_id: OrderId,
    pub user_id: UserId,
    pub version: i32,
    pub amount: Money,
    pub reason: String,
    pub attempts_left: i32,
    #[serde(with = "time::serde::rfc3339")]
    pub deadline: OffsetDateTime,
}
payload!(OrderPaymentDeclined = "order.payment_declined");

/// The deadline comes near, and nothing has been paid.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct OrderPaymentReminder {
    pub order_id: OrderId,
    pub user_id: UserId,
    pub version: i32,
    pub amount: Money,
    #[serde(with = "time::serde::rfc3339")]
    pub deadline: OffsetDateTime,
}
payload!(OrderPaymentReminder = "order.payment_reminder");

/// The money is there (or none was owed, and then there is no transaction).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct OrderPaid {
    pub order_id: OrderId,
    pub user_id: UserId,
    pub version: i32,
    pub amount: Money,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub transaction_id: Option<TransactionId>,
}
payload!(OrderPaid = "order.paid");

/// There was not enough stock.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct OrderRejected {
    pub order_id: OrderId,
    pub user_id: UserId,
    pub version: i32,
    pub shortages: Vec<Shortage>,
}
payload!(OrderRejected = "order.rejected");

/// Every allowed attempt to pay was declined.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct OrderPaymentFailed {
    pub order_id: OrderId,
    pub user_id: UserId,
    pub version: i32,
    pub reason: String,
}
payload!(OrderPaymentFailed = "order.payment_failed");

/// The deadline passed, and it was not paid.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct OrderExpired {
    pub order_id: OrderId,
    pub user_id: UserId,
    pub version: i32,
}
payload!(OrderExpired = "order.expired");

/// The customer, or the shop, called it off. Where it was paid already, its refund falls due with it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct OrderCancelled {
    pub order_id: OrderId,
    pub user_id: UserId,
    pub version: i32,
}
payload!(OrderCancelled = "order.cancelled");

/// There is money that must be given back: what this attempt captured.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct OrderRefundDue {
    pub order_id: OrderId,
    pub user_id: UserId,
    pub version: i32,
    pub transaction_id: TransactionId,
    pub amount: Money,
}
payload!(OrderRefundDue = "order.refund_due");

/// The order is off, and the customer has the money back.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct OrderRefunded {
    pub order_id: OrderId,
    pub user_id: UserId,
    pub version: i32,
    pub transaction_id: TransactionId,
    pub amount: Money,
}
payload!(OrderRefunded = "order.refunded");

/// For order-api alone, from itself: it is time to look. It names no order, for the truth is in the table.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct OrderWakeup {
    /// Where it is a marker: when it was sent, by the database's clock.
    #[serde(with = "time::serde::rfc3339::option", skip_serializing_if = "Option::is_none", default)]
    pub sent_at: Option<OffsetDateTime>,
}
payload!(OrderWakeup = "order.wakeup");

/// All of an order's stock is locked.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct InventoryLocked {
    pub order_id: OrderId,
}
payload!(InventoryLocked = "inventory.locked");

/// None of an order's stock is locked, for want of these.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct InventoryRejected {
    pub order_id: OrderId,
    pub shortages: Vec<Shortage>,
}
payload!(InventoryRejected = "inventory.rejected");

/// A product of which more was asked than there is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Shortage {
    pub product_id: ProductId,
    pub asked: i64,
    pub available: i64,
}

/// Money was captured.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct PaymentCompleted {
    pub order_id: OrderId,
    pub transaction_id: TransactionId,
    pub amount: Money,
}
payload!(PaymentCompleted = "payment.completed");

/// An attempt captured no money. `attempt` counts them from 1; where none are left, the payment has failed for good.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct PaymentFailed {
    pub order_id: OrderId,
    pub transaction_id: TransactionId,
    pub attempt: i32,
    pub attempts_left: i32,
    pub reason: String,
}
payload!(PaymentFailed = "payment.failed");

/// What an attempt had captured was given back, all of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct PaymentRefunded {
    pub order_id: OrderId,
    pub transaction_id: TransactionId,
    pub amount: Money,
}
payload!(PaymentRefunded = "payment.refunded");

/// The gateway will never give back what it captured, and no event was under way that could die of it: this one does.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct PaymentRefundRefused {
    pub order_id: OrderId,
    pub transaction_id: TransactionId,
    pub amount: Money,
}
payload!(PaymentRefundRefused = "payment.refund_refused");

/// What staff sent again is done. It is said by the chassis of whoever did it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct SupportRetried {
    pub retry_id: Uuid,
    pub queue: String,
    pub event_id: Uuid,
}
payload!(SupportRetried = "support.retried");
