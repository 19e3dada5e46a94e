//! Money that a customer should have back, and has not.

use serde::{Deserialize, Serialize};

use crate::services::{
    Answer,
    shapes::{Amount, Order, Payment, Payments},
};

/// Captured money of an order that is off.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Owed {
    pub transaction_id: String,
    pub amount: Amount,
    pub currency: String,
    /// Why it has not gone back, in words for a person.
    pub why: String,
    /// The gateway refuses it for good: only a person can pay it back, and note that they have.
    pub only_by_hand: bool,
}

/// Whether an order that stands like this may still be paid for.
pub(crate) fn is_to_be_paid(status: &str) -> bool {
    matches!(status, "pending" | "awaiting_payment")
}

/// Of each payment by itself: an order has hardly ever more than one whose money is here.
#[must_use]
pub fn owed(order: &Answer<Order>, payments: &Answer<Payments>) -> Vec<Owed> {
    let Answer::Found(payments) = payments else { return Vec::new() };
    let is_off = match order {
        Answer::Found(order) => !is_to_be_paid(&order.status) && order.status != "paid",
        Answer::NotFound | Answer::Away(_) => payments.off,
    };
    let captured = payments.payments.iter().filter(|payment| payment.status == "captured");
    let owed = captured.filter_map(|payment| {
        Some(Owed {
            transaction_id: payment.transaction_id.clone(),
            amount: payment.amount.clone(),
            currency: payments.currency.clone(),
            why: why(payment, is_off)?,
            only_by_hand: payment.refund.as_deref() == Some("refused"),
        })
    });
    owed.collect()
}

/// None where it is not owed.
fn why(payment: &Payment, is_off: bool) -> Option<String> {
    match payment.refund.as_deref() {
        Some("refunded" | "paid_back") => None,
        Some("refused") => {
            let reason = payment.reason.as_deref().unwrap_or("it does not say why");
            Some(format!("the gateway refuses for good to give it back ({reason})"))
        }
        Some(_) => {
            Some("the gateway was asked to give it back, has not done so yet, and is asked again by itself".to_owned())
        }
        None if is_off => Some("the order is off, and the gateway has not been asked yet to give it back".to_owned()),
        None => None,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn order(status: &str) -> Answer<Order> {
        let order = json!({"orderId": "ORD1", "userId": "1", "status": status, "version": 3, "orderAmount": 1,
            "currency": "USD", "items": [], "createdAt": "", "deadline": "", "history": []});
        Answer::Found(serde_json::from_str(&order.to_string()).unwrap())
    }

    fn payments(off: bool, status: &str, refund: Option<&str>) -> Answer<Payments> {
        let payment = json!({"transactionId": "TXN1", "attempt": 1, "status": status, "amount": 100.5, "method": "card",
            "attemptsLeft": 0, "reason": "refund_refused", "refund": refund, "createdAt": "", "updatedAt": ""});
        let payments = json!({"currency": "USD", "off": off, "payments": [payment]});
        Answer::Found(serde_json::from_str(&payments.to_string()).unwrap())
    }

    #[test]
    fn money_is_owed_from_when_the_order_is_off_until_it_is_given_back() {
        let away = || Answer::Away(String::new());
        for (order, payments, expected) in [
            (order("paid"), payments(false, "captured", None), None),
            (order("refunding"), payments(true, "captured", None), Some("has not been asked yet")),
            (order("refunding"), payments(true, "captured", Some("due")), Some("is asked again")),
            (order("refunding"), payments(true, "captured", Some("refused")), Some("refuses for good")),
            (order("refunding"), payments(true, "captured", Some("paid_back")), None),
            (order("refunded"), payments(true, "captured", Some("refunded")), None),
            (order("cancelled"), payments(true, "declined", None), None),
            // A second capture goes back whatever becomes of the order.
            (order("paid"), payments(false, "captured", Some("refused")), Some("refuses for good")),
            (away(), payments(true, "captured", None), Some("has not been asked yet")),
            (away(), payments(false, "captured", None), None),
            (order("refunding"), Answer::Away(String::new()), None),
        ] {
            let owed = owed(&order, &payments);
            assert_eq!(owed.len(), usize::from(expected.is_some()), "{order:?} {payments:?}");
            let Some(owed) = owed.first() else { continue };
            assert!(owed.why.contains(expected.unwrap()), "{owed:?}");
            assert_eq!(owed.only_by_hand, owed.why.contains("refuses"), "{owed:?}");
            assert_eq!(owed.amount.to_string(), "100.5");
        }
    }
}
