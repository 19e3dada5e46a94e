//! What the order hears of its money. Whoever asks again hears the same again.

use common::{
    consumer::Failure,
    events::{PaymentCompleted, PaymentFailed, PaymentRefundRefused, PaymentRefunded},
    outbox::Outbox,
};

use crate::payment::{Attempt, News};

pub(crate) fn announce(outbox: &mut Outbox, cause: Option<&str>, attempt: &Attempt, news: News) -> Result<(), Failure> {
    let Attempt { id: transaction_id, order_id, amount, .. } = *attempt;
    match news {
        News::Completed => outbox.announce(cause, &order_id, &PaymentCompleted { order_id, transaction_id, amount })?,
        News::Refunded => outbox.announce(cause, &order_id, &PaymentRefunded { order_id, transaction_id, amount })?,
        News::RefundRefused => {
            outbox.announce(cause, &order_id, &PaymentRefundRefused { order_id, transaction_id, amount })?;
        }
        News::Failed => {
            let failed = PaymentFailed {
                order_id,
                transaction_id,
                attempt: attempt.number,
                attempts_left: attempt.left_after(),
                reason: attempt.reason.clone().unwrap_or_default(),
            };
            outbox.announce(cause, &order_id, &failed)?;
        }
    }
    Ok(())
}
