//! Keeps an eye on the queues where a message means trouble.

use std::time::Duration;

use lapin::options::QueueDeclareOptions;
use tokio_util::sync::CancellationToken;

use super::{connection::Link, topology::UNROUTABLE};

const EVERY: Duration = Duration::from_secs(2);

/// Publishes the depth of `unroutable` and of the given dead-letter queues as metrics, and says so when one grows.
/// The messages stay where they are.
pub async fn watch_depths(link: Link, dead_letter_queues: Vec<String>, stop: CancellationToken) {
    let queues: Vec<(String, &str)> = std::iter::once((UNROUTABLE.to_owned(), "unroutable messages"))
        .chain(dead_letter_queues.into_iter().map(|queue| (queue, "dead letters")))
        .collect();
    let mut depths = vec![0; queues.len()];
    while stop.run_until_cancelled(tokio::time::sleep(EVERY)).await.is_some() {
        let Some(lane) = stop.run_until_cancelled(link.lane_eventually()).await else { return };
        loop {
            let mut lost = false;
            for ((queue, what), depth) in queues.iter().zip(&mut depths) {
                let options = QueueDeclareOptions { passive: true, durable: true, ..Default::default() };
                let asked = lane.channel.queue_declare(queue.as_str().into(), options, Default::default());
                let Ok(answer) = lane.ask(asked).await else {
                    lost = true;
                    break;
                };
                let now = answer.message_count();
                metrics::gauge!("conveyor_trouble_messages", "queue" => queue.clone()).set(now);
                if now > *depth {
                    tracing::error!(queue, messages = now, "there are new {what}");
                }
                *depth = now;
            }
            if lost || stop.run_until_cancelled(tokio::time::sleep(EVERY)).await.is_none() {
                break;
            }
        }
    }
}
