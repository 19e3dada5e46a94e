//! `orders.progress`: what the workers report, and what it means for the orders.

use common::{
    consumer::{Failure, Handler, Verdict},
    db::Tx,
    events::{
        Event, InventoryLocked, InventoryRejected, OrderWakeup, Payload, PaymentCompleted, PaymentFailed,
        PaymentRefunded,
    },
    ids::OrderId,
    outbox::Outbox,
};
use time::OffsetDateTime;
use uuid::Uuid;

use crate::{
    announce::announce,
    order::{Happened, Next, next},
    store::{self, Transition, listeners},
};

pub(crate) struct Progress {
    /// This process, among those that hear the workers.
    pub listener: Uuid,
}

/// What an event is here for.
enum Report {
    Of(OrderId, Happened),
    /// What was handed over before it has been dealt with. It was sent at this moment; an older version did not say so.
    Marker(Option<OffsetDateTime>),
}

impl Handler for Progress {
    async fn handle(&self, tx: &mut Tx, events: &[Event], outbox: &mut Outbox) -> Result<Vec<Verdict>, Failure> {
        let reports: Vec<Result<Report, String>> = events.iter().map(report).collect();
        let about = |report: &Report| match report {
            Report::Of(id, _) => Some(id.0),
            Report::Marker(_) => None,
        };
        let mut ids: Vec<Uuid> = reports.iter().flatten().filter_map(about).collect();
        ids.sort_unstable();
        ids.dedup();
        let mut orders = store::read(tx, &ids).await?;

        let mut verdicts = Vec::with_capacity(events.len());
        let mut transitions = Vec::new();
        let mut marker = None;
        for (event, report) in events.iter().zip(reports) {
            let (id, happened) = match report {
                Ok(Report::Of(id, happened)) => (id, happened),
                Ok(Report::Marker(sent_at)) => {
                    marker = marker.max(sent_at);
                    verdicts.push(Verdict::Done);
                    continue;
                }
                Err(why) => {
                    verdicts.push(Verdict::Reject(why));
                    continue;
                }
            };
            let Some(order) = orders.get_mut(&id) else {
                verdicts.push(unknown(id, &happened));
                continue;
            };
            let trace = event.traceparent.as_deref();
            verdicts.push(match next(order, &happened) {
                Next::Unchanged => Verdict::Done,
                Next::Absurd(why) => Verdict::Retry(why),
                Next::Said(announcement) => {
                    announce(outbox, trace, &id, &[announcement])?;
                    Verdict::Done
                }
                Next::Changed { order: changed, announcements, detail } => {
                    announce(outbox, trace, &id, &announcements)?;
                    transitions.push(Transition { order: changed.clone(), cause: event.kind.clone(), detail });
                    *order = changed;
                    Verdict::Done
                }
            });
        }
        store::record(tx, transitions);
        if let Some(sent_at) = marker {
            listeners::note(tx, self.listener, sent_at);
        }
        Ok(verdicts)
    }
}

/// Stock may be locked by request for an order that does not exist; it is given back by itself. Money is another matter.
fn unknown(id: OrderId, happened: &Happened) -> Verdict {
    match happened {
        Happened::StockLocked | Happened::StockRefused(_) => Verdict::Done,
        _ => Verdict::Reject(format!("there is no order {id}")),
    }
}

fn report(event: &Event) -> Result<Report, String> {
    let (id, happened) = match event.kind.as_str() {
        InventoryLocked::TYPE => {
            let InventoryLocked { order_id } = event.payload()?;
            (order_id, Happened::StockLocked)
        }
        InventoryRejected::TYPE => {
            let InventoryRejected { order_id, shortages } = event.payload()?;
            (order_id, Happened::StockRefused(shortages))
        }
        PaymentCompleted::TYPE => {
            let PaymentCompleted { order_id, transaction_id, amount } = event.payload()?;
            (order_id, Happened::Paid { transaction_id, amount })
        }
        PaymentFailed::TYPE => {
            let PaymentFailed { order_id, attempt, attempts_left, reason, .. } = event.payload()?;
            (order_id, Happened::Declined { attempt, attempts_left, reason })
        }
        PaymentRefunded::TYPE => {
            let PaymentRefunded { order_id, transaction_id, .. } = event.payload()?;
            (order_id, Happened::Refunded { transaction_id })
        }
        OrderWakeup::TYPE => {
            let OrderWakeup { sent_at } = event.payload()?;
            return Ok(Report::Marker(sent_at));
        }
        other => return Err(format!("nothing here understands {other}")),
    };
    Ok(Report::Of(id, happened))
}
