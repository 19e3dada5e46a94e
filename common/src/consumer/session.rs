//! One queue's consumer: a loop of sessions, each the life of one channel.
//!
//! Poison must not take its neighbours along. When a worker dies, every delivery it held comes back with its count
//! raised, not only the culprit. So a session begins narrow, one parcel at a time; only a parcel that is new, and was
//! handled without harm, lets it widen; and what came back before is handled alone, with nothing else in hand: a wide
//! session that meets such a parcel puts it aside, takes no more, finishes what it has, and begins narrow again.

use std::{sync::Arc, time::Duration};

use lapin::{
    Acker,
    options::{BasicCancelOptions, BasicConsumeOptions, BasicQosOptions},
    types::FieldTable,
};
use tokio::{
    sync::{Mutex, OwnedMutexGuard},
    time::Instant,
};
use tokio_util::sync::CancellationToken;

use super::{
    handler::{Process, Verdict},
    intake::{Delivered, Intake, Most},
    judge::{Held, Judge},
    peers::Peers,
    report::Reporting,
    settle,
    width::{Felt, Width},
};
use crate::{
    backoff::Backoff,
    broker::{Lane, Link, Publisher},
    config,
    crash::{self, Mistake, Point},
    events::{Event, Opened},
    outbox::Units,
    trace,
};

/// After so many returns a parcel of several is unpacked into parcels of one.
const UNPACK_AT: u32 = 2;
/// After so many returns a parcel of one is dead-lettered: its worker dies of it.
const POISON_AT: u32 = 5;
/// When nothing has come for so long, nothing is on its way.
const ON_ITS_WAY: Duration = Duration::from_millis(250);
/// What is announced together arrives together: so long after something has arrived, the rest of it has too, and what
/// comes next is not on its way yet.
const TOGETHER: Duration = Duration::from_millis(5);
/// How long a stop may wait until nothing more can be on its way.
const LEAVE_WITHIN: Duration = Duration::from_secs(5);
/// A narrow queue from which nothing has come for so long has nothing to be careful about.
const QUIET: Duration = Duration::from_millis(250);
/// How long what is done may wait to be acknowledged. To a quorum queue each acknowledgement is a command of its own,
/// which costs it as much as a message; one for several batches is enough. A crash brings back what was done in this
/// time and while the next batch was handled.
const ACKNOWLEDGE_EVERY: Duration = Duration::from_millis(100);

/// What all consumers of a process share.
pub(crate) struct Shared {
    pub settings: config::Consumer,
    pub units: Units,
    pub publisher: Publisher,
    pub link: Link,
    /// Held by the one consumer that is feeling its way: if its parcel kills the process, the other queues have
    /// nothing in hand.
    pub gate: Arc<Mutex<()>>,
    pub stop: CancellationToken,
    /// Half of the grace after the stop: what is to be done beside the database must be over by now.
    pub late: CancellationToken,
}

pub(crate) struct Consumer<P> {
    pub shared: Arc<Shared>,
    pub queue: &'static str,
    /// Whether an order waits for what comes of it.
    pub awaited: bool,
    pub process: P,
}

enum End {
    /// Told to stop, and everything delivered is settled.
    Stopped,
    /// The channel is of no more use.
    Lost(String),
    /// What the work needs has been away for too long.
    Held(String),
}

/// What a consumer was cancelled for, by us.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Cancelled {
    Stop,
    /// After a parcel of so many bytes.
    Widen(usize),
    Narrow,
}

impl<P: Process> Consumer<P> {
    /// Consumes until told to stop; then settles everything delivered, and returns.
    pub(crate) async fn run(self) {
        let mut backoff = Backoff::new(Duration::from_millis(100), Duration::from_secs(5));
        let stop = &self.shared.stop;
        loop {
            let Some(gate) = stop.run_until_cancelled(Arc::clone(&self.shared.gate).lock_owned()).await else { return };
            let Some(lane) = stop.run_until_cancelled(self.shared.link.lane_eventually()).await else { return };
            let started = Instant::now();
            match self.session(&lane, gate).await {
                End::Stopped => return,
                End::Lost(why) => self.shared.link.give_up(&lane, &why).await,
                End::Held(why) => {
                    tracing::warn!(queue = self.queue, why, "held for too long; the deliveries go back to the queue");
                    let _ = lane.ask(lane.channel.close(200, "held".into())).await;
                    if !self.until_the_database_takes_writes().await {
                        return;
                    }
                }
            }
            if started.elapsed() > Duration::from_secs(30) {
                backoff.reset();
            }
            if stop.run_until_cancelled(backoff.wait()).await.is_none() {
                return;
            }
        }
    }

