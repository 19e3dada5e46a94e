//! What nobody answered, or nobody lived to hear, is asked about: the gateway knows what became of it. Never guessed.
//!
//! To take something is to move its time on, past all that will be done about it; so of several processes one asks, and
//! if that one dies, another does later. While the gateway is away nobody asks; then one does, and then all within the
//! limits of the gateway.

use std::{sync::Arc, time::Duration};

use common::{
    crash::{self, Point},
    http::turns::Turns,
    outbox::Units,
};
use tokio::{task::JoinSet, time::MissedTickBehavior};
use tokio_util::sync::CancellationToken;

use crate::{
    gateway::{Answer, Charge, Means, PaymentGateway},
    outcomes::{self, Outcome, Said},
    payment::{self, Attempt, Refund, State, Unsettled},
    settings::Rules,
    store::{self, Claimed},
};

/// The most that is looked after at once. The gateway has a door of its own, where they wait their turn.
const MOST: usize = 128;

pub(crate) struct Reconciler<G> {
    pub units: Units,
    pub turns: Arc<Turns>,
    pub gateway: Arc<G>,
    pub rules: Rules,
    pub every: Duration,
}

impl<G: PaymentGateway> Reconciler<G> {
    /// What is under way at the stop is left: its lease ends, and somebody takes it up again.
    pub(crate) async fn run(self, stop: CancellationToken) {
        stop.run_until_cancelled(Arc::new(self).look()).await;
    }

    /// One that takes long keeps none of the others waiting. Each is a task of its own, so that none of them holds a
    /// connection to the database while this waits for one.
    async fn look(self: Arc<Self>) {
        let mut under_way = JoinSet::new();
        let mut tick = tokio::time::interval(self.every);
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                _ = tick.tick(), if under_way.len() < MOST => {
                    let room = self.gateway.room().min(MOST - under_way.len());
                    let claimed = self.claim(room).await;
                    if !claimed.is_empty() {
                        crash::here(Point::AskTaken);
                    }
                    // Where there was more than could be taken, the next come at once.
                    if room > 1 && claimed.len() == room {
                        tick.reset_immediately();
                    }
                    for claimed in claimed {
                        let reconciler = Arc::clone(&self);
                        under_way.spawn(async move { reconciler.look_after(claimed).await });
                    }
                }
                Some(first) = under_way.join_next() => {
                    let mut ended = vec![first];
                    while let Some(another) = under_way.try_join_next() {
                        ended.push(another);
                    }
                    // One that panicked has said so; its lease ends.
                    let outcomes: Vec<Outcome> = ended.into_iter().flatten().collect();
                    crash::here(Point::AskAnswered);
                    self.record(&outcomes).await;
                    if outcomes.iter().any(|outcome| outcome.said.is_final()) {
                        crash::here(Point::AskRecorded);
                    }
                }
            }
        }
    }

    async fn claim(&self, room: usize) -> Vec<Claimed> {
        let most = i64::try_from(room).unwrap_or(i64::MAX);
        if most == 0 {
            return Vec::new();
        }
        let claimed = store::claim(&self.units.db, most, self.rules.lease_ms).await.unwrap_or_else(|error| {
            tracing::warn!(%error, "what is to be looked after cannot be read; trying again");
            Vec::new()
        });
        metrics::counter!("conveyor_payments_asked_total").increment(claimed.len() as u64);
        claimed
    }

    async fn record(&self, outcomes: &[Outcome]) {
        if let Err(failure) = outcomes::record_now(&self.units, outcomes, &self.rules).await {
            tracing::warn!(%failure, "what the gateway has said could not be recorded; it will be asked again");
        }
    }

    async fn look_after(&self, Claimed { attempt, tries, traceparent }: Claimed) -> Outcome {
        let said = match (attempt.state, attempt.refund) {
            (State::Open, _) => Said::Charge(self.ask(&attempt).await),
            (State::Captured, Some(Refund::Due)) => Said::Refund(self.gateway.refund(&Charge::from(&attempt)).await),
            _ => Said::Nothing,
        };
        Outcome { id: attempt.id, said, tries, traceparent, event: None }
    }

    async fn ask(&self, attempt: &Attempt) -> Answer {
        let charge = Charge::from(attempt);
        let answer = self.gateway.ask_by_key(&charge).await;
        let is_heard_of = match answer {
            Answer::Unheard => false,
            Answer::Processing => true,
            answer => return answer,
        };
        // Only now, for it may have taken the gateway long to answer.
        let turn = self.turns.must().await;
        let due = match store::find_due(&self.units.db, attempt.order_id).await {
            Ok(due) => due,
            Err(error) => return Answer::Unknown { why: error.to_string() },
        };
        drop(turn);
        match (payment::unsettled(&due, attempt, is_heard_of), &attempt.token) {
            (Unsettled::Charge, Some(token)) => self.gateway.charge(&charge, &Means::Token(token.clone())).await,
            (Unsettled::Wait, _) => answer,
            (Unsettled::Void | Unsettled::Charge, _) => self.gateway.void(&charge).await,
        }
    }
}
