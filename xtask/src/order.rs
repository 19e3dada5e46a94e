//! `cargo xtask order`: places an order and tells its story.

mod world;

use std::process::ExitCode;
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use clap::Args;
use serde_json::{Map, Value, json};

use self::world::World;
use crate::site::Site;
use crate::{http, say, sign, signals, token};

/// Places one order and shows its timeline as it happens, then what was charged and what the customer was told
///
/// Without arguments it is the documented example: the demo customer's, who has a stored payment method. With --card the
/// customer pays by themselves, as soon as payment is due:
///   cargo xtask order --card insufficient_funds
///   cargo xtask order --product P003=2 --card 4000000000000101 --cancel
///   cargo xtask order --card declined --card approved --refund
#[derive(Args)]
#[command(verbatim_doc_comment)]
pub struct Arguments {
    /// What is ordered, and how many; may be repeated [default: P001=2 and P002=1]
    #[arg(long, value_name = "ID=QUANTITY", value_parser = line)]
    product: Vec<(String, u32)>,
    /// Pay with this card: its number, or the name of what it does (see the sandbox's page /cards); where it is repeated,
    /// the next is tried when one is declined
    #[arg(long, value_name = "NUMBER|NAME")]
    card: Vec<String>,
    /// Call the order off: at once, or, with --card, as soon as the payment is on its way
    #[arg(long)]
    cancel: bool,
    /// Have the shop call it off once it is paid: the goods go back, and the money
    #[arg(long, conflicts_with = "cancel")]
    refund: bool,
    /// Whose order it is [default: 123456; with --card: guest, who has no stored payment method]
    #[arg(long)]
    user: Option<String>,
    /// Keep watching after the outcome, until Ctrl-C
    #[arg(long)]
    watch: bool,
    /// How many seconds to wait for the outcome: an order that nobody pays has one after its deadline
    #[arg(long, value_name = "SECONDS", default_value_t = PATIENCE.as_secs())]
    wait: u64,
}

const PATIENCE: Duration = Duration::from_secs(60);
const GLANCE: Duration = Duration::from_millis(100);
/// Who pays by themselves, unless told otherwise.
const GUEST: &str = "guest";

pub struct Placed {
    api: String,
    token: String,
    pub id: String,
    /// From request to answer.
    took: Duration,
}

struct Step {
    status: String,
    /// The time of day, in milliseconds.
    at: Option<f64>,
}

fn line(text: &str) -> Result<(String, u32), String> {
    let (id, quantity) = text.split_once('=').unwrap_or((text, "1"));
    let quantity = quantity.parse().ok().filter(|quantity| *quantity > 0);
    quantity.map(|quantity| (id.to_owned(), quantity)).ok_or_else(|| "not a product such as P001=2".to_owned())
}

pub fn run(arguments: &Arguments) -> Result<ExitCode> {
    let site = Site::open()?;
    let variables = site.variables();
    let api = variables.get("CONVEYOR_ORDER_API_URL").context("nothing runs here: `cargo xtask up` first")?;
    let world = World::of(&variables);
    let cards = arguments.card.iter().map(|card| world.card(card)).collect::<Result<Vec<_>>>()?;
    let user = arguments.user.as_deref().unwrap_or(if cards.is_empty() { token::USER } else { GUEST });
    if user != token::USER {
        sign::register_user(&site, user, api)?;
        world.introduce(user, &token::issue(&variables, user, "customer", 1)?)?;
    }
    let placed = place_for(&site, api, user, &arguments.product)?;
    say::out(format!("{} of {user} accepted in {:.1} ms", placed.id, placed.took.as_secs_f64() * 1000.0));
    let shop = token::issue(&variables, "shop", "staff", 60)?;
    let story = tell(arguments, &placed, &world, cards, &shop);
    world.tell_end(&placed.id)?;
    story
}

