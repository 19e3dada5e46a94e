//! Hears all that is published, and says some of it again, later and out of order, as brokers and retries do.

use std::{
    collections::VecDeque,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::Duration,
};

use common::broker::topology::{EVENTS, REDELIVER, WORK_QUEUES};
use futures_util::StreamExt as _;
use lapin::{
    BasicProperties, Channel, Connection, ConnectionProperties,
    options::{BasicConsumeOptions, BasicPublishOptions, QueueBindOptions, QueueDeclareOptions},
    types::FieldTable,
};
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};

const REMEMBERED: usize = 3_000;
/// At most so much later.
const LATEST_MS: u64 = 4_000;

/// To whom, and what.
type Word = (&'static str, Vec<u8>);

pub struct Echo {
    heard: Mutex<VecDeque<Word>>,
    repeats: AtomicBool,
    /// How often something was said once more.
    said: AtomicUsize,
    say: UnboundedSender<Word>,
}

impl Echo {
    /// Listens on whatever node answers, for as long as it is held.
    pub fn start(url: String) -> (Arc<Self>, tokio::task::JoinHandle<()>) {
        let (say, words) = unbounded_channel();
        let echo =
            Arc::new(Self { heard: Mutex::default(), repeats: AtomicBool::new(false), said: AtomicUsize::new(0), say });
        let listening = tokio::spawn(Arc::clone(&echo).listen_for_ever(url, words));
        (echo, listening)
    }

    /// From now on everything that is heard is said once more, or twice.
    pub fn repeat(&self, repeats: bool) {
        self.repeats.store(repeats, Ordering::Relaxed);
    }

    pub fn said(&self) -> usize {
        self.said.load(Ordering::Relaxed)
    }

    /// Says so many old messages again, all at once.
    pub fn flood(&self, messages: usize) {
        let heard: Vec<Word> = self.heard.lock().unwrap_or_else(PoisonError::into_inner).iter().cloned().collect();
        for (queue, body) in heard.iter().cycle().take(if heard.is_empty() { 0 } else { messages }) {
            let _ = self.say.send((queue, body.clone()));
        }
    }

    /// What nobody can read. The console keeps it, once.
    pub fn babble(&self, queue: &'static str, what: String) {
        let _ = self.say.send((queue, what.into_bytes()));
    }

    async fn listen_for_ever(self: Arc<Self>, url: String, mut words: UnboundedReceiver<Word>) {
        loop {
            let connecting = Connection::connect(&url, ConnectionProperties::default());
            if let Ok(Ok(connection)) = tokio::time::timeout(Duration::from_secs(5), connecting).await {
                let _ = self.listen(&connection, &mut words).await;
            }
            tokio::time::sleep(Duration::from_millis(500)).await;
        }
    }

    /// Until the connection breaks.
    async fn listen(&self, connection: &Connection, words: &mut UnboundedReceiver<Word>) -> Result<(), lapin::Error> {
        let channel = connection.create_channel().await?;
        let options = QueueDeclareOptions { exclusive: true, auto_delete: true, ..Default::default() };
        let queue = channel.queue_declare("".into(), options, FieldTable::default()).await?;
        let (bind, nothing) = (QueueBindOptions::default(), FieldTable::default());
        channel.queue_bind(queue.name().clone(), EVENTS.into(), "#".into(), bind, nothing.clone()).await?;
        let options = BasicConsumeOptions { no_ack: true, ..Default::default() };
        let mut heard = channel.basic_consume(queue.name().clone(), "".into(), options, nothing).await?;
        loop {
            tokio::select! {
                delivery = heard.next() => match delivery {
                    Some(delivery) => {
                        let delivery = delivery?;
                        self.hear(delivery.routing_key.as_str(), &delivery.data);
                    }
                    None => return Ok(()),
                },
                Some((queue, body)) = words.recv() => {
                    publish(&channel, queue, &body).await?;
                    self.said.fetch_add(1, Ordering::Relaxed);
                }
            }
        }
    }

    fn hear(&self, kind: &str, body: &[u8]) {
        for queue in WORK_QUEUES.iter().filter(|queue| queue.hears.contains(&kind)) {
            let mut heard = self.heard.lock().unwrap_or_else(PoisonError::into_inner);
            heard.truncate(REMEMBERED - 1);
            heard.push_front((queue.name, body.to_owned()));
            drop(heard);
            if self.repeats.load(Ordering::Relaxed) {
                for _ in 0..fastrand::u8(1..=2) {
                    let (say, word) = (self.say.clone(), (queue.name, body.to_owned()));
                    tokio::spawn(async move {
                        tokio::time::sleep(Duration::from_millis(fastrand::u64(..LATEST_MS))).await;
                        let _ = say.send(word);
                    });
                }
            }
        }
    }
}

async fn publish(channel: &Channel, queue: &str, body: &[u8]) -> Result<(), lapin::Error> {
    let properties = BasicProperties::default().with_delivery_mode(2);
    let options = BasicPublishOptions::default();
    // Whether it arrives is all the same: it is one too many.
    channel.basic_publish(REDELIVER.into(), queue.into(), options, body, properties).await.map(drop)
}
