//! A gateway that is asked over HTTP: each question within a time, again with growing pauses, under one key.

use std::{net::IpAddr, time::Duration};

use axum::http::{HeaderValue, Method, Request, StatusCode, Uri, header};
use bytes::Bytes;
use common::{Backoff, breaker, money::Currency};
use http_body_util::{BodyExt as _, Full, Limited};
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::{
    client::legacy::{Client, connect::HttpConnector},
    rt::{TokioExecutor, TokioTimer},
};
use secrecy::{ExposeSecret as _, SecretString};
use serde::de::DeserializeOwned;

use super::{
    Answer, Charge, Means, NoToken, PaymentGateway, RefundAnswer, StoredMethod,
    throttle::Throttle,
    wire::{self, ChargeBody, ChargeReply, MethodReply, RefundBody, RefundReply, VoidBody},
};
use crate::card::Card;

/// What the same question may be answered better to, a little later.
const RETRYABLE: [u16; 7] = [408, 425, 429, 500, 502, 503, 504];
/// With these the gateway is well: it wants to be asked less often, or at another time.
const NOT_NOW: [u16; 3] = [408, 425, 429];
/// With this one nothing was done. The others come as well from somebody between us who gave up waiting.
const TOO_OFTEN: u16 = 429;
/// The longest answer that is read.
const ANSWER_BYTES: usize = 64 * 1024;

/// How the gateway is asked.
pub struct Options {
    /// `https://host`, without a path's last slash; `http://` only where nothing can be lost on the way.
    pub url: String,
    pub key: SecretString,
    pub currency: Currency,
    pub callback_url: Option<String>,
    pub call_timeout: Duration,
    pub tries: u32,
    pub backoff: Duration,
    pub backoff_most: Duration,
    pub breaker_failures: u32,
    pub breaker_rest: Duration,
    pub at_once: usize,
    pub per_second: u32,
}

pub struct HttpGateway {
    options: Options,
    authorization: HeaderValue,
    client: Client<HttpsConnector<HttpConnector>, Full<Bytes>>,
    throttle: Throttle,
}

/// Why there is no answer; and whether the question may have been heard all the same.
struct Trouble {
    may_be_heard: bool,
    why: String,
}

struct Question<'a> {
    method: Method,
    path: String,
    key: Option<&'a str>,
    body: Bytes,
}

struct Reply {
    status: StatusCode,
    body: Bytes,
    retry_after: Option<Duration>,
}

impl HttpGateway {
    /// `Err` says what is wrong with the settings.
    pub fn new(options: Options) -> Result<Self, String> {
        check_url(&options)?;
        let mut authorization = HeaderValue::try_from(format!("Bearer {}", options.key.expose_secret()))
            .map_err(|_| "payments.gateway_key: not a key that fits a header".to_owned())?;
        authorization.set_sensitive(true);
        let mut connector = HttpConnector::new();
        connector.set_connect_timeout(Some(options.call_timeout));
        connector.set_nodelay(true);
        connector.enforce_http(false);
        let connector = HttpsConnectorBuilder::new()
            .with_native_roots()
            .map_err(|error| format!("payments.gateway_url: there are no certificates to trust: {error}"))?
            .https_or_http()
            .enable_http1()
            .wrap_connector(connector);
        let client = Client::builder(TokioExecutor::new())
            .pool_idle_timeout(Duration::from_secs(20))
            .pool_timer(TokioTimer::new())
            .build(connector);
        let limits = breaker::Limits {
            trips_at: options.breaker_failures,
            rests: options.breaker_rest,
            rests_most: options.breaker_rest,
        };
        let throttle = Throttle::new(limits, options.at_once, options.per_second);
        Ok(Self { options, authorization, client, throttle })
    }

