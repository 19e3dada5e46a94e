//! `notification.send`: an order has an outcome, and its customer is told. Note the intent, send, note that it was sent.

use std::collections::HashSet;

use common::{
    consumer::{EffectHandler, Failure, Step, Verdict},
    db::Tx,
    events::Event,
    outbox::Outbox,
};
use uuid::Uuid;

use crate::{
    message::Message,
    store,
    transport::{NotSent, Transport},
};

pub(crate) struct Send<T> {
    pub transport: T,
}

pub(crate) struct Outcome {
    id: Uuid,
    sent: Result<(), NotSent>,
}

impl<T: Transport> EffectHandler for Send<T> {
    type Effect = Message;
    type Outcome = Outcome;

    async fn prepare(&self, tx: &mut Tx, events: &[Event], _: &mut Outbox) -> Result<Vec<Step<Message>>, Failure> {
        let messages: Vec<Result<Message, String>> = events.iter().map(Message::about).collect();
        let known: Vec<&Message> = messages.iter().flatten().collect();
        let mut unsent: HashSet<Uuid> = store::note(tx, T::CHANNEL, &known).await?;
        let steps = messages.into_iter().map(|message| match message {
            Err(why) => Step::Settled(Verdict::Reject(why)),
            // Taken out, so that an event that is twice in one batch is sent once.
            Ok(message) if unsent.remove(&message.id) => Step::Perform(message),
            Ok(_) => Step::Settled(Verdict::Done),
        });
        Ok(steps.collect())
    }

    async fn perform(&self, message: Message) -> Outcome {
        let sent = self.transport.send(&message).await;
        Outcome { id: message.id, sent }
    }

    async fn record(&self, tx: &mut Tx, outcomes: &[Outcome], _: &mut Outbox) -> Result<Vec<Verdict>, Failure> {
        let sent: Vec<Uuid> =
            outcomes.iter().filter(|outcome| outcome.sent.is_ok()).map(|outcome| outcome.id).collect();
        store::record_sent(tx, T::CHANNEL, sent);
        let verdicts = outcomes.iter().map(|outcome| match &outcome.sent {
            Ok(()) => Verdict::Done,
            Err(NotSent::ForNow(why)) => Verdict::Retry(why.clone()),
            Err(NotSent::ForGood(why)) => Verdict::Reject(why.clone()),
        });
        Ok(verdicts.collect())
    }
}
