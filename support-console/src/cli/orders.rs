//! `order …`.

use std::fmt::Write as _;

use serde::{Deserialize, de::DeserializeOwned};
use serde_json::json;

use super::{
    arguments::Order as Command,
    client::Client,
    confirm,
    outcome::{Answer, Outcome, Trouble},
    show::moment_of,
    table::Table,
};
use crate::{
    orders::{Owed, folded_notices, folded_steps, is_to_be_paid},
    plain::plain,
    services::{
        Answer as Said,
        shapes::{Cancelled, Notifications, Order, OrderPage, PaidBack, Payment, Payments},
    },
};

#[derive(Deserialize)]
struct Story {
    order: Said<Order>,
    payments: Said<Payments>,
    notifications: Said<Notifications>,
    owed: Vec<Owed>,
}

pub(super) async fn run(client: &Client, command: Command, json: bool) -> Result<Outcome, Trouble> {
    match command {
        Command::Show { order } => {
            let answer = client.get(&format!("/orders/{}", named(&order)?), &[]).await?;
            Ok(Outcome::done(&answer, |answer| shown(answer, story), json))
        }
        Command::List { user, status, limit, cursor } => {
            let wanted = [("user", user), ("status", status), ("limit", Some(limit.to_string())), ("cursor", cursor)];
            Ok(Outcome::done(&client.get("/orders", &wanted).await?, |answer| shown(answer, page), json))
        }
        Command::Cancel { order, yes } => {
            let order = named(&order)?;
            confirm(&format!("Call off {order}? What was paid goes back."), yes)?;
            let answer = client.post(&format!("/orders/{order}/cancel"), &json!({})).await?;
            Ok(Outcome::done(&answer, |answer| shown(answer, cancelled), json))
        }
        Command::PaidBack { order, note, transaction, yes } => {
            let order = named(&order)?;
            let transaction = match transaction {
                Some(transaction) => transaction,
                None => refused_of(client, order).await?,
            };
            confirm(&format!("You have paid back {transaction} of {order} by hand? This cannot be undone."), yes)?;
            let body = json!({"transactionId": transaction, "note": note});
            let answer = client.post(&format!("/orders/{order}/paid-back"), &body).await?;
            Ok(Outcome::done(&answer, |answer| shown(answer, paid_back), json))
        }
    }
}

/// The only payment of an order that the gateway refuses to give back, or that was paid back by hand before.
async fn refused_of(client: &Client, order: &str) -> Result<String, Trouble> {
    let answer = client.get(&format!("/orders/{order}"), &[]).await?;
    let story: Story = serde_json::from_str(&answer.text)
        .map_err(|_| Trouble::failed("the console answered something odd: is it one?"))?;
    let payments = match story.payments {
        Said::Found(found) => found.payments,
        Said::NotFound => Vec::new(),
        Said::Away(why) => return Err(Trouble::away(&plain(&why, 200))),
    };
    let by_hand = |payment: &Payment| matches!(payment.refund.as_deref(), Some("refused" | "paid_back"));
    let mut found = payments.into_iter().filter(by_hand).map(|payment| payment.transaction_id);
    match (found.next(), found.next()) {
        (Some(only), None) => Ok(only),
        (None, _) => Err(Trouble::failed("the order has no payment whose refund the gateway refuses")),
        (Some(_), Some(_)) => Err(Trouble::usage("the order has several such payments: say which, with --transaction")),
    }
}

/// What cannot be an order's id does not get into an address.
fn named(order: &str) -> Result<&str, Trouble> {
    let fits = !order.is_empty() && order.len() <= 64 && order.bytes().all(|byte| byte.is_ascii_alphanumeric());
    if fits { Ok(order) } else { Err(Trouble::not_found("there is no such order")) }
}

/// From the answer's own text: amounts keep their digits.
fn shown<T: DeserializeOwned>(answer: &Answer, show: fn(&T) -> String) -> String {
    serde_json::from_str(&answer.text).map_or_else(|_| format!("{}\n", plain(&answer.text, 2_000)), |read| show(&read))
}

fn page(page: &OrderPage) -> String {
    let mut table = Table::new(&["ORDER", "USER", "STATUS", "AMOUNT", "PLACED"]);
    for order in &page.orders {
        table.add([
            order.order_id.clone(),
            order.user_id.clone(),
            order.status.clone(),
            format!("{} {}", order.order_amount, order.currency),
            moment_of(&order.created_at),
        ]);
    }
    let mut shown = if table.is_empty() { "No orders on this page.\n".to_owned() } else { table.text() };
    if let Some(next) = &page.next_cursor {
        let _ = writeln!(shown, "There may be more: --cursor {}", plain(next, 100));
    }
    shown
}

