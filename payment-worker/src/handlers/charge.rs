//! `payment.charge`: a payment has fallen due. Note the attempt, call the gateway, note its answer.

use std::collections::{BTreeMap, HashSet};

use common::{
    consumer::{EffectHandler, Failure, Step, Verdict},
    db::Tx,
    events::{Event, OrderPaymentDue, PaymentCompleted, PaymentFailed},
    ids::OrderId,
    outbox::Outbox,
};

use crate::{
    gateway::{self, Answer, PaymentGateway},
    store::{self, Payment, State},
};

pub(crate) struct Charge<G> {
    pub gateway: G,
}

/// An attempt to be made, and what it belongs to.
pub(crate) struct Attempt {
    charge: gateway::Charge,
    traceparent: Option<String>,
}

pub(crate) struct Outcome {
    attempt: Attempt,
    answer: Answer,
}

impl<G: PaymentGateway> EffectHandler for Charge<G> {
    type Effect = Attempt;
    type Outcome = Outcome;

    async fn prepare(&self, tx: &mut Tx, events: &[Event], outbox: &mut Outbox) -> Result<Vec<Step<Attempt>>, Failure> {
        let dues: Vec<Result<OrderPaymentDue, String>> = events.iter().map(due).collect();
        let wanted: BTreeMap<OrderId, &OrderPaymentDue> =
            dues.iter().flatten().map(|due| (due.order_id, due)).collect();
        let payments = store::open_first_attempts(tx, &wanted).await?;

        let mut begun = HashSet::new();
        let mut steps = Vec::with_capacity(events.len());
        for (event, due) in events.iter().zip(&dues) {
            let due = match due {
                Ok(due) => due,
                Err(why) => {
                    steps.push(Step::Settled(Verdict::Reject(why.clone())));
                    continue;
                }
            };
            let Some(payment) = payments.get(&due.order_id) else {
                steps.push(Step::Settled(Verdict::Retry("its payment was deleted meanwhile".to_owned())));
                continue;
            };
            if payment.amount != due.amount {
                let why = format!("{} minor units are due, but the attempt is for {}", due.amount.0, payment.amount.0);
                steps.push(Step::Settled(Verdict::Reject(why)));
                continue;
            }
            // An attempt that is open was begun by somebody who did not live to note the answer: the gateway is asked
            // again under the same key. Within one batch, once is enough.
            if payment.state == State::Open && begun.insert(due.order_id) {
                steps.push(Step::Perform(Attempt {
                    charge: gateway::Charge {
                        transaction_id: payment.id,
                        order_id: due.order_id,
                        attempt: payment.attempt,
                        amount: payment.amount,
                    },
                    traceparent: event.traceparent.clone(),
                }));
            } else {
                announce(outbox, event.traceparent.as_deref(), due.order_id, payment)?;
                steps.push(Step::Settled(Verdict::Done));
            }
        }
        Ok(steps)
    }

    async fn perform(&self, attempt: Attempt) -> Outcome {
        let answer = self.gateway.charge(&attempt.charge).await;
        Outcome { attempt, answer }
    }

    async fn record(&self, tx: &mut Tx, outcomes: &[Outcome], outbox: &mut Outbox) -> Result<Vec<Verdict>, Failure> {
        let mut settled = Vec::with_capacity(outcomes.len());
        let mut verdicts = Vec::with_capacity(outcomes.len());
        for Outcome { attempt: Attempt { charge, traceparent }, answer } in outcomes {
            let (state, reference, reason) = match answer {
                Answer::Captured { reference } => (State::Captured, Some(reference.clone()), None),
                Answer::Declined { reason } => (State::Declined, None, Some(reason.clone())),
                Answer::Unknown { why } => {
                    verdicts.push(Verdict::Retry(why.clone()));
                    continue;
                }
            };
            let payment = Payment {
                id: charge.transaction_id,
                attempt: charge.attempt,
                state,
                amount: charge.amount,
                reference,
                reason,
            };
            announce(outbox, traceparent.as_deref(), charge.order_id, &payment)?;
            settled.push(payment);
            verdicts.push(Verdict::Done);
        }
        store::settle(tx, &settled);
        Ok(verdicts)
    }
}

fn due(event: &Event) -> Result<OrderPaymentDue, String> {
    let due: OrderPaymentDue = event.payload()?;
    if due.amount.0 <= 0 {
        return Err(format!("{} minor units cannot be charged", due.amount.0));
    }
    Ok(due)
}

/// Says how the payment stands; whoever asks again hears the same again.
fn announce(outbox: &mut Outbox, cause: Option<&str>, order_id: OrderId, payment: &Payment) -> Result<(), Failure> {
    match payment.state {
        State::Open => {}
        State::Captured => {
            let completed = PaymentCompleted { order_id, transaction_id: payment.id, amount: payment.amount };
            outbox.announce(cause, &order_id, &completed)?;
        }
        State::Declined => {
            let reason = payment.reason.clone().unwrap_or_default();
            let failed = PaymentFailed {
                order_id,
                transaction_id: payment.id,
                attempt: payment.attempt,
                attempts_left: 0,
                reason,
            };
            outbox.announce(cause, &order_id, &failed)?;
        }
    }
    Ok(())
}