    /// `false` when told to stop first.
    async fn until_the_database_takes_writes(&self) -> bool {
        let mut backoff = Backoff::new(Duration::from_millis(200), Duration::from_secs(5));
        while self.shared.units.db.check_writes().await.is_err() {
            if self.shared.stop.run_until_cancelled(backoff.wait()).await.is_none() {
                return false;
            }
        }
        true
    }

    async fn session(&self, lane: &Lane, gate: OwnedMutexGuard<()>) -> End {
        let mut gate = Some(gate);
        let mut width = Width::Narrow;
        let mut felt = Felt::default();
        loop {
            let mut intake = match self.consume(lane, width).await {
                Ok(intake) => intake,
                Err(why) => return End::Lost(why),
            };
            match self.take(lane, &mut intake, width, &mut gate).await {
                Ok(Some(Cancelled::Stop)) => return End::Stopped,
                Ok(Some(_)) if self.shared.stop.is_cancelled() => return End::Stopped,
                Ok(Some(Cancelled::Widen(bytes))) => {
                    let settings = &self.shared.settings;
                    width = if P::IS_OUTSIDE {
                        Width::Wide(settings.prefetch)
                    } else {
                        match Width::after(lane, self.queue, bytes, &mut felt, settings).await {
                            Ok(width) => width,
                            Err(error) => return End::Lost(error.to_string()),
                        }
                    };
                    if width != Width::Narrow {
                        gate = None;
                    }
                }
                Ok(Some(Cancelled::Narrow)) => {
                    width = Width::Narrow;
                    felt = Felt::default();
                }
                Ok(None) => return End::Lost(intake.why_ended()),
                Err(end) => return end,
            }
        }
    }

    async fn consume(&self, lane: &Lane, width: Width) -> Result<Intake, String> {
        let asked = async {
            lane.channel.basic_qos(width.prefetch(), BasicQosOptions { global: false }).await?;
            let options = BasicConsumeOptions::default();
            lane.channel.basic_consume(self.queue.into(), "".into(), options, FieldTable::default()).await
        };
        lane.ask(asked).await.map(Intake::new).map_err(|error| error.to_string())
    }

