//! The ways out to a customer.

use crate::message::Message;

/// Why a message was not sent.
#[derive(Debug, Clone, thiserror::Error)]
pub enum NotSent {
    /// It may succeed later.
    #[error("{0}")]
    ForNow(String),
    /// It never will.
    #[error("{0}")]
    ForGood(String),
}

/// The outside world that reaches customers.
pub trait Transport: Send + Sync + 'static {
    /// Its name in the `channel` column: each event is told once on each channel.
    const CHANNEL: &'static str;

    fn send(&self, message: &Message) -> impl Future<Output = Result<(), NotSent>> + Send;
}

/// Tells the log, for running the line without an outside world.
#[derive(Debug, Clone, Copy)]
pub struct Log;

impl Transport for Log {
    const CHANNEL: &'static str = "log";

    async fn send(&self, message: &Message) -> Result<(), NotSent> {
        tracing::info!(
            user.id = %message.user_id, order.id = %message.order_id, message.id = %message.id,
            text = message.text, "{}", message.subject
        );
        Ok(())
    }
}