    /// Asks until there is an answer that another question would not better, or no more tries.
    async fn ask(&self, question: &Question<'_>) -> Result<Reply, Trouble> {
        let mut trouble = Trouble { may_be_heard: false, why: "the gateway is left alone until it is back".to_owned() };
        let mut backoff = Backoff::new(self.options.backoff, self.options.backoff_most);
        for left in (0..self.options.tries).rev() {
            let Some(turn) = self.throttle.turn().await else { return Err(trouble) };
            let mut pause = None;
            match tokio::time::timeout(self.options.call_timeout, self.once(question)).await {
                Ok(Ok(reply)) if !RETRYABLE.contains(&reply.status.as_u16()) => {
                    turn.went(true);
                    count("answered");
                    return Ok(reply);
                }
                Ok(Ok(reply)) => {
                    let not_now = NOT_NOW.contains(&reply.status.as_u16());
                    turn.went(not_now);
                    count(if not_now { "not_now" } else { "failed" });
                    trouble.may_be_heard |= reply.status.as_u16() != TOO_OFTEN;
                    trouble.why = format!("the gateway answered {}", reply.status.as_u16());
                    pause = reply.retry_after;
                }
                Ok(Err(error)) => {
                    turn.went(false);
                    count("unreachable");
                    trouble.may_be_heard |= error.may_be_heard;
                    trouble.why = error.why;
                }
                Err(_) => {
                    turn.went(false);
                    count("timeout");
                    trouble.may_be_heard = true;
                    trouble.why = "the gateway did not answer in time".to_owned();
                }
            }
            if left > 0 {
                // The longer of the two, so that no pause is longer than was reckoned with.
                let asked_for = tokio::time::sleep(pause.unwrap_or_default().min(self.options.backoff_most));
                tokio::join!(asked_for, backoff.wait());
            }
        }
        Err(trouble)
    }

    async fn once(&self, question: &Question<'_>) -> Result<Reply, Trouble> {
        // What went wrong is told in our own words: an error of the client's may hold what was sent.
        let heard = |why: &str| Trouble { may_be_heard: true, why: why.to_owned() };
        let mut request = Request::builder()
            .method(&question.method)
            .uri(format!("{}{}", self.options.url, question.path))
            .header(header::AUTHORIZATION, &self.authorization)
            .header(header::CONTENT_TYPE, "application/json");
        if let Some(key) = question.key {
            request = request.header("idempotency-key", key);
        }
        let request = request
            .body(Full::new(question.body.clone()))
            .map_err(|_| Trouble { may_be_heard: false, why: "the request cannot be made".to_owned() })?;
        let response = self.client.request(request).await.map_err(|error| match error.is_connect() {
            true => Trouble { may_be_heard: false, why: "the gateway cannot be reached".to_owned() },
            false => heard("the connection to the gateway broke"),
        })?;
        let (parts, body) = response.into_parts();
        let body = Limited::new(body, ANSWER_BYTES)
            .collect()
            .await
            .map_err(|_| heard("the gateway's answer broke off or is too long"))?;
        let retry_after = parts.headers.get(header::RETRY_AFTER).and_then(|value| value.to_str().ok());
        let retry_after = retry_after.and_then(|seconds| seconds.parse().ok()).map(Duration::from_secs);
        Ok(Reply { status: parts.status, body: body.to_bytes(), retry_after })
    }

    async fn post(
        &self,
        path: &str,
        key: Option<&str>,
        body: Result<Bytes, serde_json::Error>,
    ) -> Result<Reply, Trouble> {
        let none = |_| Trouble { may_be_heard: false, why: "the request cannot be written".to_owned() };
        let question = Question { method: Method::POST, path: path.to_owned(), key, body: body.map_err(none)? };
        self.ask(&question).await
    }
}

impl PaymentGateway for HttpGateway {
    async fn charge(&self, charge: &Charge, means: &Means) -> Answer {
        let key = charge.key();
        let body = wire::body(&ChargeBody {
            amount: charge.amount.0,
            currency: &self.options.currency.code,
            reference: charge.transaction_id.to_string(),
            order_id: charge.order_id.to_string(),
            callback_url: self.options.callback_url.as_deref(),
            method: means.into(),
        });
        let reply = self.post("/v1/charges", Some(&key), body).await;
        if reply.as_ref().is_ok_and(|reply| is_refusal(reply, &NOT_ACCEPTED)) {
            return Answer::Declined { reason: "not_accepted".to_owned() };
        }
        charge_answer(reply, charge)
    }

    async fn ask_by_key(&self, charge: &Charge) -> Answer {
        // It is made of letters, digits and a hyphen.
        let path = format!("/v1/charges?key={}", charge.key());
        let question = Question { method: Method::GET, path, key: None, body: Bytes::new() };
        charge_answer(self.ask(&question).await, charge)
    }

    async fn void(&self, charge: &Charge) -> Answer {
        let key = charge.key();
        charge_answer(self.post("/v1/charges/void", None, wire::body(&VoidBody { key: &key })).await, charge)
    }

