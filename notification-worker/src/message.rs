//! From an event to what the customer reads.

use common::{
    events::{Event, OrderCancelled, OrderPaid, OrderPaymentFailed, OrderRejected, Payload},
    ids::{OrderId, UserId},
};
use uuid::Uuid;

/// What one customer is told about one event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Message {
    /// The event it tells of: sent again, it carries the same id.
    pub id: Uuid,
    pub user_id: UserId,
    pub order_id: OrderId,
    /// The type of that event.
    pub kind: String,
    pub subject: &'static str,
    pub text: String,
}

impl Message {
    /// What to tell of the event; an error when there is nothing to tell.
    pub(crate) fn about(event: &Event) -> Result<Self, String> {
        let (user_id, order_id, subject, text) = match event.kind.as_str() {
            OrderPaid::TYPE => {
                let OrderPaid { order_id, user_id, .. } = event.payload()?;
                let text = format!("Your order {order_id} has been successfully paid.");
                (user_id, order_id, "Your order is paid", text)
            }
            OrderRejected::TYPE => {
                let OrderRejected { order_id, user_id, shortages, .. } = event.payload()?;
                let missing: Vec<&str> = shortages.iter().map(|shortage| shortage.product_id.as_str()).collect();
                let text = format!(
                    "Your order {order_id} could not be accepted: there is not enough of {}. Nothing was charged.",
                    missing.join(", ")
                );
                (user_id, order_id, "Your order is out of stock", text)
            }
            OrderPaymentFailed::TYPE => {
                let OrderPaymentFailed { order_id, user_id, .. } = event.payload()?;
                let text = format!("The payment for your order {order_id} failed, and the order is closed.");
                (user_id, order_id, "Your payment failed", text)
            }
            OrderCancelled::TYPE => {
                let OrderCancelled { order_id, user_id, .. } = event.payload()?;
                let text = format!("Your order {order_id} has been cancelled. Nothing was charged.");
                (user_id, order_id, "Your order is cancelled", text)
            }
            other => return Err(format!("nothing here understands {other}")),
        };
        Ok(Self { id: event.id, user_id, order_id, kind: event.kind.clone(), subject, text })
    }
}

#[cfg(test)]
mod tests {
    use common::events::Shortage;
    use common::{ids::ProductId, money::Money};

    use super::*;

    #[test]
    fn a_customer_is_told_which_order_and_what_of_it() {
        let order_id = OrderId::generate();
        let user_id = UserId::try_from("123456".to_owned()).unwrap();
        let paid = OrderPaid { order_id, user_id: user_id.clone(), version: 3, amount: Money(1), transaction_id: None };
        let event = Event::new("order-api", order_id.to_string(), None, &paid).unwrap();
        let message = Message::about(&event).unwrap();
        assert_eq!(message.id, event.id);
        assert!(message.text.contains(&order_id.to_string()) && message.text.contains("successfully paid"));

        let product_id = ProductId::try_from("P009".to_owned()).unwrap();
        let shortages = vec![Shortage { product_id, asked: 2, available: 1 }];
        let rejected = OrderRejected { order_id, user_id, version: 2, shortages };
        let event = Event::new("order-api", order_id.to_string(), None, &rejected).unwrap();
        assert!(Message::about(&event).unwrap().text.contains("P009"));
    }
}
