//! What staff do with an order: it is noted who did it before it is done. And what of its money needs somebody.

mod folded;
mod owed;

use common::ids::{OrderId, TransactionId};
use serde_json::{Value, json};

pub(crate) use folded::{folded_notices, folded_steps};
pub(crate) use owed::is_to_be_paid;
pub use owed::{Owed, owed};

use crate::{
    Console, Refusal, Who,
    services::{
        Refused, Services,
        shapes::{Cancelled, PaidBack},
    },
};

/// Calls an order off on behalf of this person; what was paid goes back.
pub async fn call_off(
    console: &Console,
    services: &Services,
    who: &Who,
    order_id: OrderId,
) -> Result<Cancelled, Refused> {
    services.may_act(who)?;
    note(console, who, "cancel_order", &json!({"orderId": order_id})).await?;
    services.cancel(who, order_id).await
}

/// Notes that this person has paid back by hand what the gateway refuses to give back; and if that was not accepted, that
/// it was not: nobody is to think that money went that did not.
pub async fn pay_back(
    console: &Console,
    services: &Services,
    who: &Who,
    order_id: OrderId,
    transaction_id: TransactionId,
    by: &str,
) -> Result<PaidBack, Refused> {
    services.may_act(who)?;
    // Before it is written down here.
    if !(1..=LONGEST_NOTE).contains(&by.trim().chars().count()) || by.chars().any(char::is_control) {
        let why = format!("the note must have 1 to {LONGEST_NOTE} characters, and no control characters among them");
        return Err(Refused::Refused(why));
    }
    let details = json!({"orderId": order_id, "transactionId": transaction_id, "note": by.trim()});
    note(console, who, "paid_back", &details).await?;
    let noted = services.pay_back(who, order_id, transaction_id, by.trim()).await;
    if let Err(why) = &noted {
        let details = json!({"orderId": order_id, "transactionId": transaction_id, "why": why.to_string()});
        // Where the answer was lost, it may have been accepted.
        let action = if matches!(why, Refused::Away(_)) { "paid_back_unknown" } else { "paid_back_not_accepted" };
        note(console, who, action, &details).await?;
    }
    noted
}

/// As payment-worker has it.
const LONGEST_NOTE: usize = 500;

/// What cannot be noted is not done.
async fn note(console: &Console, who: &Who, action: &str, details: &Value) -> Result<(), Refused> {
    console.note(&who.account, who.by.name(), action, None, details).await.map_err(|error| match error {
        Refusal::Database(error) => {
            tracing::warn!(%error, action, "what somebody wanted could not be noted, and was not tried");
            Refused::Away("the console's database cannot be reached".to_owned())
        }
        other => Refused::Refused(other.to_string()),
    })
}