/// The timeline, until the outcome.
fn tell(arguments: &Arguments, placed: &Placed, world: &World, cards: Vec<String>, shop: &str) -> Result<ExitCode> {
    let began = Instant::now();
    let mut shown: Vec<Step> = Vec::new();
    let mut payment: Option<JoinHandle<Result<(u16, Value)>>> = None;
    let mut declined = false;
    let mut to_cancel = arguments.cancel;
    let mut to_refund = arguments.refund;
    let mut cards = cards.into_iter().peekable();
    loop {
        if to_cancel && cards.peek().is_none() {
            to_cancel = false;
            cancel(placed, &placed.token)?;
        }
        let known = shown.len();
        for step in look(placed, known)?.into_iter().skip(known) {
            show(&shown, &step);
            shown.push(step);
        }
        let status = shown.last().map_or("", |step| &step.status);
        if status == "paid" && std::mem::take(&mut to_refund) {
            cancel(placed, shop)?;
            continue;
        }
        if status == "awaiting_payment"
            && payment.is_none()
            && let Some(card) = cards.next()
        {
            say::out(format!(
                "{:29}paying with card …{}",
                "",
                card.get(card.len().saturating_sub(4)..).unwrap_or_default()
            ));
            payment = Some(pay(placed, world, &card)?);
        }
        if let Some(done) = payment.take_if(|payment| payment.is_finished()) {
            let (status, answer) = done.join().unwrap_or_else(|_| bail!("the thread that pays panicked"))?;
            say::out(format!("{:29}payment: {status} {}", "", answer["message"].as_str().unwrap_or_default()));
            declined = status >= 400 && cards.peek().is_none();
            // The order hears of it a moment later.
            continue;
        }
        // What is off while money was or may be taken goes on: the money comes back.
        let is_over = is_outcome(status) && !(status != "paid" && world.holds_money(&placed.id)?);
        let is_left = cards.peek().is_none() && payment.is_none();
        declined |= status == "awaiting_payment" && is_left && world.declined(&placed.id)?;
        if !arguments.watch && payment.is_none() && (is_over || declined && !to_cancel) {
            let wanted = if arguments.refund { "refunded" } else { "paid" };
            let as_wanted =
                if arguments.cancel { ["cancelled", "refunded"].contains(&status) } else { status == wanted };
            return Ok(if as_wanted { ExitCode::SUCCESS } else { ExitCode::FAILURE });
        }
        if !arguments.watch && began.elapsed() > Duration::from_secs(arguments.wait) {
            let who_pays =
                arguments.card.is_empty() && arguments.user.as_deref().is_some_and(|user| user != token::USER);
            let unpaid = if who_pays && status == "awaiting_payment" { ": who is to pay? --card does" } else { "" };
            bail!("no outcome within {} s; it is `{status}`{unpaid}", arguments.wait);
        }
        if signals::pause(GLANCE).is_err() {
            return Ok(ExitCode::SUCCESS);
        }
    }
}

fn show(shown: &[Step], step: &Step) {
    let since = |earlier: Option<&Step>| Some(between(earlier?.at?, step.at?));
    let after = since(shown.last()).map_or_else(String::new, |ms| format!("+{ms:.1} ms"));
    let total = since(shown.first()).map_or_else(String::new, |ms| format!("{ms:.1} ms"));
    say::out(format!("  {total:>11}  {after:>12}  {}", step.status));
}

/// Places the documented example.
pub fn place(site: &Site, api: &str) -> Result<Placed> {
    place_for(site, api, token::USER, &[])
}

fn place_for(site: &Site, api: &str, user: &str, products: &[(String, u32)]) -> Result<Placed> {
    let token = token::issue(&site.variables(), user, "customer", 60)?;
    let order = if products.is_empty() { sign::example() } else { order_of(api, &token, products)? };
    let order = sign::of_user(site, user, order)?;
    let began = Instant::now();
    let (status, answer) = http::post(&format!("{api}/api/orders/create"), &order)?;
    let took = began.elapsed();
    match answer["orderId"].as_str() {
        Some(id) if status == 200 => Ok(Placed { api: api.to_owned(), token, id: id.to_owned(), took }),
        _ => bail!("the order was not accepted: {status} {answer}"),
    }
}

/// At the prices of the catalogue.
fn order_of(api: &str, token: &str, products: &[(String, u32)]) -> Result<Map<String, Value>> {
    let (status, catalogue) = http::get_as(&format!("{api}/api/products"), token)?;
    let known = catalogue["products"].as_array().filter(|_| status == 200);
    let known = known.with_context(|| format!("the catalogue cannot be read: {status} {catalogue}"))?;
    let mut cents = 0.0;
    for (id, quantity) in products {
        let product = known.iter().find(|product| product["productId"] == **id);
        let price = product.and_then(|product| product["price"].as_f64());
        cents += (price.with_context(|| format!("there is no product {id}"))? * 100.0).round() * f64::from(*quantity);
    }
    let items: Vec<_> = products.iter().map(|(id, quantity)| json!({"productId": id, "quantity": quantity})).collect();
    let order = json!({"orderAmount": cents / 100.0, "items": items});
    Ok(order.as_object().cloned().unwrap_or_default())
}

