//! Messages through RabbitMQ in the best batches: confirmed, consumed and acknowledged, all at once.

use anyhow::{Context as _, Result, ensure};
use common::broker::{
    CONTENT_TYPE,
    topology::{EVENTS, WORK_QUEUES},
};
use futures_util::{
    FutureExt as _, StreamExt as _, TryStreamExt as _,
    future::{try_join, try_join_all},
    stream,
};
use lapin::{
    BasicProperties, Channel, Connection, ConnectionProperties,
    options::{BasicAckOptions, BasicConsumeOptions, BasicPublishOptions, BasicQosOptions, ConfirmSelectOptions},
    types::FieldTable,
};
use uuid::Uuid;

use super::repeat::Message;
use crate::servers::Place;

/// Bytes on their way to the broker at once.
const WINDOW_BYTES: usize = 16 * 1024 * 1024;
const WINDOW: usize = 1_000;
/// Deliveries that the broker may send ahead, as in the line, and how many of them are acknowledged together.
const PREFETCH: u16 = 256;
const ACKED: usize = 64;

/// One connection to publish and one to consume, as everybody has them here.
pub struct Broker {
    connections: [Connection; 2],
    publishing: Channel,
    /// With the number of messages that are to come.
    consuming: Vec<(Channel, &'static str, u64)>,
}

impl Broker {
    pub async fn open(place: &Place, messages: &[Message]) -> Result<Self> {
        let connect = || Connection::connect(&place.broker, ConnectionProperties::default());
        let connections = [connect().await?, connect().await?];
        let [to_publish, to_consume] = &connections;
        let publishing = to_publish.create_channel().await?;
        publishing.confirm_select(ConfirmSelectOptions::default()).await?;
        let mut consuming = Vec::new();
        for queue in WORK_QUEUES {
            let is_heard = |(kind, _): &&Message| queue.hears.contains(&kind.as_str());
            let expected = messages.iter().filter(is_heard).count() as u64;
            if expected > 0 {
                let channel = to_consume.create_channel().await?;
                channel.basic_qos(PREFETCH, BasicQosOptions::default()).await?;
                consuming.push((channel, queue.name, expected));
            }
        }
        Ok(Self { connections, publishing, consuming })
    }

    pub async fn run(&self, messages: &[Message]) -> Result<()> {
        let average = messages.iter().map(|(_, body)| body.len()).sum::<usize>() / messages.len().max(1);
        let window = (WINDOW_BYTES / average.max(1)).clamp(1, WINDOW);
        let publish = stream::iter(messages)
            .map(|(kind, body)| publish(&self.publishing, kind, body))
            .buffer_unordered(window)
            .try_collect::<()>();
        let consume =
            try_join_all(self.consuming.iter().map(|(channel, queue, messages)| consume(channel, queue, *messages)));
        try_join(publish, consume).await?;
        Ok(())
    }

    pub async fn close(self) -> Result<()> {
        for connection in self.connections {
            connection.close(200, "done".into()).await?;
        }
        Ok(())
    }
}

async fn publish(channel: &Channel, kind: &str, body: &[u8]) -> Result<()> {
    let properties = BasicProperties::default()
        .with_delivery_mode(2)
        .with_message_id(Uuid::now_v7().to_string().as_str().into())
        .with_type(kind.into())
        .with_content_type(CONTENT_TYPE.into());
    let options = BasicPublishOptions { mandatory: true, ..Default::default() };
    let confirmed = channel.basic_publish(EVENTS.into(), kind.into(), options, body, properties).await?.await?;
    ensure!(confirmed.is_ack() && confirmed.take_message().is_none(), "the broker did not take a message");
    Ok(())
}

async fn consume(channel: &Channel, queue: &str, messages: u64) -> Result<()> {
    let options = BasicConsumeOptions::default();
    let mut consumer = channel.basic_consume(queue.into(), "floor".into(), options, FieldTable::default()).await?;
    let mut left = messages;
    while left > 0 {
        let mut last = consumer.next().await.context("the broker has ended a consumer")??;
        left -= 1;
        let mut taken = 1;
        while taken < ACKED
            && let Some(next) = consumer.next().now_or_never()
        {
            last = next.context("the broker has ended a consumer")??;
            left -= 1;
            taken += 1;
        }
        ensure!(last.acker.ack(BasicAckOptions { multiple: true }).await?, "an acknowledgement was not sent");
    }
    Ok(())
}
