//! From verdicts to acknowledgements: what is done is acked; what must be retried or has died travels on by itself,
//! confirmed before the original is acked.

use std::time::Duration;

use lapin::{
    Acker,
    options::BasicAckOptions,
    types::{AMQPValue, FieldTable},
};
use time::{OffsetDateTime, format_description::well_known::Rfc3339};
use uuid::Uuid;

use super::{Verdict, session::Shared};
use crate::{
    backoff::Backoff,
    broker::{Lane, topology},
    events::{Event, Parcel, pack},
};

/// How long a hand-over may take before it is tried again.
const PATIENCE: Duration = Duration::from_secs(10);
/// What staff have sent again comes again this often while somebody else is in the middle of it, and then is told to
/// those who wait for it.
const BUSY_MOST: u32 = 10;
/// A reason is for people to read; a longer one is cut.
const REASON_MOST: usize = 1_000;
/// A subject is an order's id; another one is cut.
const SUBJECT_MOST: usize = 255;

/// Why an event died, as the headers of the dead letter say.
#[derive(Debug, Clone, Copy)]
pub(super) enum Death {
    /// It can never succeed.
    Rejected,
    /// It has no attempts left.
    Exhausted,
    /// It cannot be read.
    Unreadable,
    /// Its worker died of it, again and again.
    Poison,
}

impl Death {
    fn name(self) -> &'static str {
        match self {
            Self::Rejected => "rejected",
            Self::Exhausted => "exhausted",
            Self::Unreadable => "unreadable",
            Self::Poison => "poison",
        }
    }
}

/// Turns one event's verdict into the parcel it travels on in, if it is not done.
pub(super) fn onward(shared: &Shared, queue: &'static str, event: &Event, verdict: Verdict) -> Option<Parcel> {
    let (name, parcel) = match at_once(event, verdict) {
        Verdict::Done => ("done", None),
        Verdict::Reject(why) => ("reject", Some(dead_event(shared, queue, event, Death::Rejected, &why))),
        Verdict::Retry(why) => match delay_before(shared, event) {
            Some(ms) => {
                tracing::warn!(
                    queue, event.id = %event.id, event.subject, event.attempt, why, delay_ms = ms,
                    "an event failed; it will be tried again"
                );
                ("retry", Some(delayed(queue, event, event.attempt.saturating_add(1), ms)))
            }
            None => ("exhausted", Some(dead_event(shared, queue, event, Death::Exhausted, &why))),
        },
        Verdict::Wait(why) => {
            // There is at least one tier: the configuration is refused without.
            let ms = shared.settings.retry_delays_ms.iter().copied().max().unwrap_or(0);
            tracing::warn!(
                queue, event.id = %event.id, event.subject, event.attempt, why, delay_ms = ms,
                "an event waits for the outside world"
            );
            ("wait", Some(delayed(queue, event, event.attempt, ms)))
        }
        Verdict::Busy(why) => {
            let ms = shared.settings.retry_delays_ms.iter().copied().min().unwrap_or(0);
            tracing::info!(
                queue, event.id = %event.id, event.subject, event.attempt, why, delay_ms = ms,
                "somebody else is in the middle of an event"
            );
            // To what staff have sent again attempts mean nothing else: they count how often it came too early.
            let attempt = event.attempt.saturating_add(event.retryid.is_some().into());
            ("busy", Some(delayed(queue, event, attempt, ms)))
        }
    };
    metrics::counter!("conveyor_events_total", "queue" => queue, "verdict" => name).increment(1);
    parcel
}

/// Of what staff have sent again they want to hear now, not after all delays.
fn at_once(event: &Event, verdict: Verdict) -> Verdict {
    match verdict {
        verdict if event.retryid.is_none() => verdict,
        Verdict::Wait(why) => Verdict::Retry(format!("it would have to wait: {why}")),
        Verdict::Busy(why) if event.attempt >= BUSY_MOST => {
            Verdict::Retry(format!("somebody else was in the middle of it each of {BUSY_MOST} times: {why}"))
        }
        verdict => verdict,
    }
}

/// The delay before an event is tried again; none when its attempts are used up.
fn delay_before(shared: &Shared, event: &Event) -> Option<u64> {
    if event.retryid.is_some() {
        return None;
    }
    let made = usize::try_from(event.attempt.max(1)).unwrap_or(usize::MAX);
    shared.settings.retry_delays_ms.get(made - 1).copied()
}

fn delayed(queue: &str, event: &Event, attempt: u32, ms: u64) -> Parcel {
    let next = Event { attempt, ..event.clone() };
    Parcel {
        id: Uuid::now_v7(),
        exchange: topology::delay_line(ms),
        routing_key: queue.to_owned(),
        kind: event.kind.clone(),
        body: lone(&next),
        headers: None,
    }
}

fn dead_event(shared: &Shared, queue: &'static str, event: &Event, death: Death, why: &str) -> Parcel {
    let letter = Letter { kind: &event.kind, attempts: event.attempt, about: Some(event), death, why };
    dead_letter(shared, queue, lone(event), &letter)
}

