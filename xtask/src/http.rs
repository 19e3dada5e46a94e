//! The little HTTP that is needed: JSON to and from this machine, user and password in the URL.

use std::time::Duration;

use anyhow::{Context, Result};
use serde_json::Value;

/// What happens within this machine.
const SOON: Duration = Duration::from_secs(5);
/// What asks the outside world, and asks again.
const LATER: Duration = Duration::from_secs(30);

fn agent(within: Duration) -> ureq::Agent {
    ureq::Agent::config_builder()
        .timeout_global(Some(within))
        .http_status_as_error(false)
        // A proxy for the outside world has no business between processes of one machine.
        .proxy(None)
        .build()
        .into()
}

/// Status and body; the body is null if it is not JSON.
pub fn get(url: &str) -> Result<(u16, Value)> {
    answer(agent(SOON).get(url).call()).with_context(|| format!("no answer to GET {url}"))
}

/// The same with a token.
pub fn get_as(url: &str, token: &str) -> Result<(u16, Value)> {
    let request = agent(SOON).get(url).header("authorization", format!("Bearer {token}"));
    answer(request.call()).with_context(|| format!("no answer to GET {url}"))
}

pub fn post(url: &str, body: &str) -> Result<(u16, Value)> {
    answer(agent(SOON).post(url).header("content-type", "application/json").send(body))
        .with_context(|| format!("no answer to POST {url} (is it running? `cargo xtask up` starts it)"))
}

/// The same as [`post`], with a token and much time.
pub fn post_as(url: &str, token: &str, body: &str) -> Result<(u16, Value)> {
    let request = agent(LATER).post(url).header("content-type", "application/json");
    answer(request.header("authorization", format!("Bearer {token}")).send(body))
        .with_context(|| format!("no answer to POST {url}"))
}

/// The same as [`post`], with a method and a token of its own.
pub fn put_as(url: &str, token: &str, body: &str) -> Result<(u16, Value)> {
    let request = agent(SOON).put(url).header("content-type", "application/json");
    answer(request.header("authorization", format!("Bearer {token}")).send(body))
        .with_context(|| format!("no answer to PUT {url}"))
}

fn answer(result: Result<ureq::http::Response<ureq::Body>, ureq::Error>) -> Result<(u16, Value)> {
    let mut response = result?;
    let body = response.body_mut().read_to_string().unwrap_or_default();
    Ok((response.status().as_u16(), serde_json::from_str(&body).unwrap_or(Value::Null)))
}
