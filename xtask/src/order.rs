//! `cargo xtask order`: places the documented example order and tells its story.

use std::process::ExitCode;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use clap::Args;
use serde_json::Value;

use crate::site::Site;
use crate::{http, sign, signals, token};

/// Places one order and shows its timeline as it happens
#[derive(Args)]
#[command(verbatim_doc_comment)]
pub struct Arguments {
    /// Keep watching after it was paid or refused, until Ctrl-C
    #[arg(long)]
    watch: bool,
}

const PATIENCE: Duration = Duration::from_secs(30);
const GLANCE: Duration = Duration::from_millis(100);

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

pub fn run(arguments: &Arguments) -> Result<ExitCode> {
    let site = Site::open()?;
    let variables = site.variables();
    let api = variables.get("CONVEYOR_ORDER_API_URL").context("nothing runs here: `cargo xtask up` first")?;
    let placed = place(&site, api)?;
    println!("{} accepted in {:.1} ms", placed.id, placed.took.as_secs_f64() * 1000.0);
    let began = Instant::now();
    let mut shown: Vec<Step> = Vec::new();
    let mut paid = false;
    loop {
        let steps = look(&placed, shown.len())?;
        for step in steps.into_iter().skip(shown.len()) {
            let since = |earlier: Option<&Step>| Some(between(earlier?.at?, step.at?));
            let after = since(shown.last()).map_or_else(String::new, |ms| format!("+{ms:.1} ms"));
            let total = since(shown.first()).map_or_else(String::new, |ms| format!("{ms:.1} ms"));
            println!("  {total:>11}  {after:>12}  {}", step.status);
            paid = step.status == "paid";
            shown.push(step);
        }
        if !arguments.watch && shown.last().is_some_and(|step| is_outcome(&step.status)) {
            return Ok(if paid { ExitCode::SUCCESS } else { ExitCode::FAILURE });
        }
        if !arguments.watch && began.elapsed() > PATIENCE {
            bail!("no outcome within {} s", PATIENCE.as_secs());
        }
        if signals::pause(GLANCE).is_err() {
            return Ok(ExitCode::SUCCESS);
        }
    }
}

/// Places the documented example.
pub fn place(site: &Site, api: &str) -> Result<Placed> {
    let token = token::for_customer(&site.variables())?;
    let order = sign::documented(site)?;
    let began = Instant::now();
    let (status, answer) = http::post(&format!("{api}/api/orders/create"), &order)?;
    let took = began.elapsed();
    match answer["orderId"].as_str() {
        Some(id) if status == 200 => Ok(Placed { api: api.to_owned(), token, id: id.to_owned(), took }),
        _ => bail!("the order was not accepted: {status} {answer}"),
    }
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
