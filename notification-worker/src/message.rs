//! From an event to what the customer reads.

use common::{
    events::{
        Event, OrderCancelled, OrderExpired, OrderPaid, OrderPaymentDeclined, OrderPaymentFailed, OrderPaymentReminder,
        OrderReceived, OrderRefunded, OrderRejected, Payload, Shortage,
    },
    ids::{OrderId, UserId},
    money::{Currency, Money},
};
use time::{OffsetDateTime, UtcOffset};
use uuid::Uuid;

/// The most characters of a reason that come from outside.
const LONGEST_REASON: usize = 100;
/// So many products that are missing are named.
const MOST_NAMED: usize = 10;

/// What one customer is told about one event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Message {
    /// The event it tells of: sent again, it carries the same id.
    pub id: Uuid,
    pub order_id: OrderId,
    pub user_id: UserId,
    /// Of the order, in the event.
    pub version: i32,
    /// The type of the event.
    pub kind: String,
    pub subject: String,
    pub text: String,
}

impl Message {
    /// The same for everything that tells the same, however often and in however many events it is said.
    pub(crate) fn name(&self) -> String {
        format!("{}.{}.{}", self.order_id, self.version, self.kind)
    }

    /// What to tell of the event; an error when nothing here understands it.
    pub(crate) fn about(event: &Event, currency: &Currency) -> Result<Self, String> {
        let money = |amount: Money| format!("{} {}", currency.format(amount), currency.code);
        let (about, (subject, text)) = match event.kind.as_str() {
            OrderReceived::TYPE => {
                let it: OrderReceived = event.payload()?;
                let words = received(it.order_id, &money(it.amount));
                ((it.order_id, it.user_id, it.version), words)
            }
            OrderPaid::TYPE => {
                let it: OrderPaid = event.payload()?;
                let words = paid(it.order_id, &money(it.amount));
                ((it.order_id, it.user_id, it.version), words)
            }
            OrderRejected::TYPE => {
                let it: OrderRejected = event.payload()?;
                let words = out_of_stock(it.order_id, &it.shortages);
                ((it.order_id, it.user_id, it.version), words)
            }
            OrderPaymentDeclined::TYPE => {
                let it: OrderPaymentDeclined = event.payload()?;
                let words = declined(it.order_id, &money(it.amount), &it.reason, it.attempts_left, it.deadline);
                ((it.order_id, it.user_id, it.version), words)
            }
            OrderPaymentReminder::TYPE => {
                let it: OrderPaymentReminder = event.payload()?;
                let words = reminder(it.order_id, &money(it.amount), it.deadline);
                ((it.order_id, it.user_id, it.version), words)
            }
            OrderPaymentFailed::TYPE => {
                let it: OrderPaymentFailed = event.payload()?;
                let words = payment_failed(it.order_id, &it.reason);
                ((it.order_id, it.user_id, it.version), words)
            }
            OrderExpired::TYPE => {
                let it: OrderExpired = event.payload()?;
                ((it.order_id, it.user_id, it.version), expired(it.order_id))
            }
            OrderCancelled::TYPE => {
                let it: OrderCancelled = event.payload()?;
                ((it.order_id, it.user_id, it.version), cancelled(it.order_id))
            }
            OrderRefunded::TYPE => {
                let it: OrderRefunded = event.payload()?;
                let words = refunded(it.order_id, &money(it.amount));
                ((it.order_id, it.user_id, it.version), words)
            }
            other => return Err(format!("nothing here understands {other}")),
        };
        let (order_id, user_id, version) = about;
        let kind = event.kind.clone();
        Ok(Self { id: event.id, order_id, user_id, version, kind, subject: subject.to_owned(), text })
    }
}

