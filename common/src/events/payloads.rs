//! The payload of every event type. Only `order-api` says `order.*`; workers answer with their own.

use serde::{Deserialize, Serialize};

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

/// Stock is locked; the customer owes `amount`. Said once in an order's life.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct OrderPaymentDue {
    pub order_id: OrderId,
    pub user_id: UserId,
    pub version: i32,
    pub amount: Money,
}
payload!(OrderPaymentDue = "order.payment_due");

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

/// The customer, or the shop, called it off before anything was charged.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct OrderCancelled {
    pub order_id: OrderId,
    pub user_id: UserId,
    pub version: i32,
}
payload!(OrderCancelled = "order.cancelled");

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

/// No money was captured, and no further attempt is allowed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct PaymentFailed {
    pub order_id: OrderId,
    pub reason: String,
}
payload!(PaymentFailed = "payment.failed");