/// An event that its worker dies of.
pub(super) fn poison(shared: &Shared, queue: &'static str, event: &Event, returns: u32) -> Parcel {
    let why = format!("its worker stopped {returns} times while it was being handled");
    dead_event(shared, queue, event, Death::Poison, &why)
}

/// What cannot be read, byte for byte.
pub(super) fn unreadable(shared: &Shared, queue: &'static str, body: Vec<u8>, why: &str) -> Parcel {
    let letter = Letter { kind: "", attempts: 1, about: None, death: Death::Unreadable, why };
    dead_letter(shared, queue, body, &letter)
}

struct Letter<'a> {
    kind: &'a str,
    attempts: u32,
    about: Option<&'a Event>,
    death: Death,
    why: &'a str,
}

fn dead_letter(shared: &Shared, queue: &'static str, body: Vec<u8>, letter: &Letter<'_>) -> Parcel {
    let mut headers = FieldTable::default();
    let mut set = |key: &str, value: &str| {
        headers.insert(key.into(), AMQPValue::LongString(value.into()));
    };
    let reason: String = letter.why.chars().take(REASON_MOST).collect();
    set("x-reason", &reason);
    set("x-death-kind", letter.death.name());
    set("x-queue", queue);
    set("x-service", shared.units.source);
    if let Ok(now) = OffsetDateTime::now_utc().format(&Rfc3339) {
        set("x-died-at", &now);
    }
    if let Some(event) = letter.about {
        set("x-event-id", &event.id.to_string());
        if let Some(retry) = event.retryid {
            set("x-retry-id", &retry.to_string());
        }
        // All headers must fit one frame.
        set("x-subject", &event.subject.chars().take(SUBJECT_MOST).collect::<String>());
    }
    headers.insert("x-attempts".into(), AMQPValue::LongLongInt(letter.attempts.into()));
    tracing::error!(
        queue,
        reason,
        death = letter.death.name(),
        attempts = letter.attempts,
        event.id = letter.about.map(|event| event.id.to_string()),
        event.subject = letter.about.map(|event| event.subject.as_str()),
        "an event goes to the dead letters"
    );
    metrics::counter!("conveyor_dead_letters_total", "queue" => queue, "death" => letter.death.name()).increment(1);
    Parcel {
        id: Uuid::now_v7(),
        exchange: topology::DEAD_LETTERS.to_owned(),
        routing_key: queue.to_owned(),
        kind: letter.kind.to_owned(),
        body,
        headers: Some(headers),
    }
}

/// A parcel of one, back to the queue it came from.
pub(super) fn unpacked(queue: &str, event: &Event) -> Parcel {
    Parcel {
        id: Uuid::now_v7(),
        exchange: topology::REDELIVER.to_owned(),
        routing_key: queue.to_owned(),
        kind: event.kind.clone(),
        body: lone(event),
        headers: None,
    }
}

fn lone(event: &Event) -> Vec<u8> {
    // An event is plain strings and numbers, and its data is JSON already: it always has a JSON form.
    let text = serde_json::to_vec(event).unwrap_or_default();
    pack([text.as_slice()])
}

/// Hands the parcels over, for as long as it takes. `Err` when the channel is gone: then what they came from comes again.
pub(super) async fn hand_over(shared: &Shared, lane: &Lane, mut parcels: Vec<Parcel>) -> Result<(), String> {
    let mut backoff = Backoff::new(Duration::from_millis(100), Duration::from_secs(5));
    while !parcels.is_empty() {
        let answers = shared.publisher.publish(parcels.clone(), PATIENCE).await;
        let mut answers = answers.into_iter();
        parcels.retain(|_| !matches!(answers.next(), Some(Ok(()))));
        if parcels.is_empty() {
            break;
        }
        if lane.is_lost() {
            return Err("the connection was lost".to_owned());
        }
        if shared.stop.is_cancelled() {
            return Err("what failed could not be handed on before the stop".to_owned());
        }
        tracing::warn!(parcels = parcels.len(), "could not hand on what failed; trying again");
        backoff.wait().await;
    }
    Ok(())
}

/// Acknowledges everything delivered up to and including this.
pub(super) async fn ack_up_to(lane: &Lane, last: Option<Acker>) -> Result<(), String> {
    match last {
        Some(last) => ack(lane, &last, true).await,
        None => Ok(()),
    }
}

/// Acknowledges these and nothing else.
pub(super) async fn ack_each(lane: &Lane, done: impl IntoIterator<Item = Acker>) -> Result<(), String> {
    for acker in done {
        ack(lane, &acker, false).await?;
    }
    Ok(())
}

async fn ack(lane: &Lane, acker: &Acker, multiple: bool) -> Result<(), String> {
    match lane.ask(acker.ack(BasicAckOptions { multiple })).await {
        Ok(true) => Ok(()),
        Ok(false) => Err("the channel was closed before the acknowledgement".to_owned()),
        Err(error) => Err(error.to_string()),
    }
}
