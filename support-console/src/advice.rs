//! What is likely to help, for each reason that the services give: a table, in the order in which it is looked through.

use serde::Serialize;

/// What somebody might do about a letter.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Advice {
    pub text: &'static str,
    pub helps: Helps,
}

/// What would have to happen for the letter to go through.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Helps {
    /// Sent again, it is likely to go through, now or once what it needs is there again.
    Retry,
    /// It has to be edited first.
    Edit,
    /// Sent again it would fail again; what is to be done is done elsewhere.
    Elsewhere,
}

const ASKED_ON: &str = "The gateway goes on being asked for this money, also without this letter. The order's page says how it \
     ends: if the money is back, discard this letter; if it is refused, there is another letter that says so.";

/// By words of the reason. They are the services' own: `every_reason_that_services_give_has_its_advice` names their source.
const BY_REASON: [(&str, Helps, &str); 17] = [
    (
        "refuses the refund",
        Helps::Elsewhere,
        "The payment gateway does not give this money back, and a retry only asks it the same again. Pay the customer back \
         in another way, note that on the order's page with \u{201c}Paid back by hand\u{201d}, and discard this letter.",
    ),
    (
        "nothing was captured",
        Helps::Elsewhere,
        "No money was taken in this payment, so there is none to give back. If the order's payments say so too, discard \
         this letter.",
    ),
    (
        "the order has no such payment",
        Helps::Edit,
        "payment-worker knows of no payment with this transactionId. Compare it with the order's payments: if it is wrong, \
         edit it and retry; if there was no payment, discard this letter.",
    ),
    (
        "another amount that was captured",
        Helps::Edit,
        "The amount in the body is not the one that was taken. Compare it with the order's payments: if the body is wrong, \
         edit it and retry.",
    ),
    (
        "another amount was due",
        Helps::Elsewhere,
        "This order was to be charged another amount before, and only the first one counts. If the order's payments are \
         right, discard this letter.",
    ),
    (
        "minor units were captured for an order of",
        Helps::Elsewhere,
        "The gateway took another amount than the order costs. Settle the difference with the customer, and discard this \
         letter with a note of that.",
    ),
    (
        "minor units cannot be charged",
        Helps::Edit,
        "This is no amount that can be charged. Amounts in a body are in minor units: 10050 is 100.50. Edit it and retry.",
    ),
    (
        "there is no order",
        Helps::Edit,
        "order-api has no such order. If the order's id in the body is wrong, edit it and retry; otherwise nobody waits for \
         this, and it can be discarded.",
    ),
    (
        "cannot be read:",
        Helps::Edit,
        "Something in the body is missing or of the wrong kind; the reason names it. Edit the body and retry. Tell the \
         developers of the service that sent it: the next one will look the same.",
    ),
    (
        "nothing here understands",
        Helps::Elsewhere,
        "The worker does not know events of this type. Once a version of it runs that does, retry; if it should never have \
         come here, discard it.",
    ),
    (
        "before its stock was locked",
        Helps::Retry,
        "The events of this order came in the wrong order. By now the other one has arrived, and a retry is likely to go \
         through.",
    ),
    (
        "its charge has no outcome yet",
        Helps::Retry,
        "The charge was still under way. Once the order's payments say how it ended, a retry is likely to go through.",
    ),
    (
        "which is not set up",
        Helps::Elsewhere,
        "The customer is to be told in a way that notification-worker is not set up for. Once it is, retry.",
    ),
    (
        "somebody else was in the middle of it",
        Helps::Retry,
        "Another process was working on it. Wait for a minute, and retry.",
    ),
    ("has not said whether it gives the money back", Helps::Elsewhere, ASKED_ON),
    ("is being asked for it already", Helps::Elsewhere, ASKED_ON),
    (
        "it would have to wait",
        Helps::Retry,
        "What it needs of the outside world is away: the gateway, the mail server or the SMS provider. Once that is back, \
         retry.",
    ),
];

/// By the kind of death, where the reason is none of those.
const BY_DEATH: [(&str, Helps, &str); 7] = [
    (
        "unreadable",
        Helps::Edit,
        "There is no event in it that could be sent again: only an edit can make it readable. If it is none of ours, \
         discard it.",
    ),
    (
        "poison",
        Helps::Elsewhere,
        "Its worker stopped each time it handled this, and may stop again. Have a developer look into the worker's log \
         first; then retry this one alone.",
    ),
    (
        "delivery_limit",
        Helps::Elsewhere,
        "The broker gave it up because its worker never finished with it. See on the line whether that worker is well, then \
         retry this one alone.",
    ),
    (
        "unroutable",
        Helps::Retry,
        "No queue takes events of this type. Usually the service that should hear them has never been started here: once it \
         has been, retry. If nobody should hear them, discard it.",
    ),
    (
        "expired",
        Helps::Retry,
        "It waited longer than it may, so nobody was working. See on the line whether its worker is there, then retry.",
    ),
    (
        "exhausted",
        Helps::Retry,
        "It failed as often as it is tried by itself, each time for a reason that can pass. Once what the reason names is \
         mended, retry.",
    ),
    (
        "rejected",
        Helps::Edit,
        "Its worker says that it can never succeed as it is. A retry does the same again, unless the body is edited first, \
         or what the reason names has changed since.",
    ),
];

impl Advice {
    /// Some for every kind of death that there is a word for.
    #[must_use]
    pub fn about(death: &str, reason: &str) -> Option<Self> {
        let by_reason = BY_REASON.iter().find(|(words, ..)| reason.contains(words));
        let (_, helps, text) = by_reason.or_else(|| BY_DEATH.iter().find(|(kind, ..)| death == *kind))?;
        Some(Self { text, helps: *helps })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Reasons live in other crates; a word that is changed there must be changed here.
    #[test]
    fn every_reason_that_services_give_has_its_advice() {
        let sources = [
            include_str!("../../payment-worker/src/handlers/settle.rs"),
            include_str!("../../payment-worker/src/handlers/charge.rs"),
            include_str!("../../payment-worker/src/payment.rs"),
            include_str!("../../order-api/src/handlers/progress.rs"),
            include_str!("../../order-api/src/order.rs"),
            include_str!("../../inventory-worker/src/handlers/settle.rs"),
            include_str!("../../notification-worker/src/transport.rs"),
            include_str!("../../common/src/events.rs"),
            include_str!("../../common/src/consumer/settle.rs"),
        ];
        for (words, ..) in BY_REASON {
            assert!(sources.iter().any(|source| source.contains(words)), "no service says {words:?}");
        }
        for (death, ..) in BY_DEATH {
            assert_ne!(crate::http::death(death), "given up", "{death}");
        }
    }
}