    async fn refund(&self, charge: &Charge) -> RefundAnswer {
        let (key, refund_key) = (charge.key(), charge.refund_key());
        let body = wire::body(&RefundBody { charge_key: &key, amount: charge.amount.0 });
        match self.post("/v1/refunds", Some(&refund_key), body).await {
            Ok(reply) if reply.status == StatusCode::OK => match read::<RefundReply>(&reply) {
                Some(reply) => reply.answer(&key, charge.amount),
                None => RefundAnswer::Unknown { why: UNREADABLE.to_owned() },
            },
            Ok(reply) if is_refusal(&reply, &NOT_ACCEPTED) || is_refusal(&reply, &NO_REFUND) => {
                RefundAnswer::Refused { reason: "not_accepted".to_owned() }
            }
            Ok(reply) => RefundAnswer::Unknown { why: unexpected(&reply) },
            Err(Trouble { may_be_heard: true, why }) => RefundAnswer::Unknown { why },
            Err(Trouble { may_be_heard: false, why }) => RefundAnswer::Away { why },
        }
    }

    async fn tokenise(&self, card: &Card) -> Result<StoredMethod, NoToken> {
        match self.post("/v1/methods", None, wire::body(&wire::Method::from(card))).await {
            Ok(reply) if reply.status == StatusCode::OK => match read::<MethodReply>(&reply) {
                Some(reply) => reply.stored(),
                None => Err(NoToken::Away { why: UNREADABLE.to_owned() }),
            },
            Ok(reply) if is_refusal(&reply, &NOT_ACCEPTED) => Err(NoToken::Refused),
            Ok(reply) => Err(NoToken::Away { why: unexpected(&reply) }),
            Err(Trouble { why, .. }) => Err(NoToken::Away { why }),
        }
    }

    fn room(&self) -> usize {
        self.throttle.room()
    }
}

/// Final are the gateway's own words and nobody else's: a proxy between us may say 400 or 404 too.
const NOT_ACCEPTED: [&str; 6] = ["bad_amount", "bad_card", "bad_key", "bad_method", "bad_request", "bad_token"];
const NO_REFUND: [&str; 4] = ["amount_too_large", "not_captured", "not_found", "too_many_refunds"];

fn is_refusal(reply: &Reply, words: &[&str]) -> bool {
    let is_final = [StatusCode::BAD_REQUEST, StatusCode::NOT_FOUND, StatusCode::UNPROCESSABLE_ENTITY];
    is_final.contains(&reply.status)
        && read::<wire::Refusal>(reply).is_some_and(|refusal| words.contains(&refusal.error.as_str()))
}

/// Keys and cards go in the clear only to a gateway on this machine, or to a sandbox, where nothing real can be charged.
fn check_url(options: &Options) -> Result<(), String> {
    let refused = |why: &str| Err(format!("payments.gateway_url: {why}"));
    let uri: Option<Uri> = options.url.parse().ok();
    let Some(host) = uri.as_ref().and_then(Uri::host).filter(|host| !host.is_empty()) else {
        return refused("not a URL, such as https://gateway.example");
    };
    let is_here = |host: &str| {
        let address = host.trim_start_matches('[').trim_end_matches(']').parse::<IpAddr>();
        host == "localhost" || address.is_ok_and(|address| address.is_loopback())
    };
    match uri.as_ref().and_then(Uri::scheme_str) {
        Some("https") => Ok(()),
        Some("http") if is_here(host) || options.key.expose_secret().starts_with("sandbox") => Ok(()),
        Some("http") => refused("http:// is for this machine, or with a gateway_key of the sandbox; use https://"),
        _ => refused("neither https:// nor http://"),
    }
}

const UNREADABLE: &str = "the gateway's answer cannot be read";

fn charge_answer(reply: Result<Reply, Trouble>, charge: &Charge) -> Answer {
    match reply {
        Ok(reply) if reply.status == StatusCode::OK => match read::<ChargeReply>(&reply) {
            Some(reply) => reply.answer(&charge.key(), charge.amount),
            None => Answer::Unknown { why: UNREADABLE.to_owned() },
        },
        Ok(Reply { status: StatusCode::NOT_FOUND, .. }) => Answer::Unheard,
        Ok(reply) => Answer::Unknown { why: unexpected(&reply) },
        Err(Trouble { may_be_heard: true, why }) => Answer::Unknown { why },
        Err(Trouble { may_be_heard: false, why }) => Answer::Away { why },
    }
}

fn read<T: DeserializeOwned>(reply: &Reply) -> Option<T> {
    serde_json::from_slice(&reply.body).ok()
}

fn unexpected(reply: &Reply) -> String {
    if reply.status == StatusCode::UNAUTHORIZED || reply.status == StatusCode::FORBIDDEN {
        tracing::error!("the gateway does not know our key: see payments.gateway_key");
    }
    format!("the gateway answered {}", reply.status.as_u16())
}

fn count(how: &'static str) {
    metrics::counter!("conveyor_gateway_calls_total", "outcome" => how).increment(1);
}

#[cfg(test)]
mod tests;
