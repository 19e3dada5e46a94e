//! What a worker writes: a handler for each queue, and nothing else.

use std::time::Duration;

use futures_util::{StreamExt as _, stream};

use super::{
    judge::{Held, Judge, Work, unwound},
    session::Shared,
};
use crate::{
    crash::{self, Point},
    db::{DbError, Tx},
    events::Event,
    outbox::{Outbox, Units},
};

/// What is to become of one event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// Its effect is committed (or was before).
    Done,
    /// Not now: try again after a delay, until the attempts are used up. Says why.
    Retry(String),
    /// Not now, and for no fault of its own: what it needs of the outside world is away. It waits in the slowest delay
    /// tier, as often as it must, and spends no attempt. Says why.
    Wait(String),
    /// Not now, for somebody else is in the middle of it, and will be done or be given up on soon. It comes again after
    /// the shortest delay, and spends no attempt. Says why.
    Busy(String),
    /// Never: it goes to the dead letters at once. Says why.
    Reject(String),
}

/// Why a whole batch could not be handled.
#[derive(Debug, Clone, thiserror::Error)]
pub enum Failure {
    /// What the work needs is not there. Nobody's fault: no attempt is spent, nothing moves.
    #[error("{0}")]
    Outage(String),
    /// The transaction lost to another; the same again may well succeed.
    #[error("{0}")]
    Conflict(String),
    /// Something in the batch cannot be handled. It is split until the culprit stands alone.
    #[error("{0}")]
    Fault(String),
}

impl From<DbError> for Failure {
    fn from(error: DbError) -> Self {
        let message = error.to_string();
        match error {
            DbError::Outage(_) => Self::Outage(message),
            DbError::Conflict(_) => Self::Conflict(message),
            DbError::Refused(_) => Self::Fault(message),
        }
    }
}

impl From<tokio_postgres::Error> for Failure {
    fn from(error: tokio_postgres::Error) -> Self {
        DbError::from(error).into()
    }
}

impl From<serde_json::Error> for Failure {
    fn from(error: serde_json::Error) -> Self {
        Self::Fault(error.to_string())
    }
}

/// Work that lives in the database alone. It must be safe to do twice: natural keys, legal transitions or nothing.
pub trait Handler: Send + Sync + 'static {
    /// Decides about all events together, with one statement per table, and announces what follows. Returns one
    /// verdict per event, in order. The transaction is committed by the chassis.
    fn handle(
        &self,
        tx: &mut Tx,
        events: &[Event],
        outbox: &mut Outbox,
    ) -> impl Future<Output = Result<Vec<Verdict>, Failure>> + Send;
}

/// What *prepare* says of one event.
#[derive(Debug)]
pub enum Step<E> {
    /// The intent is noted: go and do it.
    Perform(E),
    /// There is nothing to do.
    Settled(Verdict),
}

/// Work with an effect in the outside world. No transaction is held while it is performed.
pub trait EffectHandler: Send + Sync + 'static {
    type Effect: Send;
    type Outcome: Send + Sync;

    /// Notes the intents. Returns one step per event, in order.
    fn prepare(
        &self,
        tx: &mut Tx,
        events: &[Event],
        outbox: &mut Outbox,
    ) -> impl Future<Output = Result<Vec<Step<Self::Effect>>, Failure>> + Send;

    /// Calls out. Several run at once, each no longer than `consumer.effect_ms`. After the stop they have half of
    /// the grace: what has not begun or is not over by then comes again, and must find what was noted of it.
    fn perform(&self, effect: Self::Effect) -> impl Future<Output = Self::Outcome> + Send;

    /// Notes the outcomes. Returns one verdict per outcome, in order.
    fn record(
        &self,
        tx: &mut Tx,
        outcomes: &[Self::Outcome],
        outbox: &mut Outbox,
    ) -> impl Future<Output = Result<Vec<Verdict>, Failure>> + Send;
}

/// A handler of either kind, as the consumer sees it: events in, verdicts out.
pub(crate) trait Process: Send + Sync + 'static {
    /// Whether somebody outside is waited for. Then the broker is not: nothing is gained if it sends more ahead, and after a
    /// crash there would be more to be handled one by one.
    const IS_OUTSIDE: bool;

    fn process(&self, judge: &Judge<'_>, events: &[Event]) -> impl Future<Output = Result<Vec<Verdict>, Held>> + Send;
}

pub(crate) struct InTransaction<H>(pub H);

impl<H: Handler> Process for InTransaction<H> {
    const IS_OUTSIDE: bool = false;

    async fn process(&self, judge: &Judge<'_>, events: &[Event]) -> Result<Vec<Verdict>, Held> {
        judge.split(events, &Handling { handler: &self.0, units: &judge.shared.units }).await
    }
}

pub(crate) struct ThreeSteps<H>(pub H);

impl<H: EffectHandler> Process for ThreeSteps<H> {
    const IS_OUTSIDE: bool = true;

