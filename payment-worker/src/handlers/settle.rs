//! `payment.settle`: an order is off, and nothing begins for it any more; or there is money to be given back.

use std::{
    collections::{BTreeSet, HashMap, HashSet},
    sync::Arc,
};

use common::{
    consumer::{EffectHandler, Failure, Step, Verdict},
    db::Tx,
    events::{Event, OrderCancelled, OrderExpired, OrderRefundDue, Payload as _, PaymentRefundRefused},
    ids::{OrderId, TransactionId},
    money::Money,
    outbox::Outbox,
};
use uuid::Uuid;

use crate::{
    announce::announce,
    gateway::{self, PaymentGateway, RefundAnswer},
    outcomes::{self, Said},
    payment::{self, Attempt, News, OnRefund, Refund},
    settings::Rules,
    store::{self, FollowUp, Settled},
};

const BEING_ASKED: &str = "the gateway is being asked for it already";

pub(crate) struct Settle<G> {
    pub gateway: Arc<G>,
    pub rules: Rules,
}

/// Money to be given back, and what brought it about.
pub(crate) struct Effect {
    attempt: Attempt,
    event: Uuid,
    is_wished: bool,
    traceparent: Option<String>,
}

pub(crate) struct Outcome {
    id: TransactionId,
    event: Uuid,
    /// Somebody has sent it again, and waits for what comes of it.
    is_wished: bool,
    answer: RefundAnswer,
    traceparent: Option<String>,
}

/// What an event asks for.
enum Asked {
    Off(OrderId),
    GiveBack(Owed),
}

/// What is to be given back. The order says so, and it is said again of what the gateway will never give back, so that
/// people hear of it and may have it tried once more.
struct Owed {
    order_id: OrderId,
    transaction_id: TransactionId,
    amount: Money,
    /// The gateway has said already that it will not: this is to tell people so.
    is_refused: bool,
}

impl<G: PaymentGateway> EffectHandler for Settle<G> {
    type Effect = Effect;
    type Outcome = Outcome;

    async fn prepare(&self, tx: &mut Tx, events: &[Event], outbox: &mut Outbox) -> Result<Vec<Step<Effect>>, Failure> {
        let asked: Vec<Result<Asked, String>> = events.iter().map(asked).collect();
        let off: BTreeSet<OrderId> = asked.iter().flatten().filter_map(|asked| asked.off()).collect();
        let accounts = store::call_off(tx, &off).await?;
        let refunds: BTreeSet<TransactionId> = asked.iter().flatten().filter_map(|asked| asked.refund()).collect();
        let attempts = store::lock_attempts(tx, refunds).await?;

        let mut seen = HashSet::new();
        let mut begun = Vec::new();
        let (mut follow_ups, mut abandoned) = (Vec::new(), Vec::new());
        let mut steps = Vec::with_capacity(events.len());
        for (event, asked) in events.iter().zip(&asked) {
            let cause = event.traceparent.as_deref();
            steps.push(match asked {
                Err(why) => Step::Settled(Verdict::Reject(why.clone())),
                Ok(Asked::Off(order)) => {
                    for attempt in accounts.get(order).into_iter().flat_map(payment::called_off) {
                        announce(outbox, cause, attempt, News::Completed)?;
                    }
                    Step::Settled(Verdict::Done)
                }
                Ok(Asked::GiveBack(due)) => match attempts.get(&due.transaction_id) {
                    Some(attempt) if attempt.order_id == due.order_id => {
                        let is_wished = event.retryid.is_some();
                        let wanted = match payment::refund_due(attempt, due.amount, event.id) {
                            // Whichever letter they were told by.
                            OnRefund::Told if is_wished => OnRefund::Refund,
                            wanted => wanted,
                        };
                        match wanted {
                            // By another event of this batch, which is not the one that somebody waits for.
                            OnRefund::Refund if is_wished && seen.contains(&attempt.id) => {
                                Step::Settled(Verdict::Wait(BEING_ASKED.to_owned()))
                            }
                            // Nobody wishes it to be asked once more.
                            OnRefund::Refund if due.is_refused && is_untold(attempt) => {
                                if seen.insert(attempt.id) {
                                    begun.push(Settled {
                                        id: attempt.id,
                                        refund: Refund::Refused,
                                        why: None,
                                        refused_event: Some(event.id),
                                    });
                                    Step::Settled(Verdict::Reject(refusal(
                                        attempt.reason.as_deref().unwrap_or_default(),
                                    )))
                                } else {
                                    Step::Settled(Verdict::Done)
                                }
                            }
                            OnRefund::Refund if seen.insert(attempt.id) => {
                                let traceparent = event.traceparent.clone();
                                begun.push(Settled {
                                    id: attempt.id,
                                    refund: Refund::Due,
                                    why: None,
                                    refused_event: None,
                                });
                                follow_ups.push(FollowUp {
                                    id: attempt.id,
                                    after_ms: self.rules.lease_ms,
                                    traceparent: traceparent.clone(),
                                });
                                let attempt = attempt.clone();
                                Step::Perform(Effect { attempt, event: event.id, is_wished, traceparent })
                            }
                            OnRefund::Refund | OnRefund::Told => Step::Settled(Verdict::Done),
                            OnRefund::Follow if is_wished => Step::Settled(Verdict::Wait(BEING_ASKED.to_owned())),
                            OnRefund::Follow => {
                                abandoned.push((attempt.id, event.traceparent.clone()));
                                Step::Settled(Verdict::Done)
                            }
                            OnRefund::Say => {
                                announce(outbox, cause, attempt, News::Refunded)?;
                                Step::Settled(Verdict::Done)
                            }
                            OnRefund::Early => {
                                Step::Settled(Verdict::Retry("its charge has no outcome yet".to_owned()))
                            }
                            OnRefund::Never(why) => Step::Settled(Verdict::Reject(why.to_owned())),
                        }
                    }
                    _ => Step::Settled(Verdict::Reject("the order has no such payment".to_owned())),
                },
            });
        }
        store::settle_refunds(tx, begun);
        store::follow(tx, follow_ups);
        abandoned.retain(|(id, _)| !seen.contains(id));
        store::follow_abandoned(tx, abandoned);
        Ok(steps)
    }

