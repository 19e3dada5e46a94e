//! `orders.progress`: what the workers report, and what it means for the orders.

use common::{
    consumer::{Failure, Handler, Verdict},
    db::Tx,
    events::{Event, InventoryLocked, InventoryRejected, Payload, PaymentCompleted, PaymentFailed},
    ids::OrderId,
    outbox::Outbox,
};
use uuid::Uuid;

use crate::{
    announce::announce,
    order::{Happened, Next, next},
    store::{self, Transition},
};

pub(crate) struct Progress;

impl Handler for Progress {
    async fn handle(&self, tx: &mut Tx, events: &[Event], outbox: &mut Outbox) -> Result<Vec<Verdict>, Failure> {
        let reports: Vec<Result<(OrderId, Happened), String>> = events.iter().map(report).collect();
        let mut ids: Vec<Uuid> = reports.iter().flatten().map(|(id, _)| id.0).collect();
        ids.sort_unstable();
        ids.dedup();
        let mut orders = store::read(tx, &ids).await?;

        let mut verdicts = Vec::with_capacity(events.len());
        let mut transitions = Vec::new();
        for (event, report) in events.iter().zip(reports) {
            let (id, happened) = match report {
                Ok(report) => report,
                Err(why) => {
                    verdicts.push(Verdict::Reject(why));
                    continue;
                }
            };
            let Some(order) = orders.get_mut(&id) else {
                verdicts.push(Verdict::Reject(format!("there is no order {id}")));
                continue;
            };
            verdicts.push(match next(order, &happened) {
                Next::Unchanged => Verdict::Done,
                Next::Absurd(why) => Verdict::Retry(why),
                Next::Changed { order: changed, announcement, detail } => {
                    announce(outbox, event.traceparent.as_deref(), &id, &announcement)?;
                    transitions.push(Transition { order: changed.clone(), cause: event.kind.clone(), detail });
                    *order = changed;
                    Verdict::Done
                }
            });
        }
        store::record(tx, transitions);
        Ok(verdicts)
    }
}

fn report(event: &Event) -> Result<(OrderId, Happened), String> {
    match event.kind.as_str() {
        InventoryLocked::TYPE => {
            let InventoryLocked { order_id } = event.payload()?;
            Ok((order_id, Happened::StockLocked))
        }
        InventoryRejected::TYPE => {
            let InventoryRejected { order_id, shortages } = event.payload()?;
            Ok((order_id, Happened::StockRefused(shortages)))
        }
        PaymentCompleted::TYPE => {
            let PaymentCompleted { order_id, transaction_id, amount } = event.payload()?;
            Ok((order_id, Happened::Paid { transaction_id, amount }))
        }
        PaymentFailed::TYPE => {
            let PaymentFailed { order_id, reason, .. } = event.payload()?;
            Ok((order_id, Happened::PaymentFailed { reason }))
        }
        other => Err(format!("nothing here understands {other}")),
    }
}
