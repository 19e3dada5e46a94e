//! What the gateway has said, by whatever way it came, becomes what is known; what it has not said is come back to.

use std::{
    collections::{HashMap, HashSet},
    time::Duration,
};

use common::{
    consumer::Failure,
    db::Tx,
    ids::TransactionId,
    outbox::{Outbox, Units},
};
use uuid::Uuid;

use crate::{
    announce::announce,
    gateway::{Answer, RefundAnswer},
    payment::{self, Attempt, News, Refund},
    settings::Rules,
    store::{self, FollowUp, Settled},
};

/// What the gateway has said of one attempt.
pub(crate) struct Outcome {
    pub id: TransactionId,
    pub said: Said,
    /// How often it was looked after before.
    pub tries: i32,
    pub traceparent: Option<String>,
    /// The event that goes to the dead letters if a refund is refused; where there is none, one is sent to that end.
    pub event: Option<Uuid>,
}

pub(crate) enum Said {
    Charge(Answer),
    Refund(RefundAnswer),
    /// It needs nothing: somebody else has settled it.
    Nothing,
}

impl Said {
    /// Whether nothing else is to be expected.
    pub(crate) fn is_final(&self) -> bool {
        match self {
            Self::Charge(answer) => matches!(answer, Answer::Captured { .. } | Answer::Declined { .. }),
            Self::Refund(answer) => matches!(answer, RefundAnswer::Refunded | RefundAnswer::Refused { .. }),
            Self::Nothing => false,
        }
    }
}

/// Records what is new, and announces it. Returns the attempts as they stand now.
pub(crate) async fn record(
    tx: &mut Tx,
    outbox: &mut Outbox,
    outcomes: &[Outcome],
    rules: &Rules,
) -> Result<HashMap<TransactionId, Attempt>, Failure> {
    let mut attempts = store::lock_attempts(tx, outcomes.iter().map(|outcome| outcome.id)).await?;
    // Two may be of one attempt: each is written once, as it stands after both.
    let (mut charges, mut refunds) = (HashMap::new(), HashMap::new());
    let (mut follow_ups, mut over) = (HashMap::new(), HashSet::new());
    for Outcome { id, said, tries, traceparent, event } in outcomes {
        let Some(attempt) = attempts.get_mut(id) else { continue };
        let cause = traceparent.as_deref();
        let again = match said {
            Said::Charge(answer) => match answer.outcome() {
                Some(outcome) => {
                    if let Some(state) = payment::settled(attempt.state, outcome) {
                        attempt.state = state;
                        (attempt.reference, attempt.reason) = details(answer);
                        charges.insert(*id, attempt.clone());
                        if let Some(news) = attempt.news() {
                            announce(outbox, cause, attempt, news)?;
                        }
                    }
                    None
                }
                None => after_charge(answer, *tries, rules),
            },
            Said::Refund(answer) => match answer.outcome() {
                Some(outcome) => {
                    let news = payment::refunded(attempt.refund, outcome);
                    if payment::is_given_twice(attempt.refund, news) {
                        given_twice(attempt);
                    }
                    attempt.refund = news.or(attempt.refund);
                    // Whoever heard of it first, it is this event that people are told by, unless another was quicker.
                    let is_told = attempt.refused_event.is_some() && attempt.refused_event != *event;
                    let tells = attempt.refund == Some(Refund::Refused) && event.is_some() && !is_told;
                    if tells {
                        attempt.refused_event = *event;
                    }
                    if let Some(refund) = attempt.refund.filter(|_| news.is_some() || tells) {
                        let (why, refused_event) = (refusal(answer), event.filter(|_| tells));
                        refunds.insert(*id, Settled { id: *id, refund, why, refused_event });
                    }
                    match news {
                        Some(Refund::Refunded) => announce(outbox, cause, attempt, News::Refunded)?,
                        Some(Refund::Refused) => {
                            refused(attempt);
                            if !tells {
                                announce(outbox, cause, attempt, News::RefundRefused)?;
                            }
                        }
                        Some(Refund::Due | Refund::PaidBack) | None => {}
                    }
                    None
                }
                None => after_refund(answer, *tries, rules),
            },
            Said::Nothing => None,
        };
        match again {
            Some(after_ms) => {
                follow_ups.insert(*id, FollowUp { id: *id, after_ms, traceparent: traceparent.clone() });
            }
            // What was said may be old: there may be something else to come back to by now.
            None if attempt.is_settled() => {
                over.insert(*id);
            }
            None => {}
        }
    }
    follow_ups.retain(|id, _| !over.contains(id));
    store::settle(tx, &charges.into_values().collect::<Vec<_>>());
    store::settle_refunds(tx, refunds.into_values().collect());
    store::follow(tx, follow_ups.into_values().collect());
    store::unfollow(tx, over.into_iter().collect());
    Ok(attempts)
}

