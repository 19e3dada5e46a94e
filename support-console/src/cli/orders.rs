//! `order …`.

use serde_json::json;

use super::{
    arguments::Order,
    client::Client,
    confirm,
    outcome::{Outcome, Trouble},
    show,
};

pub(super) async fn run(client: &Client, command: Order, json: bool) -> Result<Outcome, Trouble> {
    match command {
        Order::Show { order } => {
            let answer = client.get(&format!("/orders/{}", named(&order)?), &[]).await?;
            Ok(Outcome::done(&answer, show::order, json))
        }
        Order::List { user, status, limit, cursor } => {
            let wanted = [("user", user), ("status", status), ("limit", Some(limit.to_string())), ("cursor", cursor)];
            Ok(Outcome::done(&client.get("/orders", &wanted).await?, show::orders, json))
        }
        Order::Cancel { order, yes } => {
            let order = named(&order)?;
            confirm(&format!("Call off {order}? What was paid goes back."), yes)?;
            let answer = client.post(&format!("/orders/{order}/cancel"), &json!({})).await?;
            Ok(Outcome::done(&answer, show::cancelled, json))
        }
    }
}

/// What cannot be an order's id does not get into an address.
fn named(order: &str) -> Result<&str, Trouble> {
    let fits = !order.is_empty() && order.len() <= 64 && order.bytes().all(|byte| byte.is_ascii_alphanumeric());
    if fits { Ok(order) } else { Err(Trouble::not_found("there is no such order")) }
}