fn story(story: &Story) -> String {
    let mut shown = part(&story.order, order);
    for Owed { transaction_id, amount, currency, why, only_by_hand } in &story.owed {
        let _ = writeln!(shown, "\nOWED {amount} {currency} to the customer: {}", plain(why, 300));
        if *only_by_hand {
            let _ = writeln!(shown, "Retry its letter, or pay it back in another way and note that:");
            let transaction = plain(transaction_id, 80);
            let _ =
                writeln!(shown, "  support-console order paid-back ORDER --transaction {transaction} --note REFERENCE");
        }
    }
    let _ = write!(shown, "\nPayments\n{}", part(&story.payments, payments));
    let _ = write!(shown, "\nNotices to the customer\n{}", part(&story.notifications, notifications));
    shown
}

/// What one service has said, or why it has not.
fn part<T>(said: &Said<T>, show: fn(&T) -> String) -> String {
    match said {
        Said::Found(found) => show(found),
        Said::NotFound => "none\n".to_owned(),
        Said::Away(why) => format!("cannot be read: {}\n", plain(why, 200)),
    }
}

fn order(order: &Order) -> String {
    let id = plain(&order.order_id, 80);
    let (status, user) = (plain(&order.status, 80), plain(&order.user_id, 80));
    let mut shown = format!("{id}  {status}\nuser {user}, {} {}", order.order_amount, order.currency);
    if is_to_be_paid(&order.status) {
        let _ = write!(shown, ", to be paid by {}", moment_of(&order.deadline));
    }
    shown.push_str("\n\n");
    let mut steps = Table::new(&["AT", "STATUS", "BECAUSE OF", "DETAIL"]);
    for (step, times) in folded_steps(&order.history) {
        let detail = step.detail.clone().unwrap_or_default();
        steps.add([moment_of(&step.at), counted(&step.status, times), step.cause.clone(), detail]);
    }
    shown.push_str(&steps.text());
    shown
}

fn payments(payments: &Payments) -> String {
    let mut table = Table::new(&["ATTEMPT", "TRANSACTION", "AMOUNT", "STATUS", "AT", "REFUND", "LAST TRIED", "REASON"]);
    for payment in &payments.payments {
        let at = match (payment.status.as_str(), &payment.captured_at) {
            ("captured", Some(at)) => at,
            ("captured" | "open", _) => &payment.created_at,
            _ => &payment.updated_at,
        };
        table.add([
            payment.attempt.to_string(),
            payment.transaction_id.clone(),
            payment.amount.to_string(),
            payment.status.clone(),
            moment_of(at),
            payment.refund.clone().unwrap_or_default(),
            payment.refund_tried_at.as_ref().map(|at| moment_of(at)).unwrap_or_default(),
            reason(payment),
        ]);
    }
    if table.is_empty() { "none\n".to_owned() } else { table.text() }
}

/// Why it was declined or refused; who has paid it back by hand, and whether that was once too often.
fn reason(payment: &Payment) -> String {
    let Some(by_hand) = &payment.paid_back else { return payment.reason.clone().unwrap_or_default() };
    let twice = if payment.refund.as_deref() == Some("refunded") { "GIVEN BACK TWICE: also " } else { "" };
    format!("{twice}paid back by hand by {} at {}: {}", by_hand.by, moment_of(&by_hand.at), by_hand.note)
}

fn counted(text: &str, times: usize) -> String {
    if times > 1 { format!("{text} ({times} times)") } else { text.to_owned() }
}

fn notifications(notifications: &Notifications) -> String {
    let mut table = Table::new(&["AT", "OF", "STATUS", "BY", "REASON"]);
    for (notice, times) in folded_notices(&notifications.notifications) {
        table.add([
            moment_of(notice.sent_at.as_ref().unwrap_or(&notice.created_at)),
            notice.kind.clone(),
            counted(&notice.status, times),
            notice.channel.clone().unwrap_or_default(),
            notice.reason.clone().unwrap_or_default(),
        ]);
    }
    if table.is_empty() { "none\n".to_owned() } else { table.text() }
}

fn paid_back(noted: &PaidBack) -> String {
    let (order, transaction) = (plain(&noted.order_id, 80), plain(&noted.transaction_id, 80));
    let (by, note) = (plain(&noted.paid_back.by, 80), plain(&noted.paid_back.note, 500));
    format!("{transaction} of {order} was paid back by hand by {by}: {note}\n")
}

fn cancelled(cancelled: &Cancelled) -> String {
    format!("{} is {}\n", plain(&cancelled.order_id, 80), plain(&cancelled.status, 80))
}
