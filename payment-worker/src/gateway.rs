//! The payment gateway, as payment-worker sees it.

use common::{
    ids::{OrderId, TransactionId},
    money::Money,
};

/// A request to capture money.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Charge {
    pub transaction_id: TransactionId,
    pub order_id: OrderId,
    pub attempt: i32,
    pub amount: Money,
}

impl Charge {
    /// The idempotency key: however often the gateway is asked under it, it charges once.
    #[must_use]
    pub fn key(&self) -> String {
        format!("{}-{}", self.order_id, self.attempt)
    }
}

/// What the gateway said.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Answer {
    /// The money is captured; the gateway knows it by this reference.
    Captured { reference: String },
    /// It will not be.
    Declined { reason: String },
    /// Nobody knows: ask again under the same key.
    Unknown { why: String },
}

/// The outside world that moves money.
pub trait PaymentGateway: Send + Sync + 'static {
    fn charge(&self, charge: &Charge) -> impl Future<Output = Answer> + Send;
}

/// A gateway in this process that captures everything at once, for running the line without an outside world.
#[derive(Debug, Clone, Copy)]
pub struct Instant;

impl PaymentGateway for Instant {
    async fn charge(&self, charge: &Charge) -> Answer {
        Answer::Captured { reference: format!("instant-{}", charge.key()) }
    }
}
