//! `notification.send`: something has become of an order, and its customer is told. Claim the notice, send, note what
//! came of it.

use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
    time::Duration,
};

use common::{
    consumer::{EffectHandler, Failure, Step, Verdict},
    db::Tx,
    events::Event,
    ids::OrderId,
    outbox::Outbox,
};
use uuid::Uuid;

use crate::{
    contact::Contact,
    message::Message,
    settings::Notifications,
    store::{self, Claim, Settled},
    transport::{Letter, NotSent, Ways},
    truth::{self, Decision, Noted, State},
};

pub(crate) struct Send {
    pub ways: Arc<Ways>,
    pub settings: Arc<Notifications>,
    /// How long a batch may take to be told.
    pub claim_for: Duration,
}

/// A notice that is to be told.
pub(crate) struct Notice {
    order_id: OrderId,
    event_id: Uuid,
    claim: i64,
    letter: Letter,
}

pub(crate) struct Outcome {
    order_id: OrderId,
    event_id: Uuid,
    claim: i64,
    letter: Letter,
    sent: Result<(), NotSent>,
}

impl Send {
    /// What to tell of an event; nothing of those that customers are not told of.
    fn message(&self, event: &Event) -> Result<Option<Message>, String> {
        let message = Message::about(event, &self.settings.currency)?;
        Ok(Some(message).filter(|message| self.settings.tells(&message.kind)))
    }

    async fn contacts(&self, tx: &mut Tx, messages: &[&Message]) -> Result<HashMap<String, Contact>, Failure> {
        if self.ways.tells_the_log() {
            return Ok(HashMap::new());
        }
        Ok(store::find_contacts(tx, messages).await?)
    }
}

impl EffectHandler for Send {
    type Effect = Notice;
    type Outcome = Outcome;

    async fn prepare(&self, tx: &mut Tx, events: &[Event], _: &mut Outbox) -> Result<Vec<Step<Notice>>, Failure> {
        let messages: Vec<Result<Option<Message>, String>> = events.iter().map(|event| self.message(event)).collect();
        let known: Vec<&Message> = messages.iter().flatten().flatten().collect();
        let claim = Claim { id: fastrand::i64(..), lasts: self.claim_for };
        let (mut noted, mut contacts) = (HashMap::new(), HashMap::new());
        if !known.is_empty() {
            store::claim(tx, &known, &truth::overtaken(known.iter().copied()), claim).await?;
            noted = store::noted(tx, &known, claim).await?;
            contacts = self.contacts(tx, &known).await?;
        }
        let mut taken = HashSet::new();
        let mut settled = Vec::new();
        let mut steps = Vec::with_capacity(events.len());
        for message in messages {
            steps.push(match message {
                Err(why) => Step::Settled(Verdict::Reject(why)),
                // The same event may be twice in one batch.
                Ok(Some(message)) if taken.insert(message.id) => {
                    let contact = contacts.get(message.user_id.as_str());
                    self.step(message, claim.id, &noted, contact, &mut settled)
                }
                Ok(_) => Step::Settled(Verdict::Done),
            });
        }
        store::settle(tx, settled);
        Ok(steps)
    }

    async fn perform(&self, Notice { order_id, event_id, claim, letter }: Notice) -> Outcome {
        let sent = self.ways.send(&letter).await;
        Outcome { order_id, event_id, claim, letter, sent }
    }

    async fn record(&self, tx: &mut Tx, outcomes: &[Outcome], _: &mut Outbox) -> Result<Vec<Verdict>, Failure> {
        let settled = outcomes.iter().map(|Outcome { order_id, event_id, claim, letter, sent }| {
            let (state, reason) = match sent {
                Ok(()) => (State::Sent, None),
                Err(why @ NotSent::ForGood(_)) => (State::Refused, Some(why.to_string())),
                Err(why) => (State::Pending, Some(why.to_string())),
            };
            let channel = Some(letter.to.channel());
            Settled { order_id: *order_id, event_id: *event_id, claim: *claim, state, channel, reason }
        });
        store::settle(tx, settled.collect());
        let verdicts = outcomes.iter().map(|outcome| match &outcome.sent {
            Ok(()) => Verdict::Done,
            Err(NotSent::Away(why)) => Verdict::Wait(why.clone()),
            Err(NotSent::ForNow(why)) => Verdict::Retry(why.clone()),
            // It is noted with its reason. Nothing would come of trying again at this address.
            Err(NotSent::ForGood(why)) => {
                tracing::warn!(order.id = %outcome.order_id, message.id = outcome.letter.name, why, "a customer cannot be told");
                Verdict::Done
            }
        });
        Ok(verdicts.collect())
    }
}

impl Send {
    /// What is to be done about one notice, by all that is known of its order and its customer.
    fn step(
        &self,
        message: Message,
        claim: i64,
        noted: &HashMap<OrderId, Vec<Noted>>,
        contact: Option<&Contact>,
        settled: &mut Vec<Settled>,
    ) -> Step<Notice> {
        let (order_id, event_id) = (message.order_id, message.id);
        let mut settle = |state: State, reason: Option<&str>| {
            let reason = reason.map(str::to_owned);
            settled.push(Settled { order_id, event_id, claim, state, channel: None, reason });
        };
        match truth::decide(event_id, noted.get(&order_id).map_or(&[], Vec::as_slice)) {
            Decision::Settled => Step::Settled(Verdict::Done),
            Decision::Supersede => {
                count("superseded");
                settle(State::Superseded, None);
                Step::Settled(Verdict::Done)
            }
            Decision::Later(why) => {
                settle(State::Pending, Some(why));
                Step::Settled(Verdict::Busy(why.to_owned()))
            }
            Decision::Tell => match self.ways.address(contact) {
                Err(why) => {
                    count("no_contact");
                    settle(State::NoContact, Some(why));
                    Step::Settled(Verdict::Done)
                }
                Ok(to) => {
                    let name = message.name();
                    let Message { user_id, subject, text, .. } = message;
                    let letter = Letter { name, user_id, subject, text, to };
                    Step::Perform(Notice { order_id, event_id, claim, letter })
                }
            },
        }
    }
}

fn count(outcome: &'static str) {
    metrics::counter!("conveyor_notifications_total", "channel" => "none", "outcome" => outcome).increment(1);
}