    async fn perform(&self, Effect { attempt, event, is_wished, traceparent }: Effect) -> Outcome {
        let answer = self.gateway.refund(&gateway::Charge::from(&attempt)).await;
        Outcome { id: attempt.id, event, is_wished, answer, traceparent }
    }

    /// Money that cannot be given back now is come back to until it is; the event has done its part. What the gateway
    /// will never give back is for people to see to.
    async fn record(&self, tx: &mut Tx, outcomes: &[Outcome], outbox: &mut Outbox) -> Result<Vec<Verdict>, Failure> {
        let said = outcomes.iter().map(|outcome| outcomes::Outcome {
            id: outcome.id,
            said: Said::Refund(outcome.answer.clone()),
            tries: 0,
            traceparent: outcome.traceparent.clone(),
            event: Some(outcome.event),
        });
        let said: Vec<outcomes::Outcome> = said.collect();
        let attempts: HashMap<TransactionId, Attempt> = outcomes::record(tx, outbox, &said, &self.rules).await?;
        // Of one refusal people are told by one event alone.
        let tells = |outcome: &Outcome| {
            let attempt = attempts.get(&outcome.id);
            attempt.is_some_and(|a| a.refund == Some(Refund::Refused) && a.refused_event == Some(outcome.event))
        };
        let verdict = |outcome: &Outcome| match &outcome.answer {
            RefundAnswer::Refused { reason } if tells(outcome) => Verdict::Reject(refusal(reason)),
            // It goes on being asked, but whoever waits is not to think that the money is back.
            answer if outcome.is_wished && answer.outcome().is_none() => {
                Verdict::Wait("the gateway has not said whether it gives the money back, and is asked on".to_owned())
            }
            _ => Verdict::Done,
        };
        Ok(outcomes.iter().map(verdict).collect())
    }
}

impl Asked {
    fn off(&self) -> Option<OrderId> {
        match self {
            Self::Off(order) => Some(*order),
            Self::GiveBack(_) => None,
        }
    }

    fn refund(&self) -> Option<TransactionId> {
        match self {
            Self::Off(_) => None,
            Self::GiveBack(due) => Some(due.transaction_id),
        }
    }
}

/// The gateway will not give it back, and nobody was told.
fn is_untold(attempt: &Attempt) -> bool {
    attempt.refund == Some(Refund::Refused) && attempt.refused_event.is_none()
}

fn refusal(reason: &str) -> String {
    format!("the gateway refuses the refund: {reason}")
}

fn asked(event: &Event) -> Result<Asked, String> {
    match event.kind.as_str() {
        OrderCancelled::TYPE => event.payload::<OrderCancelled>().map(|order| Asked::Off(order.order_id)),
        OrderExpired::TYPE => event.payload::<OrderExpired>().map(|order| Asked::Off(order.order_id)),
        PaymentRefundRefused::TYPE => {
            event.payload().map(|PaymentRefundRefused { order_id, transaction_id, amount }| {
                Asked::GiveBack(Owed { order_id, transaction_id, amount, is_refused: true })
            })
        }
        _ => event.payload().map(|OrderRefundDue { order_id, transaction_id, amount, .. }| {
            Asked::GiveBack(Owed { order_id, transaction_id, amount, is_refused: false })
        }),
    }
}
