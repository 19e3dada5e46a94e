//! What every request to a provider has in common: who asks, under which key, with which body; and how it is refused.

use axum::{
    Json,
    http::{HeaderMap, StatusCode, header},
    response::{IntoResponse, Response},
};
use bytes::Bytes;
use hmac::{Hmac, KeyInit as _, Mac as _};
use serde::de::DeserializeOwned;
use serde_json::json;
use sha2::Sha256;

/// Says what is wrong, and never repeats what was sent: that may be the number of a card.
#[derive(Debug)]
pub(crate) struct Refused {
    pub(crate) status: StatusCode,
    pub(crate) error: &'static str,
    pub(crate) message: String,
}

impl Refused {
    pub(crate) fn new(status: StatusCode, error: &'static str, message: impl Into<String>) -> Self {
        Self { status, error, message: message.into() }
    }

    pub(crate) fn bad(error: &'static str, message: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, error, message)
    }

    pub(crate) fn not_found() -> Self {
        Self::new(StatusCode::NOT_FOUND, "not_found", "there is none")
    }
}

impl IntoResponse for Refused {
    fn into_response(self) -> Response {
        let mut response = (self.status, Json(json!({"error": self.error, "message": self.message}))).into_response();
        if matches!(self.status, StatusCode::TOO_MANY_REQUESTS | StatusCode::SERVICE_UNAVAILABLE) {
            response.headers_mut().insert(header::RETRY_AFTER, header::HeaderValue::from_static("1"));
        }
        response
    }
}

/// Whether it carries the key that it must.
pub(crate) fn authorize(headers: &HeaderMap, api_key: &str) -> Result<(), Refused> {
    let given = headers.get(header::AUTHORIZATION).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let given = given.strip_prefix("Bearer ").unwrap_or_default();
    if same(given, api_key) {
        return Ok(());
    }
    Err(Refused::new(StatusCode::UNAUTHORIZED, "unauthorized", "Authorization: Bearer <api key> is missing or wrong"))
}

/// Takes as long for any two texts of a length.
fn same(one: &str, other: &str) -> bool {
    one.len() == other.len() && one.bytes().zip(other.bytes()).fold(0, |acc, (a, b)| acc | (a ^ b)) == 0
}

pub(crate) fn idempotency_key(headers: &HeaderMap) -> Result<String, Refused> {
    let key = headers.get("idempotency-key").and_then(|value| value.to_str().ok()).unwrap_or_default();
    key_in(key, "the header Idempotency-Key")
}

/// 1 to 200 visible ASCII characters.
pub(crate) fn key_in(key: &str, what: &str) -> Result<String, Refused> {
    if (1..=200).contains(&key.len()) && key.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Ok(key.to_owned());
    }
    Err(Refused::bad("bad_key", format!("{what} must be 1 to 200 visible ASCII characters")))
}

/// A body of JSON. The error says where it is wrong, but not what is there.
pub(crate) fn body<T: DeserializeOwned>(bytes: &Bytes) -> Result<T, Refused> {
    let mut json = serde_json::Deserializer::from_slice(bytes);
    let value = serde_path_to_error::deserialize(&mut json).map_err(|error| {
        let (path, error) = (error.path().to_string(), error.inner());
        let place = format!("line {}, column {}", error.line(), error.column());
        match error.classify() {
            serde_json::error::Category::Data if path != "." => {
                Refused::bad("bad_request", format!("{path} is missing something, or is not of its type ({place})"))
            }
            serde_json::error::Category::Data => {
                Refused::bad("bad_request", format!("a field is missing, or is not of its type ({place})"))
            }
            _ => Refused::bad("bad_request", format!("the body is not JSON ({place})")),
        }
    })?;
    json.end().map_err(|_| Refused::bad("bad_request", "there is more than one value in the body"))?;
    Ok(value)
}

/// `name=value` of an address.
pub(crate) fn parameter(query: Option<&str>, name: &str) -> Option<String> {
    let mut pairs = form_urlencoded::parse(query.unwrap_or_default().as_bytes());
    pairs.find(|(key, _)| key == name).map(|(_, value)| value.into_owned())
}

/// What somebody looks for: texts in which each of these words is found.
pub(crate) struct Words(Vec<String>);

impl Words {
    pub(crate) fn of(wanted: &str) -> Self {
        Self(wanted.split_whitespace().take(10).map(str::to_lowercase).collect())
    }

    pub(crate) fn are_in(&self, texts: &[&str]) -> bool {
        if self.0.is_empty() {
            return true;
        }
        let texts: Vec<String> = texts.iter().map(|text| text.to_lowercase()).collect();
        self.0.iter().all(|word| texts.iter().any(|text| text.contains(word)))
    }
}

/// A text that is not empty, not longer than this, and has no control characters.
pub(crate) fn text(value: &str, most: usize, what: &str) -> Result<String, Refused> {
    let length = value.chars().count();
    if (1..=most).contains(&length) && !value.chars().any(char::is_control) {
        return Ok(value.to_owned());
    }
    Err(Refused::bad("bad_request", format!("{what} must be 1 to {most} characters without control characters")))
}

/// HMAC-SHA256, in hexadecimal.
pub(crate) fn hmac(secret: &str, parts: &[&[u8]]) -> String {
    // A key of any length will do for HMAC.
    let Ok(mut mac) = Hmac::<Sha256>::new_from_slice(secret.as_bytes()) else { return String::new() };
    parts.iter().for_each(|part| mac.update(part));
    mac.finalize().into_bytes().iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// RFC 4231, test case 2.
    #[test]
    fn hmac_is_what_everybody_computes() {
        let expected = "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843";
        assert_eq!(hmac("Jefe", &[b"what do ya want ", b"for nothing?"]), expected);
    }

    #[test]
    fn what_is_wrong_is_not_repeated() {
        #[derive(serde::Deserialize)]
        struct Body {
            #[expect(dead_code)]
            amount: u32,
        }
        for text in [r#"{"amount":"4111111111111111"}"#, r#"{"amount":4111111111111111}"#, "4111111111111111x"] {
            let refused = body::<Body>(&Bytes::from_static(text.as_bytes())).err();
            let message = refused.map(|refused| refused.message).unwrap_or_default();
            assert!(!message.is_empty() && !message.contains("4111"), "{message}");
        }
    }
}