/// Pays for an order by card, as its customer does, while others look on.
fn pay(placed: &Placed, world: &World, card: &str) -> Result<JoinHandle<Result<(u16, Value)>>> {
    let (status, order) = http::get_as(&format!("{}/api/orders/{}", placed.api, placed.id), &placed.token)?;
    if status != 200 {
        bail!("the order cannot be read: {status} {order}");
    }
    let request = json!({
        "orderId": placed.id,
        "userId": order["userId"],
        "paymentAmount": order["orderAmount"],
        "paymentMethod": "credit_card",
        "paymentDetails": {"cardNumber": card, "expiryDate": world::expiry()?, "cvv": "123"},
    });
    let url = format!("{}/api/payment/process", world.payments()?);
    let token = placed.token.clone();
    Ok(thread::spawn(move || http::post_as(&url, &token, &request.to_string())))
}

fn cancel(placed: &Placed, token: &str) -> Result<()> {
    let (status, answer) = http::post_as(&format!("{}/api/orders/{}/cancel", placed.api, placed.id), token, "")?;
    say::out(format!("{:29}calling it off: {status} {}", "", answer["message"].as_str().unwrap_or_default()));
    Ok(())
}

/// Waits until an order is paid and says how long that took.
pub fn await_paid(placed: &Placed) -> Result<String> {
    let began = Instant::now();
    let mut known = 0;
    loop {
        let steps = look(placed, known)?;
        known = steps.len();
        let last = steps.last();
        if last.is_some_and(|step| step.status == "paid") {
            let ends = (steps.first().and_then(|step| step.at), last.and_then(|step| step.at));
            let (Some(first), Some(last)) = ends else {
                return Ok("at a time it does not tell".to_owned());
            };
            return Ok(format!("{:.1} ms after it was accepted", between(first, last)));
        }
        if let Some(step) = last.filter(|step| is_outcome(&step.status)) {
            bail!("the first order ended as `{}`", step.status);
        }
        if began.elapsed() > PATIENCE {
            let status = last.map_or("unknown", |step| &step.status);
            bail!("the first order is still `{status}` after {} s", PATIENCE.as_secs());
        }
        signals::pause(GLANCE).with_context(|| format!("while waiting for order {}", placed.id))?;
    }
}

/// The order's steps, as soon as there are more than so many, and at the latest after a second.
fn look(placed: &Placed, known: usize) -> Result<Vec<Step>> {
    let url = format!("{}/api/orders/{}?wait=1&version={known}", placed.api, placed.id);
    let (status, order) = http::get_as(&url, &placed.token)?;
    let Some(history) = order["history"].as_array().filter(|_| status == 200) else {
        bail!("the order cannot be read: {status} {order}");
    };
    let step = |entry: &Value| {
        let status = entry["status"].as_str()?.to_owned();
        Some(Step { status, at: entry["at"].as_str().and_then(time_of_day) })
    };
    Ok(history.iter().filter_map(step).collect())
}

fn is_outcome(status: &str) -> bool {
    !matches!(status, "pending" | "awaiting_payment" | "refunding")
}

/// Of `2026-01-31T23:59:59.999Z`, in milliseconds. An order's steps lie seconds apart, so the date does not matter.
fn time_of_day(timestamp: &str) -> Option<f64> {
    let (_, time) = timestamp.split_once('T')?;
    let time = time.split(['Z', '+', '-']).next()?;
    let mut parts = time.split(':').map(str::parse::<f64>);
    let mut next = || parts.next()?.ok();
    Some(((next()? * 60.0 + next()?) * 60.0 + next()?) * 1000.0)
}

fn between(earlier: f64, later: f64) -> f64 {
    const DAY: f64 = 86_400_000.0;
    (later - earlier).rem_euclid(DAY)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn steps_are_measured_across_midnight() {
        let at = |text| time_of_day(text).unwrap_or(f64::NAN);
        let ms = between(at("2026-01-31T23:59:59.75Z"), at("2026-02-01T00:00:01+00:00"));
        assert!((ms - 1250.0).abs() < 0.001, "{ms}");
        assert_eq!(time_of_day("yesterday"), None);
    }
}