/// Subject and text.
type Words = (&'static str, String);

fn received(order: OrderId, amount: &str) -> Words {
    let text =
        format!("Thank you! We have received your order {order} over {amount}. We will write again as it goes on.");
    ("We have received your order", text)
}

fn paid(order: OrderId, amount: &str) -> Words {
    ("Your order is paid", format!("Your order {order} has been successfully paid: {amount}. Thank you!"))
}

fn out_of_stock(order: OrderId, shortages: &[Shortage]) -> Words {
    let missing: Vec<String> = shortages
        .iter()
        .take(MOST_NAMED)
        .map(|it| format!("{} (you ordered {}, we have {})", it.product_id, it.asked, it.available))
        .collect();
    let more = if shortages.len() > MOST_NAMED { " and others" } else { "" };
    let what = if missing.is_empty() { "what you ordered".to_owned() } else { missing.join(", ") };
    let text = format!(
        "We are sorry: your order {order} could not be accepted, for there is not enough of {what}{more}. \
         Nothing was charged."
    );
    ("Your order is out of stock", text)
}

fn declined(order: OrderId, amount: &str, reason: &str, left: i32, deadline: OffsetDateTime) -> Words {
    let reason = plain(reason);
    let text = match left {
        ..1 => format!("Your payment of {amount} for order {order} was declined ({reason}). Nothing was charged."),
        _ => format!(
            "Your payment of {amount} for order {order} was declined ({reason}). Nothing was charged. Please try again \
             before {}; {} left.",
            readable(deadline),
            if left == 1 { "one attempt is".to_owned() } else { format!("{left} attempts are") }
        ),
    };
    ("Your payment was declined", text)
}

fn reminder(order: OrderId, amount: &str, deadline: OffsetDateTime) -> Words {
    let text = format!(
        "Your order {order} waits for its payment of {amount}. Please pay before {}; after that it expires.",
        readable(deadline)
    );
    ("Please pay for your order", text)
}

fn payment_failed(order: OrderId, reason: &str) -> Words {
    let text = format!(
        "The payment for your order {order} failed ({}), and no attempt is left: the order is closed. Nothing was charged.",
        plain(reason)
    );
    ("Your payment failed", text)
}

fn expired(order: OrderId) -> Words {
    let text = format!(
        "Your order {order} was not paid in time and has expired. Should a payment still reach us, you get it back."
    );
    ("Your order has expired", text)
}

fn cancelled(order: OrderId) -> Words {
    let text = format!(
        "Your order {order} has been cancelled. If it was paid already, you get your money back, and we write again when \
         it is on its way."
    );
    ("Your order is cancelled", text)
}

fn refunded(order: OrderId, amount: &str) -> Words {
    ("Your money is on its way back", format!("We have refunded {amount} for your order {order}."))
}

/// A moment as people read it, to the minute that is surely not too late.
fn readable(moment: OffsetDateTime) -> String {
    // Where a calendar ends, it may be in it by its own clock only.
    let moment = moment.checked_to_offset(UtcOffset::UTC).unwrap_or(moment);
    let (date, time) = (moment.date(), moment.time());
    format!("{} {} {}, {:02}:{:02} UTC", date.day(), date.month(), date.year(), time.hour(), time.minute())
}

/// A reason that a gateway gave, in words: `insufficient_funds` reads `insufficient funds`.
fn plain(reason: &str) -> String {
    let words: String =
        reason.chars().map(|c| if c == '_' || c.is_control() { ' ' } else { c }).take(LONGEST_REASON).collect();
    let words = words.trim();
    if words.is_empty() { "no reason was given".to_owned() } else { words.to_owned() }
}

#[cfg(test)]
mod tests {
    use common::ids::{ProductId, TransactionId};

    use super::*;

    fn told<P: Payload>(payload: &P) -> Message {
        let event = Event::new("order-api", "order".to_owned(), None, payload).unwrap();
        let message = Message::about(&event, &Currency::default()).unwrap();
        assert_eq!((message.id, message.kind.as_str()), (event.id, P::TYPE));
        assert!(!message.text.contains('\n') && message.text.len() < 500, "{}", message.text);
        message
    }

    #[test]
    fn each_outcome_is_told_with_its_order_and_what_matters_of_it() {
        let order_id = OrderId::generate();
        let user_id = UserId::try_from("123456".to_owned()).unwrap();
        let user_id = || user_id.clone();
        let amount = Money(10_050);
        let deadline = OffsetDateTime::from_unix_timestamp(1_795_449_959).unwrap();
        let transaction_id = TransactionId::generate();
        let product_id = ProductId::try_from("P009".to_owned()).unwrap();
        let shortages = vec![Shortage { product_id, asked: 2, available: 1 }];
        let reason = || "insufficient_funds".to_owned();
        let declined = |attempts_left| OrderPaymentDeclined {
            order_id,
            user_id: user_id(),
            version: 3,
            amount,
            reason: reason(),
            attempts_left,
            deadline,
        };
        let until = "before 23 November 2026, 16:05 UTC";
        for (message, version, expected) in [
            (
                told(&OrderReceived { order_id, user_id: user_id(), version: 1, amount }),
                1,
                vec!["received", "100.50 USD"],
            ),
            (
                told(&OrderPaid { order_id, user_id: user_id(), version: 3, amount, transaction_id: None }),
                3,
                vec!["successfully paid", "100.50 USD"],
            ),
            (
                told(&OrderRejected { order_id, user_id: user_id(), version: 2, shortages }),
                2,
                vec!["P009 (you ordered 2, we have 1)", "Nothing was charged"],
            ),
            (
                told(&declined(2)),
                3,
                vec!["insufficient funds", "try again", until, "2 attempts are left", "100.50 USD"],
            ),
            (told(&declined(1)), 3, vec![until, "one attempt is left"]),
            (told(&declined(0)), 3, vec!["declined", "Nothing was charged."]),
            (
                told(&OrderPaymentReminder { order_id, user_id: user_id(), version: 4, amount, deadline }),
                4,
                vec![until, "100.50 USD"],
            ),
            (
                told(&OrderPaymentFailed { order_id, user_id: user_id(), version: 5, reason: reason() }),
                5,
                vec!["insufficient funds", "closed"],
            ),
            (told(&OrderExpired { order_id, user_id: user_id(), version: 5 }), 5, vec!["expired"]),
            (told(&OrderCancelled { order_id, user_id: user_id(), version: 5 }), 5, vec!["cancelled"]),
            (
                told(&OrderRefunded { order_id, user_id: user_id(), version: 6, transaction_id, amount }),
                6,
                vec!["refunded 100.50 USD"],
            ),
        ] {
            assert_eq!((message.order_id, message.version), (order_id, version));
            for words in expected.into_iter().chain([order_id.to_string().as_str()]) {
                assert!(message.text.contains(words), "{words:?} is not in {:?}", message.text);
            }
        }
        assert!(!told(&declined(0)).text.contains("try again"));
    }

    #[test]
    fn a_reason_from_outside_is_made_harmless() {
        assert_eq!(plain("card\r\nBcc: x\0"), "card  Bcc: x");
        assert_eq!(plain(" \n"), "no reason was given");
        assert_eq!(plain(&"x".repeat(1_000)).len(), LONGEST_REASON);
    }

    #[test]
    fn a_moment_at_the_end_of_the_calendar_can_be_read() {
        let last =
            OffsetDateTime::new_in_offset(time::Date::MAX, time::Time::MAX, UtcOffset::from_hms(-23, -59, 0).unwrap());
        assert!(!readable(last).is_empty());
    }

    #[test]
    fn what_is_no_news_for_a_customer_is_refused() {
        let payload = common::events::InventoryLocked { order_id: OrderId::generate() };
        let event = Event::new("inventory-worker", "order".to_owned(), None, &payload).unwrap();
        assert!(Message::about(&event, &Currency::default()).is_err());
    }
}