/// The same in a transaction of its own, again if it loses to another.
pub(crate) async fn record_now(
    units: &Units,
    outcomes: &[Outcome],
    rules: &Rules,
) -> Result<HashMap<TransactionId, Attempt>, Failure> {
    let mut again = Again::default();
    loop {
        match record_once(units, outcomes, rules).await {
            Ok(attempts) => return Ok(attempts),
            Err(failure) => again.after(failure).await?,
        }
    }
}

async fn record_once(
    units: &Units,
    outcomes: &[Outcome],
    rules: &Rules,
) -> Result<HashMap<TransactionId, Attempt>, Failure> {
    let mut unit = units.begin().await?;
    let attempts = record(&mut unit.tx, &mut unit.outbox, outcomes, rules).await?;
    unit.commit().await?;
    Ok(attempts)
}

/// Lets what lost to another transaction be done again, a few times.
#[derive(Default)]
pub(crate) struct Again {
    conflicts: u64,
}

impl Again {
    pub(crate) async fn after(&mut self, failure: Failure) -> Result<(), Failure> {
        self.conflicts += 1;
        if !matches!(failure, Failure::Conflict(_)) || self.conflicts > 5 {
            return Err(failure);
        }
        tokio::time::sleep(Duration::from_millis(fastrand::u64(1..=5 * self.conflicts))).await;
        Ok(())
    }
}

/// The gateway's own name for it, and why it was declined.
pub(crate) fn details(answer: &Answer) -> (Option<String>, Option<String>) {
    match answer {
        Answer::Captured { reference } => (Some(reference.clone()), None),
        Answer::Declined { reason } => (None, Some(reason.clone())),
        Answer::Voided => (None, Some("not_charged".to_owned())),
        _ => (None, None),
    }
}

fn refusal(answer: &RefundAnswer) -> Option<String> {
    match answer {
        RefundAnswer::Refused { reason } => Some(reason.clone()),
        _ => None,
    }
}

fn refused(attempt: &Attempt) {
    metrics::counter!("conveyor_refunds_refused_total").increment(1);
    tracing::error!(order = %attempt.order_id, transaction = %attempt.id, "the gateway refuses a refund for good");
}

fn given_twice(attempt: &Attempt) {
    metrics::counter!("conveyor_refunds_given_twice_total").increment(1);
    tracing::error!(order = %attempt.order_id, transaction = %attempt.id,
        "the gateway has given back what was paid back by hand before");
}

/// After how long somebody asks again about a charge that has no outcome.
pub(crate) fn after_charge(answer: &Answer, tries: i32, rules: &Rules) -> Option<i64> {
    match answer {
        Answer::Away { why } => Some(away(why)),
        Answer::Unknown { why } => Some(unknown(why, tries, rules)),
        Answer::Processing | Answer::Unheard => Some(rules.ask_after(tries)),
        Answer::Captured { .. } | Answer::Declined { .. } | Answer::Voided => None,
    }
}

pub(crate) fn after_refund(answer: &RefundAnswer, tries: i32, rules: &Rules) -> Option<i64> {
    match answer {
        RefundAnswer::Away { why } => Some(away(why)),
        RefundAnswer::Unknown { why } => Some(unknown(why, tries, rules)),
        RefundAnswer::Processing => Some(rules.ask_after(tries)),
        RefundAnswer::Refunded | RefundAnswer::Refused { .. } => None,
    }
}

/// Nobody asks while it is away, so this may be soon: all of them together are no more than there is room for.
fn away(why: &str) -> i64 {
    metrics::counter!("conveyor_gateway_waits_total").increment(1);
    tracing::debug!(why, "the gateway is away: it waits");
    fastrand::i64(500..1_500)
}

fn unknown(why: &str, tries: i32, rules: &Rules) -> i64 {
    tracing::warn!(why, "what became of it is not known; it will be asked about");
    rules.ask_after(tries)
}
