//! Publishing: every task has a channel of its own, and everything is confirmed.
//!
//! While one task waits for the broker to confirm what it has sent, another sends what has gathered meanwhile. An `ack`
//! does not prove that a message was routed: a returned message can be reported on another message's confirm of the
//! same channel. So what a task finds gathered is sent as one group, all of its confirms are drained, and what
//! succeeded is what was acked minus what was returned, by message id.

use std::{collections::HashSet, time::Duration};

use futures_util::{StreamExt as _, future::join_all, stream::FuturesUnordered};
use lapin::{
    BasicProperties, Channel, Confirmation,
    options::{BasicPublishOptions, ConfirmSelectOptions},
    types::ShortString,
};
use tokio::{
    sync::{Mutex, mpsc, oneshot},
    time::Instant,
};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use super::{
    CONTENT_TYPE,
    connection::{BrokerError, Lane, Link},
};
use crate::{
    crash::{self, Point},
    events::Parcel,
};

/// The most parcels on their way at once.
const WINDOW: usize = 1_000;
/// The most bytes on their way at once.
const WINDOW_BYTES: usize = 16 * 1024 * 1024;
/// Tasks that publish: one sends while another waits.
const TASKS: usize = 2;
const PERSISTENT: u8 = 2;

/// A parcel that the broker did not take, or did not say that it took.
#[derive(Debug, Clone, thiserror::Error)]
#[error("not published: {0}")]
pub struct NotPublished(pub String);

type Answers = Vec<Result<(), NotPublished>>;

struct Job {
    parcels: Vec<Parcel>,
    /// Nobody waits for the answer after this.
    expires: Instant,
    answer: oneshot::Sender<Answers>,
}

/// What came of a round.
#[derive(Clone, Copy)]
struct Published {
    returned: bool,
}

/// Hands parcels to the publishing tasks.
#[derive(Clone)]
pub struct Publisher {
    jobs: mpsc::Sender<Job>,
}

impl Publisher {
    /// The publisher, and what does its work until `stop`.
    pub fn new(link: Link, stop: CancellationToken) -> (Self, impl Future<Output = ()> + Send) {
        let (jobs, queue) = mpsc::channel(1_024);
        let queue = Mutex::new(queue);
        let work = async move {
            join_all((0..TASKS).map(|_| run(&link, &queue, &stop))).await;
        };
        (Self { jobs }, work)
    }

    /// Publishes, and says of each parcel whether the broker has confirmed it. Takes at most `patience`.
    pub async fn publish(&self, parcels: Vec<Parcel>, patience: Duration) -> Answers {
        let count = parcels.len();
        let lost = |why: &str| vec![Err(NotPublished(why.to_owned())); count];
        let (answer, answered) = oneshot::channel();
        let job = Job { parcels, expires: Instant::now() + patience, answer };
        let published = async {
            self.jobs.send(job).await.ok()?;
            answered.await.ok()
        };
        match tokio::time::timeout(patience, published).await {
            Ok(Some(answers)) => answers,
            Ok(None) => lost("the publisher has stopped"),
            Err(_) => lost("no confirm in time"),
        }
    }
}

type Queue = Mutex<mpsc::Receiver<Job>>;

async fn run(link: &Link, queue: &Queue, stop: &CancellationToken) {
    let mut jobs = Vec::new();
    loop {
        let Some(lane) = stop.run_until_cancelled(link.lane_eventually()).await else { return };
        let why = match confirming(&lane).await {
            Err(error) => error.to_string(),
            Ok(()) => match serve(link, &lane, queue, &mut jobs, stop).await {
                Some(why) => why,
                None => return,
            },
        };
        link.give_up(&lane, &why).await;
    }
}

async fn confirming(lane: &Lane) -> Result<(), BrokerError> {
    lane.ask(lane.channel.confirm_select(ConfirmSelectOptions::default())).await
}

/// Publishes until told to stop (`None`) or until the connection is of no more use (why).
async fn serve(
    link: &Link,
    lane: &Lane,
    queue: &Queue,
    jobs: &mut Vec<Job>,
    stop: &CancellationToken,
) -> Option<String> {
    loop {
        tokio::select! {
            biased;
            () = stop.cancelled() => return None,
            // Reconnect as soon as the connection is lost, not when the next parcel finds out.
            () = lane.lost() => return Some("the connection was lost".to_owned()),
            received = async { queue.lock().await.recv_many(jobs, WINDOW).await } => {
                if received == 0 {
                    return None;
                }
                let published = match publish_all(lane, jobs).await {
                    // Somebody has removed a queue or a binding of ours. Whoever tries again will find it.
                    Ok(Published { returned: true }) => link.declare(lane).await,
                    Ok(Published { returned: false }) => Ok(()),
                    Err(error) => Err(error),
                };
                if let Err(error) = published {
                    return Some(error.to_string());
                }
            }
        }
    }
}

