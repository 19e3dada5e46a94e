//! The console's API, as the command line asks it.

use std::{collections::BTreeMap, env, fs, path::Path, time::Duration};

use axum::http::{HeaderValue, Method, Request, header};
use bytes::Bytes;
use http_body_util::Full;
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::Value;

use super::outcome::{Answer, Trouble};
use crate::outward::{Outward, base_url};

const URL: &str = "CONVEYOR_SUPPORT_URL";
const TOKEN: &str = "CONVEYOR_SUPPORT_TOKEN";
const USUAL_URL: &str = "http://127.0.0.1:8084";
const WITHIN: Duration = Duration::from_secs(30);
/// A letter can be large.
const ANSWER_BYTES: usize = 64 * 1024 * 1024;

pub(super) struct Client {
    outward: Outward,
    url: String,
    authorization: HeaderValue,
}

/// A parameter of an address, where it is given.
type Parameter<'a> = (&'a str, Option<String>);

impl Client {
    /// From the arguments, then the environment, then the file in the home. Address and token of the file are used
    /// together or not at all: a token is not sent to where another file says.
    pub(super) fn new(url: Option<&str>, token_file: Option<&Path>) -> Result<Self, Trouble> {
        let set = |name: &str| env::var(name).ok().filter(|value| !value.is_empty());
        let token = match token_file {
            Some(file) => Some(
                fs::read_to_string(file).map_err(|error| Trouble::usage(&format!("{}: {error}", file.display())))?,
            ),
            None => set(TOKEN),
        };
        let (url, token) = match token {
            Some(token) => (url.map(str::to_owned).or_else(|| set(URL)), token),
            None => {
                let kept = kept();
                let token = kept.get(TOKEN).cloned().ok_or_else(|| {
                    Trouble::usage(&format!("who are you? Set {TOKEN}, or give --token-file; see --help"))
                })?;
                let at = kept.get(URL).cloned();
                let asked = url.map(str::to_owned).or_else(|| set(URL));
                if asked.is_some() && asked != at {
                    return Err(Trouble::usage("the token in ~/.config/conveyor/support.env is for another address"));
                }
                (at, token)
            }
        };
        let url =
            base_url("--url", url.as_deref().unwrap_or(USUAL_URL)).map_err(|why| Trouble::usage(&why.to_string()))?;
        let mut authorization = HeaderValue::try_from(format!("Bearer {}", token.trim()))
            .map_err(|_| Trouble::usage("the token is none"))?;
        authorization.set_sensitive(true);
        let outward = Outward::new(Duration::from_secs(5)).map_err(|why| Trouble::failed(&why.to_string()))?;
        Ok(Self { outward, url, authorization })
    }

    pub(super) async fn get(&self, path: &str, parameters: &[Parameter<'_>]) -> Result<Answer, Trouble> {
        let mut query = String::new();
        for (name, value) in parameters {
            if let Some(value) = value {
                let separator = if query.is_empty() { '?' } else { '&' };
                query.push_str(&format!("{separator}{name}={}", utf8_percent_encode(value, NON_ALPHANUMERIC)));
            }
        }
        read(&self.ask(Method::GET, &format!("{path}{query}"), Bytes::new()).await?)
    }

    pub(super) async fn post(&self, path: &str, body: &Value) -> Result<Answer, Trouble> {
        read(&self.ask(Method::POST, path, Bytes::from(body.to_string())).await?)
    }

    pub(super) async fn bytes(&self, path: &str) -> Result<Bytes, Trouble> {
        self.ask(Method::GET, path, Bytes::new()).await
    }

    async fn ask(&self, method: Method, path: &str, body: Bytes) -> Result<Bytes, Trouble> {
        let request = Request::builder()
            .method(method)
            .uri(format!("{}/api/support{path}", self.url))
            .header(header::AUTHORIZATION, &self.authorization)
            .header(header::CONTENT_TYPE, "application/json")
            .body(Full::new(body))
            .map_err(|_| Trouble::usage("this cannot be asked"))?;
        let answer = self.outward.ask(request, WITHIN, ANSWER_BYTES).await;
        let answer = answer.map_err(|why| Trouble::away(&format!("the console at {}: {why}", self.url)))?;
        if answer.status.is_success() {
            return Ok(answer.body);
        }
        Err(Trouble::refused(answer.status.as_u16(), serde_json::from_slice(&answer.body).ok()))
    }
}

fn read(body: &[u8]) -> Result<Answer, Trouble> {
    Answer::read(body).ok_or_else(|| Trouble::failed("the console answered something odd: is it one?"))
}

/// `KEY=value` lines of `~/.config/conveyor/support.env`.
fn kept() -> BTreeMap<String, String> {
    let home = env::var_os("HOME").unwrap_or_default();
    let text = fs::read_to_string(Path::new(&home).join(".config/conveyor/support.env")).unwrap_or_default();
    let pairs = text.lines().filter(|line| !line.starts_with('#')).filter_map(|line| line.split_once('='));
    pairs.map(|(key, value)| (key.trim().to_owned(), value.trim().to_owned())).collect()
}