    /// Takes batch after batch until the stream ends; says whether we ended it.
    ///
    /// The broker counts as returned what it has on its way to a quorum queue's consumer at the moment of its being
    /// cancelled. So a consumer is cancelled before its batch is acknowledged, while it may not be sent more. To stop, it
    /// goes on without acknowledging until it has all that it may be sent, or until it is quiet; or, where both would
    /// take too long, until right after something has come.
    async fn take(
        &self,
        lane: &Lane,
        intake: &mut Intake,
        width: Width,
        gate: &mut Option<OwnedMutexGuard<()>>,
    ) -> Result<Option<Cancelled>, End> {
        let settings = &self.shared.settings;
        let most = Most::of(settings, P::IS_OUTSIDE);
        let mut pace = settings.pace(self.awaited);
        let mut peers = Peers::new(&self.shared, self.queue);
        let mut cancelled = None;
        // What is done and not acknowledged yet, and until when that may be.
        let (mut done, mut unacked) = (Vec::new(), 0);
        let mut acknowledge_at = Instant::now();
        let mut suspects: Vec<Delivered> = Vec::new();
        let mut leaving_since = None;
        loop {
            let batch = tokio::select! {
                biased;
                () = lane.lost() => return Err(End::Lost("the connection was lost".to_owned())),
                batch = intake.next(&most) => batch,
                () = self.told_to_stop(), if cancelled.is_none() => {
                    self.cancel(lane, intake).await?;
                    cancelled = Some(Cancelled::Stop);
                    continue;
                }
                () = tokio::time::sleep(QUIET), if gate.is_some() => {
                    *gate = None;
                    continue;
                }
                () = tokio::time::sleep_until(acknowledge_at), if !done.is_empty() && !self.shared.stop.is_cancelled() => {
                    self.acknowledge(lane, &mut done, &suspects).await?;
                    unacked = 0;
                    continue;
                }
            };
            let Some(batch) = batch else {
                let acknowledged = self.acknowledge(lane, &mut done, &suspects).await;
                if cancelled.is_some() {
                    acknowledged?;
                    self.handle_alone(lane, suspects).await?;
                }
                return Ok(cancelled);
            };
            let is_new = batch.iter().all(|delivered| delivered.returns == 0);
            if width != Width::Narrow && !is_new {
                self.acknowledge(lane, &mut done, &suspects).await?;
                suspects.extend(batch);
                if cancelled.is_none() {
                    tokio::time::sleep(TOGETHER).await;
                    self.cancel(lane, intake).await?;
                    cancelled = Some(Cancelled::Narrow);
                }
                continue;
            }
            if cancelled.is_none() && leaving_since.is_some_and(|since: Instant| since.elapsed() >= LEAVE_WITHIN) {
                tokio::time::sleep(TOGETHER).await;
                self.cancel(lane, intake).await?;
                cancelled = Some(Cancelled::Stop);
            }
            let events: usize = batch.iter().map(Delivered::size).sum();
            let bytes: usize = batch.iter().map(|delivered| delivered.body.len()).sum();
            let is_whole = most.is_reached(batch.len(), events);
            unacked += batch.len();
            let began = Instant::now();
            pace.begin(began, events);
            let next = began + peers.apart(&pace);
            if done.is_empty() {
                acknowledge_at = began + ACKNOWLEDGE_EVERY;
            }
            match self.handle(lane, batch).await {
                Ok(handled) => done.extend(handled),
                Err(end) => {
                    // What was done before need not come back with the rest.
                    if matches!(end, End::Held(_)) {
                        if cancelled.is_none() {
                            self.cancel(lane, intake).await?;
                        }
                        self.acknowledge(lane, &mut done, &suspects).await?;
                    }
                    return Err(end);
                }
            }
            if cancelled.is_none() {
                let stopping = self.shared.stop.is_cancelled();
                cancelled = if stopping {
                    leaving_since.get_or_insert(began);
                    (unacked >= width.prefetch().into()).then_some(Cancelled::Stop)
                } else {
                    (width == Width::Narrow && is_new).then_some(Cancelled::Widen(bytes))
                };
                if cancelled.is_some() {
                    self.cancel(lane, intake).await?;
                } else if stopping {
                    continue;
                }
            }
            // The broker must not run out of room to send before then.
            if cancelled.is_some() || Instant::now() >= acknowledge_at || unacked * 2 >= width.prefetch().into() {
                self.acknowledge(lane, &mut done, &suspects).await?;
                unacked = 0;
            }
            metrics::histogram!("conveyor_batch_events", "queue" => self.queue).record(events as f64);
            metrics::histogram!("conveyor_batch_seconds", "queue" => self.queue).record(began.elapsed());
            if cancelled.is_none() && is_new && !is_whole && !intake.has_more() {
                // Let the next batch grow. After one that was whole there is no need to, and what came back stays alone.
                if next > acknowledge_at {
                    self.acknowledge(lane, &mut done, &suspects).await?;
                    unacked = 0;
                }
                self.shared.stop.run_until_cancelled(tokio::time::sleep_until(next)).await;
            }
        }
    }

    /// Acknowledges what is done, and nothing that was put aside before it.
    async fn acknowledge(&self, lane: &Lane, done: &mut Vec<Acker>, suspects: &[Delivered]) -> Result<(), End> {
        if done.is_empty() {
            return Ok(());
        }
        if suspects.is_empty() {
            settle::ack_up_to(lane, done.drain(..).next_back()).await.map_err(End::Lost)?;
        } else {
            settle::ack_each(lane, done.drain(..)).await.map_err(End::Lost)?;
        }
        crash::here(Point::BatchAcknowledged);
        Ok(())
    }

    /// Handles what came back before, one parcel at a time, when there is nothing else in hand.
    async fn handle_alone(&self, lane: &Lane, suspects: Vec<Delivered>) -> Result<(), End> {
        for suspect in suspects {
            let done = self.handle(lane, vec![suspect]).await?;
            settle::ack_each(lane, done).await.map_err(End::Lost)?;
        }
        Ok(())
    }

    /// Returns a moment after the stop, when what an acknowledgement has brought on its way has arrived.
    async fn told_to_stop(&self) {
        self.shared.stop.cancelled().await;
        tokio::time::sleep(ON_ITS_WAY).await;
    }