    async fn process(&self, judge: &Judge<'_>, events: &[Event]) -> Result<Vec<Verdict>, Held> {
        // What nobody has begun somebody else may begin.
        if judge.shared.late.is_cancelled() {
            return Ok(events.iter().map(|_| Verdict::Busy(STOPPED.to_owned())).collect());
        }
        let steps = judge.split(events, &Preparing { handler: &self.0, units: &judge.shared.units }).await?;
        let mut verdicts: Vec<Option<Verdict>> = Vec::with_capacity(steps.len());
        let mut effects = Vec::new();
        for (i, step) in steps.into_iter().enumerate() {
            match step {
                Step::Perform(effect) => {
                    effects.push((i, effect));
                    verdicts.push(None);
                }
                Step::Settled(verdict) => verdicts.push(Some(verdict)),
            }
        }
        if !effects.is_empty() {
            crash::here(Point::EffectPrepared);
        }
        let mut performed = stream::iter(effects)
            .map(async |(i, effect)| (i, unless_stopped(judge.shared, self.0.perform(effect)).await))
            .buffer_unordered(judge.shared.settings.effects);
        let mut places = Vec::new();
        let mut outcomes = Vec::new();
        while let Some((i, outcome)) = performed.next().await {
            match outcome {
                Ok(outcome) => {
                    places.push(i);
                    outcomes.push(outcome);
                }
                Err(verdict) => put(&mut verdicts, i, verdict),
            }
        }
        drop(performed);
        if !outcomes.is_empty() {
            crash::here(Point::EffectPerformed);
        }
        let recorded = judge.split(&outcomes, &Recording { handler: &self.0, units: &judge.shared.units }).await?;
        if !recorded.is_empty() {
            crash::here(Point::EffectRecorded);
        }
        for (i, verdict) in places.into_iter().zip(recorded) {
            put(&mut verdicts, i, verdict);
        }
        let unanswered = || Verdict::Retry("its effect has no outcome".to_owned());
        Ok(verdicts.into_iter().map(|verdict| verdict.unwrap_or_else(unanswered)).collect())
    }
}

/// What is said of an event that a stop has overtaken. It is nobody's fault, and spends no attempt.
const STOPPED: &str = "its worker was told to stop";

/// An effect that gives no answer must hold up neither the queue nor a stop. Its intent is noted, so whoever comes to it
/// next asks under the same name.
async fn unless_stopped<T>(shared: &Shared, effect: impl Future<Output = T>) -> Result<T, Verdict> {
    if shared.late.is_cancelled() {
        return Err(Verdict::Busy(STOPPED.to_owned()));
    }
    let limit = Duration::from_millis(shared.settings.effect_ms);
    tokio::select! {
        biased;
        outcome = tokio::time::timeout(limit, unwound(effect)) => match outcome {
            Ok(outcome) => outcome.map_err(Verdict::Retry),
            Err(_) => Err(Verdict::Retry(format!("no outcome within {} ms", limit.as_millis()))),
        },
        () = shared.late.cancelled() => Err(Verdict::Busy(STOPPED.to_owned())),
    }
}

fn put(verdicts: &mut [Option<Verdict>], i: usize, verdict: Verdict) {
    if let Some(place) = verdicts.get_mut(i) {
        *place = Some(verdict);
    }
}

/// Nothing is committed for a handler that leaves an event without an answer.
fn one_for_each<A, I>(answers: &[A], items: &[I]) -> Result<(), Failure> {
    if answers.len() == items.len() {
        return Ok(());
    }
    Err(Failure::Fault(format!("the handler gave {} answers for {} events", answers.len(), items.len())))
}

struct Handling<'a, H> {
    handler: &'a H,
    units: &'a Units,
}

impl<H: Handler> Work<Event, Verdict> for Handling<'_, H> {
    async fn run(&self, events: &[Event]) -> Result<Vec<Verdict>, Failure> {
        let mut unit = self.units.begin().await?;
        let verdicts = self.handler.handle(&mut unit.tx, events, &mut unit.outbox).await?;
        one_for_each(&verdicts, events)?;
        unit.commit().await?;
        Ok(verdicts)
    }

    fn blame(&self, why: String) -> Verdict {
        Verdict::Retry(why)
    }
}

struct Preparing<'a, H> {
    handler: &'a H,
    units: &'a Units,
}

impl<H: EffectHandler> Work<Event, Step<H::Effect>> for Preparing<'_, H> {
    async fn run(&self, events: &[Event]) -> Result<Vec<Step<H::Effect>>, Failure> {
        let mut unit = self.units.begin().await?;
        let steps = self.handler.prepare(&mut unit.tx, events, &mut unit.outbox).await?;
        one_for_each(&steps, events)?;
        unit.commit().await?;
        Ok(steps)
    }

    fn blame(&self, why: String) -> Step<H::Effect> {
        Step::Settled(Verdict::Retry(why))
    }
}

struct Recording<'a, H> {
    handler: &'a H,
    units: &'a Units,
}

impl<H: EffectHandler> Work<H::Outcome, Verdict> for Recording<'_, H> {
    async fn run(&self, outcomes: &[H::Outcome]) -> Result<Vec<Verdict>, Failure> {
        let mut unit = self.units.begin().await?;
        let verdicts = self.handler.record(&mut unit.tx, outcomes, &mut unit.outbox).await?;
        one_for_each(&verdicts, outcomes)?;
        unit.commit().await?;
        Ok(verdicts)
    }

    fn blame(&self, why: String) -> Verdict {
        Verdict::Retry(why)
    }
}
