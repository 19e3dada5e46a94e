//! What nobody answered, or nobody lived to hear, is asked about: the gateway knows what became of it. Never guessed.
//!
//! To take something is to move its time on, past all that will be done about it; so of several processes one asks, and
//! if that one dies, another does later. While the gateway is away nobody asks; then one does, and then all within the
//! limits of the gateway.

use std::{sync::Arc, time::Duration};

use common::{consumer::Failure, outbox::Units};
use futures_util::future::join_all;
use tokio_util::sync::CancellationToken;

use crate::{
    gateway::{Answer, Charge, Means, PaymentGateway},
    outcomes::{self, Outcome, Said},
    payment::{self, Attempt, Due, Refund, State, Unsettled},
    settings::Rules,
    store::{self, Claimed},
};

/// The most that is taken at once.
const MOST: usize = 64;

pub(crate) struct Reconciler<G> {
    pub units: Units,
    pub gateway: Arc<G>,
    pub rules: Rules,
    pub every: Duration,
}

impl<G: PaymentGateway> Reconciler<G> {
    pub(crate) async fn run(self, stop: CancellationToken) {
        loop {
            let taken = match self.look().await {
                Ok(taken) => taken,
                Err(error) => {
                    tracing::warn!(%error, "what is to be looked after could not be; trying again");
                    0
                }
            };
            if stop.is_cancelled() {
                return;
            }
            // When there was more than could be taken, the next come at once.
            if taken < MOST && stop.run_until_cancelled(tokio::time::sleep(self.every)).await.is_none() {
                return;
            }
        }
    }

    /// Looks after what is due. Returns how much that was.
    async fn look(&self) -> Result<usize, Failure> {
        let room = self.gateway.room().min(MOST);
        if room == 0 {
            return Ok(0);
        }
        let most = i64::try_from(room).unwrap_or(i64::MAX);
        let claimed = store::claim(&self.units.db, most, self.rules.lease_ms).await?;
        if claimed.is_empty() {
            return Ok(0);
        }
        let taken = claimed.len();
        metrics::counter!("conveyor_payments_asked_total").increment(taken as u64);
        // The gateway has a door of its own, where they wait their turn.
        let outcomes: Vec<Outcome> = join_all(claimed.into_iter().map(|claimed| self.look_after(claimed))).await;
        outcomes::record_now(&self.units, &outcomes, &self.rules).await?;
        Ok(taken)
    }

    async fn look_after(&self, Claimed { attempt, due, tries, traceparent }: Claimed) -> Outcome {
        let said = match (attempt.state, attempt.refund) {
            (State::Open, _) => Said::Charge(self.ask(&attempt, &due).await),
            (State::Captured, Some(Refund::Due)) => Said::Refund(self.gateway.refund(&Charge::from(&attempt)).await),
            _ => Said::Nothing,
        };
        Outcome { id: attempt.id, said, tries, traceparent }
    }

    async fn ask(&self, attempt: &Attempt, due: &Due) -> Answer {
        let charge = Charge::from(attempt);
        let answer = self.gateway.ask_by_key(&charge).await;
        let is_heard_of = match answer {
            Answer::Unheard => false,
            Answer::Processing => true,
            answer => return answer,
        };
        match (payment::unsettled(due, attempt, is_heard_of), &attempt.token) {
            (Unsettled::Charge, Some(token)) => self.gateway.charge(&charge, &Means::Token(token.clone())).await,
            (Unsettled::Wait, _) => answer,
            (Unsettled::Void | Unsettled::Charge, _) => self.gateway.void(&charge).await,
        }
    }
}
