//! What died with a broker is said again.
//!
//! An event that the broker has confirmed is gone from the outbox, so if the broker then loses its data, nobody would ever
//! hear of it. Orders that wait are looked at again anyway; those that have their outcome are not, and following each of
//! them until all have answered would cost every order on an ordinary day. So a token is left with the broker, and it is
//! asked every few seconds whether it still has that. Where it is gone, so is everything else, and of all orders of late
//! it is said again how they stand. Whoever has heard it can tell, and does nothing, or answers the same again.

use std::time::Duration;

use common::{
    backoff::Backoff,
    broker::{BrokerError, Link},
    db::DbError,
    events::OrderCreated,
    outbox::{Outbox, Units},
};
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

use crate::{
    announce::announce,
    order::again::again,
    store::{broker, wakeups::Open},
    times::Times,
};

const EVERY: Duration = Duration::from_secs(5);
/// So many orders are said again at once, and then nothing for so long: others have work to do besides.
const SOME: i64 = 250;
const PAUSE: Duration = Duration::from_millis(250);

#[derive(Debug, thiserror::Error)]
enum Failed {
    #[error(transparent)]
    Broker(#[from] BrokerError),
    #[error(transparent)]
    Db(#[from] DbError),
}

/// Asks the broker, and says again what has to be, until `stop`.
pub(crate) async fn say_again_for_ever(units: Units, link: Link, times: Times, stop: CancellationToken) {
    let mut backoff = Backoff::new(Duration::from_millis(500), Duration::from_secs(10));
    let work = async {
        loop {
            let checked = match check(&units, &link, &times).await {
                Ok(()) => say_again(&units).await.map_err(Failed::Db),
                Err(error) => Err(error),
            };
            match checked {
                Ok(()) => {
                    backoff.reset();
                    sleep(EVERY).await;
                }
                // Both say so themselves when they are away.
                Err(error) => {
                    tracing::debug!(%error, "it is not known whether the broker has its data");
                    backoff.wait().await;
                }
            }
        }
    };
    stop.run_until_cancelled(work).await;
}

async fn check(units: &Units, link: &Link, times: &Times) -> Result<(), Failed> {
    let generation = broker::generation(&units.db).await?;
    if link.has_token(&name_of(generation)).await? {
        return Ok(broker::is_good(&units.db, generation).await?);
    }
    // First the token: where none can be left, nothing is said again, or it would be for ever.
    link.leave_token(&name_of(generation + 1), &name_of(generation)).await?;
    // The first one had nothing that it could have lost.
    if broker::is_new(&units.db, generation, times.reach_ms()).await? && generation > 0 {
        tracing::warn!(
            "this broker does not have what was published; of all orders of late it is said again how they stand"
        );
    }
    Ok(())
}

fn name_of(generation: i64) -> String {
    format!("generation.{generation}")
}

/// Says again what is left to be said, if nobody else does.
async fn say_again(units: &Units) -> Result<(), DbError> {
    loop {
        let mut unit = units.begin().await?;
        let some = broker::take_some(&mut unit.tx, SOME).await?;
        for open in some.iter().flatten() {
            say_one_again(&mut unit.outbox, open).map_err(DbError::unexpected)?;
        }
        unit.commit().await?;
        if some.is_none() {
            return Ok(());
        }
        sleep(PAUSE).await;
    }
}

/// Says of one order how it stands.
pub(crate) fn say_one_again(outbox: &mut Outbox, open: &Open) -> Result<(), serde_json::Error> {
    let Open { order, lines, steps, .. } = open;
    metrics::counter!("conveyor_orders_announced_again_total").increment(1);
    announce(outbox, None, &order.id, &again(order, steps))?;
    let Some(items) = lines else { return Ok(()) };
    let created = OrderCreated {
        order_id: order.id,
        user_id: order.user_id.clone(),
        version: order.version,
        amount: order.amount,
        items: items.clone(),
    };
    outbox.announce(None, &order.id, &created)
}