    /// Asks the broker to send no more. What it has sent already is still in the intake.
    async fn cancel(&self, lane: &Lane, intake: &Intake) -> Result<(), End> {
        let asked = lane.channel.basic_cancel(intake.tag(), BasicCancelOptions::default());
        lane.ask(asked).await.map_err(|error| End::Lost(error.to_string()))
    }

    /// Does all that a batch asks for; what it returns is to be acknowledged.
    async fn handle(&self, lane: &Lane, mut batch: Vec<Delivered>) -> Result<Vec<Acker>, End> {
        let shared = &*self.shared;
        let acknowledged =
            [Mistake::AckBeforeCommit, Mistake::RecordAfterAck, Mistake::StopBeforeDone].into_iter().any(crash::makes);
        if acknowledged {
            let ackers: Vec<Acker> = batch.iter().map(|delivered| delivered.acker.clone()).collect();
            settle::ack_each(lane, ackers).await.map_err(End::Lost)?;
            tokio::time::sleep(crash::LONG_ENOUGH).await;
            crash::here(Point::BatchAcknowledged);
        }
        crash::here(Point::BatchTaken);
        let mut onward = Vec::new();
        let mut events: Vec<Event> = Vec::new();
        for delivered in &mut batch {
            let body = std::mem::take(&mut delivered.body);
            match std::mem::replace(&mut delivered.events, Ok(Vec::new())) {
                Err(why) => onward.push(settle::unreadable(shared, self.queue, body, &why)),
                Ok(opened) => {
                    let several = opened.len() > 1;
                    for one in opened {
                        match one {
                            Opened::Unreadable { raw, why } => {
                                let body = crate::events::pack([raw.as_bytes()]);
                                onward.push(settle::unreadable(shared, self.queue, body, &why));
                            }
                            Opened::Event(event) if several && delivered.returns >= UNPACK_AT => {
                                onward.push(settle::unpacked(self.queue, &event));
                            }
                            Opened::Event(event) if delivered.returns >= POISON_AT => {
                                onward.push(settle::poison(shared, self.queue, &event, delivered.returns));
                            }
                            Opened::Event(event) => events.push(event),
                        }
                    }
                }
            }
            if delivered.returns > 0 {
                metrics::counter!("conveyor_redelivered_total", "queue" => self.queue).increment(1);
            }
        }
        if !events.is_empty() {
            // The spans end with this scope; what the events cause is traced as their consequence.
            let _spans: Vec<_> = events.iter_mut().map(|event| trace::handling(self.queue, event)).collect();
            let judge = Judge { shared, queue: self.queue };
            let mut verdicts = Vec::with_capacity(events.len());
            // A parcel is taken whole, however many events it brings; a transaction is of bounded size all the same.
            for some in events.chunks(shared.settings.most_events(P::IS_OUTSIDE)) {
                verdicts.extend(self.process.process(&judge, some).await.map_err(|Held(why)| End::Held(why))?);
            }
            self.report(&judge, &events, &verdicts).await?;
            onward.extend(
                events
                    .iter()
                    .zip(verdicts)
                    .filter_map(|(event, verdict)| settle::onward(shared, self.queue, event, verdict)),
            );
        }
        crash::here(Point::BatchHandled);
        let some_go_on = !onward.is_empty();
        settle::hand_over(shared, lane, onward).await.map_err(End::Lost)?;
        if some_go_on {
            crash::here(Point::BatchHandedOver);
        }
        let batch = if acknowledged { Vec::new() } else { batch };
        Ok(batch.into_iter().map(|delivered| delivered.acker).collect())
    }

    /// Says of what staff have sent again that it is done.
    async fn report(&self, judge: &Judge<'_>, events: &[Event], verdicts: &[Verdict]) -> Result<(), End> {
        let is_done = |(event, verdict): &(&Event, &Verdict)| event.retryid.is_some() && **verdict == Verdict::Done;
        let done: Vec<&Event> = events.iter().zip(verdicts).filter(is_done).map(|(event, _)| event).collect();
        let reporting = Reporting { units: &self.shared.units, queue: self.queue };
        let reported = judge.split(&done, &reporting).await.map_err(|Held(why)| End::Held(why))?;
        // What could not be reported is delivered again.
        reported.into_iter().collect::<Result<(), String>>().map_err(End::Lost)
    }
}