/// Publishes what the jobs ask for, all of them together, in groups that fit the window. After an error the rest is
/// answered as not published.
async fn publish_all(lane: &Lane, jobs: &mut Vec<Job>) -> Result<Published, BrokerError> {
    jobs.retain(|job| !job.answer.is_closed() && job.expires > Instant::now());
    let parcels: Vec<&Parcel> = jobs.iter().flat_map(|job| &job.parcels).collect();
    let mut answers: Answers = Vec::with_capacity(parcels.len());
    let mut result = Ok(Published { returned: false });
    let mut rest = parcels.as_slice();
    while !rest.is_empty() {
        let (group, after) = rest.split_at(window(rest));
        rest = after;
        match publish_group(lane, group).await {
            Ok((group_answers, returned)) => {
                answers.extend(group_answers);
                result = result.map(|before| Published { returned: before.returned || returned });
            }
            Err(error) => {
                let unpublished = || Err(NotPublished(error.to_string()));
                answers.extend(std::iter::repeat_with(unpublished).take(group.len() + rest.len()));
                result = Err(error);
                break;
            }
        }
    }
    let mut answers = answers.into_iter();
    for job in jobs.drain(..) {
        // Nobody listens any more when the patience ran out meanwhile; the outbox still has the rows.
        let _ = job.answer.send(answers.by_ref().take(job.parcels.len()).collect());
    }
    result
}

/// How many of the parcels may be on their way together: at least one.
fn window(parcels: &[&Parcel]) -> usize {
    let mut bytes = 0;
    let fitting = parcels.iter().take(WINDOW).take_while(|parcel| {
        bytes += parcel.body.len();
        bytes <= WINDOW_BYTES
    });
    fitting.count().max(1)
}

/// Publishes the parcels, and says of each whether the broker has it, and whether it returned any.
async fn publish_group(lane: &Lane, group: &[&Parcel]) -> Result<(Answers, bool), BrokerError> {
    let mut on_their_way: FuturesUnordered<_> = group
        .iter()
        .enumerate()
        .map(|(i, parcel)| async move { (i, publish_one(&lane.channel, parcel).await) })
        .collect();
    let mut confirmed = vec![false; group.len()];
    let mut returned: HashSet<Uuid> = HashSet::new();
    let drained = async {
        while let Some((i, confirmation)) = on_their_way.next().await {
            let confirmation = confirmation?;
            if let Some(is_confirmed) = confirmed.get_mut(i) {
                *is_confirmed = confirmation.is_ack();
            }
            if let Some(message) = confirmation.take_message() {
                let id = message.delivery.properties.message_id().as_ref();
                returned.extend(id.and_then(|id| id.as_str().parse::<Uuid>().ok()));
            }
        }
        Ok::<_, lapin::Error>(())
    };
    lane.ask(drained).await?;
    metrics::counter!("conveyor_parcels_published_total").increment(group.len() as u64);
    let answers = group
        .iter()
        .zip(confirmed)
        .map(|(parcel, confirmed)| {
            if returned.contains(&parcel.id) {
                metrics::counter!("conveyor_parcels_returned_total").increment(1);
                tracing::error!(
                    parcel.id = %parcel.id, parcel.exchange, parcel.routing_key,
                    "the broker returned a parcel: no queue is bound for it"
                );
                return Err(NotPublished("returned: no queue is bound for it".to_owned()));
            }
            if confirmed { Ok(()) } else { Err(NotPublished("refused by the broker".to_owned())) }
        })
        .collect();
    Ok((answers, !returned.is_empty()))
}

async fn publish_one(channel: &Channel, parcel: &Parcel) -> lapin::Result<Confirmation> {
    let mut id = [0; uuid::fmt::Hyphenated::LENGTH];
    let mut properties = BasicProperties::default()
        .with_delivery_mode(PERSISTENT)
        .with_message_id((&*parcel.id.hyphenated().encode_lower(&mut id)).into())
        .with_type(short(&parcel.kind))
        .with_content_type(CONTENT_TYPE.into());
    if let Some(headers) = &parcel.headers {
        properties = properties.with_headers(headers.clone());
    }
    let sent = channel
        .basic_publish(
            short(&parcel.exchange),
            short(&parcel.routing_key),
            BasicPublishOptions { mandatory: true, ..Default::default() },
            &parcel.body,
            properties,
        )
        .await?;
    crash::here(Point::OutboxPublished);
    sent.await
}

/// A text as AMQP carries short ones, cut to the 255 bytes that fit. An event's type comes from outside and may be of
/// any length.
fn short(text: &str) -> ShortString {
    let mut end = text.len().min(255);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    ShortString::try_new(text.get(..end).unwrap_or_default()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_type_of_any_length_can_be_published() {
        assert_eq!(short("order.created").as_str(), "order.created");
        assert_eq!(short(&"x".repeat(300)).as_str().len(), 255);
        assert_eq!(short(&"é".repeat(200)).as_str().len(), 254);
    }
}
