//! What can be asked of a broker about what it has.
//!
//! Nothing is asked that could be refused: what is refused on one channel ends the connection for all.

use futures_util::future::try_join;
use lapin::{
    BasicProperties,
    options::{BasicPublishOptions, ConfirmSelectOptions, QueueDeclareOptions, QueueDeleteOptions},
    types::FieldTable,
};

use super::connection::{BrokerError, Lane, Link};

const PERSISTENT: u8 = 2;

/// What a queue has. One that has no leader yet, or no time to answer, looks as if it had nothing at all.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Depth {
    /// Those that were not handed out.
    pub messages: u32,
    pub consumers: u32,
}

impl Link {
    /// How many consumers a queue has. One that is frozen counts until its connection is given up, and what it has in hand
    /// goes back to the queue in the same step. None, too, where the queue itself does not answer.
    pub async fn consumers(&self, queue: &str) -> Result<u32, BrokerError> {
        let lane = self.lane().await?;
        let depth = lane.look_at(queue).await?;
        close(&lane).await;
        Ok(depth.consumers)
    }

    /// What two queues have.
    pub async fn depths(&self, one: &str, other: &str) -> Result<(Depth, Depth), BrokerError> {
        let lane = self.lane().await?;
        let depths = try_join(lane.look_at(one), lane.look_at(other)).await?;
        close(&lane).await;
        Ok(depths)
    }

    /// Whether this broker still has the token that was left with it under this name.
    pub async fn has_token(&self, name: &str) -> Result<bool, BrokerError> {
        let lane = self.lane().await?;
        let messages = declare(&lane, name).await?;
        close(&lane).await;
        Ok(messages > 0)
    }

    /// Leaves a token with the broker, as durable as anything, and takes back another.
    pub async fn leave_token(&self, name: &str, instead_of: &str) -> Result<(), BrokerError> {
        let lane = self.lane().await?;
        declare(&lane, name).await?;
        lane.ask(lane.channel.confirm_select(ConfirmSelectOptions::default())).await?;
        let properties = BasicProperties::default().with_delivery_mode(PERSISTENT);
        let published = async {
            let options = BasicPublishOptions { mandatory: true, ..Default::default() };
            lane.channel.basic_publish("".into(), name.into(), options, b"token", properties).await?.await
        };
        let confirmation = lane.ask(published).await?;
        let is_kept = confirmation.is_ack() && confirmation.take_message().is_none();
        lane.ask(lane.channel.queue_delete(instead_of.into(), QueueDeleteOptions::default())).await?;
        close(&lane).await;
        if is_kept { Ok(()) } else { Err(BrokerError::Outage("it would not keep a token".to_owned())) }
    }
}

impl Lane {
    /// What a queue has by now.
    pub(crate) async fn look_at(&self, queue: &str) -> Result<Depth, BrokerError> {
        let options = QueueDeclareOptions { passive: true, durable: true, ..Default::default() };
        let queue = self.ask(self.channel.queue_declare(queue.into(), options, FieldTable::default())).await?;
        Ok(Depth { messages: queue.message_count(), consumers: queue.consumer_count() })
    }
}

/// Makes the queue of a token, if it is not there, and says how many it has. It is a classic one: those answer as soon as the
/// broker does, and a quorum queue that has no leader yet looks as if it were empty.
async fn declare(lane: &Lane, name: &str) -> Result<u32, BrokerError> {
    let options = QueueDeclareOptions { durable: true, ..Default::default() };
    let answer = lane.ask(lane.channel.queue_declare(name.into(), options, FieldTable::default())).await?;
    Ok(answer.message_count())
}

async fn close(lane: &Lane) {
    let _ = lane.ask(lane.channel.close(200, "answered".into())).await;
}
