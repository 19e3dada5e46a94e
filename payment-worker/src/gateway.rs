//! The payment gateway, as payment-worker sees it.
//!
//! - `instant`: none at all: everything is captured at once, in this process.
//! - `http`: one that is asked over HTTP. `throttle` decides whether it is asked, and when.

mod http;
mod instant;
mod throttle;
mod wire;

pub use http::{HttpGateway, Options};
pub use instant::Instant;
#[cfg(any(test, feature = "fuzzing"))]
pub(crate) use wire::MethodReply;
pub(crate) use wire::{CallbackBody, Happened};

use common::{
    ids::{OrderId, TransactionId},
    money::Money,
};

use crate::{
    card::Card,
    payment::{Attempt, Refund, State},
};

/// A request to capture money.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Charge {
    pub transaction_id: TransactionId,
    pub order_id: OrderId,
    pub attempt: i32,
    pub amount: Money,
}

impl From<&Attempt> for Charge {
    fn from(attempt: &Attempt) -> Self {
        Self { transaction_id: attempt.id, order_id: attempt.order_id, attempt: attempt.number, amount: attempt.amount }
    }
}

impl Charge {
    /// The idempotency key: however often the gateway is asked under it, it charges once.
    #[must_use]
    pub fn key(&self) -> String {
        format!("{}-{}", self.order_id, self.attempt)
    }

    /// The same for giving it back.
    #[must_use]
    pub fn refund_key(&self) -> String {
        format!("{}-refund", self.key())
    }
}

/// The order and the number of the attempt that a key was made of.
#[must_use]
pub fn attempt_of(key: &str) -> Option<(OrderId, i32)> {
    let (order_id, number) = key.strip_suffix("-refund").unwrap_or(key).split_once('-')?;
    Some((order_id.parse().ok()?, number.parse().ok()?))
}

/// What a customer pays with. It has no `Debug`: there may be a card in it.
pub enum Means {
    Card(Card),
    /// A stored method, by the gateway's name for it.
    Token(String),
    /// Another way, by its name.
    Other(String),
}

/// What the gateway said of a charge.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Answer {
    /// The money is captured; the gateway knows it by this reference.
    Captured { reference: String },
    /// It will not be.
    Declined { reason: String },
    /// It will never be charged under this key, whoever asks.
    Voided,
    /// It has not decided.
    Processing,
    /// It has never heard of it.
    Unheard,
    /// Nobody knows: it may have been heard.
    Unknown { why: String },
    /// It was not asked, for it cannot be reached.
    Away { why: String },
}

impl Answer {
    /// What it makes of an attempt, if it is an outcome.
    #[must_use]
    pub fn outcome(&self) -> Option<State> {
        match self {
            Self::Captured { .. } => Some(State::Captured),
            Self::Declined { .. } => Some(State::Declined),
            Self::Voided => Some(State::Voided),
            Self::Processing | Self::Unheard | Self::Unknown { .. } | Self::Away { .. } => None,
        }
    }
}

/// What the gateway said of giving money back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RefundAnswer {
    Refunded,
    /// Never.
    Refused {
        reason: String,
    },
    Processing,
    Unknown {
        why: String,
    },
    Away {
        why: String,
    },
}

impl RefundAnswer {
    #[must_use]
    pub fn outcome(&self) -> Option<Refund> {
        match self {
            Self::Refunded => Some(Refund::Refunded),
            Self::Refused { .. } => Some(Refund::Refused),
            Self::Processing | Self::Unknown { .. } | Self::Away { .. } => None,
        }
    }
}

/// What is kept of a card: the gateway's name for it, and what people know it by.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredMethod {
    pub token: String,
    pub brand: String,
    pub last4: String,
    pub exp_month: i32,
    pub exp_year: i32,
}

/// Why a card has no token.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum NoToken {
    /// The gateway does not take this card.
    Refused,
    Away {
        why: String,
    },
}

/// The outside world that moves money. Asked again under the same key, it does nothing twice.
pub trait PaymentGateway: Send + Sync + 'static {
    fn charge(&self, charge: &Charge, means: &Means) -> impl Future<Output = Answer> + Send;
    /// How a charge stands.
    fn ask_by_key(&self, charge: &Charge) -> impl Future<Output = Answer> + Send;
    /// Sees to it that nothing more is charged, and says what stands.
    fn void(&self, charge: &Charge) -> impl Future<Output = Answer> + Send;
    /// Gives all of it back, or says how that stands.
    fn refund(&self, charge: &Charge) -> impl Future<Output = RefundAnswer> + Send;
    fn tokenise(&self, card: &Card) -> impl Future<Output = Result<StoredMethod, NoToken>> + Send;
    /// How many things it may be asked now: none while it is away, one when somebody should see whether it is back.
    fn room(&self) -> usize;
}
