//! What staff do with an order: it is noted who did it before it is done.

use common::ids::OrderId;
use serde_json::json;

use crate::{
    Console, Refusal, Who,
    services::{Refused, Services, shapes::Cancelled},
};

/// Calls an order off on behalf of this person; what was paid goes back.
pub async fn call_off(
    console: &Console,
    services: &Services,
    who: &Who,
    order_id: OrderId,
) -> Result<Cancelled, Refused> {
    services.may_cancel(who)?;
    let details = json!({"orderId": order_id});
    console.note(&who.account, who.by.name(), "cancel_order", None, &details).await.map_err(|error| match error {
        // What cannot be noted is not done.
        Refusal::Database(error) => {
            tracing::warn!(%error, "a cancellation could not be noted, and was not tried");
            Refused::Away("the console's database cannot be reached".to_owned())
        }
        other => Refused::Refused(other.to_string()),
    })?;
    services.cancel(who, order_id).await
}
