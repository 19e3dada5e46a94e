//! The board of the line: every queue and every service, as they are now and were in the last minutes.
//!
//! It is asked for once, for everybody who looks, every two seconds; who looks costs nothing. What cannot be known is not
//! guessed: each age says how it is known, and what is away is said to be away.

mod broker;
mod history;
mod outboxes;
mod picture;
mod settings;

use std::{sync::Arc, time::Duration};

use common::{broker::topology, config::ConfigError, db::Db};
use serde::Serialize;
use time::OffsetDateTime;
use tokio::{sync::watch, time::MissedTickBehavior};
use tokio_util::sync::CancellationToken;

use self::{broker::Management, history::Histories};
pub use self::{history::Oldest, picture::sparkline, settings::Settings};
use crate::services::Services;

/// Everything on the board.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Snapshot {
    #[serde(with = "time::serde::rfc3339")]
    pub at: OffsetDateTime,
    /// Why the broker says nothing, if it does not: then the queues are as they were last, and `queues_at` says when.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub broker_away: Option<String>,
    #[serde(with = "time::serde::rfc3339::option")]
    pub queues_at: Option<OffsetDateTime>,
    /// Work queues in the order of an order's way, each followed by its dead letters; then the delay line, by how long it
    /// holds; then what was unroutable.
    pub queues: Vec<QueueLine>,
    pub services: Vec<ServiceLine>,
}

#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct QueueLine {
    pub name: String,
    pub kind: QueueKind,
    /// With nobody, and with a consumer that has not said yet what became of them.
    pub ready: u64,
    pub unacked: u64,
    pub consumers: u64,
    /// Messages a second, over the last ten seconds or so. A message can carry many events.
    pub rate_in: f64,
    pub rate_out: f64,
    /// None where it is empty.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub oldest: Option<Oldest>,
    /// How many messages it held, from the oldest minute that is remembered to now.
    pub picture: Vec<u64>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum QueueKind {
    Work,
    DeadLetters,
    /// It holds each message for so many milliseconds.
    Delay {
        ms: u64,
    },
    Unroutable,
}

impl QueueKind {
    /// None of a queue that is not the line's.
    fn of(name: &str) -> Option<Self> {
        let is_work = |name: &str| topology::WORK_QUEUES.iter().any(|queue| queue.name == name);
        if name == topology::UNROUTABLE {
            return Some(Self::Unroutable);
        }
        if let Some(ms) = name.strip_prefix("delay.") {
            return ms.parse().ok().map(|ms| Self::Delay { ms });
        }
        match name.strip_suffix(".dlq") {
            Some(queue) if is_work(queue) => Some(Self::DeadLetters),
            Some(_) => None,
            None => is_work(name).then_some(Self::Work),
        }
    }

    /// Where it stands on the board.
    fn place(self, name: &str) -> (u8, u64) {
        let of = |name: &str| topology::WORK_QUEUES.iter().position(|queue| queue.name == name).unwrap_or(usize::MAX);
        match self {
            Self::Work => (0, 2 * of(name) as u64),
            Self::DeadLetters => (0, 2 * of(name.strip_suffix(".dlq").unwrap_or(name)) as u64 + 1),
            Self::Delay { ms } => (1, ms),
            Self::Unroutable => (2, 0),
        }
    }
}

#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ServiceLine {
    pub name: String,
    pub state: ServiceState,
    /// What waits there to be published; none where it does not say.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub outbox: Option<OutboxLine>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase", tag = "is", content = "why")]
pub enum ServiceState {
    Ready,
    /// It answers, and says what it misses.
    NotReady(String),
    Away(String),
}

#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct OutboxLine {
    /// Rows: parcels of events. It counts no further than 10,000.
    pub parcels: u64,
    pub oldest_seconds: f64,
}

/// Cheap to clone.
#[derive(Clone)]
pub struct Board(watch::Receiver<Arc<Snapshot>>);

impl Board {
    /// The board, and what keeps it up to date until `stop`.
    pub fn new(
        settings: &Settings,
        broker_url: &str,
        services: Services,
        db: Db,
    ) -> Result<(Self, impl Future<Output = ()> + Send + use<>), ConfigError> {
        let management = Management::new(settings, broker_url, services.outward().clone())?;
        let every = Duration::from_millis(settings.every_ms);
        let histories = Histories::new(Duration::from_secs(60 * settings.minutes));
        let empty = Snapshot {
            at: OffsetDateTime::now_utc(),
            broker_away: Some("the broker was not asked yet".to_owned()),
            queues_at: None,
            queues: Vec::new(),
            services: Vec::new(),
        };
        let (sender, receiver) = watch::channel(Arc::new(empty));
        let keeper = Keeper { management, services, db, histories, every, sender };
        Ok((Self(receiver), keeper.run()))
    }

    /// As it was a moment ago: two seconds at the most, if all is well.
    #[must_use]
    pub fn now(&self) -> Arc<Snapshot> {
        Arc::clone(&self.0.borrow())
    }

    /// Signals whenever there is something newer.
    #[must_use]
    pub fn watch(&self) -> watch::Receiver<Arc<Snapshot>> {
        self.0.clone()
    }
}

struct Keeper {
    management: Option<Management>,
    services: Services,
    db: Db,
    histories: Histories,
    every: Duration,
    sender: watch::Sender<Arc<Snapshot>>,
}

impl Keeper {
    /// Until nobody holds the board any more.
    async fn run(mut self) {
        let mut tick = tokio::time::interval(self.every);
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                () = self.sender.closed() => return,
                _ = tick.tick() => {}
            }
            let snapshot = tokio::select! {
                () = self.sender.closed() => return,
                snapshot = look(&self.management, &self.services, &self.db, &mut self.histories, &self.sender) => snapshot,
            };
            self.sender.send_replace(Arc::new(snapshot));
        }
    }
}

async fn look(
    management: &Option<Management>,
    services: &Services,
    db: &Db,
    histories: &mut Histories,
    before: &watch::Sender<Arc<Snapshot>>,
) -> Snapshot {
    let asked = async {
        match management {
            Some(management) => management.queues().await,
            None => Err("support.board.management_url is not set, so nobody can be asked about the queues".to_owned()),
        }
    };
    let (queues, services) = tokio::join!(asked, outboxes::look(services, db));
    let at = OffsetDateTime::now_utc();
    match queues {
        Ok(counted) => {
            let queues = histories.add(counted);
            Snapshot { at, broker_away: None, queues_at: Some(at), queues, services }
        }
        Err(why) => {
            let before = Arc::clone(&before.borrow());
            let Snapshot { queues_at, queues, .. } = before.as_ref().clone();
            Snapshot { at, broker_away: Some(why), queues_at, queues, services }
        }
    }
}

/// Runs something until the stop.
pub(crate) async fn until(stop: CancellationToken, task: impl Future<Output = ()>) {
    stop.run_until_cancelled(task).await;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_queue_of_the_line_has_its_place_and_no_other_has_one() {
        let names =
            ["unroutable", "delay.5000", "payment.charge.dlq", "inventory.lock", "payment.charge", "delay.1000"];
        let mut placed: Vec<&str> = names.to_vec();
        placed.sort_by_key(|name| QueueKind::of(name).map(|kind| kind.place(name)));
        assert_eq!(
            placed,
            ["inventory.lock", "payment.charge", "payment.charge.dlq", "delay.1000", "delay.5000", "unroutable"]
        );
        for other in ["", "test.ear", "test.ear.dlq", "delay.", "delay.x", "payment.charge.dlq.dlq"] {
            assert_eq!(QueueKind::of(other), None, "{other}");
        }
    }
}
