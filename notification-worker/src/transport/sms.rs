//! SMS, by a provider that is asked over HTTP.

use bytes::Bytes;
use common::{breaker::Names, config::ConfigError, db::describe};
use http_body_util::{BodyExt as _, Full, Limited};
use hyper::{
    Request, StatusCode, Uri,
    header::{AUTHORIZATION, CONTENT_TYPE, HeaderValue},
};
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::{
    client::legacy::{Client, connect::HttpConnector},
    rt::TokioExecutor,
};
use secrecy::ExposeSecret as _;
use serde::Deserialize;
use serde_json::json;

use super::{Letter, NotSent, Transport};
use crate::{
    contact::{Channel, Phone},
    settings,
};

/// The provider answers with next to nothing.
const ANSWER_BYTES: usize = 16 * 1024;

pub(super) struct Sms {
    client: Client<HttpsConnector<HttpConnector>, Full<Bytes>>,
    uri: Uri,
    authorization: HeaderValue,
}

impl Sms {
    pub(super) fn new(settings: &settings::Sms) -> Result<Self, ConfigError> {
        let bad = |what: &str| ConfigError(format!("notifications.sms.{what}"));
        let no_url = || bad("url: is not an http or https URL, such as https://sms.example");
        let uri: Uri = format!("{}/v1/sms", settings.url.trim_end_matches('/')).parse().map_err(|_| no_url())?;
        if !matches!(uri.scheme_str(), Some("http" | "https")) || uri.host().is_none_or(str::is_empty) {
            return Err(no_url());
        }
        let mut authorization = HeaderValue::from_str(&format!("Bearer {}", settings.key.expose_secret()))
            .map_err(|_| bad("key: cannot stand in a header"))?;
        authorization.set_sensitive(true);
        let https = HttpsConnectorBuilder::new()
            .with_native_roots()
            .map_err(|error| bad(&format!("url: there are no certificates to trust: {error}")))?
            .https_or_http()
            .enable_http1()
            .build();
        Ok(Self { client: Client::builder(TokioExecutor::new()).build(https), uri, authorization })
    }

    async fn ask(&self, to: &Phone, letter: &Letter) -> Result<(StatusCode, String), String> {
        let body = json!({"to": to.as_str(), "text": letter.text}).to_string();
        let request = Request::post(&self.uri)
            .header(AUTHORIZATION, &self.authorization)
            .header(CONTENT_TYPE, "application/json")
            // The same for every attempt, so that the provider sends it once.
            .header("idempotency-key", format!("{}.{}", letter.name, Channel::Sms.as_str()))
            .body(Full::from(body))
            .map_err(|error| error.to_string())?;
        let answer = self.client.request(request).await.map_err(|error| describe(&error))?;
        let status = answer.status();
        let body = Limited::new(answer.into_body(), ANSWER_BYTES).collect().await.map_err(|error| error.to_string())?;
        Ok((status, String::from_utf8_lossy(&body.to_bytes()).into_owned()))
    }
}

impl Transport for Sms {
    type Address = Phone;
    const CHANNEL: Channel = Channel::Sms;
    const NAMES: Names =
        Names { what: "the SMS provider", gauge: "conveyor_sms_breaker", opened: "conveyor_sms_breaker_opened_total" };

    async fn send(&self, to: &Phone, letter: &Letter) -> Result<(), NotSent> {
        let (status, said) = self.ask(to, letter).await.map_err(NotSent::Away)?;
        verdict(status, &said)
    }
}

/// Why the provider does not take an SMS, in its own words.
#[derive(Deserialize)]
struct Refusal {
    error: String,
}

/// What an answer means. Final are the provider's own words about this SMS, and nobody else's: whoever is between us may say
/// 400 or 404 as well.
fn verdict(status: StatusCode, said: &str) -> Result<(), NotSent> {
    let why = || format!("the provider answered {status}: {}", said.chars().take(200).collect::<String>());
    let error = serde_json::from_str::<Refusal>(said).map_or_else(|_| String::new(), |refusal| refusal.error);
    match (status.as_u16(), error.as_str()) {
        (200..300, _) => Ok(()),
        (400, "bad_number" | "bad_text") => Err(NotSent::ForGood(why())),
        (400, "bad_request" | "bad_key") | (409, "other_body") => Err(NotSent::ForNow(why())),
        // It does not know us, has enough of us for now, or is in trouble; or it is not the provider who answers.
        _ => Err(NotSent::Away(why())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_says_whose_fault_it_is() {
        let of = |status, said: &str| verdict(StatusCode::from_u16(status).unwrap(), said);
        let error = |name: &str| json!({"error": name, "message": "x".repeat(1_000)}).to_string();
        assert_eq!(of(202, "x"), Ok(()));
        assert!(matches!(of(400, &error("bad_number")), Err(NotSent::ForGood(_))));
        assert!(matches!(of(400, &error("bad_request")), Err(NotSent::ForNow(_))));
        assert!(matches!(of(409, &error("other_body")), Err(NotSent::ForNow(_))));
        for status in [301, 400, 401, 403, 404, 409, 410, 422, 429, 500, 503] {
            assert!(matches!(of(status, "<h1>nginx</h1>"), Err(NotSent::Away(_))), "{status}");
        }
    }

    #[test]
    fn an_address_that_is_none_is_refused_at_the_start() {
        let refused = |url: &str| Sms::new(&settings::Sms { url: url.to_owned(), ..Default::default() }).is_err();
        for url in ["", "nonsense", "ftp://x", "http://"] {
            assert!(refused(url), "{url}");
        }
        assert!(!refused("http://127.0.0.1:8090/"));
    }
}
