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
    plain::plain,
    services::{
        Answer as Said,
        shapes::{Cancelled, Notifications, Order, OrderPage, Payments},
    },
};

#[derive(Deserialize)]
struct Story {
    order: Said<Order>,
    payments: Said<Payments>,
    notifications: Said<Notifications>,
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
    let (amount, deadline) = (&order.order_amount, moment_of(&order.deadline));
    let mut shown = format!("{id}  {status}\nuser {user}, {amount} {}, to be paid by {deadline}\n\n", order.currency);
    let mut steps = Table::new(&["AT", "STATUS", "BECAUSE OF", "DETAIL"]);
    for step in &order.history {
        let detail = step.detail.clone().unwrap_or_default();
        steps.add([moment_of(&step.at), step.status.clone(), step.cause.clone(), detail]);
    }
    shown.push_str(&steps.text());
    shown
}

fn payments(payments: &Payments) -> String {
    let mut table = Table::new(&["ATTEMPT", "TRANSACTION", "AMOUNT", "STATUS", "REFUND", "UPDATED", "REASON"]);
    for payment in &payments.payments {
        table.add([
            payment.attempt.to_string(),
            payment.transaction_id.clone(),
            payment.amount.to_string(),
            payment.status.clone(),
            payment.refund.clone().unwrap_or_default(),
            moment_of(&payment.updated_at),
            payment.reason.clone().unwrap_or_default(),
        ]);
    }
    if table.is_empty() { "none\n".to_owned() } else { table.text() }
}

fn notifications(notifications: &Notifications) -> String {
    let mut table = Table::new(&["AT", "OF", "STATUS", "BY", "REASON"]);
    for notice in &notifications.notifications {
        table.add([
            moment_of(notice.sent_at.as_ref().unwrap_or(&notice.created_at)),
            notice.kind.clone(),
            notice.status.clone(),
            notice.channel.clone().unwrap_or_default(),
            notice.reason.clone().unwrap_or_default(),
        ]);
    }
    if table.is_empty() { "none\n".to_owned() } else { table.text() }
}

fn cancelled(cancelled: &Cancelled) -> String {
    format!("{} is {}\n", plain(&cancelled.order_id, 80), plain(&cancelled.status, 80))
}
