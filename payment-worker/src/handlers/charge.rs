//! `payment.charge`: a payment has fallen due. Note it, charge the customer's stored method if there is one, note the
//! answer. Whoever has none is waited for.

use std::{
    collections::{BTreeMap, HashMap, HashSet},
    sync::Arc,
};

use common::{
    consumer::{EffectHandler, Failure, Step, Verdict},
    db::Tx,
    events::{Event, OrderPaymentDue},
    ids::OrderId,
    outbox::Outbox,
};

use crate::{
    announce::announce,
    gateway::{self, Answer, Means, PaymentGateway},
    outcomes,
    payment::{self, Account, Attempt, OnDue},
    settings::Rules,
    store::{self, FollowUp, Noted},
};

pub(crate) struct Charge<G> {
    pub gateway: Arc<G>,
    pub rules: Rules,
}

/// An attempt to be made, and what brought it about.
pub(crate) struct Effect {
    attempt: Attempt,
    traceparent: Option<String>,
}

pub(crate) struct Outcome {
    attempt: Attempt,
    answer: Answer,
    traceparent: Option<String>,
}

impl<G: PaymentGateway> EffectHandler for Charge<G> {
    type Effect = Effect;
    type Outcome = Outcome;

    async fn prepare(&self, tx: &mut Tx, events: &[Event], outbox: &mut Outbox) -> Result<Vec<Step<Effect>>, Failure> {
        let dues: Vec<Result<OrderPaymentDue, String>> = events.iter().map(due).collect();
        let wanted: BTreeMap<OrderId, &OrderPaymentDue> =
            dues.iter().flatten().map(|due| (due.order_id, due)).collect();
        let mut begun = match wanted.is_empty() {
            true => HashMap::new(),
            false => match store::note_dues(tx, &wanted, self.rules.max_attempts - 1, self.rules.lease_ms).await? {
                Noted::Fresh(attempts) => attempts.into_iter().map(|(order, attempt)| (order, Ok(attempt))).collect(),
                Noted::Known(accounts) => self.decide(tx, events, &dues, &accounts, outbox)?,
            },
        };
        let mut steps = Vec::with_capacity(events.len());
        for (event, due) in events.iter().zip(&dues) {
            steps.push(match due {
                Err(why) => Step::Settled(Verdict::Reject(why.clone())),
                Ok(due) if wanted.get(&due.order_id).is_none_or(|other| other.amount != due.amount) => contradiction(),
                // Within one batch, once is enough.
                Ok(due) => match begun.remove(&due.order_id) {
                    Some(Ok(attempt)) => Step::Perform(Effect { attempt, traceparent: event.traceparent.clone() }),
                    Some(Err(Contradiction)) => contradiction(),
                    None => Step::Settled(Verdict::Done),
                },
            });
        }
        Ok(steps)
    }

    async fn perform(&self, Effect { attempt, traceparent }: Effect) -> Outcome {
        let answer = match &attempt.token {
            Some(token) => self.gateway.charge(&gateway::Charge::from(&attempt), &Means::Token(token.clone())).await,
            None => Answer::Unknown { why: "an attempt has lost its token".to_owned() },
        };
        Outcome { attempt, answer, traceparent }
    }

    async fn record(&self, tx: &mut Tx, outcomes: &[Outcome], outbox: &mut Outbox) -> Result<Vec<Verdict>, Failure> {
        let mut settled = Vec::with_capacity(outcomes.len());
        let mut follow_ups = Vec::new();
        for Outcome { attempt, answer, traceparent } in outcomes {
            match answer.outcome() {
                Some(state) => {
                    let (reference, reason) = outcomes::details(answer);
                    let attempt = Attempt { state, reference, reason, ..attempt.clone() };
                    if let Some(news) = attempt.news() {
                        announce(outbox, traceparent.as_deref(), &attempt, news)?;
                    }
                    settled.push(attempt);
                }
                // The attempt stays open, and is not the event's to end: it is come back to, until it has an outcome.
                None => {
                    let after_ms = outcomes::after_charge(answer, 0, &self.rules).unwrap_or_default();
                    follow_ups.push(FollowUp { id: attempt.id, after_ms, traceparent: traceparent.clone() });
                }
            }
        }
        store::settle(tx, &settled);
        store::follow(tx, follow_ups);
        Ok(vec![Verdict::Done; outcomes.len()])
    }
}

/// Another amount was due before.
#[derive(Debug)]
struct Contradiction;

type Begun = HashMap<OrderId, Result<Attempt, Contradiction>>;

impl<G> Charge<G> {
    /// What is to be done where something was known before.
    fn decide(
        &self,
        tx: &mut Tx,
        events: &[Event],
        dues: &[Result<OrderPaymentDue, String>],
        accounts: &BTreeMap<OrderId, Account>,
        outbox: &mut Outbox,
    ) -> Result<Begun, Failure> {
        let mut begun = Begun::new();
        let mut abandoned = Vec::new();
        let mut seen = HashSet::new();
        for (event, due) in events.iter().zip(dues) {
            let Ok(due) = due else { continue };
            let Some(account) = accounts.get(&due.order_id).filter(|_| seen.insert(due.order_id)) else { continue };
            let attempt_of = |id| account.attempts.iter().find(|attempt| attempt.id == id);
            match payment::payment_due(account, due.amount, self.rules.max_attempts) {
                OnDue::Charge(next) => {
                    let token = account.due.owed.as_ref().and_then(|owed| owed.token.clone());
                    begun.insert(due.order_id, Ok(store::new_attempt(due.order_id, due.amount, token, next)));
                }
                OnDue::Say(id) => {
                    if let Some((attempt, news)) = attempt_of(id).and_then(|a| Some((a, a.news()?))) {
                        announce(outbox, event.traceparent.as_deref(), attempt, news)?;
                    }
                }
                OnDue::Follow(id) => abandoned.push((id, event.traceparent.clone())),
                OnDue::Contradiction => {
                    begun.insert(due.order_id, Err(Contradiction));
                }
                OnDue::Nothing => {}
            }
        }
        let new: Vec<(&Attempt, String)> =
            begun.values().flatten().map(|attempt| (attempt, "stored".to_owned())).collect();
        store::open(tx, &new, self.rules.lease_ms);
        store::follow_abandoned(tx, abandoned);
        Ok(begun)
    }
}

fn contradiction<E>() -> Step<E> {
    Step::Settled(Verdict::Reject("another amount was due for this order before".to_owned()))
}

fn due(event: &Event) -> Result<OrderPaymentDue, String> {
    let due: OrderPaymentDue = event.payload()?;
    if due.amount.0 <= 0 {
        return Err(format!("{} minor units cannot be charged", due.amount.0));
    }
    Ok(due)
}
